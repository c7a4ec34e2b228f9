"""What the tests of standby=relay share: a daemon before a primary that
answers, and clients that say each command and keep each reply."""

import dataclasses

from client import Raw, message
from faults import FAST

# Not the address that clients come from: a host that mail goes to is no
# stranger.
PRIMARY = "127.0.0.3"


def line(p, name="example.com", recipients="*", options=""):
    return (f"{name} recipients={recipients} primary={p.route} "
            f"standby=relay {options}\n")


def before(mx20, *primaries, domains=None, drain=None, policy=None, env=None,
           **conf):
    """mx20d before the first of them, or with these domains."""
    return mx20(domains=domains or line(primaries[0]), env=env, conf={
        "drain": {**FAST, "reply_timeout": "1s", **(drain or {})},
        "policy": {"verify_timeout": "2s", **(policy or {})}, **conf})


@dataclasses.dataclass
class Heard:
    """The replies to one transaction; "" is a connection that was closed."""
    mail: str = ""
    rcpts: list = dataclasses.field(default_factory=list)
    data: str = ""
    end: str = ""

    @property
    def all(self):
        return [self.mail, *self.rcpts, self.data, self.end]

    @property
    def refusal(self):
        """The permanent word, at whatever it was said."""
        return next((r for r in self.all if r[:1] == "5"), "")


def transact(c, rcpts=("u@example.com",), content=None, params="",
             rcpt_params="", sender="a@sender.test"):
    """One transaction over an open session, as far as it goes."""
    heard = Heard(mail=c.cmd(f"MAIL FROM:<{sender}>{params}"))
    if heard.mail[:1] != "2":
        return heard
    for rcpt in rcpts:
        heard.rcpts.append(c.cmd(f"RCPT TO:<{rcpt}>{rcpt_params}"))
    if not any(r[:1] == "2" for r in heard.rcpts):
        c.cmd("RSET")
        return heard
    heard.data = c.cmd("DATA")
    if heard.data[:1] == "3":
        c.send((content or message()) + ".\r\n")
        heard.end = c.reply()
    else:
        c.cmd("RSET")
    return heard


def deliver(d, *args, **options):
    """The same over a connection of its own."""
    with Raw(d.address) as c:
        assert c.cmd("EHLO client.test").startswith("250")
        heard = transact(c, *args, **options)
        c.send("QUIT\r\n")
        return heard


def messages(d):
    return d.status()["spool"]["messages"]


def warm(d, p, rcpt="u@example.com"):
    """One relayed message, so that a connection is there."""
    count = len(p.messages)
    heard = deliver(d, [rcpt])
    assert heard.end.startswith("250"), heard
    p.wait_messages(count + 1)
    return heard
