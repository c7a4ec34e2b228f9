"""A primary that is broken refuses for good what it should not: the brake."""

import re

import pytest

from client import send
from faults import until
from primary import Accept
from test_drain_faults import allow, daemon
from test_drain_targets import send_many

SETTINGS = {"brake_window": "60s", "probe_max": "1s", "probe_busy": "100ms"}
MANY = 60  # more than may be asked before it is pulled


class Broken:
    """How a primary answers while it is broken; counts attempts (MAIL)."""

    def __init__(self, how=None, whom=""):
        self.how = how or {}
        self.whom = whom  # only who has this in his address, at RCPT
        self.attempts = 0
        self.is_broken = True
        self.script = {stage: self.at(stage) for stage in
                       ("mail", "rcpt", "data", "dot", "bdat")}

    def at(self, stage):
        def answer(session, argument):
            if stage == "mail":
                self.attempts += 1
            reply = self.how.get(stage)
            if callable(reply):
                reply = reply(argument)
            if not self.is_broken or reply is None or \
                    (stage == "rcpt" and self.whom not in argument):
                return Accept()
            return reply
        return answer


def every(nth, reply):
    """Every nth time it happens."""
    count = [0]

    def answer(_argument):
        count[0] += 1
        return reply if count[0] % nth == 0 else None
    return answer


def with_backlog(mx20, primary, broken, count=MANY, domains=None, **options):
    """Mail waits for a primary that is away, and will be broken."""
    p = primary(on=broken.script)
    conf = {"bounce": options.pop("bounce")} if "bounce" in options else {}
    d = daemon(mx20, p, drain=SETTINGS, conf=conf, **options)
    send_many(d, count, domains or address)
    return d, p


def address(i):
    return f"u{i}@example.com"


def braked(d, name="example.com"):
    return [row for row in d.status()["domains"]
            if row["domain"] == name and row["braked"]]


MANNERS = {
    "550 to all": {"rcpt": "550 5.1.1 unknown"},
    "550 without a code": {"rcpt": "550 no such user"},
    "554 at MAIL": {"mail": "554 5.3.0 broken"},
    "554 at the end": {"dot": "554 5.6.0 no"},
    "a blocklist": {"rcpt": "554 5.7.1 192.0.2.1 is listed"},
    "a share": {"rcpt": every(2, "550 5.7.1 no")},
    "421 and 5yz": {"rcpt": "550 5.1.1 unknown",
                    "mail": every(7, "421 4.3.2 too much")},
}


@pytest.mark.parametrize("manner", MANNERS)
def test_a_broken_primary_is_asked_no_more(mx20, primary, manner):
    broken = Broken(MANNERS[manner])
    d, p = with_backlog(mx20, primary, broken)
    p.start()
    d.wait_log("^brake .*level=warn.*state=pulled")
    [row] = braked(d)
    assert row["state"] == "down" and row["down"]
    assert sum(r["count"] for r in row["refusals"]) >= 10
    assert len(row["refusals"]) == 1, row["refusals"]
    assert broken.attempts <= 40, broken.attempts
    # new mail is accepted, and waits, too
    send(d.address, ["new@example.com"])
    assert any(r["address"] == "new@example.com"
               for m in d.queue() for r in m["recipients"])
    status = d.ctl("status", "--alarm", "--json", check=False)
    assert status.returncode == 1 and '"brake"' in status.stdout
    seen = broken.attempts
    d.ctl("flush", "example.com", check=False)
    d.ctl("status", "example.com")
    assert broken.attempts == seen
    # mended and released, all of it arrives, once
    broken.is_broken = False
    d.ctl("release", "--yes", "--domain", "example.com")
    all_arrive_once(d, p, [address(i) for i in range(MANY)] +
                    ["new@example.com"])


def all_arrive_once(d, p, addresses):
    d.wait_empty()
    got = [rcpt for m in p.messages for rcpt in m.rcpts]
    assert sorted(got) == sorted(addresses)
    assert not re.search("^(bounced|held|shelved) ", d.text(), re.M)


def test_of_many_domains_the_broken_one_stops_alone(mx20, primary):
    broken = Broken({"rcpt": "550 5.1.1 unknown"}, whom="@broken.test")
    names = ["broken.test", "a.test", "b.test"]
    p = primary(on=broken.script)
    d = daemon(mx20, p, drain=SETTINGS,
               domains="".join(allow(p, name=n) for n in names))
    mail = [f"u{i}@{n}" for i in range(40) for n in names]
    send_many(d, len(mail), lambda i: mail[i])
    p.start()
    until(lambda: braked(d, "broken.test"))
    p.wait_messages(80)
    send(d.address, ["more@a.test"])
    p.wait_messages(81)
    until(lambda: braked(d, "broken.test")[0]["ready"] == 40)
    assert [row["domain"] for row in d.status()["domains"]] == ["broken.test"]
    broken.is_broken = False
    d.ctl("release", "--yes", "--domain", "broken.test")
    all_arrive_once(d, p, mail + ["more@a.test"])


def test_a_healthy_primary_is_never_stopped(mx20, primary):
    """It refuses a twentieth of its recipients, in an order of its own."""
    gone = {7, 8, 9, 30, 31, 77, 110, 111, 150, 199}
    p = primary(on={"rcpt": lambda _, to: "550 5.1.1 unknown" if
                    int(to[1:to.index("@")]) in gone else Accept()})
    d = daemon(mx20, p, drain=dict(SETTINGS, brake_window="2s"))
    send_many(d, 200, address)
    p.start()
    p.wait_messages(190)
    d.wait_log("^held ", count=len(gone))  # final, in time
    assert "\nbrake " not in d.text()


@pytest.mark.parametrize("when", ["while it is pulled", "later"])
@pytest.mark.parametrize("how", ["restart", "kill -9"])
def test_a_brake_survives(mx20, primary, how, when):
    broken = Broken({"rcpt": "554 5.7.1 listed"})
    d, p = with_backlog(mx20, primary, broken)
    p.start()
    d.wait_log("^brake .*state=pulled")
    if when == "later":
        until(lambda: braked(d)[0]["ready"] == MANY)
    if how == "kill -9":
        d.kill()
    else:
        d.stop()
    seen = broken.attempts
    d.start()
    until(lambda: braked(d) and braked(d)[0]["ready"] == MANY)
    assert sum(r["count"] for r in braked(d)[0]["refusals"]) >= 20
    # killed before it was on the disk: pulled once more
    assert broken.attempts <= seen + (40 if how == "kill -9" else 0)
    broken.is_broken = False
    d.ctl("release", "--yes", "--domain", "example.com")
    all_arrive_once(d, p, [address(i) for i in range(MANY)])


def test_who_gives_up_has_it_returned(mx20, primary):
    broken = Broken({"mail": "554 5.7.1 listed"})
    d, p = with_backlog(mx20, primary, broken)
    p.start()
    d.wait_log("^brake .*state=pulled")
    until(lambda: braked(d)[0]["ready"] == MANY)
    d.ctl("bounce", "--yes", "--domain", "example.com")
    d.wait_log("^bounced .*by=operator", count=MANY)
    assert broken.attempts <= 40


def test_still_broken_when_released(mx20, primary):
    broken = Broken({"rcpt": "550 5.1.1 unknown"})
    d, p = with_backlog(mx20, primary, broken)
    p.start()
    d.wait_log("^brake .*state=pulled")
    until(lambda: braked(d)[0]["ready"] == MANY)
    d.ctl("release", "--yes", "--domain", "example.com")
    d.wait_log("^brake .*state=pulled", count=2)
    until(lambda: braked(d)[0]["ready"] == MANY)
    assert broken.attempts <= 80, broken.attempts
    assert d.ctl("status").stdout.count("braked") >= 2


def test_a_long_queue_waits_for_a_primary_that_refuses_all(mx20, primary):
    count = 1000
    broken = Broken({"rcpt": "550 no"})
    d, p = with_backlog(mx20, primary, broken, count=count,
                        bounce={"mode": "dsn"})
    p.start()
    d.wait_log("^brake .*state=pulled")
    until(lambda: braked(d)[0]["ready"] == count)
    assert broken.attempts <= 40, broken.attempts
    broken.is_broken = False
    d.ctl("release", "--yes", "--domain", "example.com")
    all_arrive_once(d, p, [address(i) for i in range(count)])
