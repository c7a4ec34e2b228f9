"""Replies that do not belong to what they seem to answer, and servers that
cannot do what they offer: nothing is lost, nothing is returned, nothing counts
as delivered that is not there, and the next connection does it another way."""

import re
import socket
import ssl
import time

import pytest

from client import message, send
from faults import FAST, allow, subjects, until
from primary import Bytes, Hang

GROUPS = ["PIPELINING", "8BITMIME"]
CHUNKS = GROUPS + ["CHUNKING"]
each_way = pytest.mark.parametrize("offers", [GROUPS, CHUNKS],
                                   ids=["data", "bdat"])


def daemon(mx20, p, options="", **drain):
    route = allow(p).rstrip("\n") + f" {options}\n"
    return mx20(domains=route, conf={
        "drain": dict(FAST, retry=["1h"], **drain),
        "bounce": {"mode": "hold"}})


def send_all(d, names, rcpts="u@example.com"):
    for name in names:
        send(d.address, rcpts, content=message(name))


def lines(p, verb):
    return [line for s in p.sessions for line in s.transcript
            if line.startswith(verb)]


# -- one reply too many --------------------------------------------------------


@each_way
def test_a_second_word_behind_the_first(mx20, primary, offers):
    """A filter's 550 behind the server's 250 is not the next message's."""
    extra = Bytes(b"250 2.0.0 ok\r\n550 5.7.1 spam\r\n")
    p = primary(offers=offers, on={"dot": extra, "bdat": extra})
    d = daemon(mx20, p)
    names = [f"m{n}" for n in range(5)]
    send_all(d, names)
    p.start()
    d.wait_empty()
    assert set(subjects(p)) == set(names)
    # the one that showed it came twice, the others did not
    assert len(p.messages) <= len(names) + 1


@each_way
@pytest.mark.parametrize("late", [0, 0.2], ids=["at once", "late"])
def test_a_reply_for_each_recipient(mx20, primary, offers, late):
    """As LMTP has it; the next message is refused, and is not taken for
    delivered."""
    def finish(session, _):
        if b"Subject: good" not in session.finishing.content:
            return "552 5.3.4 too big"
        for n in range(len(session.finishing.rcpts) - 1):
            session.say(f"250 2.0.0 taken for {n}")
            time.sleep(late)
        return None

    p = primary(offers=offers, on={"dot": finish, "bdat": finish})
    d = daemon(mx20, p, connections=1)
    send(d.address, content=message("good one"))
    send(d.address, ["u1@example.com", "u2@example.com", "u3@example.com"],
         content=message("good three"))
    send_all(d, ["bad1", "bad2"])
    p.start()
    d.wait_log("^held .*552 5.3.4 too big", count=2)
    until(lambda: len(d.queue()) == 2)
    got = [(s, r) for s, m in zip(subjects(p), p.messages) for r in m.rcpts]
    assert {r for s, r in got if s == "good three"} == {
        f"u{n}@example.com" for n in (1, 2, 3)}
    assert not [s for s, _ in got if s.startswith("bad")]
    assert not [line for line in d.log if line.startswith("bounced")]


def test_a_second_word_behind_mail(mx20, primary):
    """After a refusal DATA is not sent ahead: nothing but the order of the
    replies tells that a 550 behind MAIL's 250 is not RCPT's."""
    def mail(session, line):
        if sum(x.startswith("MAIL") for x in session.transcript) == 3:
            return Bytes(b"250 2.1.0 ok\r\n550 5.7.1 surplus\r\n")
        return None

    def rcpt(session, address):
        return "550 5.1.1 no" if address.startswith("gone") else None

    p = primary(offers=["PIPELINING"], on={"mail": mail, "rcpt": rcpt})
    d = daemon(mx20, p, connections=1)
    send(d.address, ["u@example.com"], sender="")
    for who in ("gone", "good", "good2"):
        send(d.address, [f"{who}@example.com"], sender="")
    p.start()
    p.wait_messages(3)
    assert sorted(m.rcpts[0] for m in p.messages) == [
        "good2@example.com", "good@example.com", "u@example.com"]
    assert [line for line in d.log if re.match("bounced|held", line)
            and "gone@" not in line] == []



@pytest.mark.parametrize("size", [100, 200_000])
def test_yes_to_the_line_of_bdat(mx20, primary, size):
    """A front end that does not know BDAT, and says 250 all the same: it takes
    the content for commands."""
    def not_known(session, _):
        session.do_bdat = lambda rest: session.say("250 2.0.0 ok")

    p = primary(offers=CHUNKS, on={"greeting": not_known})
    d = daemon(mx20, p, connections=1)
    body = ("x" * 76 + "\r\n") * (size // 78 + 1)
    for n in range(3):
        send(d.address, content=message(f"m{n}", body))
    p.start()
    d.wait_empty()
    assert sorted(subjects(p)) == ["m0", "m1", "m2"]
    assert len(lines(p, "BDAT")) == 1
    d.wait_log("^delivered ", count=3)
    assert len([x for x in d.log if x.startswith("delivered")]) == 3


def test_refused_and_then_taken(mx20, primary):
    """A 550 that is the last message's before it could be asked for: MAIL is
    refused, and yet RCPT is taken."""
    def mail(session, rest):
        # once, in the middle of a run: it comes before the reply to MAIL
        if len(p.messages) == 3 and not said:
            said.append(rest)
            session.say("550 5.7.1 late word")
        return None

    said = []
    p = primary(offers=GROUPS, on={"mail": mail})
    d = daemon(mx20, p, connections=1)
    names = [f"m{n}" for n in range(8)]
    send_all(d, names)
    p.start()
    d.wait_empty()
    assert said and sorted(subjects(p)) == names


def test_the_same_words_for_everything(mx20, primary):
    """Nothing distinguishes its replies, but that to DATA."""
    same = {stage: "250 ok" for stage in ("mail", "rcpt", "rset", "bdat")}
    p = primary(offers=CHUNKS, on=same)
    d = daemon(mx20, p, connections=1)
    names = [f"m{n:02}" for n in range(40)]
    send_all(d, names)
    p.start()
    d.wait_empty()
    assert sorted(subjects(p)) == names
    assert len(lines(p, "BDAT")) <= 2 and len(lines(p, "EHLO")) <= 4


@pytest.mark.parametrize("offers", [[], GROUPS, CHUNKS],
                         ids=["plain", "data", "bdat"])
@pytest.mark.parametrize("again", ["503 5.5.1 Duplicate EHLO", "drop"])
def test_ehlo_only_once(mx20, primary, offers, again):
    """A server that permits no second EHLO gets its mail, too."""
    def ehlo(session, _):
        if len([x for x in session.transcript if x.startswith("EHLO")]) < 2:
            return None
        return again if again != "drop" else Bytes(b"", drop=True)

    p = primary(offers=offers, on={"ehlo": ehlo})
    d = daemon(mx20, p, connections=1)
    names = [f"m{n}" for n in range(4)]
    send_all(d, names)
    p.start()
    d.wait_empty()
    assert set(subjects(p)) == set(names)
    assert len(p.messages) <= len(names) + 1


# -- what was sent ahead -------------------------------------------------------


@pytest.mark.parametrize("stage", ["mail", "rcpt"])
@pytest.mark.parametrize("reply", [
    "500 5.5.1 Pipelining not supported", "503 5.5.0 improper pipelining"])
def test_sent_ahead_and_refused(mx20, primary, stage, reply):
    def mail(session, _):
        session.rude = bool(session.pending)
        return reply if session.rude and stage == "mail" else None

    def rcpt(session, _):
        return reply if session.rude and stage == "rcpt" else None

    p = primary(offers=GROUPS, on={"mail": mail, "rcpt": rcpt}).start()
    d = daemon(mx20, p)
    send_all(d, ["first"])
    d.wait_empty()
    d.wait_log("^fallback .*without=.*PIPELINING")
    send_all(d, ["second"])
    d.wait_empty()
    assert subjects(p) == ["first", "second"]
    # found out once
    assert len(lines(p, "MAIL")) == 3


@each_way
def test_sent_ahead_and_swallowed(mx20, primary, offers):
    """No reply ever comes to what stood behind MAIL.  That takes time once."""
    def mail(session, _):
        session.pending = b""

    p = primary(offers=offers, on={"mail": mail}).start()
    d = daemon(mx20, p)
    send_all(d, ["first"])
    d.wait_empty()
    tries = len(lines(p, "MAIL"))
    send_all(d, ["second"])
    p.wait_messages(2)
    assert subjects(p) == ["first", "second"]
    assert len(lines(p, "MAIL")) == tries + 1


def test_silence_is_not_for_pipelining(mx20, primary):
    """Where it is no better in lock-step, that is not kept."""
    def mail(session, _):
        ahead.append(bool(session.pending))
        return Hang() if len(ahead) < 3 else None

    ahead = []
    p = primary(offers=GROUPS, on={"mail": mail}).start()
    d = daemon(mx20, p, connections=1)
    send_all(d, ["first", "second"])
    p.wait_messages(2)
    assert ahead[:3] == [True, False, True]
    d.wait_empty()


# -- odd lines -----------------------------------------------------------------


@pytest.mark.parametrize("offers", [[], GROUPS, CHUNKS],
                         ids=["plain", "data", "bdat"])
@pytest.mark.parametrize("odd", ["250-well\r\n550 or not", "mailbox is busy"],
                         ids=["two codes", "none"])
def test_an_odd_line_costs_that_command(mx20, primary, offers, odd):
    """The recipient waits, and the words are kept; the others have theirs."""
    def rcpt(_, address):
        return Bytes(odd.encode() + b"\r\n") if "odd" in address else None

    p = primary(offers=offers, on={"rcpt": rcpt}).start()
    d = daemon(mx20, p, connections=1)
    send(d.address, ["a@example.com", "odd@example.com", "b@example.com"])
    d.wait_log("^deferred .*odd@.*odd reply.*" + odd.rpartition("\n")[2])
    until(lambda: {r for m in p.messages for r in m.rcpts} >= {
        "a@example.com", "b@example.com"})
    d.wait_log("^delivered ", count=2)
    assert not [line for line in d.log if line.startswith(("held", "bounced"))]
    [entry] = d.queue()
    assert "odd@example.com" in str(entry)


@each_way
@pytest.mark.parametrize("stage", ["mail", "rcpt"])
def test_an_odd_yes_brings_no_empty_message(mx20, primary, offers, stage):
    """The server means yes, and waits for content: it gets none, rather than
    the end of none."""
    odd = Bytes(b"250-well\r\n251 yes\r\n")
    p = primary(offers=offers, on={stage: odd, "rcpt": odd}).start()
    d = daemon(mx20, p, connections=1)
    send_all(d, ["first"])
    d.wait_log("^deferred .*odd reply")
    assert all(m.content for m in p.messages)
    assert len(d.queue()) == 1


def test_nothing_is_sent_behind_rset_in_lock_step(mx20, primary):
    """Not to a server that offers no PIPELINING: one that counts on it
    hangs up, and a word too many would be the answer to MAIL."""
    ahead = []

    def rset(session, _):
        time.sleep(0.1)
        session.sock.setblocking(False)
        try:
            ahead.append(session.pending + session.sock.recv(100))
        except BlockingIOError:
            ahead.append(session.pending)
        session.sock.setblocking(True)

    p = primary(offers=[], on={
        "rset": rset,
        "rcpt": lambda _, to: "550 5.1.1 no" if "gone" in to else None})
    d = daemon(mx20, p, connections=1)
    for name in ("gone1", "u1", "gone2", "u2"):
        send(d.address, f"{name}@example.com", content=message(name))
    p.start()
    p.wait_messages(2)
    assert ahead and not any(ahead)


def test_words_before_a_reply(mx20, primary):
    p = primary(offers=[], on={"dot": Bytes(
        b"*** system is going down ***\r\n250 2.0.0 taken\r\n")}).start()
    d = daemon(mx20, p)
    send_all(d, ["first"])
    d.wait_log("^delivered .*250 2.0.0 taken.*going down")


# -- what it says it can -------------------------------------------------------


def test_hangs_up_on_ehlo(mx20, primary):
    p = primary(offers=GROUPS, on={"ehlo": Bytes(b"", drop=True)}).start()
    d = daemon(mx20, p)
    send_all(d, ["first"])
    p.wait_messages(1)
    d.wait_empty()
    send_all(d, ["second"])
    p.wait_messages(2)
    assert len(lines(p, "EHLO")) == 1
    assert len(lines(p, "HELO")) >= 2


def test_hangs_up_on_ehlo_where_tls_must_be(mx20, primary):
    """HELO would do without it."""
    p = primary(offers=GROUPS, on={"ehlo": Bytes(b"", drop=True)}).start()
    d = daemon(mx20, p, "tls=must")
    send_all(d, ["first"])
    p.wait_sessions(3)
    assert not lines(p, "HELO") and not p.messages


class Door:
    """The TLS side of a primary.  how: good; mute, it never answers; or
    brittle, it hangs up on whoever wants to resume a session."""

    def __init__(self, cert):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert.cert_path, cert.key_path)
        self.how, self.fresh, self.shaken = "good", 0, 0

    def wrap_socket(self, sock, server_side):
        self.shaken += 1
        if self.how == "mute":
            while sock.recv(4096):
                pass
            raise OSError("mute")
        # the length of ClientHello: a ticket makes it longer
        size = int.from_bytes(sock.recv(5, socket.MSG_PEEK)[3:], "big")
        self.fresh = self.fresh or size
        if self.how == "brittle" and size > self.fresh:
            raise OSError("an old ticket")
        return self.context.wrap_socket(sock, server_side=server_side)



@pytest.fixture
def door(pki):
    return Door(pki.cert("p.test"))


def test_a_handshake_that_hangs(mx20, primary, door):
    """tls=may: in clear, and the next one does not wait for it again."""
    door.how = "mute"
    p = primary(offers=GROUPS + ["STARTTLS"], tls=door).start()
    d = daemon(mx20, p, "tls=may")
    send_all(d, ["first"])
    d.wait_empty()
    send_all(d, ["second"])
    p.wait_messages(2)
    d.wait_empty()
    assert door.shaken == 1
    d.wait_log("^fallback .*without=STARTTLS")


def test_a_handshake_that_hangs_where_it_must_not(mx20, primary, door):
    door.how = "mute"
    p = primary(offers=GROUPS + ["STARTTLS"], tls=door).start()
    d = daemon(mx20, p, "tls=must")
    send_all(d, ["first"])
    until(lambda: door.shaken >= 2)
    assert not lines(p, "MAIL")


@pytest.mark.parametrize("level", ["may", "must"])
def test_a_session_of_before_its_restart(mx20, primary, door, level):
    p = primary(offers=GROUPS + ["STARTTLS"], tls=door).start()
    d = daemon(mx20, p, f"tls={level}")
    send_all(d, ["first"])
    d.wait_empty()
    p.stop()
    door.how = "brittle"
    p.start()
    send_all(d, ["second"])
    p.wait_messages(2)
    assert p.messages[1].session.tls
    assert door.shaken == 3 # with the ticket, and at once without
