"""Mail that is carried to the primary while it arrives: standby=relay."""

import json
import time

from client import PATIENCE, Raw, message
from primary import Accept

RELAY = {"policy": {"standby": "relay"}, "drain": {"probe_max": "1s"}}


def line(p, name="example.com", sources="*", options=""):
    return f"{name} recipients={sources} primary={p.route} {options}\n"


def relaying(mx20, p, domains=None, conf=None):
    d = mx20(domains=domains or line(p), conf=conf or RELAY)
    return d


def test_the_primary_speaks(mx20, primary):
    """Its words, at RCPT and for the content; nothing is left here."""
    p = primary(on={"rcpt": "250 2.1.5 well known",
                    "dot": "250 2.6.0 kept as 4711"}).start()
    d = relaying(mx20, p)
    with Raw(d.address) as raw:
        raw.cmd("EHLO client.test")
        raw.cmd("MAIL FROM:<a@sender.test> SIZE=2000 BODY=8BITMIME "
                "RET=HDRS ENVID=xy")
        assert raw.cmd("RCPT TO:<u@example.com> NOTIFY=NEVER "
                       "ORCPT=rfc822;u@example.com") == "250 2.1.5 well known"
        assert raw.data(message() + ".\r\n") == "250 2.6.0 kept as 4711"
    assert d.status()["spool"]["messages"] == 0
    assert p.wait_messages()[0].body == message().encode()
    got = p.messages[0]
    assert got.sender == "a@sender.test"
    assert set(got.params) == {"SIZE=2000", "BODY=8BITMIME", "RET=HDRS",
                               "ENVID=xy"}
    assert got.rcpt_params == [["NOTIFY=NEVER", "ORCPT=rfc822;u@example.com"]]
    d.wait_log("^relayed .*to=<u@example.com> .*host=.*reply=\"250 2.6.0 kept")


KEPT = "250 2.6.0 Message accepted"
OURS = "250 2.1.5 Recipient ok"


def dialogue(d, rcpt="u@example.com", content=None):
    """What a client hears: at RCPT, and for its content."""
    with Raw(d.address) as raw:
        raw.cmd("EHLO client.test")
        raw.cmd("MAIL FROM:<a@sender.test>")
        said = raw.cmd(f"RCPT TO:<{rcpt}>")
        if not said.startswith("2"):
            return said, None
        return said, raw.data((content or message()) + ".\r\n")


def test_each_recipient_has_its_own_reply(mx20, primary):
    def rcpt(session, address):
        return {"no@example.com": "550 5.1.1 no",
                "later@example.com": "450 4.2.1 later"}.get(address, Accept())
    p = primary(on={"rcpt": rcpt}).start()
    other = primary().start()
    d = relaying(mx20, p, domains=line(p) + line(p, "example.org")
                 + line(other, "other.test"))
    with Raw(d.address) as raw:
        raw.cmd("EHLO client.test")
        raw.cmd("MAIL FROM:<a@sender.test>")
        for address, said in (("u@example.com", "250 2.1.5 ok"),
                              ("no@example.com", "550 5.1.1 no"),
                              ("later@example.com", OURS),
                              ("u@example.org", "250 2.1.5 ok"),
                              ("u@other.test", OURS),
                              ("u@example.com", OURS)):
            assert raw.cmd(f"RCPT TO:<{address}>") == said
        assert raw.data(message() + ".\r\n") == "250 2.0.0 taken"
    assert p.messages[0].rcpts == ["u@example.com", "u@example.org"]
    assert other.wait_messages()[0].rcpts == ["u@other.test"]
    d.wait_log("^delivered .*to=<u@other.test>")
    d.wait_log("^deferred .*to=<later@example.com>")
    rows = d.queue()
    assert [r["address"] for m in rows for r in m["recipients"]] == \
        ["later@example.com"]


def test_its_refusal_of_the_content_is_for_all(mx20, primary):
    p = primary(on={"dot": "554 5.7.1 spam"}).start()
    other = primary().start()
    d = relaying(mx20, p, domains=line(p) + line(other, "other.test"))
    with Raw(d.address) as raw:
        raw.envelope(rcpts=("u@example.com", "u@other.test"))
        assert raw.data(message() + ".\r\n") == "554 5.7.1 spam"
    assert d.status()["spool"]["messages"] == 0
    assert not other.messages


def test_explain_says_who_judges(mx20, primary):
    """And begins nothing."""
    p = primary().start()
    d = relaying(mx20, p, domains=line(p, sources="verify"))
    ask = ("explain", "--client", "192.0.2.1", "--to", "u@example.com")
    said = d.ctl(*ask).stdout
    assert "standby=relay" in said and "250 2.1.5" in said
    assert not p.sessions
    p.stop()
    assert dialogue(d)[0].startswith("451 4.4.1 ")
    assert "standby=relay" not in d.ctl(*ask, check=False).stdout


def test_guesses_are_counted_here(mx20, primary):
    """Whoever guesses names of a primary that is up does so at our pace."""
    # a host that mail goes to is no stranger
    p = primary(address="127.0.0.3",
                on={"rcpt": "550 5.1.1 nobody"}).start()
    d = relaying(mx20, p, domains=line(p, sources="verify"), conf={
        **RELAY, "policy": {"standby": "relay", "rate": {"unknown": 3}},
        "limits": {"errors": 100}})
    with Raw(d.address) as raw:
        raw.cmd("EHLO client.test")
        raw.cmd("MAIL FROM:<a@sender.test>")
        said = [raw.cmd(f"RCPT TO:<n{i}@example.com>") for i in range(6)]
    assert said[:3] == ["550 5.1.1 nobody"] * 3
    assert all(s.startswith("450 4.7.1 ") for s in said[3:])
    assert sum(s.transcript.count(f"RCPT TO:<n{i}@example.com>")
               for s in p.sessions for i in range(6)) == 3
    d.wait_log("^rejected .*reason=primary .*setting=policy.standby", count=3)


def test_what_it_says_is_learned(mx20, primary):
    """And known in an outage that follows."""
    def rcpt(session, address):
        return "550 5.1.1 no" if address != "u@example.com" else Accept()
    p = primary(on={"rcpt": rcpt}).start()
    d = relaying(mx20, p, domains=line(p, sources="verify"))
    assert dialogue(d)[1] == "250 2.0.0 taken"
    assert dialogue(d, "v@example.com")[0] == "550 5.1.1 no"
    d.wait_log("^catch-all|^probe")
    deadline = time.monotonic() + PATIENCE
    while json.loads(d.ctl("recipient", "v@example.com", "--json").stdout)[
            "known"] != "no":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    p.stop()
    assert dialogue(d)[1].startswith(KEPT)
    assert dialogue(d, "v@example.com")[0].startswith("550 5.1.1 ")


def test_a_better_host_is_back(mx20, primary):
    """No mail waits, and still somebody asks after the first choice."""
    first, second = primary(), primary().start()
    d = relaying(mx20, first, domains="example.com recipients=* "
                 f"primary={first.route},{second.route}\n")
    assert dialogue(d)[1] == "250 2.0.0 taken"
    second.wait_messages()
    first.start()
    deadline = time.monotonic() + PATIENCE
    while not first.messages:
        assert time.monotonic() < deadline
        assert dialogue(d)[1] == "250 2.0.0 taken"
        time.sleep(0.1)
    count = len(second.messages)
    for _ in range(3):
        assert dialogue(d)[1] == "250 2.0.0 taken"
    assert len(second.messages) == count
