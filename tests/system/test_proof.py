"""Reports go to whom SPF proves, by zones of a real name server."""

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
        def start(self, servers=None, more_domains="", relay=None):
            dns.start()
            self.home = primary(name="home.test").start()
            self.primary = primary(
                on={"rcpt": "550 5.1.1 no such user"}).start()
            self.daemon = mx20(
                domains="example.com recipients=* "
                        f"primary={self.primary.route}\n" +
                        more_domains.format(self.primary.route),
                conf={"bounce": {"mode": "proven", "rate": 0,
                                 "relay": self.home.route if relay is None
                                 else relay},
                      "dns": dict(dns.conf, **(servers or {}))})
            return self.daemon

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
