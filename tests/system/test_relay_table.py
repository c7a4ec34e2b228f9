"""standby=relay: every stage of a transaction against everything that a primary
may do there.  It ends in the primary's permanent word, or in 250 with the mail
in the spool; the client never hears of what is the primary's trouble alone."""

import pytest

from client import Raw, message
from faults import reset
from primary import Accept, Bytes, Drop, Hang
from relaying import PRIMARY, before, deliver, messages, transact, warm

STAGES = ["greeting", "ehlo", "mail", "rcpt", "data", "content", "dot"]
ACTIONS = {
    "4yz": "451 4.3.0 not now",
    "421": "421 4.3.2 going down",
    "5yz": "550 5.7.9 never",
    "silence": Hang(),
    "closed": Drop(),
    "reset": Drop(reset=True),
}

# where 5yz is the primary's word on this mail: elsewhere it is an outage
SAID = {"mail", "rcpt", "data", "dot"}
# over a new connection, and over one that has carried mail
CELLS = [(stage, action, is_warm) for stage in STAGES for action in ACTIONS
         for is_warm in (False, True)
         if not (stage == "content" and action in ("4yz", "421", "5yz"))
         and not (is_warm and stage in ("greeting", "ehlo"))
         and not (not is_warm and stage in ("rcpt", "data", "content"))]


def is_kept(d, p, heard):
    assert heard.mail.startswith("250"), heard
    assert all(r.startswith("250") for r in heard.rcpts), heard
    assert heard.data.startswith("354"), heard
    assert heard.end.startswith("250"), heard
    assert not p.messages
    assert messages(d) == 1


@pytest.mark.parametrize("stage, action, is_warm", CELLS)
def test_cell(mx20, primary, stage, action, is_warm):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    if is_warm:
        warm(d, p)
        del p.messages[:]
    mark = d.mark()
    p.on[stage] = ACTIONS[action]
    if stage == "ehlo":
        p.on["helo"] = ACTIONS[action]  # or mail goes that way
    content = message("the one", "hello\r\n..dots\r\n.\r\n".replace(
        "\r\n.\r\n", "\r\n..\r\n"))
    heard = deliver(d, content=content)
    if action == "5yz" and stage in SAID:
        assert heard.refusal == ACTIONS[action], heard
        assert messages(d) == 0 and not p.messages
        p.on.clear()
        assert deliver(d).end.startswith("250")
        assert len(p.wait_messages()) == 1
        return
    is_kept(d, p, heard)
    p.on.clear()
    d.ctl("flush")
    d.wait_log(r"^delivered ", since=mark)
    d.wait_empty()
    assert len(p.messages) == 1, "exactly once"
    assert p.messages[0].body == content.replace("\r\n..", "\r\n.").encode()
    assert not [line for line in d.log[mark:] if line.startswith("bounced")]


@pytest.mark.parametrize("stage, action", [
    ("mail", "421"), ("rcpt", "421"), ("rcpt", "4yz"), ("data", "closed"),
    ("content", "closed"), ("dot", "4yz"), ("dot", "421")])
def test_once_is_enough(mx20, primary, stage, action):
    """The primary fails once: what was kept is there soon, and once."""
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    warm(d, p)
    p.on[stage] = [ACTIONS[action], Accept()]
    mark = d.mark()
    heard = deliver(d, content=message("the one"))
    assert heard.end.startswith("250"), heard
    got = p.wait_messages(2)
    d.wait_empty()
    assert [b"Subject: the one" in m.content for m in got] == [False, True]
    d.wait_log(r"^(delivered|relayed) ", since=mark)


def test_taken(mx20, primary):
    """The client hears the primary's own words; nothing is kept."""
    p = primary(address=PRIMARY, on={
        "rcpt": "250 2.1.5 he is here", "dot": "250 2.6.0 <abc@p> stored"})
    p.start()
    d = before(mx20, p)
    heard = deliver(d, content=message("the one"))
    assert heard.rcpts == ["250 2.1.5 he is here"]
    assert heard.end == "250 2.6.0 <abc@p> stored"
    [m] = p.wait_messages()
    assert m.sender == "a@sender.test" and m.rcpts == ["u@example.com"]
    assert m.body == message("the one").encode()
    assert m.content.startswith(b"Received: from client.test ")
    assert messages(d) == 0
    d.wait_log(r"^relayed .*from=<a@sender\.test>.*"
               r"reply=\"250 2\.6\.0 <abc@p> stored\"")
    assert not [x for x in d.log if x.startswith(("accepted ", "delivered "))]


def test_words_of_the_primary_are_cleaned(mx20, primary):
    p = primary(address=PRIMARY, on={"rcpt": Bytes(
        b"550-5.1.1 no\x1b[2J such\r\n550 5.1.1 \xff\xfe user\r\n")}).start()
    d = before(mx20, p)
    heard = deliver(d)
    assert heard.rcpts[0].startswith("550 5.1.1 no"), heard
    assert heard.rcpts[0].isprintable() and "\n" not in heard.rcpts[0]
    assert heard.rcpts[0].isascii()


# -- the client leaves -----------------------------------------------------------

BODY = message("half", "line\r\n" * 5000)
SAYS = ["EHLO client.test\r\n", "MAIL FROM:<a@sender.test>\r\n",
        "RCPT TO:<u@example.com>\r\n", "DATA\r\n"]


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "rcpt unheard", "data",
                                   "content", "dot"])
def test_the_client_leaves(mx20, primary, stage, how):
    """Before its final dot is there nothing is delivered."""
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    count = {"mail": 2, "rcpt": 3, "rcpt unheard": 2}.get(stage, 4)
    with Raw(d.address) as c:
        for text in SAYS[:count]:
            c.send(text)
            c.reply()
        if stage == "rcpt unheard":
            c.send(SAYS[2])
        elif stage == "content":
            c.send(BODY[:20000])
        elif stage == "dot":
            c.send(BODY + ".\r")
        if how == "resets":
            reset(c.sock)
    # the next one goes through, and is the only one
    assert deliver(d, content=message("whole")).end.startswith("250")
    d.wait_empty()
    assert [b"whole" in m.content for m in p.wait_messages()] == [True]


def test_rset_takes_it_back(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for word in ("RSET", "EHLO client.test", "HELO client.test"):
            c.cmd("MAIL FROM:<a@sender.test>")
            assert c.cmd("RCPT TO:<u@example.com>").startswith("250")
            assert c.cmd(word).startswith("250")
        heard = transact(c, content=message("whole"))
        assert heard.end.startswith("250"), heard
    assert [b"whole" in m.content for m in p.wait_messages()] == [True]
    assert messages(d) == 0


# -- after the final dot ---------------------------------------------------------

@pytest.mark.parametrize("then", [Drop(), Hang()], ids=["closed", "silence"])
def test_nobody_knows_whether_it_was_taken(mx20, primary, then):
    """It is kept and goes again; the log says that it may be there twice."""
    taken = []

    def take(session, _argument):
        if taken:
            return None
        taken.append(session.finishing)
        session.server.took(session.finishing)
        return then

    p = primary(address=PRIMARY, on={"dot": take}).start()
    d = before(mx20, p)
    heard = deliver(d, content=message("the one"))
    assert heard.end.startswith("250"), heard
    d.wait_log(r"(?i)duplicate|in_doubt=(1|yes|true)")
    first, second = p.wait_messages(2)
    d.wait_empty()
    assert first.body == second.body == message("the one").encode()
    assert len(p.messages) == 2
