"""TLS to primaries: every policy against every kind of primary, DANE from
signed zones, MTA-STS from a policy host.

The matrix runs twice, against Postfix and against a scripted server, and is
printed."""

import json
import ssl
import subprocess
import time

import pytest

from client import send
from net import free_port
from sts import PolicyHost, policy

PATIENCE = 30
POLICIES = ("none", "may", "must", "verify", "dane")
KINDS = ("plain", "good", "expired", "wrong-name", "tlsa", "wrong-tlsa")
ADDRESSES = {kind: f"127.0.0.{11 + i}" for i, kind in enumerate(KINDS)}

# what must become of the mail: in clear, encrypted, or it waits
MATRIX = {
    #            plain    good     expired  wrong    tlsa     wrong-tlsa
    "none":   ("clear", "clear", "clear", "clear", "clear", "clear"),
    "may":    ("clear", "tls",   "tls",   "tls",   "tls",   "wait"),
    "must":   ("wait",  "tls",   "tls",   "tls",   "tls",   "wait"),
    "verify": ("wait",  "tls",   "wait",  "wait",  "tls",   "wait"),
    "dane":   ("wait",  "wait",  "wait",  "wait",  "tls",   "wait"),
}


def context(cert):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(cert.cert_path, cert.key_path)
    return made


def certificates(pki):
    """One for each kind; the host is KIND.m.test."""
    return {
        "good": pki.cert("good.m.test"),
        "expired": pki.cert("expired.m.test", expired=True),
        "wrong-name": pki.cert("elsewhere.test"),
        "tlsa": pki.cert("whoever.test", self_signed=True),
        "wrong-tlsa": pki.cert("wrong-tlsa.m.test", self_signed=True),
    }


def matrix_zone(port, certs):
    lines = [f"{kind} A {address}" for kind, address in ADDRESSES.items()]
    lines += [f"{p}.{k} MX 10 {k}" for p in POLICIES for k in KINDS]
    lines.append(f"_{port}._tcp.tlsa TLSA {certs['tlsa'].tlsa()}")
    lines.append(f"_{port}._tcp.wrong-tlsa TLSA "
                 f"{certs['wrong-tlsa'].tlsa(wrong=True)}")
    return "\n".join(lines)


def postfix_primaries(postfix, port, certs):
    """One Postfix, a listener for each kind."""
    server = postfix(domains=[f"{p}.{k}.m.test"
                              for p in POLICIES for k in KINDS],
                     main={"smtpd_tls_received_header": "yes"})
    master = server.conf / "master.cf"
    lines = []
    for kind, address in ADDRESSES.items():
        line = f"{address}:{port} inet n - n - - smtpd"
        if kind in certs:
            line += (f" -o smtpd_tls_cert_file={certs[kind].cert_path}"
                     f" -o smtpd_tls_key_file={certs[kind].key_path}"
                     " -o smtpd_tls_security_level=may")
        lines.append(line + "\n")
    master.write_text("".join(lines) + master.read_text())
    server.start()

    def received():
        """{domain: "clear" or "tls"}"""
        got = {}
        for raw in server.messages():
            text = raw.decode()
            domain = text.split("Subject: ")[1].split("\r\n")[0].strip()
            first = text.split("Received:")[1]
            got[domain.splitlines()[0]] = \
                "tls" if "using TLS" in first else "clear"
        return got

    return received


def scripted_primaries(primary, port, certs):
    servers = []
    for kind, address in ADDRESSES.items():
        server = primary(address=address, port=port, name=f"{kind}.m.test")
        if kind in certs:
            server.offers.append("STARTTLS")
            server.tls = context(certs[kind])
        servers.append(server.start())

    def received():
        return {m.rcpts[0].split("@")[1]: "tls" if m.session.tls else "clear"
                for s in servers for m in s.messages}

    return received


@pytest.mark.parametrize("server", ["postfix", "scripted"])
def test_matrix(server, mx20, dns, pki, primary, request, capsys):
    port = free_port()
    certs = certificates(pki)
    dns.zone("m.test", matrix_zone(port, certs)).start()
    if server == "postfix":
        received = postfix_primaries(request.getfixturevalue("postfix"),
                                     port, certs)
    else:
        received = scripted_primaries(primary, port, certs)
    daemon = mx20(
        domains="".join(f"{p}.{k}.m.test recipients=* tls={p}\n"
                        for p in POLICIES for k in KINDS),
        conf={"dns": dns.conf, "drain": {"port": port},
              "tls": {"ca_file": pki.ca_file}})
    for p in POLICIES:
        for k in KINDS:
            name = f"{p}.{k}.m.test"
            send(daemon.address, f"u@{name}",
                 f"Subject: {name}\r\n\r\nhello\r\n")
    want = {f"{p}.{k}.m.test": cell for p in POLICIES
            for k, cell in zip(KINDS, MATRIX[p])}
    going = sum(cell != "wait" for cell in want.values())
    end = time.monotonic() + PATIENCE
    while len(received()) < going and time.monotonic() < end:
        time.sleep(0.05)
    # those that wait have been tried, and say why
    waiting = {}
    for domain in (d for d, cell in want.items() if cell == "wait"):
        waiting[domain] = wait_reason(daemon, domain)
    got = {**received(), **{d: "wait" for d in waiting
                            if d not in received()}}
    with capsys.disabled():
        print_matrix(server, got, waiting)
    assert got == want
    for domain, reason in waiting.items():
        assert any(word in reason for word in REASONS[domain]), \
            (domain, reason)


def wait_reason(daemon, domain):
    """What status says once the destination has been tried."""
    end = time.monotonic() + PATIENCE
    while True:
        rows = {r["domain"]: r for r in daemon.status()["domains"]}
        reason = rows.get(domain, {}).get("last_reply") or ""
        if reason or time.monotonic() > end:
            return reason
        time.sleep(0.05)


def reasons():
    words = {}
    for p in POLICIES:
        for k, cell in zip(KINDS, MATRIX[p]):
            if cell != "wait":
                continue
            if p == "dane" and k != "wrong-tlsa":
                says = ("TLSA",)
            elif k == "plain":
                says = ("STARTTLS",)
            elif k == "wrong-tlsa":
                says = ("TLSA", "DANE")
            else:
                says = {"expired": ("expired",),
                        "wrong-name": ("ostname", "name")}[k]
            words[f"{p}.{k}.m.test"] = says
    return words


REASONS = reasons()


def print_matrix(server, got, waiting):
    print(f"\n\nTLS matrix, primary: {server}")
    print("tls=".ljust(8) + "".join(k.ljust(12) for k in KINDS))
    for p in POLICIES:
        print(p.ljust(8) + "".join(
            got.get(f"{p}.{k}.m.test", "LOST").ljust(12) for k in KINDS))
    for domain, reason in waiting.items():
        print(f"  {domain}: {reason}")


# -- one primary, whatever the zone says ---------------------------------------

class Bed:
    """A daemon, a TLS primary on 127.0.0.2 as mx.a.test, a policy host."""

    def __init__(self, mx20, dns, pki, primary):
        self.dns, self.pki = dns, pki
        self.port = free_port()
        self.cert = pki.cert("mx.a.test")
        self.web_cert = pki.cert("mta-sts.a.test", "mta-sts.mx.a.test")
        self.web = PolicyHost(self.web_cert)
        self.make, self.make_primary = mx20, primary
        self.host = None

    def primary(self, cert=None, **options):
        self.host = self.make_primary(
            address="127.0.0.2", port=self.port, tls=context(
                cert or self.cert),
            offers=("PIPELINING", "8BITMIME", "SIZE", "STARTTLS"), **options)
        return self.host.start()

    def tlsa(self, cert=None, host="mx", **options):
        return (f"_{self.port}._tcp.{host} TLSA "
                f"{(cert or self.cert).tlsa(**options)}")

    def daemon(self, domains="a.test recipients=*\n", **conf):
        base = {"dns": self.dns.conf, "drain": {"port": self.port},
                "tls": {"ca_file": self.pki.ca_file,
                        "sts_port": self.web.port}}
        for group, values in conf.items():
            base.setdefault(group, {}).update(values)
        return self.make(domains=domains, conf=base)


@pytest.fixture
def bed(mx20, dns, pki, primary):
    made = Bed(mx20, dns, pki, primary)
    yield made
    made.web.close()


MX = "@ MX 10 mx\nmx A 127.0.0.2\n"


def tls_of(daemon, domain="a.test"):
    out = daemon.ctl("route", domain, "--json").stdout
    return json.loads(out)["hosts"][0]["tls"]


@pytest.mark.parametrize("usage, selector, matching", [
    (3, 1, 1), (3, 0, 2), (3, 1, 0), (2, 0, 1)])
def test_dane_records_of_each_kind(bed, usage, selector, matching):
    cert = bed.cert if usage == 3 else bed.pki.ca
    record = bed.tlsa(cert, usage=usage, selector=selector,
                      matching=matching)
    bed.dns.zone("a.test", MX + record).start()
    host = bed.primary()
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    assert host.wait_messages(1)[0].session.tls
    tls = tls_of(daemon)
    assert tls["dane"] and tls["tlsa_usable"] == 1


def test_dane_ta_wants_the_name(bed):
    cert = bed.pki.cert("other.test")
    bed.dns.zone("a.test", MX + bed.tlsa(bed.pki.ca, usage=2,
                                         selector=0)).start()
    host = bed.primary(cert)
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    assert wait_reason(daemon, "a.test")
    assert not host.messages


def test_dane_needs_signed_mx(bed):
    """Signed host, unsigned MX records: opportunistic only."""
    bed.dns.zone("a.test", "mx A 127.0.0.2\n" + bed.tlsa(wrong=True))
    bed.dns.zone("b.test", "@ MX 10 mx.a.test.", signed=False).start()
    host = bed.primary()
    daemon = bed.daemon("b.test recipients=*\n")
    send(daemon.address, "u@b.test")
    assert host.wait_messages(1)[0].session.tls
    assert not tls_of(daemon, "b.test")["dane"]


def test_unusable_tlsa_still_wants_encryption(bed):
    bed.dns.zone("a.test", MX + bed.tlsa(usage=1)).start()
    host = bed.primary(on={"starttls": "454 4.7.0 not now"})
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    assert "454" in wait_reason(daemon, "a.test")
    assert not host.messages
    assert tls_of(daemon)["level"] == "must"


def test_bogus_tlsa_is_no_licence(bed):
    bed.dns.zone("a.test", MX + bed.tlsa(),
                 tamper=rf"^_{bed.port}\S*\s.*\sTLSA\s").start()
    host = bed.primary()
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    daemon.wait_log(r"route .*host=mx\.a\.test .*TLSA records are bogus")
    assert "bogus" in wait_reason(daemon, "a.test")
    assert not host.sessions


def test_dane_of_a_named_primary(bed):
    bed.dns.zone("a.test", "mx A 127.0.0.2\n" + bed.tlsa()).start()
    host = bed.primary(bed.cert)
    daemon = bed.daemon(
        f"b.test recipients=* primary=mx.a.test:{bed.port}\n")
    send(daemon.address, "u@b.test")
    assert host.wait_messages(1)[0].session.tls
    assert tls_of(daemon, "b.test")["dane"]


def test_dane_behind_an_alias(bed):
    """RFC 7672 section 2.2.2: the end of a secure chain is the base."""
    bed.dns.zone("a.test", "@ MX 10 alias\nalias CNAME mx\n"
                 "mx A 127.0.0.2\n" + bed.tlsa()).start()
    host = bed.primary()
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    assert host.wait_messages(1)[0].session.tls
    tls = tls_of(daemon)
    assert tls["dane"] and tls["sni"] == "mx.a.test"


# -- MTA-STS --------------------------------------------------------------------

STS = 'mta-sts A 127.0.0.1\n_mta-sts TXT "v=STSv1; id={};"\n'


def test_sts_enforce_verifies(bed):
    bed.dns.zone("a.test", MX + STS.format(1), signed=False).start()
    bed.web.policies["mta-sts.a.test"] = policy("enforce", ["mx.a.test"])
    host = bed.primary()
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    assert host.wait_messages(1)[0].session.tls
    tls = tls_of(daemon)
    assert tls["mta_sts"] and tls["level"] == "verify"
    assert bed.web.hits == [("mta-sts.a.test", "/.well-known/mta-sts.txt")]


def test_sts_enforce_with_a_wrong_certificate_waits(bed):
    bed.dns.zone("a.test", MX + STS.format(1), signed=False).start()
    bed.web.policies["mta-sts.a.test"] = policy("enforce", ["mx.a.test"])
    host = bed.primary(bed.pki.cert("other.test"))
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    assert "name" in wait_reason(daemon, "a.test")
    assert not host.messages


def test_sts_enforce_leaves_out_who_is_not_named(bed):
    bed.dns.zone("a.test", "@ MX 5 wrong\nwrong A 127.0.0.3\n" + MX +
                 STS.format(1), signed=False).start()
    bed.web.policies["mta-sts.a.test"] = policy("enforce", ["mx.a.test"])
    wrong = bed.make_primary(address="127.0.0.3", port=bed.port).start()
    host = bed.primary()
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    assert not wrong.sessions
    daemon.wait_log(r"host=wrong\.a\.test .*MTA-STS policy does not name")


def test_sts_testing_only_says_so(bed):
    bed.dns.zone("a.test", MX + STS.format(1), signed=False).start()
    bed.web.policies["mta-sts.a.test"] = policy("testing", ["other.test"])
    host = bed.primary(bed.pki.cert("other.test"))
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    daemon.wait_log(r"host=mx\.a\.test .*testing.* does not name it")


def test_dane_wins_over_sts(bed):
    cert = bed.pki.cert("whoever.test", self_signed=True)
    bed.dns.zone("a.test", MX + STS.format(1) + bed.tlsa(cert)).start()
    bed.web.policies["mta-sts.a.test"] = policy("enforce", ["other.test"])
    host = bed.primary(cert)
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    assert tls_of(daemon)["dane"]


@pytest.mark.parametrize("fault", ["status", "type", "redirect", "malformed",
                                   "certificate", "group", "too large"])
def test_sts_policies_that_do_not_count(bed, fault):
    """No policy can be had: as if there were none (RFC 8461 section 5)."""
    web = bed.web
    web.policies["mta-sts.a.test"] = policy("enforce", ["other.test"])
    if fault == "status":
        web.status = 500
    elif fault == "type":
        web.type = "text/html"
    elif fault == "redirect":
        web.status, web.location = 301, "https://mta-sts.a.test/elsewhere"
    elif fault == "malformed":
        web.policies["mta-sts.a.test"] = "version: STSv1\nmode: enforce\n"
    elif fault == "certificate":
        other = bed.pki.cert("other.test")
        web.context.load_cert_chain(other.cert_path, other.key_path)
    elif fault == "group":  # its size would be the policy host's to choose
        params = bed.pki.dir / "dh.pem"
        params.write_bytes(subprocess.run(
            ["openssl", "genpkey", "-genparam", "-algorithm", "DH",
             "-pkeyopt", "group:ffdhe2048"], check=True,
            capture_output=True).stdout)
        web.context.maximum_version = ssl.TLSVersion.TLSv1_2
        web.context.set_ciphers("DHE")
        web.context.load_dh_params(params)
    else:
        web.policies["mta-sts.a.test"] += "x: y\n" * 20000
    bed.dns.zone("a.test", MX + STS.format(1), signed=False).start()
    host = bed.primary()
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    daemon.wait_log(r"route domain=a\.test note=MTA-STS error=")
    assert not tls_of(daemon)["mta_sts"]


def test_sts_cache_survives_restart_and_loss_of_the_record(bed):
    bed.dns.zone("a.test", MX + STS.format(1), signed=False).start()
    bed.web.policies["mta-sts.a.test"] = policy("enforce", ["mx.a.test"])
    host = bed.primary()
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    assert tls_of(daemon)["mta_sts"]
    daemon.stop()
    bed.dns.zone("a.test", MX, signed=False)
    bed.dns.update()
    bed.web.policies.clear()
    hits = len(bed.web.hits)
    daemon.start()
    assert tls_of(daemon)["mta_sts"]
    assert len(bed.web.hits) == hits


def test_sts_new_id_brings_the_new_policy(bed):
    bed.dns.ttl = bed.dns.negative = 1
    bed.dns.zone("a.test", MX + STS.format("one"), signed=False).start()
    bed.web.policies["mta-sts.a.test"] = policy("enforce", ["old.test"])
    host = bed.primary()
    daemon = bed.daemon()
    send(daemon.address, "u@a.test")
    assert "MTA-STS" in wait_reason(daemon, "a.test")
    assert not host.sessions
    bed.web.policies["mta-sts.a.test"] = policy("enforce", ["mx.a.test"])
    bed.dns.zone("a.test", MX + STS.format("two"), signed=False)
    bed.dns.update()
    assert daemon.reload().returncode == 0
    host.wait_messages(1)
    assert len(bed.web.hits) == 2


def test_sts_of_a_named_primary_is_its_own(bed):
    """RFC 8461 section 3.4: a smart host's policy, not the recipients'."""
    bed.dns.zone("a.test", "mx A 127.0.0.2\nmta-sts.mx A 127.0.0.1\n"
                 '_mta-sts.mx TXT "v=STSv1; id=1;"', signed=False).start()
    bed.web.policies["mta-sts.mx.a.test"] = policy("enforce", ["mx.a.test"])
    host = bed.primary(bed.pki.cert("other.test"))
    daemon = bed.daemon(
        f"b.test recipients=* primary=mx.a.test:{bed.port}\n")
    send(daemon.address, "u@b.test")
    assert "name" in wait_reason(daemon, "b.test")
    assert not host.messages
