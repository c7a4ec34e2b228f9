"""While the primary answers: standby=defer sends mail there, and who cannot
reach it is let in when he comes back."""

import json
import time

from client import Raw, send
from faults import FAST
from primary import Hang

SENT_AWAY = "450 4.7.1 Another mail exchanger of this domain answers, " \
    "deliver there"
# not the address that clients come from: who mail goes to is let in
PRIMARY = "127.0.0.3"


def line(p, standby, name="example.com", recipients="*"):
    return (f"{name} recipients={recipients} primary={p.route} "
            f"standby={standby}\n")


def rcpt(d, address="u@example.com", sender="a@sender.test"):
    """The reply to one RCPT."""
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.cmd(f"MAIL FROM:<{sender}>")
        return c.cmd(f"RCPT TO:<{address}>")


def explain(d, address="u@example.com"):
    """From nobody: nobody's SPF is looked for."""
    return json.loads(d.ctl("explain", "--client", "127.0.0.1", "--to",
                            address, "--json").stdout)


def deferring(mx20, p, **policy):
    return mx20(domains=line(p, "defer") + line(p, "accept", "example.org"),
                conf={"drain": FAST, "policy": policy})


def test_who_cannot_reach_the_primary_is_let_in(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = deferring(mx20, p, defer="1s")
    told = explain(d)
    assert told["reply"].startswith("250")
    detail = {g["gate"]: g["detail"] for g in told["gates"]}["defer"]
    assert detail.endswith("standby=defer"), told
    assert not p.sessions, "explaining asks nobody"
    assert rcpt(d, sender="") == SENT_AWAY  # found out by a connection
    away = time.monotonic()
    d.wait_log(r"^rejected .*stage=rcpt .*reason=standby setting=\S*standby")
    assert explain(d)["reply"] == SENT_AWAY
    assert rcpt(d, "u@example.org").startswith("250 ")
    time.sleep(max(0, away + 1.1 - time.monotonic()))
    assert explain(d)["reply"].startswith("250")
    assert rcpt(d, sender="b@sender.test") == SENT_AWAY
    send(d.address, sender="")
    assert p.wait_messages()[0].rcpts == ["u@example.com"]
    assert len(p.sessions) <= 2


def test_in_an_outage_everybody_is_let_in(mx20, primary):
    p = primary(address=PRIMARY)
    d = deferring(mx20, p)
    send(d.address)
    assert not p.messages
    p.start()
    p.wait_messages()
    assert rcpt(d) == SENT_AWAY
    p.stop()
    send(d.address, rcpts="u@example.org")
    d.wait_log(r"^state .*to=down", count=2)
    send(d.address)
    p.start()
    p.wait_messages(3)
    d.wait_empty()


def test_a_silent_primary_keeps_nobody_waiting_for_long(mx20, primary):
    p = primary(address=PRIMARY, on={"greeting": Hang()}).start()
    d = deferring(mx20, p, verify_timeout="500ms")
    began = time.monotonic()
    assert rcpt(d).startswith("250 ")
    assert time.monotonic() - began >= 0.4
    # and who leaves while it is asked does no harm
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        c.send("RCPT TO:<u@example.com>\r\n")
    assert rcpt(d, "u@example.org").startswith("250 ")


def test_a_reload_changes_it(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = deferring(mx20, p)
    assert rcpt(d) == SENT_AWAY
    d.domains = line(p, "accept")
    assert d.reload().returncode == 0
    assert rcpt(d).startswith("250 ")
    d.domains = f"example.com recipients=* primary={p.route}\n"
    d.conf["policy"]["standby"] = "defer"
    assert d.reload().returncode == 0
    assert rcpt(d) == SENT_AWAY
