"""What a client may say, and what becomes of it: real clients, real spool."""

import json
import shutil
import smtplib
import socket
import subprocess

import pytest

from client import PATIENCE, Raw, message, send
from daemon import BUILD, Mx20

LISTED = "example.com\n*.sub.test recipients=recipients/example.com\n"
USERS = {"example.com": "user\nother\nmixed.Case\n"}


def content(daemon, mid):
    """A message as it is kept: our Received field, and the rest."""
    raw = subprocess.run(
        [str(BUILD / "mx20ctl"), "-c", str(daemon.conf_path), "show", mid,
         "--raw"], capture_output=True, timeout=PATIENCE, check=True).stdout
    end = raw.index(b"\r\n")
    while raw[end + 2:end + 3] in (b" ", b"\t"):
        end = raw.index(b"\r\n", end + 2)
    return raw[:end + 2], raw[end + 2:]


def mid_of(reply):
    assert reply.startswith("250 2.6.0 "), reply
    return reply.split()[-1]


def test_ehlo_offers(mx20):
    daemon = mx20(conf={"limits": {"message_size": "12M",
                                   "recipients": 345}})
    with Raw(daemon.address) as c:
        assert c.greeting.startswith("220 mx2.test ")
        lines = c.cmd("EHLO client.test").split("\n")
        assert lines[0] == "250-mx2.test"
        offers = {line[4:] for line in lines[1:]}
        assert {"PIPELINING", "SIZE 12582912", "8BITMIME", "CHUNKING",
                "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN",
                "LIMITS RCPTMAX=345"} <= offers
        assert "STARTTLS" not in offers     # no certificate
        assert "REQUIRETLS" not in offers
        assert not any(o.startswith("AUTH") for o in offers)


@pytest.mark.parametrize("line, code", [
    ("<user@example.com>", "250 2.1.5"),
    ("<USER@EXAMPLE.COM>", "250 2.1.5"),
    ("<mixed.case@example.com>", "250 2.1.5"),
    ('<"user"@example.com>', "250 2.1.5"),
    ("<@one.test,@two.test:user@example.com>", "250 2.1.5"),
    ("<user@deep.er.sub.test>", "250 2.1.5"),
    ("<postmaster>", "250 2.1.5"),
    ("<PostMaster@example.com>", "250 2.1.5"),
    ("<postmaster@mx2.test>", "250 2.1.5"),
    (" <user@example.com>", "250 2.1.5"),
    ("<nobody@example.com>", "550 5.1.1"),
    ("<user@elsewhere.test>", "550 5.7.1"),
    ("<user@sub.test>", "550 5.7.1"),
    ("<user@x.example.com>", "550 5.7.1"),
    ("<user@[127.0.0.1]>", "550 5.7.1"),
    ("<user@[IPv6:::1]>", "550 5.7.1"),
    ("<user%elsewhere.test@example.com>", "550 5.1.1"),
    ("<elsewhere.test!user@example.com>", "550 5.1.1"),
    ('<"user@elsewhere.test"@example.com>', "550 5.1.1"),
    ("<user@example.com", "501 5.1.3"),
    ("user@example.com", "250 2.1.5"),
    ("user@example.com>", "501 5.1.3"),
    ("<user.@example.com>", "550 5.1.1"),
    ("<.@example.com>", "501 5.1.3"),
    ("<us er@example.com>", "501 5.1.3"),
    ("<user.@example.com>", "550 5.1.1"),
    ("<.@example.com>", "501 5.1.3"),
    ("<user@-example.com>", "501 5.1.3"),
    ("<>", "501 5.1.3"),
    ("<user@example.com> NOTIFY=NEVER,SUCCESS", "501 5.5.4"),
    ("<user@example.com> FOO=bar", "555 5.5.4"),
    ("<\u00fcser@example.com>", "553 5.6.7"),
])
def test_recipients(shared, line, code):
    daemon = shared(domains=LISTED, recipients=USERS)
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@sender.test>").startswith("250")
        assert c.cmd(f"RCPT TO:{line}").startswith(code)


@pytest.fixture(scope="module")
def shared():
    """One daemon for many short dialogues."""
    made = {}

    def make(**options):
        key = json.dumps(options, sort_keys=True)
        if key not in made:
            made[key] = Mx20(**options).start()
        return made[key]

    yield make
    for daemon in made.values():
        daemon.close()


def test_content_is_kept_byte_for_byte(mx20):
    daemon = mx20()
    wire = (b"Subject: dots\r\n\r\n"
            b"..\r\n...\r\n..x\r\n\r\n \t \r\n"
            b"\xff\xfe 8 bit\r\n" + b"x" * 5000 + b"\r\n"
            b"..\r\n.\r\n")
    with Raw(daemon.address) as c:
        c.envelope()
        mid = mid_of(c.data(wire))
    received, kept = content(daemon, mid)
    assert kept == (b"Subject: dots\r\n\r\n"
                    b".\r\n..\r\n.x\r\n\r\n \t \r\n"
                    b"\xff\xfe 8 bit\r\n" + b"x" * 5000 + b"\r\n"
                    b".\r\n")
    assert received.startswith(b"Received: from client.test (")
    assert b"[127.0.0.1]" in received
    assert b"by mx2.test with ESMTP" in received
    assert b"id " + mid.encode() in received
    assert b"for <u@example.com>;" in received


@pytest.mark.parametrize("wire, kept", [
    (b" by evil.test\r\nx\r\n", b" by evil.test\r\nx\r\n"),
    (b"\tx\r\n", b"\tx\r\n"), (b". x\r\n", b" x\r\n"),
    (b"\rx\r\n", b" x\r\n"),
])
def test_content_does_not_continue_our_field(shared, wire, kept):
    """Without a header of its own it gets an empty line before it."""
    daemon = shared()
    with Raw(daemon.address) as c:
        c.envelope()
        mid = mid_of(c.data(wire + b".\r\n"))
        received, rest = content(daemon, mid)
        assert b"evil" not in received
        assert rest == b"\r\n" + kept
        if wire.startswith(b"."):
            return  # the dot is content in a chunk
        c.envelope()
        c.send(b"BDAT 1\r\n" + wire[:1] +
               b"BDAT %d LAST\r\n" % (len(wire) - 1) + wire[1:])
        assert c.reply().startswith("250")
        assert content(daemon, mid_of(c.reply()))[1] == b"\r\n" + kept


def test_one_recipient_does_not_read_of_the_other(mx20):
    daemon = mx20()
    mid = send(daemon.address, ("u@example.com", "bcc@example.com"))
    received, _ = content(daemon, mid)
    assert b"for <" not in received


@pytest.mark.parametrize("end", [
    b"\n.\r\n", b"\n.\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r\n", b"\r.\r",
    b"\r\n\0.\r\n", b"\n\r.\r\n",
])
def test_smuggling(shared, end):
    """Only CR LF . CR LF ends the data, for us and whoever is next."""
    daemon = shared()
    inner = (b"MAIL FROM:<evil@sender.test>\r\nRCPT TO:<x@example.com>\r\n"
             b"DATA\r\nSubject: smuggled\r\n\r\nx")
    with Raw(daemon.address) as c:
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        c.send(b"Subject: outer\r\n\r\nx" + end + inner + b"\r\n.\r\n")
        mid = mid_of(c.reply())
        assert c.cmd("NOOP").startswith("250")  # one reply, one message
    _, kept = content(daemon, mid)
    assert inner in kept
    if b"\0" not in end:
        daemon.wait_log(rf"^accepted .*mid={mid} .*repaired=line_ends")
    # no line end but CR LF goes on, and nothing that ends the data
    assert kept.replace(b"\r\n", b"").count(b"\n") == 0
    assert kept.replace(b"\r\n", b"").count(b"\r") == 0


def test_chunking(mx20):
    daemon = mx20()
    body = b"Subject: chunks\r\n\r\n.\r\n..\r\n" + bytes(range(32, 127)) * 900
    body += b"\r\n"
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        batch = (b"MAIL FROM:<a@sender.test> BODY=8BITMIME\r\n"
                 b"RCPT TO:<u@example.com>\r\n")
        for at in range(0, len(body), 1000):
            piece = body[at:at + 1000]
            batch += b"BDAT %d\r\n%s" % (len(piece), piece)
        batch += b"BDAT 0 LAST\r\nNOOP\r\n"
        c.send(batch)
        replies = [c.reply() for _ in range(2 + (len(body) + 999) // 1000)]
        assert {r[:3] for r in replies} == {"250"}
        mid = mid_of(c.reply())
        assert c.reply().startswith("250")
    assert content(daemon, mid)[1] == body


def test_chunks_out_of_place_are_swallowed(mx20):
    daemon = mx20()
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.send(b"BDAT 6 LAST\r\nQUIT\r\n")
        assert c.reply().startswith("503 5.5.1")
        c.send(b"MAIL FROM:<a@sender.test>\r\n"
               b"RCPT TO:<u@elsewhere.test>\r\nBDAT 6 LAST\r\nQUIT\r\n")
        assert [c.reply()[:3] for _ in range(3)] == ["250", "550", "554"]
        c.envelope()
        c.send(b"BDAT 3\r\nx\r\n")
        assert c.reply().startswith("250")
        assert c.cmd("DATA").startswith("503")
        assert c.cmd("RSET").startswith("250")
        assert c.cmd("NOOP").startswith("250")
    assert daemon.status()["spool"]["messages"] == 0


@pytest.mark.parametrize("bdat", ["BDAT x LAST", "BDAT 6 LAST LAST",
                                  "BDAT 99999999999999999999 LAST"])
def test_content_behind_a_bad_chunk_is_no_command(shared, bdat):
    """How long it is nobody can tell, so nothing of it is run."""
    daemon = shared()
    with Raw(daemon.address) as c:
        c.envelope()
        c.send(bdat + "\r\nRSET\r\nNOOP\r\n")
        assert c.reply().startswith("501 5.5.4")
        assert c.closed()


def test_pipelining_answers_in_order(mx20):
    daemon = mx20()
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.send("MAIL FROM:<a@sender.test>\r\n" +
               "".join(f"RCPT TO:<u{i}@example.com>\r\n"
                       "RCPT TO:<u@elsewhere.test>\r\n"
                       for i in range(100)) + "DATA\r\n")
        codes = [c.reply()[:3] for _ in range(202)]
        assert codes == ["250"] + ["250", "550"] * 100 + ["354"]
        c.send("Subject: x\r\n\r\nx\r\n.\r\nRSET\r\nQUIT\r\n")
        mid = mid_of(c.reply())
        assert c.reply().startswith("250")
        assert c.reply().startswith("221")
        assert c.closed()
    (line,) = [q for q in daemon.queue() if q["id"] == mid]
    assert len(line["recipients"]) == 100


def test_bytes_behind_data_close_the_session(mx20):
    daemon = mx20()
    with Raw(daemon.address) as c:
        c.envelope()
        c.send("DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
        assert c.reply().startswith("503 5.5.0")
        assert c.closed()
    assert daemon.status()["spool"]["messages"] == 0


def test_who_half_closes_hears_the_answer(mx20):
    daemon = mx20()
    with Raw(daemon.address) as c:
        c.send("EHLO client.test\r\nMAIL FROM:<a@sender.test>\r\n"
               "RCPT TO:<u@example.com>\r\nBDAT 3 LAST\r\nx\r\n")
        c.sock.shutdown(socket.SHUT_WR)
        assert [c.reply()[:3] for _ in range(3)] == ["250"] * 3
        mid_of(c.reply())
        assert c.closed()
    assert daemon.status()["spool"]["messages"] == 1


def test_null_sender_and_dsn_parameters(mx20):
    daemon = mx20()
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<> RET=HDRS ENVID=QQ314159 SIZE=100"
                     ).startswith("250")
        assert c.cmd("RCPT TO:<u@example.com> NOTIFY=SUCCESS,FAILURE "
                     "ORCPT=rfc822;u@example.com").startswith("250")
        mid = mid_of(c.data(message() + ".\r\n"))
    (line,) = daemon.queue()
    assert line["id"] == mid and line["from"] == ""


def test_duplicates_are_stored_once(mx20):
    daemon = mx20()
    send(daemon.address, ["u@example.com"] * 5 + ["v@EXAMPLE.com"] +
         ["v@example.com"])
    (line,) = daemon.queue()
    assert len(line["recipients"]) == 2


@pytest.mark.parametrize("listed", ["\u00fcmit", "u\u0308mit"])
def test_accents_are_taken_however_they_are_typed(mx20, listed):
    """NFC or NFD, in the file and by the client; and kept as they came."""
    d = mx20(domains="example.com recipients=recipients/list\n",
             recipients={"list": f"\ufeffalice\r\n{listed}\r\n"})
    with Raw(d.address) as c:
        c.cmd("EHLO client.example")
        c.cmd("MAIL FROM:<a@b.test> SMTPUTF8")
        for user in ("alice", "\u00fcmit", "u\u0308mit", "U\u0308mit"):
            code = "550" if user[0] == "U" else "250"
            assert c.cmd(f"RCPT TO:<{user}@example.com>").startswith(code)
        c.cmd("DATA")
        assert c.cmd("x\r\n.").startswith("250")
    assert [r["address"] for r in d.queue()[0]["recipients"]] == [
        "alice@example.com", "\u00fcmit@example.com",
        "u\u0308mit@example.com"]


def test_smtputf8(mx20):
    daemon = mx20(domains="b\u00fccher.test recipients=*\n")
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@b\u00fccher.test>").startswith("553 5.6.7")
        assert c.cmd("MAIL FROM:<a@b\u00fccher.test> SMTPUTF8"
                     ).startswith("250")
        assert c.cmd("RCPT TO:<\u00fc@b\u00fccher.test>").startswith("250")
        assert c.cmd("RCPT TO:<x@xn--bcher-kva.test>").startswith("250")
        assert c.cmd("RCPT TO:<\udcff\udcfe@b\u00fccher.test>"
                     ).startswith("501")
        mid = mid_of(c.data(message() + ".\r\n"))
    received, _ = content(daemon, mid)
    assert b"with UTF8SMTP" in received
    assert daemon.status()["domains"][0]["domain"] == "xn--bcher-kva.test"


def test_smtplib_sends(mx20):
    daemon = mx20()
    with smtplib.SMTP(*daemon.address, timeout=PATIENCE) as smtp:
        refused = smtp.sendmail(
            "a@sender.test", ["u@example.com", "u@elsewhere.test"], message())
        assert refused.keys() == {"u@elsewhere.test"}
        assert refused["u@elsewhere.test"][0] == 550
        assert smtp.verify("u@example.com")[0] == 252
        assert smtp.noop()[0] == 250
    assert daemon.status()["spool"]["messages"] == 1


@pytest.mark.skipif(shutil.which("swaks") is None, reason="no swaks")
@pytest.mark.parametrize("options", [["--pipeline"], ["--protocol", "SMTP"],
                                     ["--drop-after", "MAIL"], []])
def test_swaks_sends(shared, options):
    daemon = shared()
    before = daemon.status()["spool"]["messages"]
    done = subprocess.run(
        ["swaks", "-s", "%s:%d" % daemon.address, "-f", "a@sender.test",
         "-t", "u@example.com", "-ehlo", "client.test", *options],
        capture_output=True, text=True, timeout=PATIENCE)
    after = daemon.status()["spool"]["messages"]
    if "--drop-after" in options:
        assert after == before
    else:
        assert done.returncode == 0, done.stdout
        assert after == before + 1


def test_log_tells_the_story(mx20):
    daemon = mx20()
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        c.cmd("RCPT TO:<x@elsewhere.test>")
        c.cmd("RCPT TO:<u@example.com>")
        mid = mid_of(c.data(message() + ".\r\n"))
    sid = daemon.wait_log(r"^rejected sid=(\w+) stage=rcpt client=127\.0\.0\.1"
                          r" from=<a@sender\.test> to=<x@elsewhere\.test>"
                          r' reply="550 5\.7\.1 .*" reason=foreign_domain setting=domains$'
                          ).group(1)
    daemon.wait_log(rf"^accepted sid={sid} mid={mid} from=<a@sender\.test> "
                    r"to=<u@example\.com> rcpts=1 size=\d+ client=127\.0\.0\.1 helo=client\.test "
                    r"proto=ESMTP ms=\d+$")
