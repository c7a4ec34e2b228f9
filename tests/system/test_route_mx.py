"""Routing by MX records, each way in which they can be, against
NSD with zones made for it.  Primaries stand on 127.0.0.x, one port for all
(drain.port); what counts is what they received and what log, status and
`mx20ctl route` say."""

import json
import shutil
import subprocess

import pytest

from client import Raw, send
from dns import Relay
from faults import until
from net import free_port
from primary import Delay

DEAD = "127.0.0.99"  # loopback, nobody listens


@pytest.fixture
def world(mx20, dns, primary):
    """Zones, primaries on their addresses, and a daemon that asks NSD."""

    class World:
        port = free_port()

        def primary(self, host, **options):
            return primary(address=host, port=self.port, **options).start()

        def start(self, domains="a.test", **conf):
            dns.start()
            return self.daemon(domains, conf)

        def daemon(self, domains, conf, start=True, **options):
            life = conf.pop("lifetime", None)
            more = f" lifetime={life}" if life else ""
            rows = "".join(f"{d} recipients=*{more}\n"
                           for d in domains.split())
            base = {"dns": dns.conf, "drain": {"port": self.port}}
            for group, values in conf.items():
                if isinstance(values, dict):
                    base.setdefault(group, {}).update(values)
                else:
                    base[group] = values
            return mx20(domains=rows, conf=base, start=start, **options)

    world = World()
    world.dns = dns
    return world


def route(daemon, domain):
    return json.loads(daemon.ctl("route", domain, "--json").stdout)


def fates(daemon, domain):
    """{host: fate} of the published set."""
    return {mx["host"]: mx["fate"] for mx in route(daemon, domain)
            ["published"]}


# -- order ------------------------------------------------------------------

def test_lowest_preference_first(world):
    world.dns.zone("a.test", "@ MX 20 worse\n@ MX 10 best\n"
                   "best A 127.0.0.2\nworse A 127.0.0.3")
    best, worse = world.primary("127.0.0.2"), world.primary("127.0.0.3")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    best.wait_messages(1)
    assert not worse.messages
    assert [h["host"] for h in route(daemon, "a.test")["hosts"]] == \
        ["best.a.test", "worse.a.test"]


def test_next_preference_when_the_first_is_away(world):
    world.dns.zone("a.test", f"@ MX 10 best\n@ MX 20 worse\n"
                   f"best A {DEAD}\nworse A 127.0.0.3")
    worse = world.primary("127.0.0.3")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    worse.wait_messages(1)


def test_equal_preference_in_random_order(world):
    names = [f"d{i}" for i in range(16)]
    world.dns.zone("a.test", "\n".join(
        f"{n} MX 10 one\n{n} MX 10 two" for n in names) +
        "\none A 127.0.0.2\ntwo A 127.0.0.3")
    daemon = world.start(" ".join(f"{n}.a.test" for n in names))
    first = [route(daemon, f"{n}.a.test")["hosts"][0]["host"] for n in names]
    # both orders come up; all alike would be a chance of 1 in 32768
    assert set(first) == {"one.a.test", "two.a.test"}
    # and all of it is one destination all the same
    assert len({route(daemon, f"{n}.a.test")["destination"]
                for n in names}) == 1


def send_many(daemon, count):
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        for _ in range(count):
            c.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<u@a.test>\r\n"
                   "BDAT 6 LAST\r\nX: y\r\n")
        assert {c.reply()[:3] for _ in range(3 * count)} == {"250"}


@pytest.mark.parametrize("connections", [1, 6])
def test_equal_preference_spreads_the_load(world, connections):
    world.dns.zone("a.test", "@ MX 10 one\n@ MX 10 two\n@ MX 20 worse\n"
                   "one A 127.0.0.2\ntwo A 127.0.0.3\nworse A 127.0.0.4")
    daemon = world.start(drain={"connections": connections,
                                "probe_max": "1s"})
    daemon.ctl("hold", "--domain", "a.test", "--yes")
    send_many(daemon, 600)
    equals = [world.primary(f"127.0.0.{i}") for i in (2, 3)]
    worse = world.primary("127.0.0.4")
    # all are there before any is looked for
    daemon.ctl("release", "--domain", "a.test", "--yes")
    daemon.wait_empty()
    counts = [len(p.messages) for p in equals]
    # what there was before the second was found is with the worse
    assert sum(counts) + len(worse.messages) == 600
    assert min(counts) > sum(counts) / 4, counts
    assert max(p.most_sessions for p in equals) <= connections / 2 + 2


def test_an_equal_that_comes_back_gets_its_share(world):
    world.dns.zone("a.test", "@ MX 10 one\n@ MX 10 two\n"
                   "one A 127.0.0.2\ntwo A 127.0.0.3")
    daemon = world.start(drain={"connections": 4, "probe_max": "1s"})
    send_many(daemon, 1200)
    one = world.primary("127.0.0.2", on={"dot": Delay(0.01)})
    one.wait_messages(100)
    two = world.primary("127.0.0.3", on={"dot": Delay(0.01)})
    two.wait_messages(200)
    daemon.wait_empty()
    assert "to=down" not in daemon.text().split("to=up", 1)[1]


def test_every_address_in_turn(world):
    world.dns.zone("a.test", "@ MX 10 mx\n" + "\n".join(
        f"mx A 127.0.0.{i}" for i in (96, 97, 98, 99, 4)))
    good = world.primary("127.0.0.4")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    good.wait_messages(1)


def test_both_families_in_the_first_two_attempts(world):
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.97\nmx A 127.0.0.98\n"
                   "mx A 127.0.0.99\nmx AAAA ::1")
    six = world.primary("::1")
    daemon = world.start()
    addresses = route(daemon, "a.test")["hosts"][0]["addresses"]
    assert len(addresses) == 4
    assert any("::1" in a for a in addresses[:2])
    assert any("127.0.0" in a for a in addresses[:2])
    send(daemon.address, "u@a.test")
    six.wait_messages(1)


# -- no MX, null MX ----------------------------------------------------------

def test_no_mx_means_the_address_of_the_domain(world):
    world.dns.zone("a.test", "@ A 127.0.0.2")
    host = world.primary("127.0.0.2")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    assert route(daemon, "a.test")["source"] == "address"


def test_address_of_the_domain_never_beside_an_mx(world):
    world.dns.zone("a.test", f"@ A 127.0.0.2\n@ MX 10 mx\nmx A {DEAD}")
    world.dns.zone("b.test", "@ A 127.0.0.2\n@ MX 10 nowhere")
    host = world.primary("127.0.0.2")
    daemon = world.start("a.test b.test", bounce={"mode": "hold"})
    send(daemon.address, ["u@a.test", "u@b.test"])
    daemon.wait_log(r"probe .*a\.test")
    daemon.wait_log(r"route .*b\.test.*permanent")
    assert route(daemon, "b.test")["hosts"] == []
    assert not host.sessions


def test_null_mx_is_refused_when_known(world):
    world.dns.zone("a.test", "@ MX 0 .")
    daemon = world.start(bounce={"mode": "hold"})
    assert route(daemon, "a.test")["result"] == "null-mx"
    from client import Raw
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        assert c.cmd("RCPT TO:<u@a.test>").startswith("556 5.1.10")


OUTAGES = {
    "nxdomain": (None, "NXDOMAIN for a.test"),
    "nodata": ("other A 127.0.0.2", "neither MX nor address"),
    "nothing behind the MX": ("@ MX 10 gone", "no MX host of a.test"),
    "null MX": ("@ MX 0 .", "null MX"),
}


@pytest.mark.parametrize("how", OUTAGES)
def test_a_listed_domain_that_dns_denies_is_an_outage(world, how):
    """That it exists is the allowlist's to say: nothing is returned, and the
    mail goes by itself when the zone is back."""
    records, says = OUTAGES[how]
    world.dns.ttl = world.dns.negative = 1
    if records is not None:
        world.dns.zone("a.test", records)
    world.dns.zone("sender.test", "@ MX 10 mx\nmx A 127.0.0.5")
    back, host = world.primary("127.0.0.5"), world.primary("127.0.0.2")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    daemon.wait_log(rf"route level=error domain=a\.test .*{says}.* waits")
    row = daemon.status()["domains"][0]
    assert (row["state"], row["messages"]) == ("down", 1)
    assert says in row["last_reply"] and row["since"] and row["next_probe"]
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2")
    world.dns.stop()  # NSD takes no new zone on while it runs
    world.dns.start()
    host.wait_messages(1)
    daemon.wait_empty()
    assert not back.sessions
    # said once, however often it was asked
    assert len([x for x in daemon.log if "route level=error" in x]) == 1


def test_what_dns_denies_ends_with_its_lifetime(world):
    world.dns.zone("sender.test", "@ MX 10 mx\nmx A 127.0.0.5")
    back = world.primary("127.0.0.5")
    daemon = world.start("a.test", lifetime="1s")
    send(daemon.address, "u@a.test")
    report = back.wait_messages(1)[0]
    assert "NXDOMAIN for a.test" in report.text
    assert "Status: 5.4.7" in report.text


@pytest.mark.parametrize("records, says", [
    (None, r"\(route\) 5.1.2 NXDOMAIN for sender.test"),
    ("@ MX 0 .", r"\(route\) 5.1.10")])
def test_for_a_report_to_a_stranger_it_is_final(world, records, says):
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2")
    if records is not None:
        world.dns.zone("sender.test", records)
    world.primary("127.0.0.2", on={"rcpt": "550 5.1.1 unknown"})
    daemon = world.start()
    send(daemon.address, "u@a.test")
    daemon.wait_log(rf"bounced .*to=<a@sender\.test> .*{says}")
    daemon.wait_empty()


# -- odd MX records -----------------------------------------------------------

def test_cname_is_followed_and_reported(world):
    world.dns.zone("a.test", "@ MX 10 alias\nalias CNAME real\n"
                   "real A 127.0.0.2")
    host = world.primary("127.0.0.2")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    daemon.wait_log(r"route .*host=alias\.a\.test .*alias of real\.a\.test")
    assert "alias of real.a.test" in daemon.ctl("route", "a.test").stdout


def test_address_text_and_hosts_without_address_are_skipped(world):
    world.dns.zone("a.test", "@ MX 5 127.0.0.3.\n@ MX 6 text\n@ MX 7 gone\n"
                   "@ MX 10 mx\nmx A 127.0.0.2\ntext TXT nothing")
    host, wrong = world.primary("127.0.0.2"), world.primary("127.0.0.3")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    assert not wrong.sessions
    assert fates(daemon, "a.test") == {
        "127.0.0.3": "not-a-name", "text.a.test": "no-address",
        "gone.a.test": "no-address", "mx.a.test": "used"}
    daemon.wait_log(r"route .*host=127\.0\.0\.3 .*IP address")
    daemon.wait_log(r"route .*host=text\.a\.test .*no address")
    daemon.wait_log(r"route .*host=gone\.a\.test .*NXDOMAIN")


# -- where no mail host is ---------------------------------------------------------

def test_dns_does_not_lead_to_private_addresses(world):
    """A report goes where the sender's DNS says: not to doors of this host.
    Neither does the look at a domain's MTA-STS policy."""
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.3")
    world.dns.zone("b.test", "@ MX 10 mx\nmx A 127.0.0.4\nmx AAAA ::1\n"
                   "_mta-sts TXT \"v=STSv1; id=1;\"\n"
                   "mta-sts A 127.0.0.5")
    world.dns.zone("c.test", "@ MX 10 mx\nmx A 127.0.0.6")
    door = world.primary("127.0.0.3")
    theirs = world.primary("127.0.0.4")
    policy = world.primary("127.0.0.5")
    ours = world.primary("127.0.0.6", on={"rcpt": "550 5.1.1 no"})
    daemon = world.start("a.test c.test",
                         dns={"private": ["127.0.0.6"]},
                         tls={"sts_port": world.port})
    # listed, but DNS leads inside: it waits, and the reason is shown
    send(daemon.address, "u@a.test")
    daemon.wait_log(r"^route .*domain=a\.test result=permanent")
    got = route(daemon, "a.test")
    assert got["published"][0]["fate"] == "not-public"
    assert "mx.a.test: not used: a loopback address" in got["reason"]
    assert any("127.0.0.3 not used" in n["text"] for n in got["notes"])
    assert "127.0.0.3 not used: a loopback address" in \
        daemon.ctl("route", "a.test").stdout
    # a report for a stranger: refused mail to c.test, whose network is listed
    send(daemon.address, "u@c.test", sender="x@b.test")
    daemon.wait_log(r"^bounced .*to=<u@c\.test>")
    daemon.wait_log(r"note=MTA-STS error=.*loopback")
    assert "loopback" in route(daemon, "b.test")["reason"]
    daemon.wait_log(r"^route .*domain=b\.test result=permanent")
    daemon.wait_log(r"^bounced .*to=<x@b\.test>")
    assert ours.sessions
    assert not (door.sessions or theirs.sessions or policy.sessions)
    assert [m["recipients"][0]["address"] for m in daemon.queue()] == \
        ["u@a.test"]


def test_strangers_leave_no_facts_in_the_spool(world):
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.3")
    world.dns.zone("b.test", "@ MX 10 mx\nmx A 127.0.0.4")
    world.primary("127.0.0.3", on={"rcpt": "550 5.1.1 no"})
    theirs = world.primary("127.0.0.4")
    daemon = world.start("a.test")
    send(daemon.address, "u@a.test", sender="x@b.test")
    theirs.wait_messages(1)
    daemon.wait_empty()
    daemon.stop()
    stored = subprocess.run(
        ["mdb_dump", "-p", "-s", "target", daemon.dir / "spool"], check=True,
        capture_output=True, text=True).stdout
    assert "mx.a.test[127.0.0.3]:" in stored
    assert "mx.b.test[127.0.0.4]:" not in stored


# -- ourselves -------------------------------------------------------------------

SELF = {
    "hostname": ("@ MX 20 mx2.test.", {}),
    "alias name": ("@ MX 20 backup.other.test.",
                   {"aliases": ["backup.other.test"]}),
    "alias address": ("@ MX 20 nat\nnat A 192.0.2.77",
                      {"aliases": ["192.0.2.77"]}),
}


@pytest.mark.parametrize("how", SELF)
def test_self_and_all_that_is_not_better_is_dropped(world, how):
    records, conf = SELF[how]
    world.dns.zone("a.test", "@ MX 10 best\n@ MX 20 equal\n@ MX 30 worse\n"
                   f"best A {DEAD}\nequal A 127.0.0.3\nworse A 127.0.0.4\n"
                   + records)
    others = [world.primary("127.0.0.3"), world.primary("127.0.0.4")]
    daemon = world.start(**conf)
    send(daemon.address, "u@a.test")
    daemon.wait_log(r"probe .*best\.a\.test")
    got = route(daemon, "a.test")
    assert [h["host"] for h in got["hosts"]] == ["best.a.test"]
    fate = {m["host"]: m["fate"] for m in got["published"]}
    assert fate["equal.a.test"] == "not-better-than-self"
    assert fate["worse.a.test"] == "not-better-than-self"
    assert "self" in fate.values()
    best = world.primary(DEAD)  # comes back
    best.wait_messages(1)
    assert not any(p.sessions for p in others)


@pytest.mark.parametrize("listen", ["127.0.0.1", "*"])
def test_self_by_address_and_port_listened_on(world, listen):
    world.dns.zone("a.test", "@ MX 10 best\n@ MX 20 me\n@ MX 30 worse\n"
                   "best A 127.0.0.2\nme A 127.0.0.1\nworse A 127.0.0.4")
    world.dns.start()
    daemon = world.daemon("a.test", {}, start=False)
    world.port = daemon.port
    daemon.conf["drain"]["port"] = daemon.port
    daemon.conf["listen"] = [{"address": listen, "port": daemon.port}]
    daemon.write_files()
    if listen == "*":  # then 127.0.0.2 is not free for a primary
        daemon.start()
        assert fates(daemon, "a.test")["me.a.test"] == "self"
        return
    best = world.primary("127.0.0.2")
    daemon.start()
    send(daemon.address, "u@a.test")
    best.wait_messages(1)
    assert fates(daemon, "a.test") == {
        "best.a.test": "used", "me.a.test": "self",
        "worse.a.test": "not-better-than-self"}


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None,
                    reason="needs systemd-socket-activate")
def test_self_by_a_socket_of_systemd_for_both_families(world):
    """mx20.socket has BindIPv6Only=both: [::] is 0.0.0.0, too."""
    world.dns.zone("a.test", "@ MX 20 me\n@ MX 30 worse\n"
                   "me A 127.0.0.1\nworse A 127.0.0.4")
    world.dns.start()
    daemon = world.daemon("a.test", {}, start=False)
    daemon.conf["drain"]["port"] = daemon.port
    daemon.conf["listen"] = [{"address": "*", "port": daemon.port}]
    daemon.wrapper = ["systemd-socket-activate", "-l", f"[::]:{daemon.port}"]
    daemon.write_files()
    daemon.start(ready=False)
    daemon.wait_log("Listening on")
    with Raw(daemon.address) as client:  # the first client starts it
        assert client.greeting.startswith("220")
    assert fates(daemon, "a.test")["me.a.test"] == "self"


def test_another_port_of_our_address_is_not_us(world):
    world.dns.zone("a.test", "@ MX 10 neighbour\nneighbour A 127.0.0.1")
    neighbour = world.primary("127.0.0.1")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    neighbour.wait_messages(1)


def test_self_by_its_greeting(world):
    """Behind a NAT nobody told us of: what is not better than it would send
    the mail round."""
    world.dns.zone("a.test", f"@ MX 10 best\n@ MX 20 nat\n@ MX 30 worse\n"
                   f"best A {DEAD}\nnat A 127.0.0.3\nworse A 127.0.0.4")
    world.primary("127.0.0.3", name="mx2.test")
    worse = world.primary("127.0.0.4")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    until(lambda: fates(daemon, "a.test") == {
        "best.a.test": "used", "nat.a.test": "self",
        "worse.a.test": "not-better-than-self"})
    best = world.primary(DEAD)  # comes back
    best.wait_messages(1)
    assert not worse.messages


def test_its_greeting_is_mended(world):
    """A slip, and a flush: the mail does not wait for the next probe."""
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.3")
    host = world.primary("127.0.0.3", name="mx2.test")
    daemon = world.start(drain={"probe_busy": "1h", "probe_max": "1h"})
    send(daemon.address, "u@a.test")
    until(lambda: route(daemon, "a.test")["result"] == "self")
    host.name = "mx.a.test"
    daemon.ctl("flush", "a.test")
    host.wait_messages(1)


def test_nothing_left_is_held_and_alarmed(world):
    world.dns.zone("a.test", "@ MX 10 mx2.test.\n@ MX 20 other\n"
                   "other A 127.0.0.3")
    other = world.primary("127.0.0.3")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    daemon.wait_log(r"route level=error .*domain=a\.test .*better than this")
    status = daemon.status()["domains"][0]
    assert status["messages"] == 1
    assert not other.sessions
    # DNS is put right: the mail goes by itself after a reload
    world.dns.zone("a.test", "@ MX 5 other\n@ MX 10 mx2.test.\n"
                   "other A 127.0.0.3")
    world.dns.update()
    assert daemon.reload().returncode == 0
    other.wait_messages(1)


# -- failures told apart ------------------------------------------------------------

def test_a_failing_host_does_not_stop_the_others(world):
    world.dns.zone("fail.test", missing=True, signed=False)
    world.dns.zone("forged.test", f"mx A {DEAD}", bogus=True)
    world.dns.zone("a.test", "@ MX 5 gone\n@ MX 6 mx.fail.test.\n"
                   "@ MX 7 mx.forged.test.\n@ MX 10 mx\nmx A 127.0.0.2")
    host = world.primary("127.0.0.2")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    published = {m["host"]: m for m in route(daemon, "a.test")["published"]}
    assert published["gone.a.test"]["fate"] == "no-address"
    assert published["mx.fail.test"]["fate"] == "unknown-now"
    assert published["mx.forged.test"]["fate"] == "unknown-now"
    daemon.wait_log(r"host=gone\.a\.test .*NXDOMAIN")
    daemon.wait_log(r"host=mx\.fail\.test .*SERVFAIL")
    daemon.wait_log(r"host=mx\.forged\.test .*bogus")


@pytest.mark.parametrize("kind, says", [
    ("servfail", "SERVFAIL"), ("bogus", "bogus")])
def test_temporary_failures_keep_the_mail(world, kind, says):
    if kind == "servfail":
        world.dns.zone("a.test", missing=True, signed=False)
    else:
        world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2", bogus=True)
    host = world.primary("127.0.0.2")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    daemon.wait_log(rf"route level=warn .*domain=a\.test .*{says}")
    status = daemon.status()["domains"][0]
    assert status["messages"] == 1
    assert says in status["last_reply"]
    assert not host.sessions
    assert not daemon.queue()[0]["recipients"][0].get("held")
    # mended: delivered without anybody's help but a reload
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2")
    world.dns.update()
    daemon.reload()
    host.wait_messages(1)


@pytest.mark.parametrize("types", [{28}, {15}, {15, 28}])
def test_a_name_exists_if_any_of_its_types_does(world, types):
    """Broken servers and load balancers say NXDOMAIN of a type they do not
    know."""
    names = {28: "mx.a.test", 15: "b.test"}
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2", signed=False)
    world.dns.zone("b.test", "@ A 127.0.0.2", signed=False)
    host = world.primary("127.0.0.2")
    world.dns.start()
    relay = Relay(world.dns.port)
    relay.deny = {(names[t], t) for t in types} | {
        ("b.test", 28) for t in types if t == 28}
    conf = {"dns": {"servers": [f"127.0.0.1@{relay.port}"]}}
    try:
        daemon = world.daemon("a.test b.test", conf)
        send(daemon.address, ["u@a.test", "u@b.test"])
        host.wait_messages(2)
        daemon.wait_empty()
        if 28 in types:
            daemon.wait_log(r"host=mx\.a\.test .*AAAA look-up says NXDOMAIN")
    finally:
        relay.close()


def test_subdomains_never_inherit(world):
    world.dns.zone("a.test", "@ MX 10 mx\n@ A 127.0.0.2\nmx A 127.0.0.2\n"
                   "x.sub TXT here")
    host = world.primary("127.0.0.2")
    daemon = world.start("a.test sub.a.test", bounce={"mode": "hold"})
    send(daemon.address, "u@sub.a.test")
    daemon.wait_log(r"route .*domain=sub\.a\.test .*neither MX nor address")
    assert not host.sessions


# -- time -------------------------------------------------------------------------------

@pytest.mark.parametrize("ttl, seconds", [(1, 5), (600, 600),
                                          (86400, 3600)])
def test_ttl_is_honoured_between_floor_and_ceiling(world, ttl, seconds):
    world.dns.ttl = world.dns.negative = ttl
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2\nmx AAAA ::1")
    world.dns.start()
    daemon = world.daemon("a.test", {"tls": {"outbound": "none"}})
    route(daemon, "a.test")
    got = int(daemon.wait_log(
        r"route .*domain=a\.test .*ttl_s=(\d+)").group(1))
    assert seconds - 2 <= got <= seconds


def test_a_changed_route_is_used_for_mail_that_waits(world):
    world.dns.ttl = world.dns.negative = 1
    world.dns.zone("a.test", f"@ MX 10 old\nold A {DEAD}")
    new = world.primary("127.0.0.2")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    daemon.wait_log(r"probe .*old\.a\.test")
    world.dns.zone("a.test", "@ MX 10 new\nnew A 127.0.0.2")
    world.dns.update()
    new.wait_messages(1)  # after the floor of 5 s, and without a reload


def test_a_reload_finds_a_host_that_has_moved(world):
    """The same name, another address, and a TTL that is not over."""
    world.dns.ttl = 600
    world.dns.zone("a.test", f"@ MX 10 mx\nmx A {DEAD}")
    new = world.primary("127.0.0.2")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    daemon.wait_log(r"probe .*mx\.a\.test")
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2")
    world.dns.update()
    assert daemon.reload().returncode == 0
    new.wait_messages(1)


# -- the system's own trust anchor -------------------------------------------------

def test_system_anchor_does_not_stop_mail_where_dnssec_does_not_work(world):
    """No anchor configured, and a resolver that cannot vouch for the root:
    the system's anchor would make every answer bogus.  It is given up with a
    warning; nothing is secure then."""
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2")
    host = world.primary("127.0.0.2")
    world.dns.start()
    daemon = world.daemon("a.test", {})
    del daemon.conf["dns"]["trust_anchor"]
    daemon.write_files()
    daemon.restart()
    send(daemon.address, "u@a.test")
    host.wait_messages(1)
    assert route(daemon, "a.test")["mx_dnssec"] == "insecure"
    daemon.wait_log(r"route level=warn .*(no DNSSEC trust anchor|"
                    r"do not pass DNSSEC)")


def test_configured_anchor_is_enforced(world):
    """The same with an anchor that the operator named: bogus is bogus."""
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2")
    host = world.primary("127.0.0.2")
    world.dns.start()
    wrong = world.dns.anchor.with_name("wrong.key")
    wrong.write_text(world.dns._key("test", 1)[1])
    daemon = world.daemon("a.test", {"dns": {"trust_anchor": str(wrong)}})
    send(daemon.address, "u@a.test")
    daemon.wait_log(r"route level=warn .*domain=a\.test .*bogus")
    assert not host.sessions


def test_flush_looks_again(world):
    """DNS is mended: the operator need not wait for the failed answer's
    end."""
    world.dns.zone("a.test", missing=True, signed=False)
    host = world.primary("127.0.0.2")
    daemon = world.start()
    send(daemon.address, "u@a.test")
    daemon.wait_log(r"route level=warn .*domain=a\.test .*SERVFAIL")
    world.dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2")
    world.dns.update()
    # libunbound keeps a SERVFAIL for five seconds
    until(lambda: daemon.ctl("flush", "a.test") and host.messages, pause=0.5)
