"""The gates that settings switch on: who is kept out, and how that is said."""

import json
import re
import socket
import ssl
import subprocess

import pytest

from client import PATIENCE, Raw, message, send
from daemon import BUILD
from dns import Relay
from faults import until
from test_ctl import Terminal


def test_require_tls(mx20, pki):
    cert = pki.cert("mx2.test")
    daemon = mx20(conf={"tls": {"certificate": str(cert.cert_path),
                                "key": str(cert.key_path)},
                        "policy": {"require_tls": True}})
    with Raw(daemon.address) as c:
        assert c.cmd("EHLO client.test").startswith("250")
        assert c.cmd("MAIL FROM:<a@sender.test>") == \
            "530 5.7.0 Must issue a STARTTLS command first"
        assert c.cmd("NOOP").startswith("250")
        assert c.cmd("STARTTLS").startswith("220")
        context = ssl._create_unverified_context()
        c.sock = context.wrap_socket(c.sock)
        c.envelope()
        assert c.data(message() + ".\r\n").startswith("250")
    daemon.wait_log(r"^rejected .* stage=mail .*reason=no_tls "
                    r"setting=policy\.require_tls$")
    daemon.conf["tls"] = {}
    done = daemon.reload()
    assert done.returncode == 1
    assert "policy.require_tls: needs tls.certificate" in \
        done.stdout + done.stderr


def test_quota(mx20):
    daemon = mx20(domains="example.com recipients=* quota=100K\n"
                          "example.org recipients=*\n",
                  conf={"policy": {"quota": "1G"}})
    body = "x" * 70 + "\r\n"
    send(daemon.address, content=message(body=body * 900))
    with Raw(daemon.address) as c:
        # what is announced is refused at RCPT, what is not at the end
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@sender.test> SIZE=64000"
                     ).startswith("250")
        assert c.cmd("RCPT TO:<u@example.com>") == \
            "452 4.2.2 Too much mail waits for this domain, try again later"
        assert c.cmd("RCPT TO:<u@example.org>").startswith("250")
        c.cmd("RSET")
        c.envelope()
        assert c.data(message(body=body * 900) + ".\r\n"
                      ).startswith("452 4.2.2")
        c.envelope()
        assert c.data(message(body=body * 200) + ".\r\n"
                      ).startswith("250")
        c.envelope(rcpts=["u@example.org"])
        assert c.data(message(body=body * 2000) + ".\r\n"
                      ).startswith("250")
    # the domain's own option, and where it stands
    for stage in "rcpt", "data":
        daemon.wait_log(rf"^rejected .* stage={stage} .*reason=quota "
                        rf"setting=quota at={daemon.dir}/domains:1$")
    [row] = json.loads(daemon.ctl("status", "example.com", "--json").stdout
                       )["domains"]
    assert row["rejected"] == [{"reason": "quota", "count": 2}]
    assert "  recipients rejected since the start: 2 quota\n" in \
        daemon.ctl("status", "example.com").stdout
    waits = {d["domain"]: d["bytes"] for d in daemon.status()["domains"]}
    assert waits["example.com"] < 100 << 10 < waits["example.org"]


# -- rates -----------------------------------------------------------------

def behind_proxy(mx20, **conf):
    """A daemon whose clients say which address they come from."""
    daemon = mx20(start=False, domains="example.com recipients=users\n",
                  conf=conf)
    daemon.put(daemon.dir / "users", "user\n")
    daemon.conf["listen"][0]["proxy"] = True
    daemon.write_files()
    return daemon.start()


def come_from(daemon, client, greet=True):
    sock = socket.create_connection(daemon.address, PATIENCE)
    family = "TCP6" if ":" in client else "TCP4"
    own = "::1" if ":" in client else "127.0.0.1"
    sock.sendall(f"PROXY {family} {client} {own} 4711 25\r\n".encode())
    return Raw(None, greet=greet, sock=sock)


def guesses(daemon, client, count):
    """The codes of so many unknown recipients, over many sessions."""
    codes = []
    while len(codes) < count:
        with come_from(daemon, client) as c:
            c.cmd("EHLO client.test")
            c.cmd("MAIL FROM:<a@sender.test>")
            while len(codes) < count:
                reply = c.cmd(f"RCPT TO:<guess{len(codes)}@example.com>")
                codes.append(reply[:9])
                if c.cmd("NOOP")[:3] != "250":
                    break
    return codes


def test_guesses_are_counted_across_sessions(mx20):
    daemon = behind_proxy(
        mx20, policy={"rate": {"unknown": 15},
                      "trusted": ["203.0.113.0/24"]})
    codes = guesses(daemon, "192.0.2.1", 25)
    assert codes == ["550 5.1.1"] * 15 + ["450 4.7.1"] * 10
    daemon.wait_log(r"^rejected .*client=192\.0\.2\.1 .*reason=rate_unknown "
                    r"setting=policy\.rate\.unknown$")
    # others are none of its business, and who exists is taken from all
    assert guesses(daemon, "192.0.2.2", 3) == ["550 5.1.1"] * 3
    assert guesses(daemon, "203.0.113.9", 25) == ["550 5.1.1"] * 25
    assert guesses(daemon, "2001:db8::1", 15) == ["550 5.1.1"] * 15
    assert guesses(daemon, "2001:db8::2", 1) == ["450 4.7.1"]
    with come_from(daemon, "192.0.2.1") as c:
        c.envelope(rcpts=["user@example.com"])
        assert c.data(message() + ".\r\n").startswith("250")


def test_messages_a_minute(mx20):
    daemon = behind_proxy(mx20, policy={"rate": {"messages": 2}})
    for _ in range(2):
        with come_from(daemon, "192.0.2.1") as c:
            c.envelope(rcpts=["user@example.com"])
    with come_from(daemon, "192.0.2.1") as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@sender.test>") == \
            "450 4.7.1 Too many messages from your network, slow down"
    with come_from(daemon, "192.0.2.2") as c:
        c.envelope(rcpts=["user@example.com"])


@pytest.mark.skipif("address" in str(BUILD), reason="memory of a sanitizer")
def test_a_crowd_that_guesses_costs_no_memory(mx20):
    daemon = behind_proxy(mx20, log={"level": "error"})

    def crowd(third):
        for i in range(5000):
            with come_from(daemon, f"10.{third}.{i >> 8}.{i & 255}") as c:
                c.send("EHLO c.test\r\nMAIL FROM:<a@sender.test>\r\n"
                       "RCPT TO:<guess@example.com>\r\nQUIT\r\n")
                assert [c.reply()[:3] for _ in range(4)] == \
                    ["250", "250", "550", "221"]

    crowd(0)
    before = daemon.rss_kib()
    crowd(1)
    crowd(2)
    # what is counted lies in a table that was there before
    assert daemon.rss_kib() - before < 4096


# -- who talks first -------------------------------------------------------

def test_pregreet(mx20):
    daemon = behind_proxy(mx20, policy={"pregreet": "200ms",
                                        "trusted": ["203.0.113.0/24"]})
    with come_from(daemon, "192.0.2.1", False) as c:
        c.send("EHLO early.test\r\n")
        assert c.reply() == "554 5.5.1 You spoke before the greeting"
        assert c.closed()
    daemon.wait_log(r"^rejected .*stage=connect client=192\.0\.2\.1 .*"
                    r"reason=early_talker setting=policy\.pregreet$")
    for client in "192.0.2.1", "203.0.113.9":
        with come_from(daemon, client, False) as c:
            assert c.reply().startswith("220 ")
            c.envelope(rcpts=["user@example.com"])
            assert c.data(message() + ".\r\n").startswith("250")


# -- lists in DNS ----------------------------------------------------------

def test_dnsbl(mx20, dns):
    dns.zone("bl.test", "1.2.0.192 A 127.0.0.2\n2.2.0.192 A 192.0.2.9\n"
             "3.2.0.192 A 127.255.255.254\n"
             "9.113.0.203 A 127.0.0.2\n"
             "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2 A 127.0.0.4", signed=False)
    dns.zone("dul.test", "4.2.0.192 A 127.0.0.2\n1.2.0.192 A 127.0.0.9",
             signed=False)
    dns.start()
    daemon = behind_proxy(mx20, dns=dns.conf, policy={
        "dnsbl": [{"zone": "bl.test", "weight": 2}, {"zone": "dul.test"}],
        "dnsbl_score": 2, "trusted": ["203.0.113.0/24"]})

    def hear(client, rcpt="user@example.com"):
        with come_from(daemon, client) as c:
            c.cmd("EHLO client.test")
            c.cmd("MAIL FROM:<a@sender.test>")
            return c.cmd(f"RCPT TO:<{rcpt}>")

    assert hear("192.0.2.1") == \
        "550 5.7.1 Your address is listed by bl.test, dul.test"
    assert hear("192.0.2.1") == \
        "550 5.7.1 Your address is listed by bl.test, dul.test"
    daemon.wait_log(r"^rejected .*client=192\.0\.2\.1 .*reason=dnsbl "
                    r"setting=policy\.dnsbl$")
    assert hear("2001:db8::1") == "550 5.7.1 Your address is listed by bl.test"
    assert hear("192.0.2.1", "Postmaster@example.com").startswith("250")
    # an answer that means nothing, too little weight, trusted, unlisted
    for client in "192.0.2.2", "192.0.2.3", "192.0.2.4", "203.0.113.9", \
            "192.0.2.5":
        assert hear(client).startswith("250"), client


def test_a_silent_dnsbl_refuses_nobody(mx20, dns):
    dns.zone("bl.test", "1.2.0.192 A 127.0.0.2", signed=False)
    dns.zone("gone.test", missing=True, signed=False)
    dns.start()
    daemon = behind_proxy(mx20, dns=dns.conf, policy={
        "dnsbl": [{"zone": "gone.test"}, {"zone": "bl.test"}]})
    with come_from(daemon, "192.0.2.7") as c:
        c.envelope(rcpts=["user@example.com"])
    with come_from(daemon, "192.0.2.1") as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        assert c.cmd("RCPT TO:<user@example.com>").endswith("bl.test")


# -- explain ---------------------------------------------------------------

def test_explain(mx20, dns):
    dns.zone("bl.test", "1.2.0.192 A 127.0.0.2", signed=False).start()
    daemon = behind_proxy(mx20, dns=dns.conf, policy={
        "pregreet": "5s", "dnsbl": [{"zone": "bl.test"}],
        "rate": {"unknown": 2}})

    def explain(client, to, *more):
        return json.loads(daemon.ctl("explain", "--client", client, "--to",
                                     to, *more, "--json").stdout)

    for _ in range(4):  # nothing of it is counted
        told = explain("192.0.2.9", "guess@example.com",
                       "--helo", "client.test", "--from", "a@sender.test")
        assert told["reply"] == "550 5.1.1 No such recipient here"
        assert told["gates"][-1] == {
            "gate": "recipients", "verdict": "refuse",
            "reply": told["reply"],
            "detail": "unknown_recipient, by recipients"}
        assert all(g["verdict"] == "pass" for g in told["gates"][:-1])
    told = explain("192.0.2.1", "user@example.com")
    assert told["reply"] == "550 5.7.1 Your address is listed by bl.test"
    assert told["gates"][-1]["gate"] == "dnsbl"
    assert explain("192.0.2.9", "user@example.com")["reply"].startswith("250")
    text = daemon.ctl("explain", "--client", "192.0.2.1", "--to",
                      "user@example.com").stdout
    assert "dnsbl, by policy.dnsbl" in text
    assert text.endswith("\n550 5.7.1 Your address is listed by bl.test\n")
    # nobody let in was asked for SPF: it decides where reports go
    assert told["spf"]["result"] == "none"
    for wrong in (["--client", "x", "--to", "a@b.test"],
                  ["--client", "192.0.2.1", "--to", "@"],
                  ["--client", "192.0.2.1", "--to", "a@b", "--from", "x x"]):
        done = daemon.ctl("explain", *wrong, check=False)
        assert done.returncode == 1 and "expected an address" in done.stderr
    assert daemon.ctl("explain", check=False).returncode == 2
    assert daemon.ctl("status", "--to", "x", check=False).returncode == 2


def test_explain_says_what_spf_says(mx20, dns):
    dns.zone("sender.test",
             '@ TXT "v=spf1 ip4:192.0.2.1 exp=why.sender.test -all"\n'
             'why TXT "%{i} is none of ours"', signed=False)
    dns.zone("helo.test", '@ TXT "v=spf1 ?all"', signed=False).start()
    relay = Relay(dns.port)
    daemon = mx20(conf={"dns": dict(dns.conf,
                                    servers=[f"127.0.0.1@{relay.port}"])})

    def explain(client, *more):
        return daemon.ctl("explain", "--client", client, "--to",
                          "u@example.com", *more).stdout

    def spf(client, *more):
        return json.loads(explain(client, *more, "--json"))["spf"]

    ann = ["--from", "ann@sender.test", "--helo", "helo.test"]
    assert spf("192.0.2.1", *ann) == {
        "result": "pass", "domain": "sender.test",
        "mechanism": "ip4:192.0.2.1", "explanation": None}
    assert spf("192.0.2.2", *ann) == {
        "result": "fail", "domain": "sender.test", "mechanism": "-all",
        "explanation": "192.0.2.2 is none of ours"}
    # without a sender it is about the name in HELO
    assert spf("192.0.2.2", *ann[2:])["result"] == "neutral"
    assert spf("192.0.2.2")["result"] == "none"
    text = explain("192.0.2.2", *ann)
    assert re.search(r"^\(spf\) +fail +of sender\.test, by -all: 192\.0\.2\.2 "
                     "is none of ours$", text, re.M), text
    # who asks hangs up, or the daemon leaves, before there is an answer
    relay.silent = True
    slow = Terminal(daemon, "explain", "--client", "192.0.2.3", "--to",
                    "u@example.com", "--from", "a@slow.test")
    slow.read(until="it is slow ...")
    # libunbound may give up before we do
    assert re.search("temperror +of slow.test: no answer|"
                     "no answer within 5 seconds",
                     " ".join(slow.read().split()))
    assert slow.exit_status() == 0
    for name in "one.test", "two.test":
        asking = subprocess.Popen(
            [str(BUILD / "mx20ctl"), "-c", str(daemon.conf_path), "explain",
             "--client", "192.0.2.3", "--to", "u@example.com", "--from",
             f"a@{name}"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        until(lambda: name in [n for n, _ in relay.asked])
        asking.kill()
        asking.wait()
    assert daemon.ctl("status").returncode == 0
    assert daemon.stop() == 0
    relay.close()


# -- what the primary lacks --------------------------------------------------

LARGE = "x" * 70 + "\r\n"


def test_what_the_primary_lacks(mx20, primary):
    """It said so once, and is away now: its limits are kept over a restart,
    ours are announced as before."""
    server = primary(offers=["PIPELINING", "SIZE 100000"]).start()
    daemon = mx20(domains=f"example.com recipients=* primary={server.route}\n"
                          "example.org recipients=* primary=[127.0.0.1]:1\n")
    send(daemon.address)
    daemon.wait_empty()
    server.stop()
    daemon.restart()

    def rcpt(c, params, to="u@example.com", sender="a@sender.test"):
        c.cmd("RSET")
        assert c.cmd(f"MAIL FROM:<{sender}>{params}").startswith("250")
        return c.cmd(f"RCPT TO:<{to}>")

    with Raw(daemon.address) as c:
        assert "SIZE 52428800" in c.cmd("EHLO client.test")
        assert rcpt(c, " SIZE=100001") == \
            "552 5.3.4 Message is larger than the primary mail server of " \
            "this domain takes"
        # what we add in front is the primary's to take, too
        assert rcpt(c, " SIZE=100000").startswith("552")
        assert rcpt(c, " SIZE=99000").startswith("250")
        assert rcpt(c, " SIZE=100001", "u@example.org").startswith("250")
        assert rcpt(c, " SMTPUTF8", "\u00fc@example.com") == \
            "550 5.6.7 The primary mail server of this domain has no SMTPUTF8"
        assert rcpt(c, " SMTPUTF8").startswith("250")
        # not announced: at the end, unless another one takes it
        c.envelope()
        assert c.data(message(body=LARGE * 1500) + ".\r\n") == \
            "552 5.3.4 Message is larger than the primary mail server of " \
            "this domain takes"
        c.envelope(rcpts=["u@example.com", "u@example.org"])
        assert c.data(message(body=LARGE * 1500) + ".\r\n").startswith("250")
    def explain(*more):
        told = json.loads(daemon.ctl(
            "explain", "--client", "192.0.2.1", "--to", "u@example.com",
            *more, "--json").stdout)
        [row] = [g for g in told["gates"] if g["gate"] == "promise"]
        return row["verdict"], row["detail"]

    assert explain() == ("pass", "no --size, and no address beyond ASCII")
    assert explain("--size", "99000") == ("pass", None)
    assert explain("--size", "100000") == ("refuse", "primary_size")
    assert explain("--size", "1M") == ("refuse", "primary_size")
    assert explain("--from", "\u00fc@sender.test") == \
        ("refuse", "primary_smtputf8")
    done = daemon.ctl("explain", "--client", "192.0.2.1", "--to",
                      "u@example.com", "--size", "much", check=False)
    assert done.returncode == 1 and "expected a size" in done.stderr
    for stage, reason in (("rcpt", "primary_size"), ("data", "primary_size"),
                          ("rcpt", "primary_smtputf8")):
        daemon.wait_log(rf"^rejected .* stage={stage} .*reason={reason}")


def test_requiretls_that_the_primary_lacks(mx20, primary, pki):
    cert = pki.cert("mx2.test")
    server = primary(offers=["SIZE 0"]).start()
    daemon = mx20(domains=f"example.com recipients=* primary={server.route}\n",
                  conf={"tls": {"certificate": str(cert.cert_path),
                                "key": str(cert.key_path)}})
    send(daemon.address)
    daemon.wait_empty()
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("STARTTLS").startswith("220")
        context = ssl._create_unverified_context()
        c.sock = context.wrap_socket(c.sock)
        assert "REQUIRETLS" in c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@sender.test> REQUIRETLS SIZE=50000000"
                     ).startswith("250")
        assert c.cmd("RCPT TO:<u@example.com>") == \
            "550 5.7.30 The primary mail server of this domain has no " \
            "REQUIRETLS"
        # a report is not lost for it
        c.cmd("RSET")
        assert c.cmd("MAIL FROM:<> REQUIRETLS").startswith("250")
        assert c.cmd("RCPT TO:<u@example.com>").startswith("250")
