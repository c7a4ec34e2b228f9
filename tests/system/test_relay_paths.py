"""standby=relay: what is carried, in which form, and for whom."""

import json
import re
import ssl
import threading
import time

import pytest

from client import PATIENCE, Raw, message
from faults import PLAIN, quick_disk, until
from primary import Accept, Delay, Hang
from relaying import PRIMARY, before, deliver, line, messages, transact, warm

OK = "250 2.0.0 taken"


# -- parameters --------------------------------------------------------------------

def offers(*more, without=()):
    return [w for w in ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE",
                        "ENHANCEDSTATUSCODES", "DSN", *more)
            if w not in without]


def test_parameters_are_carried(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    heard = deliver(
        d, params=" SIZE=4000 BODY=8BITMIME RET=HDRS ENVID=QQ+2B1",
        rcpt_params=" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@example.com",
        content=message(body="gr\xfc\xdfe\r\n"))
    assert heard.end == OK, heard
    [m] = p.wait_messages()
    params = {x.split("=")[0]: x.split("=")[1] for x in m.params}
    assert params["BODY"] == "8BITMIME" and params["RET"] == "HDRS"
    assert params["ENVID"] == "QQ+2B1" and int(params["SIZE"]) > 0
    assert {x.split("=")[0]: x.split("=", 1)[1].upper()
            for x in m.rcpt_params[0]} == {
        "NOTIFY": "SUCCESS,FAILURE", "ORCPT": "RFC822;O@EXAMPLE.COM"}


def test_what_the_primary_does_not_offer_is_left_out(mx20, primary):
    p = primary(address=PRIMARY, offers=[]).start()
    d = before(mx20, p)
    heard = deliver(d, params=" SIZE=4000 BODY=8BITMIME RET=HDRS",
                    rcpt_params=" NOTIFY=NEVER")
    assert heard.end == OK, heard
    [m] = p.wait_messages()
    assert m.params == [] and m.rcpt_params == [[]]


def test_smtputf8(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    heard = deliver(d, rcpts=["j\u00f6rg@example.com"], params=" SMTPUTF8",
                    sender="\u00fc@sender.test")
    assert heard.end == OK, heard
    [m] = p.wait_messages()
    assert m.sender == "\u00fc@sender.test" and "SMTPUTF8" in m.params
    assert m.rcpts == ["j\u00f6rg@example.com"]


def test_the_null_sender(mx20, primary):
    p = primary(address=PRIMARY, on={"dot": "554 5.7.1 no"}).start()
    d = before(mx20, p)
    assert deliver(d, sender="").refusal == "554 5.7.1 no"
    d.wait_log(r"^rejected .*stage=data .*to=<\S+> rcpts=1 reply=\"554 5.7.1 no")
    p.on.clear()
    assert deliver(d, sender="").end == OK
    assert p.wait_messages()[0].sender == ""


def test_to_postmaster_without_a_domain(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p, postmaster="pm@example.com")
    assert deliver(d, rcpts=["postmaster"]).end == OK
    assert p.wait_messages()[0].rcpts == ["pm@example.com"]


# -- content -----------------------------------------------------------------------

def bdat(c, content, last=True):
    data = content.encode("latin-1")
    c.send(f"BDAT {len(data)}{' LAST' if last else ''}\r\n")
    c.send(data)
    return c.reply()


@pytest.mark.parametrize("server", [False, True], ids=["", "primary"])
@pytest.mark.parametrize("chunks", [0, 1, 3], ids=["data", "bdat", "bdats"])
def test_chunking_on_either_side(mx20, primary, chunks, server):
    p = primary(address=PRIMARY,
                offers=offers("CHUNKING") if server else offers()).start()
    d = before(mx20, p)
    content = message(body=".one\r\n..two\r\n" + "x" * 70000 + "\r\n" * 20)
    for _ in range(3):  # the first over a connection is apart
        with Raw(d.address) as c:
            c.envelope()
            if chunks == 0:
                end = c.data(content.replace("\r\n.", "\r\n..") + ".\r\n")
            else:
                size = len(content) // chunks
                for i in range(chunks - 1):
                    assert bdat(c, content[:size], False).startswith("250")
                    content, rest = content[size:], content[:size]
                    whole = (whole if i else "") + rest
                end = bdat(c, content)
                content = (whole if chunks > 1 else "") + content
            assert end == OK
    got = p.wait_messages(3)
    assert all(m.body == content.encode() for m in got)
    assert messages(d) == 0


def test_large_ones(mx20, primary):
    """All of it is there, nothing of it waits here, and memory does not grow
    with the size."""
    p = primary(address=PRIMARY).start()
    d = before(mx20, p, drain={"reply_timeout": "30s"}, env=quick_disk())
    warm(d, p)
    body = "".join(f"{i:077d}\r\n" for i in range(10 * 1024 * 1024 // 79))
    assert deliver(d, content=message(body=body)).end == OK
    assert p.wait_messages(2)[1].body == message(body=body).encode()
    was = d.rss_kib()
    assert deliver(d, content=message(body=body * 4)).end == OK
    assert len(p.wait_messages(3)[2].content) > 4 * len(body)
    assert messages(d) == 0
    assert not PLAIN or d.rss_kib() - was < 8 * 1024


def test_a_slow_primary_slows_the_client_alone(mx20, primary):
    """It reads nothing for a second: the client is held back, others go on."""
    slow = primary(address=PRIMARY, on={"content": [Delay(1), Accept()]})
    slow.start()
    quick = primary(address=PRIMARY).start()
    d = before(mx20, domains=line(slow) + line(quick, "example.org"),
               drain={"reply_timeout": "20s"}, env=quick_disk())
    body = "y" * 78 + "\r\n"
    with Raw(d.address) as c:
        c.envelope()
        c.cmd("DATA")
        sender = threading.Thread(target=c.send, args=(
            message(body=body * 200000) + ".\r\n",))
        sender.start()
        count = 0
        while sender.is_alive():
            assert deliver(d, ["u@example.org"]).end == OK
            count += 1
        sender.join()
        assert c.reply() == OK
    assert count > 0
    assert len(slow.wait_messages()[0].content) > 16000000
    assert not PLAIN or d.rss_kib() < 32 * 1024


def test_above_the_primary_size(mx20, primary):
    """Announced it is refused before, unannounced at its end."""
    p = primary(address=PRIMARY, offers=["SIZE 100000", "PIPELINING"]).start()
    d = before(mx20, p)
    big = message(body=("z" * 78 + "\r\n") * 2000)
    heard = deliver(d, content=big)
    assert heard.end.startswith("552 5.3.4"), heard
    heard = deliver(d, params=" SIZE=160000", content=big)
    assert heard.refusal.startswith("552 5.3.4"), heard
    assert deliver(d).end == OK
    assert len(p.wait_messages()) == 1 and messages(d) == 0


def test_above_our_own_size(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p, limits={"message_size": "64K"})
    heard = deliver(d, content=message(body=("z" * 78 + "\r\n") * 2000))
    assert heard.end.startswith("552 5.3.4"), heard
    assert deliver(d).end == OK
    assert len(p.wait_messages()) == 1 and messages(d) == 0


def test_a_loop_is_refused(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    heard = deliver(d, content="Received: x\r\n" * 101 + message())
    assert heard.end.startswith("554 5.4.6"), heard
    assert deliver(d).end == OK
    assert len(p.wait_messages()) == 1 and messages(d) == 0


def test_odd_line_ends_are_never_relayed(mx20, primary):
    """No smuggling: what looks like an end to somebody is content."""
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    heard = deliver(d, content=message(
        body="one\n.\nMAIL FROM:<x@y.test>\r\n.\rtwo\n..\r\nthree\r\n"))
    assert heard.end == OK, heard
    [m] = p.wait_messages()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", m.content)
    assert b"MAIL FROM:<x@y.test>" in m.content


def test_nothing_touches_the_disk(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    warm(d, p)

    def written():
        text = open(f"/proc/{d.process.pid}/io").read()
        return int(re.search(r"^write_bytes: (\d+)", text, re.M).group(1))

    was = written()
    for _ in range(50):
        assert deliver(d, content=message(body="w" * 900 + "\r\n")).end == OK
    # what the daemon writes by itself now and then is no page for each
    assert written() - was < 50 * 4096


# -- clients that do not wait --------------------------------------------------------

def test_pipelined(mx20, primary):
    """Replies in order, each to its command; recipients are judged one by one."""
    p = primary(address=PRIMARY, on={
        "rcpt": lambda s, a: "550 5.1.1 no" if a.startswith("no") else None})
    p.start()
    d = before(mx20, p)
    for n in (1, 2):
        with Raw(d.address) as c:
            c.send("EHLO client.test\r\n")
            assert c.reply().startswith("250")
            c.send("MAIL FROM:<a@sender.test>\r\n"
                   "RCPT TO:<a@example.com>\r\nRCPT TO:<no@example.com>\r\n"
                   "RCPT TO:<b@example.com>\r\nDATA\r\n")
            replies = [c.reply() for _ in range(5)]
            assert [r[:3] for r in replies] == \
                ["250", "250", "550", "250", "354"], replies
            assert replies[2] == "550 5.1.1 no"
            c.send(message(f"number {n}") +
                   ".\r\nMAIL FROM:<b@sender.test>\r\nQUIT\r\n")
            assert c.reply() == OK
            assert c.reply().startswith("250")
            assert c.reply().startswith("221")
        got = p.wait_messages(n)[-1]
        assert got.rcpts == ["a@example.com", "b@example.com"]
        assert got.body == message(f"number {n}").encode()


def test_many_in_one_session(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for n in range(40):
            assert transact(c, content=message(f"number {n}")).end == OK
    got = p.wait_messages(40)
    assert [f"Subject: number {n}\r\n".encode() in m.content
            for n, m in enumerate(got)] == [True] * 40
    assert len(p.sessions) == 1, "the connection is used again"
    said = [x.split()[0] for x in p.sessions[0].transcript]
    assert said.count("EHLO") <= 4 and said[-4:] == [
        "DATA", "MAIL", "RCPT", "DATA"]


# -- several recipients ----------------------------------------------------------------

def judge(_session, address):
    return {"a": None, "b": None, "c": None, "u": None,
            "later": "451 4.7.1 greylisted"}.get(
        address.split("@")[0], "550 5.1.1 no such user")


def known(d, address):
    return json.loads(d.ctl("recipient", address, "--json").stdout)["known"]


def test_each_recipient_has_the_reply_of_the_primary(mx20, primary):
    p = primary(address=PRIMARY, on={"rcpt": judge}).start()
    d = before(mx20, p)
    heard = deliver(d, ["a@example.com", "gone@example.com", "b@example.com"])
    assert heard.rcpts == ["250 2.1.5 ok", "550 5.1.1 no such user",
                           "250 2.1.5 ok"]
    assert heard.end == OK
    assert p.wait_messages()[0].rcpts == ["a@example.com", "b@example.com"]
    assert messages(d) == 0
    heard = deliver(d, ["gone@example.com", "gone@example.com"])
    assert [r[:3] for r in heard.rcpts] == ["550", "550"]
    assert heard.data == ""


def test_who_is_put_off_is_kept_beside_those_that_are_taken(mx20, primary):
    p = primary(address=PRIMARY, on={"rcpt": judge}).start()
    d = before(mx20, p)
    heard = deliver(d, ["a@example.com", "later@example.com"])
    assert [r[:3] for r in heard.rcpts] == ["250", "250"], heard
    assert heard.end.startswith("250"), heard
    assert p.wait_messages()[0].rcpts == ["a@example.com"]
    [entry] = d.queue()
    assert [r["address"] for r in entry["recipients"]] == \
        ["later@example.com"]
    p.on.clear()
    d.ctl("flush")
    assert p.wait_messages(2)[1].rcpts == ["later@example.com"]
    d.wait_empty()
    assert len(p.messages) == 2


def test_who_is_put_off_is_not_lost_when_the_content_is_refused(mx20, primary):
    """The client hears the refusal and knows that nobody has it."""
    p = primary(address=PRIMARY, on={"rcpt": judge,
                                     "dot": "554 5.7.1 spam"}).start()
    d = before(mx20, p)
    heard = deliver(d, ["a@example.com", "later@example.com"])
    assert heard.refusal == "554 5.7.1 spam", heard
    assert messages(d) == 0 and not p.messages
    [row] = json.loads(d.ctl("status", "example.com", "--json").stdout)[
        "domains"]
    assert row["rejected"] == [{"reason": "primary", "count": 1}]


def two(mx20, primary, **on):
    one = primary(address=PRIMARY, on=on).start()
    other = primary(address=PRIMARY).start()
    d = before(mx20, domains=line(one) + line(other, "example.org"))
    return one, other, d


BOTH = ["a@example.com", "b@example.org", "c@example.com"]


def test_two_destinations(mx20, primary):
    """The second goes through the spool."""
    one, other, d = two(mx20, primary)
    heard = deliver(d, BOTH, content=message("for both"))
    assert [r[:3] for r in heard.rcpts] == ["250"] * 3
    assert heard.end.startswith("250"), heard
    assert one.wait_messages()[0].rcpts == ["a@example.com", "c@example.com"]
    assert other.wait_messages()[0].rcpts == ["b@example.org"]
    assert one.messages[0].body == other.messages[0].body
    d.wait_empty()
    assert len(one.messages) == len(other.messages) == 1


def test_two_destinations_and_the_first_refuses_the_content(mx20, primary):
    """Nothing is kept for the second: the client knows that it went nowhere."""
    one, other, d = two(mx20, primary, dot="554 5.7.1 spam")
    heard = deliver(d, BOTH)
    assert heard.refusal == "554 5.7.1 spam", heard
    assert messages(d) == 0
    assert deliver(d, ["b@example.org"]).end == OK
    assert len(other.wait_messages()) == 1 and not one.messages


@pytest.mark.parametrize("dot", ["451 4.3.0 later", Hang()],
                         ids=["4yz", "silence"])
def test_two_destinations_and_the_first_cannot_take_it(mx20, primary, dot):
    one, other, d = two(mx20, primary, dot=dot)
    heard = deliver(d, BOTH)
    assert heard.end.startswith("250"), heard
    assert other.wait_messages()[0].rcpts == ["b@example.org"]
    assert not one.messages
    one.on.clear()
    d.ctl("flush")
    assert sorted(one.wait_messages()[0].rcpts) == ["a@example.com",
                                                    "c@example.com"]
    d.wait_empty()
    assert len(one.messages) == len(other.messages) == 1


def test_two_domains_of_one_primary_are_one_transaction(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, domains=line(p) + line(p, "example.org"))
    assert deliver(d, BOTH).end == OK
    assert p.wait_messages()[0].rcpts == BOTH
    assert messages(d) == 0


# -- who is a recipient ----------------------------------------------------------------

def test_who_is_not_known_hears_the_primary(mx20, primary):
    """With recipients=verify a 4yz to RCPT of a stranger is passed on; who is
    known is kept."""
    p = primary(address=PRIMARY, on={"rcpt": judge}).start()
    d = before(mx20, domains=line(p, recipients="verify"))
    heard = deliver(d, ["gone@example.com"])
    assert heard.rcpts[0].startswith("550 5.1.1"), heard
    heard = deliver(d, ["later@example.com"])
    assert heard.rcpts[0][0] == "4", heard
    assert deliver(d, ["u@example.com"]).end == OK
    until(lambda: known(d, "u@example.com") == "yes")
    p.on["rcpt"] = "451 4.7.1 greylisted"
    heard = deliver(d, ["u@example.com"])
    assert heard.end.startswith("250"), heard
    assert messages(d) == 1
    p.on.clear()
    d.ctl("flush")
    d.wait_empty()


def test_what_was_heard_is_known_in_an_outage(mx20, primary):
    p = primary(address=PRIMARY, on={"rcpt": judge}).start()
    d = before(mx20, domains=line(p, recipients="verify"))
    assert deliver(d, ["u@example.com"]).end == OK
    deliver(d, ["gone@example.com"])
    until(lambda: known(d, "u@example.com") == "yes")
    until(lambda: known(d, "gone@example.com") == "no")
    p.stop()
    assert deliver(d, ["u@example.com"]).end.startswith("250")
    d.wait_log("^state .*to=down")
    heard = deliver(d, ["u@example.com"])
    assert heard.end.startswith("250"), heard
    assert deliver(d, ["gone@example.com"]).rcpts[0].startswith("550 5.1.1")
    assert deliver(d, ["who@example.com"]).rcpts[0].startswith("451 4.4.1")
    p.start()
    p.wait_messages(3)
    d.wait_empty()


@pytest.mark.parametrize("reply", [
    "550 Sender verify failed",
    "550 5.1.8 <x@nowhere.test>: Sender address rejected: Domain not found"])
def test_a_strangers_sender_makes_nobody_unknown(mx20, primary, reply):
    """The primary refuses it at RCPT: that says nothing of the recipient."""
    p = primary(address=PRIMARY, on={"rcpt": lambda s, a: reply if
                                     s.message.sender.endswith("nowhere.test")
                                     else judge(s, a)}).start()
    d = before(mx20, domains=line(p, recipients="verify"))
    assert deliver(d, ["u@example.com"]).end == OK
    until(lambda: known(d, "u@example.com") == "yes")
    for _ in range(3):
        [heard] = deliver(d, ["u@example.com"],
                          sender="x@nowhere.test").rcpts
        assert heard.startswith("550 5."), heard
    assert known(d, "u@example.com") == "yes"


def test_listed_by_a_file(mx20, primary):
    """Who is not listed is refused here, and the primary not troubled."""
    p = primary(address=PRIMARY).start()
    d = mx20(domains=line(p, recipients="users"), recipients={},
             start=False)
    (d.dir / "users").write_text("u\n")
    d.start()
    heard = deliver(d, ["x@example.com", "u@example.com"])
    assert heard.rcpts[0].startswith("550 5.1.1")
    assert heard.end == OK
    assert p.wait_messages()[0].rcpts == ["u@example.com"]
    assert "RCPT TO:<x@example.com>" not in str(
        [s.transcript for s in p.sessions])


# -- where it goes -----------------------------------------------------------------------

def test_the_second_host_is_used_when_the_first_is_away(mx20, primary):
    away = primary(address=PRIMARY)
    p = primary(address=PRIMARY).start()
    d = before(mx20, domains=f"example.com recipients=* standby=relay "
                             f"primary={away.route},{p.route}\n")
    assert deliver(d).end == OK
    assert len(p.wait_messages()) == 1


@pytest.mark.parametrize("level, names, goes", [
    ("may", ["elsewhere.test"], True), ("must", ["elsewhere.test"], True),
    ("verify", ["localhost"], True), ("verify", ["elsewhere.test"], False)])
def test_starttls(mx20, primary, pki, level, names, goes):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert = pki.cert(*names)
    context.load_cert_chain(cert.cert_path, cert.key_path)
    p = primary(tls=context,
                offers=["STARTTLS", "PIPELINING", "SIZE"]).start()
    d = before(mx20, domains=f"example.com recipients=* standby=relay "
                             f"primary=localhost:{p.port} tls={level}\n",
               tls={"ca_file": pki.ca_file})
    heard = deliver(d)
    assert heard.end.startswith("250"), heard
    if goes:
        assert heard.end == OK
        assert p.wait_messages()[0].session.tls
    else:
        assert messages(d) == 1 and not p.messages


# -- time ----------------------------------------------------------------------------------

def test_an_answer_that_takes_its_time(mx20, primary):
    """Scanners: the client waits with it, and others do not."""
    p = primary(address=PRIMARY, on={
        "dot": [Delay(2, "250 2.0.0 scanned"), Accept()]}).start()
    d = before(mx20, p, drain={"reply_timeout": "20s"})
    with Raw(d.address) as c:
        c.envelope()
        c.cmd("DATA")
        c.send(message() + ".\r\n")
        until(lambda: "DATA" in p.sessions[0].transcript)
        for _ in range(10):
            assert deliver(d).end.startswith("250")
        assert c.reply() == "250 2.0.0 scanned"
    p.wait_messages(11)
    d.wait_empty()
    assert len(p.messages) == 11


def test_a_silent_primary_does_not_slow_another(mx20, primary):
    silent = primary(address=PRIMARY, on={"rcpt": Hang()}).start()
    p = primary(address=PRIMARY).start()
    d = before(mx20, domains=line(silent) + line(p, "example.org"),
               drain={"reply_timeout": "5m"})
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        c.send("RCPT TO:<u@example.com>\r\n")
        silent.wait_sessions()
        for _ in range(20):
            assert deliver(d, ["u@example.org"]).end == OK
        c.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            c.sock.recv(1)


def test_more_sessions_than_connections(mx20, primary):
    """The bound on relayed connections is no wall: what is above it is kept."""
    gate = threading.Event()
    p = primary(address=PRIMARY, on={"dot": lambda s, a: gate.wait(20) and
                                     None}).start()
    d = before(mx20, p, drain={"reply_timeout": "30s", "connections": 2})
    clients = [Raw(d.address) for _ in range(6)]
    try:
        for c in clients:
            c.envelope()
            c.cmd("DATA")
            c.send(message() + ".\r\n")
        gate.set()
        assert [c.reply()[:3] for c in clients] == ["250"] * 6
    finally:
        for c in clients:
            c.close()
    p.wait_messages(6)
    d.wait_empty()
    assert len(p.messages) == 6


# -- settings --------------------------------------------------------------------------------

def test_a_reload_changes_it(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    assert deliver(d).end == OK
    d.domains = line(p).replace("standby=relay", "standby=accept")
    assert d.reload().returncode == 0
    assert deliver(d).end != OK
    p.wait_messages(2)
    d.domains = line(p)
    assert d.reload().returncode == 0
    assert deliver(d).end == OK


def test_held_mail_is_not_relayed(mx20, primary):
    p = primary(address=PRIMARY).start()
    d = before(mx20, p)
    warm(d, p)
    d.ctl("hold", "--domain", "example.com", "--yes")
    heard = deliver(d)
    assert heard.end.startswith("250") and heard.end != OK, heard
    assert len(p.messages) == 1 and messages(d) == 1
    d.ctl("release", "--domain", "example.com", "--yes")
    p.wait_messages(2)
    assert deliver(d).end == OK
