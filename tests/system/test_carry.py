"""Mail that is carried to the primary while it arrives: standby=relay."""

import pytest

from client import Raw, message
from primary import Accept, Delay, Drop, Hang

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
SILENT = {"policy": {"standby": "relay"},
          "drain": {"probe_max": "1s", "reply_timeout": "1s"}}


def dialogue(d, rcpt="u@example.com", content=None):
    """What a client hears: at RCPT, and for its content."""
    with Raw(d.address) as raw:
        raw.cmd("EHLO client.test")
        raw.cmd("MAIL FROM:<a@sender.test>")
        said = raw.cmd(f"RCPT TO:<{rcpt}>")
        if not said.startswith("2"):
            return said, None
        return said, raw.data((content or message()) + ".\r\n")


@pytest.mark.parametrize("on, said", [
    ({"mail": ["550 5.7.1 not from there"]}, ("550 5.7.1 not from there",)),
    ({"rcpt": ["550 5.1.1 nobody"]}, ("550 5.1.1 nobody",)),
    ({"data": ["554 5.6.0 no content"]},
     ("250 2.1.5 ok", "554 5.6.0 no content")),
    ({"dot": ["554 5.7.1 spam"]}, ("250 2.1.5 ok", "554 5.7.1 spam")),
])
def test_it_refuses_for_good(mx20, primary, on, said):
    p = primary(on=on).start()
    d = relaying(mx20, p)
    assert dialogue(d) == said + (None,) * (2 - len(said))
    assert d.status()["spool"]["messages"] == 0
    assert not p.messages


@pytest.mark.parametrize("stage, action, rcpt", [
    ("greeting", "421 4.3.2 busy", OURS),
    ("mail", "450 4.7.1 later", OURS),
    ("mail", "421 4.3.2 bye", OURS),
    ("mail", Drop(), OURS),
    ("mail", Hang(), OURS),
    ("rcpt", "450 4.2.1 later", OURS),
    ("rcpt", "421 4.3.2 bye", OURS),
    ("rcpt", Drop(), OURS),
    ("rcpt", Hang(), OURS),
    ("data", "451 4.3.0 later", "250 2.1.5 ok"),
    ("data", "421 4.3.2 bye", "250 2.1.5 ok"),
    ("data", Drop(), "250 2.1.5 ok"),
    ("data", Hang(), "250 2.1.5 ok"),
    ("dot", "451 4.3.0 later", "250 2.1.5 ok"),
    ("dot", "421 4.3.2 bye", "250 2.1.5 ok"),
    ("dot", Drop(), "250 2.1.5 ok"),
    ("dot", Hang(), "250 2.1.5 ok"),
])
def test_it_cannot_now(mx20, primary, stage, action, rcpt):
    """Kept, and delivered a moment later: the client notices nothing."""
    again = [] if stage == "greeting" else [action]
    p = primary(on={stage: [action] + again + [Accept()]}).start()
    d = relaying(mx20, p, conf=dict(SILENT, drain=dict(
        SILENT["drain"], retry=["1s"], probe_busy="1s")))
    said, content = dialogue(d)
    assert said == rcpt
    assert content.startswith(KEPT)
    p.wait_messages()
    d.wait_empty()
    assert len(p.messages) == 1
    doubt = stage == "dot" and not isinstance(action, str)
    assert bool(doubt) == ("a duplicate is possible" in d.text()
                           and "kept " in d.text())


def test_who_leaves_delivers_nothing(mx20, primary):
    p = primary().start()
    d = relaying(mx20, p)
    for last in ("", "RCPT TO:<u@example.com>\r\n", "DATA\r\n",
                 message()):
        with Raw(d.address) as raw:
            raw.envelope()
            if last == message():
                raw.cmd("DATA")
            raw.send(last)
            if last.startswith("RCPT"):
                raw.reply()
                assert raw.cmd("RSET").startswith("250")
    with Raw(d.address) as raw:
        raw.envelope()
        assert raw.data(message("the last") + ".\r\n").startswith("250 2.0.0")
    assert len(p.messages) == 1
    assert d.status()["spool"]["messages"] == 0


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


def test_large_content_and_a_slow_primary(mx20, primary):
    """10 MiB; the second time it takes its time over reading."""
    p = primary(on={"data": [Accept(), Delay(2)]}).start()
    d = relaying(mx20, p)
    body = ("x" * 76 + "\r\n..dots\r\n") * (10 * 1024 * 1024 // 86)
    for _ in range(2):
        with Raw(d.address) as raw:
            raw.envelope()
            wire = message(body=body.replace("\r\n.", "\r\n.."))
            assert raw.data(wire + ".\r\n") == "250 2.0.0 taken"
    for got in p.messages:
        assert got.body == message(body=body).encode()
    assert d.status()["spool"]["messages"] == 0
