"""standby=relay: who dies, leaves or is told to while mail is carried."""

import signal

import pytest

from client import Raw, message
from faults import subjects, until
from primary import Delay, Hang
from relaying import PRIMARY, before, deliver, line, messages, warm

STAGES = ["mail", "rcpt", "data", "content", "dot"]
SAYS = {"mail": ["MAIL FROM:<a@sender.test>"],
        "rcpt": ["MAIL FROM:<a@sender.test>", "RCPT TO:<u@example.com>"],
        "data": ["MAIL FROM:<a@sender.test>", "RCPT TO:<u@example.com>",
                 "DATA"]}
HALF = message("the one", "x" * 78 + "\r\n")
WHOLE = HALF + ".\r\n"


def go_to(c, stage):
    """As far as there, with its reply; what follows is what hangs."""
    assert c.cmd("EHLO client.test").startswith("250")
    for text in SAYS.get(stage, SAYS["data"]):
        assert c.cmd(text)[:1] in "23"
    if stage == "content":
        c.send(HALF)
    elif stage == "dot":
        c.send(WHOLE)


def finish(c, stage):
    """The rest of the transaction; its last reply."""
    rest = SAYS["data"][len(SAYS.get(stage, SAYS["data"])):]
    for text in rest:
        reply = c.cmd(text)
        if reply[:1] not in "23":
            return reply
    if stage != "dot":
        c.send(WHOLE if stage != "content" else ".\r\n")
    return c.reply()


def seen(p, stage):
    """The primary has got so far."""
    verb = {"mail": None, "rcpt": "RCPT", "data": "RCPT", "content": "DATA",
            "dot": "DATA"}[stage]
    return verb is None or any(x.startswith(verb) for s in p.sessions
                               for x in s.transcript)


# -- the primary goes away -------------------------------------------------------

@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("stage", STAGES)
def test_the_primary_is_killed(mx20, primary, stage, is_warm):
    """Between two commands, all of its connections at once, and nobody
    listens any more: the mail is kept."""
    p = primary(address=PRIMARY, on={"dot": Hang()} if stage == "dot"
                else {}).start()
    d = before(mx20, p, drain={"reply_timeout": "20s"})
    if is_warm:
        p.on.clear()
        warm(d, p)
        del p.messages[:]
        if stage == "dot":
            p.on["dot"] = Hang()
    with Raw(d.address) as c:
        go_to(c, stage)
        until(lambda: seen(p, stage))
        p.stop()
        reply = finish(c, stage)
    assert reply.startswith("250"), reply
    assert messages(d) == 1
    p.on.clear()
    p.start()
    p.wait_messages(1)
    d.wait_empty()
    assert len(p.messages) == 1


# -- mx20 goes away ----------------------------------------------------------------

@pytest.mark.parametrize("stage", STAGES)
def test_mx20_is_killed(mx20, primary, stage):
    """Nothing was promised, and the primary has nothing but a whole message."""
    p = primary(address=PRIMARY, on={"dot": Hang()}).start()
    d = before(mx20, p, drain={"reply_timeout": "20s"})
    with Raw(d.address) as c:
        go_to(c, stage)
        until(lambda: seen(p, stage))
        d.kill()
        assert c.reply() == ""
    assert not p.messages
    p.on.clear()
    d.start()
    assert messages(d) == 0
    assert deliver(d, content=message("after")).end.startswith("250")
    d.wait_empty()
    assert subjects(p) == ["after"]


def late_at_the_dot(primary, stage):
    """Where that is the stage, there is a second to see what happens in it."""
    slow = {"dot": [Delay(1, None), None]} if stage == "dot" else {}
    return primary(address=PRIMARY, on=slow).start()


@pytest.mark.parametrize("stage", STAGES)
def test_mx20_is_told_to_stop(mx20, primary, stage):
    """What is under way ends well or with 421; nothing is lost or left half."""
    p = late_at_the_dot(primary, stage)
    d = before(mx20, p, drain={"reply_timeout": "20s"})
    with Raw(d.address) as c:
        go_to(c, stage)
        until(lambda: seen(p, stage))
        d.process.send_signal(signal.SIGTERM)
        d.wait_log(r"^stop")
        try:
            reply = finish(c, stage)
        except OSError:
            reply = ""
    assert d.stop() == 0
    d.start()
    if reply.startswith("250"):
        p.wait_messages(1)
        d.wait_empty()
        assert len(p.messages) == 1
    else:
        assert reply[:3] in ("421", "451", ""), reply
        assert messages(d) == 0
        assert len(p.messages) <= (stage == "dot")


@pytest.mark.parametrize("stage", STAGES)
def test_a_reload_in_between(mx20, primary, stage):
    """A transaction ends as it began."""
    p = late_at_the_dot(primary, stage)
    d = before(mx20, p, drain={"reply_timeout": "20s"})
    with Raw(d.address) as c:
        go_to(c, stage)
        until(lambda: seen(p, stage))
        d.domains = line(p).replace("=relay", "=accept")
        assert d.reload().returncode == 0
        assert finish(c, stage).startswith("250")
    p.wait_messages(1)
    d.wait_empty()
    assert len(p.messages) == 1


def test_a_domain_leaves_while_its_mail_is_carried(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p, domains=line(p) + line(p, "example.org"))
    with Raw(d.address) as c:
        go_to(c, "content")
        d.domains = line(p, "example.org")
        d.write_files()
        d.ctl("reload", "--force")
        assert finish(c, "content")[:3] in ("250", "451")
    d.ctl("status")


# -- the disk ------------------------------------------------------------------------

def test_a_full_spool_relays_on(mx20, primary):
    """Nothing can be kept; what the primary takes needs no room."""
    p = primary(address=PRIMARY).start()
    d = before(mx20, p, spool={"size": "1M"}, limits={"message_size": "512K"})
    warm(d, p)
    p.on["dot"] = "451 4.3.0 later"
    for _ in range(20):
        end = deliver(d, content=message(body="f" * 70000 + "\r\n")).end
        if end[:1] == "4":
            break
    assert end.startswith("452 4.3.1"), end
    p.on.clear()
    d.ctl("flush")
    d.wait_empty()
    assert deliver(d).end.startswith("250")
