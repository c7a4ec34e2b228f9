"""A primary that offers an extension and refuses it when it is used: mail goes
without, and only what is refused then is refused for good."""

import pytest

from client import message, send
from faults import FAST, allow, subjects
from primary import Accept, Bytes

OFFERS = {
    "plain": ["SIZE", "8BITMIME", "DSN"],
    "pipelining": ["SIZE", "8BITMIME", "DSN", "PIPELINING"],
    "chunking": ["SIZE", "8BITMIME", "DSN", "PIPELINING", "CHUNKING"],
}
each_way = pytest.mark.parametrize("offers", OFFERS.values(), ids=OFFERS)
each_code = pytest.mark.parametrize("reply", [
    "500 5.5.2 what?", "501 5.5.4 no such parameter", "502 5.5.1 no",
    "504 5.5.4 not here", "555 unsupported"])


def daemon(mx20, primary, bounce=None, **drain):
    return mx20(domains=allow(primary), conf={
        "drain": dict(FAST, retry=["1h"], **drain),
        "bounce": bounce or {"mode": "hold"}})


def lines(p, verb):
    return [line for s in p.sessions for line in s.transcript
            if line.startswith(verb)]


def send_with_all(d, **options):
    send(d.address, mail_options=["BODY=8BITMIME", "RET=HDRS", "ENVID=e1"],
         rcpt_options=["NOTIFY=FAILURE", "ORCPT=rfc822;u@example.com"],
         **options)


@each_code
@each_way
def test_parameters_of_mail(mx20, primary, offers, reply):
    p = primary(offers=offers, on={
        "mail": lambda _, rest: reply if "=" in rest else None}).start()
    d = daemon(mx20, p)
    send_with_all(d, content=message("first"))
    d.wait_empty()
    d.wait_log("^fallback .*stage=mail .*without=")
    send_with_all(d, content=message("second"))
    d.wait_empty()
    assert subjects(p) == ["first", "second"]
    # what the first has found out holds for the second
    assert [line.partition(">")[2] != "" for line in lines(p, "MAIL")] == [
        True, False, False]


@each_way
def test_parameters_of_rcpt(mx20, primary, offers):
    """Those that it takes go first; nobody gets it twice."""
    def rcpt(session, _):
        return "501 5.5.4 ORCPT?" if "ORCPT" in session.transcript[-1] and \
            "odd" in session.transcript[-1] else None

    p = primary(offers=offers, on={"rcpt": rcpt}).start()
    d = daemon(mx20, p)
    rcpts = [f"{name}@example.com" for name in ("a", "odd1", "b", "odd2")]
    send_with_all(d, rcpts=rcpts)
    d.wait_empty()
    assert [m.rcpts for m in p.messages] == [
        ["a@example.com", "b@example.com"],
        ["odd1@example.com", "odd2@example.com"]]


@each_way
def test_parameters_of_every_rcpt(mx20, primary, offers):
    """More refusals than a connection is kept for otherwise."""
    def rcpt(session, _):
        return "555 5.5.4 no" if "NOTIFY" in session.transcript[-1] else None

    p = primary(offers=offers, on={"rcpt": rcpt}).start()
    d = daemon(mx20, p)
    rcpts = [f"u{n}@example.com" for n in range(30)]
    send_with_all(d, rcpts=rcpts)
    d.wait_empty()
    assert [m.rcpts for m in p.messages] == [rcpts]
    assert len(p.sessions) == 1


@each_way
@pytest.mark.parametrize("stage", ["mail", "rcpt"])
def test_what_is_refused_without_them_is_refused(mx20, primary, stage, offers):
    p = primary(offers=offers, on={stage: "555 5.5.4 never"}).start()
    d = daemon(mx20, p)
    send_with_all(d)
    d.wait_log("^held .*555 5.5.4 never")
    assert len(lines(p, "MAIL")) == 2
    assert not p.messages


@each_way
def test_a_bad_address_is_refused_at_once(mx20, primary, offers):
    p = primary(offers=offers, on={"mail": "501 5.1.7 bad sender"}).start()
    d = daemon(mx20, p)
    send_with_all(d)
    d.wait_log("^held .*501 5.1.7 bad sender")
    assert len(lines(p, "MAIL")) == 1


def unknown_bdat(session, _):
    """The content that follows is taken for commands."""
    session.do_bdat = None


@pytest.mark.parametrize("size", [100, 2_000_000])
@pytest.mark.parametrize("on", [
    {"greeting": unknown_bdat}, {"bdat": "502 5.5.1 not implemented"}],
    ids=["unknown", "refused"])
def test_chunking(mx20, primary, on, size):
    p = primary(offers=OFFERS["chunking"], on=on).start()
    d = daemon(mx20, p, connections=1)
    body = ("x" * 76 + "\r\n") * (size // 78 + 1)
    names = [f"m{n}" for n in range(5)]
    for name in names:
        send(d.address, content=message(name, body))
    d.wait_empty()
    assert sorted(subjects(p)) == names
    d.wait_log("^fallback .*stage=bdat .*without=CHUNKING")
    # one finds out, perhaps with another behind it
    assert len(lines(p, "BDAT")) <= 2
    assert len(lines(p, "DATA")) == 5


def test_content_that_is_refused_is_not_the_fault_of_bdat(mx20, primary):
    p = primary(offers=OFFERS["chunking"],
                on={"bdat": [Accept(), "501 5.6.0 bad header"]}).start()
    d = daemon(mx20, p)
    send(d.address, content=message("good"))
    d.wait_empty()
    send(d.address, content=message("bad"))
    d.wait_log("^held .*501 5.6.0 bad header")
    assert lines(p, "DATA") == []


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
def test_lost_before_the_other_try(mx20, primary, stage):
    """A server that refuses and leaves: it waits its retry, others pass."""
    def refuse(session, _):
        if "RET=HDRS" in "".join(session.transcript):
            return Bytes(b"501 5.5.4 no\r\n", drop=True)
        return None

    p = primary(offers=OFFERS["pipelining"], on={stage: refuse})
    d = daemon(mx20, p, connections=1)
    send_with_all(d, content=message("poison"))
    send(d.address, content=message("good"))
    p.start()
    p.wait_messages(1)
    d.wait_log("^deferred .*attempts=1")
    assert subjects(p) == ["good"]


def test_success_is_reported_when_dsn_was_left_out(mx20, primary):
    """RFC 3461 section 5.2.2: the next hop was not told of it."""
    home = primary(name="home.test").start()
    p = primary(offers=OFFERS["pipelining"], on={
        "rcpt": lambda s, _: "501 5.5.4 NOTIFY?"
        if "NOTIFY" in s.transcript[-1] else None}).start()
    d = daemon(mx20, p, bounce={"relay": f"127.0.0.1:{home.port}"})
    send(d.address, rcpt_options=["NOTIFY=SUCCESS"])
    [report] = home.wait_messages(1)
    assert "Action: relayed" in report.text
    d.wait_empty()


def test_given_back_after_its_first_try(mx20, primary):
    """The connection has had its refusals when the option is refused: the next
    one takes it, and the time it took is a time."""
    def rcpt(session, _):
        line = session.transcript[-1]
        if "odd" not in line:
            return "550 5.1.1 no"
        return "501 5.5.4 no" if "NOTIFY" in line else None

    p = primary(offers=["DSN", "PIPELINING"], on={"rcpt": rcpt}).start()
    d = daemon(mx20, p)
    rcpts = [f"u{n}@example.com" for n in range(8)] + ["odd@example.com"]
    send(d.address, rcpts=rcpts, rcpt_options=["NOTIFY=FAILURE"])
    p.wait_messages(1)
    assert p.messages[0].rcpts == ["odd@example.com"]
    d.wait_log("^delivered .*odd@")
