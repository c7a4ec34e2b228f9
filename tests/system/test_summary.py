"""mx20ctl summary: what was done, right across restarts."""

import json
import re
import threading

import pytest

from client import Raw, message, send
from faults import until
from test_queue import asked


def summary(d, *args, conf=None):
    extra = ["-c", str(conf)] if conf else []
    return json.loads(d.ctl(*extra, "summary", *args, "--json").stdout)


def refuse(d):
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        assert c.cmd("RCPT TO:<u@foreign.test>")[:3] == "550"
        assert c.cmd("RCPT TO:<v@foreign.test>")[:3] == "550"


def test_everything_is_counted_and_survives_a_restart(mx20, primary):
    p = primary(on={"rcpt": lambda s, a: {
        "no": "550 5.1.1 no", "later": "450 4.2.1 later"}.get(
            a.partition("@")[0])}).start()
    away = primary()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n"
             f"away.test recipients=* primary={away.route}\n")
    ids = [send(d.address, [f"{n}@example.com"]) for n in ("a", "b")]
    for to in "no@example.com", "later@example.com", "u@away.test":
        send(d.address, [to], sender="")
    refuse(d)
    d.wait_log("^delivered ", count=2)
    d.wait_log("^bounced ")
    d.wait_log("^deferred ")
    d.stop()
    want = {"accepted": 5, "relayed": 0, "delivered": 2, "deferred": 1,
            "refused": 1, "reports": 0, "messages_rejected": {},
            "rejected": {"foreign_domain": 2}, "outages": []}
    for again in range(2):
        got = summary(d)
        assert {k: got[k] for k in want} == want
        assert got["spool"]["messages"] == 2
        assert got["slowest"]["wait_s"] >= 0
        assert got["slowest"]["id"] in ids
        d.restart() if again else d.start()
    refuse(d)
    want["rejected"] = {"foreign_domain": 4}
    # while it runs, some seconds later
    until(lambda: summary(d)["rejected"] == want["rejected"])
    assert summary(d, conf=asked(d))["rejected"] == want["rejected"]
    text = d.ctl("summary").stdout
    assert re.search(r"accepted +5 messages", text)
    assert re.search(r"turned away +4 recipients: 4 foreign_domain", text)
    assert re.search(r"waiting now +2 messages", text)
    got = summary(d, "--since", "yesterday", "--until", "today")
    # unless this ran at midnight
    assert got["accepted"] in (0, 5) and got["since"] < got["until"]


def test_a_stop_amid_traffic_loses_no_count(mx20, primary):
    """Each 250 that was heard is counted, and what was not is not twice."""
    d = mx20(domains=f"a.test recipients=* primary={primary().route}\n")
    heard = []

    def flood():
        n = 0
        try:
            with Raw(d.address) as c:
                c.cmd("EHLO client.test")
                while True:
                    c.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<u@a.test>"
                           "\r\nDATA\r\n")
                    if [c.reply()[:3] for _ in range(3)][-1] != "354":
                        break
                    c.send(message() + ".\r\n")
                    if c.reply()[:3] != "250":
                        break
                    n += 1
        except (OSError, AssertionError):
            pass
        heard.append(n)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    for t in threads:
        t.start()
    d.wait_log("^accepted ", count=20)
    d.stop()
    for t in threads:
        t.join()
    queued = len(d.queue())
    assert queued >= sum(heard) >= 20
    assert summary(d)["accepted"] == queued


def test_outages_are_in_it(mx20, primary):
    d = mx20(domains=f"a.test recipients=* primary={primary().route}\n")
    send(d.address, ["u@a.test"])
    d.wait_log("^state .*to=down")
    # what has not lasted for 10 s is none
    until(lambda: d.ctl("outages", "--json").stdout, seconds=60)
    [o] = summary(d)["outages"]
    assert o["domains"] == ["a.test"] and o["ended"] is None
    assert "goes on since" in d.ctl("summary").stdout
    assert summary(d, "--since", "7d", "--until", "2d")["outages"] == []


@pytest.mark.parametrize("args", [
    ["--since", "soon"], ["--since", "1h", "--until", "2h"],
    ["--until", "2026-99-99"], ["x"]])
def test_what_is_no_time(mx20, args):
    d = mx20(start=False)
    assert d.ctl("summary", *args, check=False).returncode == 2
