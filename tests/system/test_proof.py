"""Reports go to whom SPF proves, by zones of a real name server."""

import json
import re

import pytest

from client import send
from dns import Relay

CLIENT = "127.0.0.1"  # whoever brings mail here
MANY_A = " ".join(f"a:h{i}.limits.test" for i in range(10))
HOSTS = "\n".join(f"h{i} A 192.0.2.{i + 1}" for i in range(20))

# sender's domain: its record (None: none at all), what comes of it
CASES = {
    "pass.test": ("v=spf1 ip4:127.0.0.0/8 -all", "pass"),
    "fail.test": ("v=spf1 -all", "fail"),
    "softfail.test": ("v=spf1 ~all", "softfail"),
    "neutral.test": ("v=spf1 ?all", "neutral"),
    "none.test": (None, "none"),
    "broken.test": ("v=spf1 what", "permerror"),
    "twice.test": ("v=spf1 +all\" )\n@ TXT ( \"v=spf1 -all", "permerror"),
    "joined.test": ("v=spf1 ip4:127.\" \"0.0.1 -all", "pass"),
    "include.test": ("v=spf1 include:pass.test -all", "pass"),
    "mx.test": ("v=spf1 mx -all", "pass"),
    "ptr.test": ("v=spf1 ptr -all", "fail"),  # the client has no name
    "macro.test": ("v=spf1 exists:%{l}.%{ir}.%{h}.macro.test -all", "pass"),
    # RFC 7208 section 4.6.4
    "ten.test": (f"v=spf1 {MANY_A} ip4:127.0.0.1 -all", "pass"),
    "eleven.test": (f"v=spf1 {MANY_A} a:h10.limits.test +all", "permerror"),
    "voids.test": ("v=spf1 a:x1.limits.test a:x2.limits.test "
                   "a:x3.limits.test +all", "permerror"),
    "twovoids.test": ("v=spf1 a:x1.limits.test a:x2.limits.test +all",
                      "pass"),
    "tenmx.test": ("v=spf1 mx:mx10.limits.test +all", "pass"),
    "elevenmx.test": ("v=spf1 mx:mx11.limits.test +all", "permerror"),
    "loop.test": ("v=spf1 include:loop.test +all", "permerror"),
}
MORE = {
    "mx.test": "@ MX 10 h\nh A 127.0.0.1",
    "macro.test": "ann.1.0.0.127.client.test A 127.0.0.2",
    "limits.test": "\n".join(
        [HOSTS] + [f"mx10 MX 1 h{i}" for i in range(10)] +
        [f"mx11 MX 1 h{i}" for i in range(11)]),
}


def txt(record):
    """In strings of 200 octets, as a zone file has them."""
    if '"' not in record:
        record = '" "'.join(record[i:i + 200]
                            for i in range(0, len(record), 200))
    return f'@ TXT ( "{record}" )'


@pytest.fixture
def world(mx20, dns, primary):
    """A daemon whose primary refuses everybody; home takes its reports."""

    class World:
        def start(self, servers=None, more_domains="", relay=None,
                  warn_after="0", mode="proven"):
            dns.start()
            self.home = primary(name="home.test").start()
            self.primary = primary(
                on={"rcpt": "550 5.1.1 no such user"}).start()
            self.daemon = mx20(
                domains="example.com recipients=* "
                        f"primary={self.primary.route}\n" +
                        more_domains.format(self.primary.route),
                conf={"bounce": {"mode": mode, "rate": 0,
                                 "relay": self.home.route if relay is None
                                 else relay},
                      "spool": {"warn_after": warn_after},
                      "dns": dict(dns.conf, **(servers or {}))})
            return self.daemon

        def queue(self):
            return [json.loads(line) for line in self.daemon.ctl(
                "queue", "--json").stdout.splitlines()]

        def send(self, sender):
            return send(self.daemon.address, sender=sender)

        def verdict(self, domain):
            return self.daemon.wait_log(
                rf"^proof .*from=<ann@{re.escape(domain)}> .*spf=(\w+)")[1]

    world = World()
    world.dns = dns
    return world


def test_only_a_pass_is_told(world):
    for name in CASES.keys() | MORE.keys():
        record = CASES.get(name, (None,))[0]
        world.dns.zone(name, "\n".join(
            ([txt(record)] if record else []) + [MORE.get(name, "")]))
    world.start()
    for name in CASES:
        world.send(f"ann@{name}")
    assert {name: world.verdict(name) for name in CASES} == \
        {name: wanted for name, (_, wanted) in CASES.items()}
    told = {f"ann@{name}" for name, (_, r) in CASES.items() if r == "pass"}
    got = world.home.wait_messages(len(told))
    assert {r for m in got for r in m.rcpts} == told
    assert all(m.sender == "" for m in got)
    # the others' mail is on the shelf, and stays there
    kept = {f"ann@{name}" for name in CASES} - told
    world.daemon.wait_log("^shelved ", count=len(kept))
    rows = [row for row in world.queue() if row["from"]]  # not a report
    assert {row["from"] for row in rows} == kept
    assert {r["state"] for row in rows
            for r in row["recipients"]} == {"refused"}


def test_by_hand_a_report_leaves_whatever_spf_says(world):
    world.dns.zone("fail.test", txt("v=spf1 -all"))
    d = world.start()
    qid = world.send("ann@fail.test")
    d.wait_log("^shelved ")
    assert world.home.messages == []
    d.ctl("bounce", qid, "--yes")
    [got] = world.home.wait_messages(1)
    assert got.rcpts == ["ann@fail.test"]
    d.wait_empty()


def test_handed_on_and_delayed_are_told_to_the_proven_alone(world):
    """NOTIFY=SUCCESS through a primary without DSN; a delay warning."""
    for name, record in (("pass.test", "+all"), ("fail.test", "-all")):
        world.dns.zone(name, txt(f"v=spf1 {record}"))
    d = world.start(more_domains="away.test recipients=* primary="
                    "[127.0.0.1]:1\n", warn_after="1s")
    world.primary.on.clear()
    world.primary.offers.remove("DSN")
    for name in ("fail", "pass"):
        send(d.address, sender=f"ann@{name}.test",
             rcpt_options=["NOTIFY=SUCCESS"])
        send(d.address, "u@away.test", sender=f"ann@{name}.test")
    got = world.home.wait_messages(2)
    d.wait_log(r"^proof .*from=<ann@fail.test> .*spf=fail", count=2)
    assert {r for m in got for r in m.rcpts} == {"ann@pass.test"}
    assert sorted(re.search(r"^Action: (\w+)", m.text, re.M)[1]
                  for m in got) == ["delayed", "relayed"]


def test_what_another_mode_left_is_held_to_the_same(world):
    """A report that waits when the mode becomes "proven"."""
    for name, record in (("pass.test", "+all"), ("fail.test", "-all")):
        world.dns.zone(name, txt(f"v=spf1 {record}"))
    d = world.start(mode="dsn")
    world.home.stop()
    for name in ("fail", "pass"):
        world.send(f"ann@{name}.test")
    d.wait_log("^bounced ", count=2)
    d.conf["bounce"]["mode"] = "proven"
    d.write_files()
    d.ctl("reload")
    world.home.start()
    [got] = world.home.wait_messages(1)
    assert got.rcpts == ["ann@pass.test"]
    d.wait_log(r"^bounced .*to=<ann@fail.test> from=<> .*\(proof\)")
    d.wait_empty()


def test_nobody_is_told_by_a_domain_that_does_not_answer(world):
    """Forged by DNSSEC, SERVFAIL, silence: asked again, and no report."""
    world.dns.zone("forged.test", txt("v=spf1 +all"), tamper="v=spf1")
    world.dns.zone("servfail.test", missing=True)
    world.dns.zone("silent.test", txt("v=spf1 +all"))
    world.dns.zone("pass.test", txt("v=spf1 +all"))
    relay = Relay(world.dns.port)
    relay.drop.add(("silent.test", None))
    try:
        world.start({"servers": [f"127.0.0.1@{relay.port}"]})
        for name in ("silent", "forged", "servfail", "pass"):
            world.send(f"ann@{name}.test")
        assert world.verdict("pass.test") == "pass"  # whatever the silent do
        for name in ("forged", "servfail", "silent"):
            assert world.verdict(f"{name}.test") == "temperror"
        [got] = world.home.wait_messages(1)
        assert got.rcpts == ["ann@pass.test"]
    finally:
        relay.close()


# -- silence ----------------------------------------------------------------

def test_nobody_hears_of_a_refused_report(world):
    """The sender is in a listed domain, and its primary refuses him as well:
    a report is from <>, so it ends there."""
    world.dns.zone("listed.test", txt("v=spf1 ip4:127.0.0.1 -all"))
    d = world.start(more_domains="listed.test recipients=* primary={}\n")
    world.send("ann@listed.test")
    d.wait_log(r"^bounced .*to=<u@example.com> from=<ann@listed.test> ")
    d.wait_log(r"^bounced .*to=<ann@listed.test> from=<> .*report=none")
    d.wait_empty()
    assert world.home.messages == []


@pytest.mark.parametrize("way_back", ["@ MX 0 .", "@ MX 5 gone"])
def test_a_sender_without_a_host_is_not_told(world, way_back):
    """Null MX, or a host that is not there: no report lingers."""
    world.dns.zone("sender.test", txt("v=spf1 ip4:127.0.0.1 -all") + "\n" +
                   way_back)
    d = world.start(relay="")
    world.send("ann@sender.test")
    d.wait_log(r"^bounced .*to=<ann@sender.test> from=<> .*report=none")
    d.wait_empty()
