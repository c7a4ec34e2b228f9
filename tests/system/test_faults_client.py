"""Hostile clients.  Other junk and limits are in test_intake_limits.py."""

import os
import socket
import threading
import time

import pytest

from client import PATIENCE, Raw, message, send
from faults import PLAIN, offer, pour, quick_disk, reset, until

LINE = b"x" * 998 + b"\r\n"


@pytest.fixture
def watched(mx20):
    """A daemon whose memory is watched, and that must still be as it was at
    the end: no session left, mail taken at once."""
    d = mx20(env=quick_disk(),
             conf={"limits": {"connections_per_client": 5000,
                              "connections": 5000, "message_size": "64M",
                              "command_timeout": "5s",
                              "data_timeout": "5s"}})
    for _ in range(20):
        send(d.address)
    before, d.most = d.rss_kib(), 0
    stop = threading.Event()

    def watch():
        while not stop.wait(0.01):
            d.most = max(d.most, (d.rss_kib() or 0) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield d
    stop.set()
    watcher.join()
    send(d.address)
    assert d.status()["spool"]["messages"] >= 21


@pytest.mark.parametrize("start", [b"EHLO ", b"MAIL FROM:<", b"NOOP ", b"",
                                   b"AUTH PLAIN "])
def test_a_command_line_of_ten_megabytes(watched, start):
    with Raw(watched.address) as c:
        replies = pour(c, [start] + [b"a" * 100_000] * 100 + [b"\r\nQUIT\r\n"])
    assert replies and {r[:1] for r in replies} <= {"4", "5", "2"}
    assert replies[0][0] in "45"
    assert watched.most < 2048 or not PLAIN


@pytest.mark.parametrize("what", ["one header line", "folded header",
                                  "many headers", "zeros", "no line end",
                                  "carriage returns", "dots"])
def test_content_without_measure(watched, what):
    """20 MB of it are mail like any other, or refused: memory does not care."""
    piece = {
        "one header line": b"x" * 100_000,
        "folded header": (b" " + b"x" * 70 + b"\r\n") * 1400,
        "many headers": b"Received: a\r\n" * 8000,
        "zeros": b"\0" * 100_000,
        "no line end": b"x" * 100_000,
        "carriage returns": b"\r" * 100_000,
        "dots": b"..\r\n" * 25_000,
    }[what]
    head = b"" if what in ("many headers", "zeros") else b"Subject: a"
    with Raw(watched.address) as c:
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        c.send(head)
        for _ in range(200):
            c.send(piece)
        c.send(b"\r\n.\r\n")
        reply = c.reply()
        assert reply[:3] in ("250", "554", "552"), reply
        assert (what == "many headers") == reply.startswith("554 5.4.6")
        assert c.cmd("NOOP").startswith("250")
    # what waits for the disk before backpressure, and a batch of it
    assert watched.most < 32768 or not PLAIN


def test_a_megabyte_of_zeros_between_commands(watched):
    with Raw(watched.address) as c:
        c.cmd("EHLO client.test")
        replies = pour(c, [b"\0" * 1_000_000, b"\r\n" * 1000, b"\0\r\n" * 1000,
                           b"QUIT\r\n"])
    assert replies and all(r[0] in "245" for r in replies)
    assert watched.most < 2048 or not PLAIN


def test_thousands_of_connections_opened_and_dropped(watched):
    """By FIN and by RST, with and without a word: nothing is left."""
    files = len(open_files(watched))
    for n in range(3000):
        s = socket.create_connection(watched.address)
        if n % 3 == 1:
            s.sendall(b"EHLO client.test\r\nMAIL FROM:<a@sender.test>\r\n")
        if n % 2:
            reset(s)
        else:
            s.close()
    until(lambda: len(open_files(watched)) <= files + 1)
    assert watched.most < 8192 or not PLAIN


def open_files(d):
    return os.listdir(f"/proc/{d.process.pid}/fd")


def test_reset_at_every_moment(watched):
    """RST after each piece of a session, in the middle of DATA and of BDAT,
    and while the commit is under way."""
    files = len(open_files(watched))
    script = [b"EHLO client.test\r\n", b"MAIL FROM:<a@sender.test>\r\n",
              b"RCPT TO:<u@example.com>\r\n", b"DATA\r\n", b"Subject: x\r\n",
              LINE * 500, b".\r\n", b"MAIL FROM:<a@sender.test>\r\n"
              b"RCPT TO:<u@example.com>\r\nBDAT 100000\r\n", LINE * 50,
              LINE * 50, b"BDAT 5 LAST\r\n", b"abcde"]
    for pause in (0, 0.003) * 8:
        for last in range(1, len(script) + 1):
            s = socket.create_connection(watched.address)
            for piece in script[:last]:
                s.sendall(piece)
                if pause:  # else it is all one piece
                    time.sleep(pause)
            reset(s)
    # the resolver's own come and go, but never one for each reset at a place
    until(lambda: len(open_files(watched)) < files + 16)


def test_half_closed_in_the_middle(watched):
    """Content that ends without its dot is no message."""
    before = watched.status()["spool"]["messages"]
    for tail in (b"half a line", b"a line\r\n", b"\r\n.", b"\r\n.\r"):
        with Raw(watched.address) as c:
            c.envelope()
            assert c.cmd("DATA").startswith("354")
            c.send(b"Subject: x\r\n\r\n" + tail)
            c.sock.shutdown(socket.SHUT_WR)
            assert not c.line().startswith("250")
    assert watched.status()["spool"]["messages"] == before
    with Raw(watched.address) as c:  # all of it, and then the half close
        c.envelope()
        c.send(b"DATA\r\n")
        assert c.reply().startswith("354")
        c.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        c.sock.shutdown(socket.SHUT_WR)
        assert c.reply().startswith("250")
        assert c.closed()
    assert watched.status()["spool"]["messages"] == before + 1


def test_a_slow_trickle_holds_nothing_for_long(watched):
    """A byte at a time: cut off, whatever the stage."""
    watched.conf["limits"].update(command_timeout="2s", data_timeout="1s")
    assert watched.reload().returncode == 0
    clients, done = [], []
    for stage in ("command", "data"):
        for _ in range(50):
            c = Raw(watched.address)
            if stage == "data":
                c.envelope()
                assert c.cmd("DATA").startswith("354")
            c.sock.settimeout(0)
            clients.append(c)
    end = time.monotonic() + PATIENCE
    while clients and time.monotonic() < end:
        for c in list(clients):
            try:
                c.send(b"x")
                got = c.sock.recv(100)
            except BlockingIOError:
                continue
            except OSError:
                got = b""
            clients.remove(c)
            done.append(got)
            c.close()
        time.sleep(0.2)
    assert not clients
    # the 421 may be lost to the RST that our next byte provokes
    assert {g[:9] for g in done} <= {b"421 4.4.2", b""}
    assert b"421 4.4.2" in {g[:9] for g in done}


def test_who_never_reads_its_replies(watched):
    """Commands without end, and nobody takes the answers."""
    with Raw(watched.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        c.sock.settimeout(1)
        sent = 0
        try:
            while sent < 200_000_000:
                c.send(b"RCPT TO:<u@example.com>\r\n" * 10000)
                sent += 250000
        except OSError:
            pass
        assert sent < 100_000_000, "it stopped reading"
        with Raw(watched.address) as other:
            other.cmd("EHLO client.test")
            assert offer(other, message()).startswith("250")
    assert watched.most < 4096 or not PLAIN


def test_recipients_without_end(watched):
    with Raw(watched.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        local = "u" * 180
        counts = {}
        for first in range(0, 20000, 500):
            c.send("".join(f"RCPT TO:<{local}{n}@example.com>\r\n"
                           for n in range(first, first + 500)))
            for _ in range(500):
                code = c.reply()[:9]
                counts[code] = counts.get(code, 0) + 1
        assert counts == {"250 2.1.5": 1000, "452 4.5.3": 19000}
        assert c.data(message() + "\r\n.\r\n").startswith("250")
    assert watched.most < 8192 or not PLAIN
