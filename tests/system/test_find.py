"""mx20ctl find: where is that mail?"""

import json

import pytest

from client import send
from faults import until
from relaying import PRIMARY, before, deliver
from test_queue import asked

QUEUED = "250 2.0.0 Ok: queued as 4XyZ12pQ"


def find(d, word, conf=None):
    extra = ["-c", str(conf)] if conf else []
    done = d.ctl(*extra, "find", word, "--json", check=False)
    got = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == (0 if got else 1), done.stderr
    return got


@pytest.fixture
def mail(mx20, primary):
    """One message that was delivered, one that was refused, one that waits."""
    p = primary(on={"dot": QUEUED, "bdat": QUEUED,
                    "rcpt": lambda s, a: {
                        "no": "550 5.1.1 no such (ref 77ab)",
                        "later": "450 4.2.1 later (ref 88cd)"}.get(
                            a.partition("@")[0])}).start()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n")
    ids = [send(d.address, [f"{who}@example.com"], sender=f"{who}@sender.test")
           for who in ("yes", "no", "later")]
    d.wait_log(f"^delivered .*mid={ids[0]}")
    d.wait_log(f"^bounced .*mid={ids[1]}")
    d.wait_log(f"^deferred .*mid={ids[2]}")
    until(lambda: [m for m in d.queue() if m["id"] == ids[2] and
                   m["recipients"][0]["attempts"]])
    return d, p, ids


def check(d, ids, conf=None):
    yes, no, later = ids
    for word in (yes, yes.lower(), "yes@example.com", "YES@sender.test",
                 "4xyz12pq"):
        [o] = find(d, word, conf)
        assert (o["found"], o["id"], o["outcome"]) == ("left", yes,
                                                       "delivered")
        assert o["reply"] == QUEUED and o["host"]
        assert o["to"] == "yes@example.com" and o["from"] == "yes@sender.test"
    [o] = find(d, "77AB", conf)
    assert (o["id"], o["outcome"], o["found"]) == (no, "bounced", "left")
    for word in (later, "88cd", "later@sender.test", "later@example.com"):
        [o] = find(d, word, conf)
        assert (o["id"], o["found"]) == (later, "queue")
        assert o["recipients"][0]["address"] == "later@example.com"
    assert {o["id"] for o in find(d, "@example.com", conf)} >= set(ids)
    assert find(d, "4xyz12p", conf) == []
    assert find(d, "nobody@example.com", conf) == []


def test_what_waits_and_what_left(mail):
    d, _, ids = mail
    check(d, ids)
    check(d, ids, asked(d))
    text = d.ctl("find", "4XyZ12pQ").stdout
    assert ids[0] in text and f": {QUEUED}" in text
    assert "delivered after 0s" in text or "delivered after 1s" in text
    text = d.ctl("find", ids[2]).stdout
    assert "waits: deferred, retry in" in text
    done = d.ctl("find", "nobody@example.com", check=False)
    assert done.returncode == 1 and "nothing is known" in done.stderr


def test_it_survives_a_restart(mail):
    d, _, ids = mail
    d.stop()
    check(d, ids)  # from the spool alone
    d.start()
    check(d, ids)


def test_what_was_relayed(mx20, primary):
    """It never waited here, and is asked for all the same."""
    p = primary(address=PRIMARY, on={"dot": QUEUED}).start()
    d = before(mx20, p)
    assert deliver(d, ["a@example.com", "b@example.com"]).end == QUEUED
    mid = d.wait_log(r"^relayed .* mid=(\w+) ").group(1)

    def found():
        for word in (mid, "4xyz12pq", "a@sender.test"):
            assert {(o["id"], o["outcome"], o["to"], o["reply"])
                    for o in find(d, word)} == {
                (mid, "relayed", f"{u}@example.com", QUEUED) for u in "ab"}
        [o] = find(d, "b@example.com")
        assert o["host"].startswith(f"[{PRIMARY}]")
    found()
    d.restart()
    found()
    assert "relayed after 0s: " in d.ctl("find", mid).stdout


def test_a_word_that_was_meant_otherwise(mx20):
    d = mx20()
    done = d.ctl("find", "bob", check=False)
    assert done.returncode == 1 and "mx20ctl queue --to bob" in done.stderr
    done = d.ctl("find", "bob@example.com", check=False)
    assert "nothing is known of bob@example.com" in done.stderr


@pytest.mark.parametrize("word", ["", "@", "@a..b", "x" * 2000])
def test_what_is_nothing_to_be_found(mx20, word):
    d = mx20(start=False)
    assert d.ctl("find", word, check=False).returncode == 2
