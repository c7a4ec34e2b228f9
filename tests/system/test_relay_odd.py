"""standby=relay: servers and clients that are odd, and still SMTP, or not."""

import json
import re
import socket
import ssl

import pytest

from client import Raw, message
from faults import until
from primary import Accept, Bytes, Delay
from relaying import PRIMARY, before, deliver, line, messages, transact, warm

OK = "250 2.0.0 taken"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PLAIN = ["SIZE", "8BITMIME"]


# -- servers -----------------------------------------------------------------------

@pytest.mark.parametrize("offers", [[], PLAIN, None], ids=["none", "plain",
                                                           "helo"])
def test_servers_that_offer_little(mx20, primary, offers):
    p = primary(address=PRIMARY, offers=offers or []).start()
    if offers is None:
        p.on["ehlo"] = "502 5.5.1 what?"
    d = before(mx20, p)
    for n in range(3):
        heard = deliver(d, ["a@example.com", "b@example.com"],
                        content=message(f"number {n}"))
        assert heard.end == OK, heard
    got = p.wait_messages(3)
    assert [m.rcpts for m in got] == [["a@example.com", "b@example.com"]] * 3
    assert messages(d) == 0


@pytest.mark.parametrize("reply, heard", [
    ("251 2.1.5 will forward", "251 2.1.5 will forward"),
    ("250 ok", "250"), ("250", "250"),
    ("250-2.1.5 two\r\n250 2.1.5 lines", "250 2.1.5 two"),
])
def test_words_for_a_recipient(mx20, primary, reply, heard):
    p = primary(address=PRIMARY, on={"rcpt": reply}).start()
    d = before(mx20, p)
    said = deliver(d)
    assert said.rcpts[0].startswith(heard), said
    assert "\n" not in said.rcpts[0]
    assert said.end == OK


def test_a_long_reply(mx20, primary):
    """What the client hears is one line of SMTP's length."""
    p = primary(address=PRIMARY, on={"dot": "554 5.7.1 " + "x" * 1500})
    p.start()
    d = before(mx20, p)
    heard = deliver(d)
    assert heard.end.startswith("554 5.7.1 xxxx"), heard
    assert len(heard.end) <= 510 and "\n" not in heard.end
    assert messages(d) == 0


def test_a_limit_of_recipients(mx20, primary):
    """452 from the eleventh on: those are kept, and all are reached."""
    def rcpt(session, _address):
        return "452 4.5.3 too many" if len(session.message.rcpts) >= 10 \
            else None
    p = primary(address=PRIMARY, on={"rcpt": rcpt}).start()
    d = before(mx20, p)
    rcpts = [f"u{i}@example.com" for i in range(25)]
    heard = deliver(d, rcpts)
    assert all(r.startswith("250") for r in heard.rcpts), heard
    assert heard.end.startswith("250"), heard
    until(lambda: len([r for m in p.messages for r in m.rcpts]) >= 25)
    d.wait_empty()
    assert sorted(r for m in p.messages for r in m.rcpts) == sorted(rcpts)


def test_a_limit_of_messages(mx20, primary):
    """421 after each message: the next one takes another connection."""
    def mail(session, _argument):
        done = sum(x.startswith("MAIL") for x in session.transcript)
        return "421 4.7.0 enough" if done > 1 else None
    p = primary(address=PRIMARY, on={"mail": mail}).start()
    d = before(mx20, p)
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for n in range(10):
            heard = transact(c, content=message(f"number {n}"))
            assert heard.end.startswith("250"), heard
    p.wait_messages(10)
    d.wait_empty()
    assert len(p.messages) == 10


def hang_up(p):
    for s in p.sessions:
        try:
            s.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is gone already
    until(lambda: p.open_sessions == 0)


def test_a_server_that_closes_idle_connections(mx20, primary):
    """The one that was kept is gone: the next mail is relayed all the same."""
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    for n in range(4):
        assert deliver(d, content=message(f"number {n}")).end == OK
        hang_up(p)
    assert len(p.wait_messages(4)) == 4 and messages(d) == 0


def test_a_reply_before_the_end(mx20, primary):
    """250 while content still comes is not believed: it goes again, and is in
    the log."""
    early = [None]  # not yet

    def content(session, _argument):
        if early:
            return None
        early.append(session)
        return Bytes(b"250 2.0.0 taken already\r\n", drop=True)

    p = primary(address=PRIMARY, on={"content": content}).start()
    d = before(mx20, p)
    warm(d, p)
    early.clear()
    half, rest = message(), ("f" * 78 + "\r\n") * 20000
    with Raw(d.address) as c:
        for said in ("EHLO client.test", "MAIL FROM:<a@sender.test>",
                     "RCPT TO:<u@example.com>", "DATA"):
            assert c.cmd(said)[0] in "23"
        c.send(half)
        d.wait_log("^fallback .*stage=content .*taken already")
        assert c.cmd(rest + ".").startswith("250")
    got = p.wait_messages(2)
    d.wait_empty()
    assert got[1].body == (half + rest).encode()


def test_one_reply_too_many(mx20, primary):
    """Whose it is nobody knows: nothing is lost by it, and that relaying stands
    still is said once."""
    p = primary(address=PRIMARY, on={
        "rcpt": lambda s, a: s.say("250 2.1.5 twice")}).start()
    d = before(mx20, p)
    for n in range(4):
        heard = deliver(d, content=message(f"number {n}"))
        assert heard.end.startswith("250"), heard
    d.wait_log("^fallback level=warn .*nothing is relayed to it")
    row = json.loads(d.ctl("status", "example.com", "--json").stdout)
    [target] = row["domains"][0]["targets"]
    assert RFC3339.fullmatch(target["mismatch_until"])
    assert "nothing is relayed to it until " in d.ctl("status", "example.com"
                                                      ).stdout
    assert sum("nothing is relayed" in line for line in d.log) == 1
    p.on.clear()
    d.ctl("flush")
    until(lambda: len({m.body for m in p.messages}) == 4)
    d.wait_empty()


def test_a_refusal_is_of_one_mail_alone(mx20, primary):
    """The connection goes on."""
    p = primary(address=PRIMARY, on={
        "dot": [Accept(), "554 5.7.1 spam", Accept(), "554 5.7.1 spam",
                Accept()]}).start()
    d = before(mx20, p)
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        ends = [transact(c).end[:3] for _ in range(5)]
    assert ends == ["250", "554", "250", "554", "250"]
    assert messages(d) == 0 and len(p.messages) == 3


# -- clients -----------------------------------------------------------------------

def test_helo(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    with Raw(d.address) as c:
        c.cmd("HELO client.test")
        heard = transact(c)
    assert heard.end[:3] == "250"
    assert len(p.wait_messages()) == 1 and messages(d) == 0


@pytest.mark.parametrize("content", [
    "", "\r\n", ".\r\n", "Subject: x\r\n", "Subject: x\r\n\r\n",
    "Subject: x\r\n\r\n..\r\n", "no header at all\r\n"])
def test_little_content(mx20, primary, content):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    with Raw(d.address) as c:
        c.envelope()
        wire = ("\r\n" + content).replace("\r\n.", "\r\n..")[2:]
        assert c.data(wire + ".\r\n") == OK
    assert p.wait_messages()[0].body == content.encode()


def test_a_client_that_is_gone_when_the_primary_answers(mx20, primary):
    """It was taken; nobody heard so, and it is nowhere else."""
    p = primary(address=PRIMARY, on={"dot": Delay(0.7)}).start()
    d = before(mx20, p, drain={"reply_timeout": "20s"})
    with Raw(d.address) as c:
        c.envelope()
        c.cmd("DATA")
        c.send(message("the one") + ".\r\n")
        until(lambda: "DATA" in p.sessions[0].transcript)
    p.wait_messages()
    d.wait_empty()
    assert len(p.messages) == 1


def test_bdat_that_stops(mx20, primary):
    """RSET, or the end, between two chunks: nothing goes."""
    p = primary(address=PRIMARY, offers=["PIPELINING", "CHUNKING"]).start()
    d = before(mx20, p)
    half = message("half").encode()
    for leave in (False, True):
        with Raw(d.address) as c:
            c.envelope()
            c.send(f"BDAT {len(half)}\r\n".encode() + half)
            assert c.reply().startswith("250")
            if not leave:
                assert c.cmd("RSET").startswith("250")
                assert transact(c, content=message("whole")).end == OK
    assert deliver(d, content=message("whole")).end == OK
    assert [b"whole" in m.content for m in p.wait_messages(2)] == [True, True]
    assert messages(d) == 0


def test_bdat_of_nothing(mx20, primary):
    p = primary(address=PRIMARY, offers=["PIPELINING", "CHUNKING"]).start()
    d = before(mx20, p)
    text = message().encode()
    with Raw(d.address) as c:
        c.envelope()
        c.send(f"BDAT {len(text)}\r\n".encode() + text)
        assert c.reply().startswith("250")
        assert c.cmd("BDAT 0 LAST") == OK
    assert p.wait_messages()[0].body == text


def test_sessions_side_by_side(mx20, primary):
    """Each has a connection; none hears another's replies."""
    p = primary(address=PRIMARY, on={
        "rcpt": lambda s, a: f"250 2.1.5 {a}",
        "dot": lambda s, a: f"250 2.0.0 {s.finishing.rcpts[0]}"}).start()
    d = before(mx20, p)
    for _ in range(4):  # slow start
        deliver(d)
    sessions = [Raw(d.address) for _ in range(4)]
    try:
        for n, c in enumerate(sessions):
            c.cmd("EHLO client.test")
            c.cmd(f"MAIL FROM:<a{n}@sender.test>")
        heard = [c.cmd(f"RCPT TO:<u{n}@example.com>")
                 for n, c in enumerate(sessions)]
        for c in reversed(sessions):
            assert c.cmd("DATA").startswith("354")
        for n, c in enumerate(sessions):
            c.send(message(f"number {n}") + ".\r\n")
        ends = [c.reply() for c in sessions]
    finally:
        for c in sessions:
            c.close()
    for n in range(4):
        if heard[n].startswith("250 2.1.5 u"):
            assert heard[n] == f"250 2.1.5 u{n}@example.com"
            assert ends[n] == f"250 2.0.0 u{n}@example.com"
        assert ends[n].startswith("250")
    p.wait_messages(8)
    d.wait_empty()
    assert {m.sender: m.rcpts for m in p.messages[4:]} == {
        f"a{n}@sender.test": [f"u{n}@example.com"] for n in range(4)}


def test_the_first_destination_is_down(mx20, primary):
    """The second is up: both get their mail, whatever way it goes."""
    down = primary(address=PRIMARY)
    up = primary(address=PRIMARY).start()
    d = before(mx20, domains=line(down) + line(up, "example.org"))
    heard = deliver(d, ["a@example.com", "b@example.org"])
    assert [r[:3] for r in heard.rcpts] == ["250", "250"]
    assert heard.end.startswith("250"), heard
    assert up.wait_messages()[0].rcpts == ["b@example.org"]
    down.start()
    assert down.wait_messages()[0].rcpts == ["a@example.com"]
    d.wait_empty()
    assert len(up.messages) == len(down.messages) == 1


def test_refused_recipients_of_a_second_destination(mx20, primary):
    """One who is no recipient there is refused at once by what is known, and
    does not make the others fail."""
    one, other = primary(address=PRIMARY), primary(address=PRIMARY)
    d = mx20(start=False, domains=line(one.start()) + line(
        other.start(), "example.org", recipients="users"))
    (d.dir / "users").write_text("b\n")
    d.start()
    heard = deliver(d, ["a@example.com", "x@example.org", "b@example.org"])
    assert [r[:3] for r in heard.rcpts] == ["250", "550", "250"], heard
    assert heard.end.startswith("250"), heard
    assert one.wait_messages()[0].rcpts == ["a@example.com"]
    assert other.wait_messages()[0].rcpts == ["b@example.org"]


@pytest.mark.parametrize("has_it", [True, False])
def test_requiretls(mx20, primary, pki, has_it):
    """RFC 8689: carried where the primary has it, over TLS alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs, ours = pki.cert("localhost"), pki.cert("mx2.test")
    context.load_cert_chain(theirs.cert_path, theirs.key_path)
    p = primary(tls=context, offers=["STARTTLS", "PIPELINING"] +
                (["REQUIRETLS"] if has_it else [])).start()
    d = before(mx20, domains=f"example.com recipients=* standby=relay "
                             f"primary=localhost:{p.port} tls=verify\n",
               tls={"ca_file": pki.ca_file, "certificate":
                    str(ours.cert_path), "key": str(ours.key_path)})
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("STARTTLS")
        c.sock = ssl._create_unverified_context().wrap_socket(c.sock)
        c.cmd("EHLO client.test")
        heard = transact(c, params=" REQUIRETLS")
    if has_it:
        assert heard.end == OK, heard
        assert "REQUIRETLS" in p.wait_messages()[0].params
    else:
        assert heard.refusal[:3] == "550" or heard.end[:3] == "250", heard
        assert not p.messages


def test_a_client_that_sleeps_does_not_keep_others_out(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p, drain={"connections": 1})
    warm(d, p)
    with Raw(d.address) as c:
        c.envelope()
        for n in range(3):
            assert deliver(d, content=message(f"number {n}")).end[:3] == "250"
        assert c.data(message("slow") + ".\r\n")[:3] == "250"
    p.wait_messages(5)
    d.wait_empty()
    assert len(p.messages) == 5
