"""Limits, time-outs, and clients that misbehave."""

import socket
import threading
import time

import pytest

from client import PATIENCE, Raw, message, send
from daemon import BUILD
from faults import pour, quick_disk, until

# A sanitizer's memory says nothing about ours.
PLAIN = "address" not in str(BUILD)


def test_message_size(mx20):
    daemon = mx20(conf={"limits": {"message_size": "1M"}})
    line = b"x" * 62 + b"\r\n"
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@sender.test> SIZE=1048577"
                     ).startswith("552 5.3.4")
        c.envelope()
        assert c.data(line * (1 << 14) + b".\r\n").startswith("250")
        c.envelope()
        assert c.data(b"x" + line * (1 << 14) + b".\r\n"
                      ).startswith("552 5.3.4")
        # the session goes on, with chunks as well
        c.envelope()
        c.send(b"BDAT 1048577 LAST\r\n" + b"y" * 1048577)
        assert c.reply().startswith("552 5.3.4")
        c.envelope()
        assert c.data(message() + ".\r\n").startswith("250")
    assert daemon.status()["spool"]["messages"] == 2


def test_absurd_chunks_are_not_waited_for(mx20):
    daemon = mx20(conf={"limits": {"message_size": "1M"}})
    with Raw(daemon.address) as c:
        c.envelope()
        assert c.cmd("BDAT 9000000000000 LAST").startswith("552 5.3.4")
        assert c.closed()
    with Raw(daemon.address) as c:
        c.envelope()
        assert c.cmd("BDAT 99999999999999999999999 LAST").startswith("501")


def test_recipients(mx20):
    daemon = mx20(conf={"limits": {"recipients": 100, "errors": 5}})
    with Raw(daemon.address) as c:
        c.envelope(rcpts=[f"u{i}@example.com" for i in range(100)])
        for i in range(20):  # no errors: the client sends them later
            assert c.cmd(f"RCPT TO:<v{i}@example.com>").startswith("452 4.5.3")
        assert c.data(message() + ".\r\n").startswith("250")
    (line,) = daemon.queue()
    assert len(line["recipients"]) == 100


def test_recipient_domains(mx20):
    daemon = mx20(domains="*.example.net recipients=*\n",
                  conf={"limits": {"errors": 5}})
    with Raw(daemon.address) as c:
        c.envelope(rcpts=[f"u{k}@d{i}.example.net"
                          for i in range(100) for k in range(2)])
        for i in range(20):  # no errors: the client sends them later
            assert c.cmd(f"RCPT TO:<u@e{i}.example.net>") == \
                "452 4.5.3 Too many recipient domains"
        assert c.cmd("RCPT TO:<v@d7.example.net>").startswith("250")
        assert c.data(message() + ".\r\n").startswith("250")
    assert sum(len(m["recipients"]) for m in daemon.queue()) == 201
    daemon.wait_log(r"rejected .* to=<u@e0.example.net> .*"
                    "reason=recipient_domains")


@pytest.mark.parametrize("line", ["FOO", "RCPT TO:<x@example.com>",
                                  "MAIL FROM:<bad", "\u00fc\u00fc"])
def test_errors(mx20, line):
    daemon = mx20(conf={"limits": {"errors": 4}})
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        for _ in range(4):
            assert c.cmd(line)[0] == "5"
        assert c.reply().startswith("421 4.7.0")
        assert c.closed()


def test_names_cannot_be_tried_without_end(mx20):
    daemon = mx20(domains="example.com\n",
                  recipients={"example.com": "user\n"})
    with Raw(daemon.address) as c:
        c.envelope(rcpts=["user@example.com"])
        replies = []
        for i in range(100):
            replies.append(c.cmd(f"RCPT TO:<try{i}@example.com>"))
            if not replies[-1].startswith("550"):
                break
    assert len(replies) < 20


JUNK = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\n\r\nEHLO x\r\nMAIL FROM:<a@sender.test>\r\n"
    b"RCPT TO:<u@example.com>\r\nBDAT 3 LAST\r\nx\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n" * 50,
    b"\0" * 100000 + b"\r\n",
    b"\r\n" * 100,
    b"A" * 10_000_000,
]


@pytest.mark.parametrize("number", range(len(JUNK)))
def test_what_is_no_smtp(mx20, number):
    junk = JUNK[number]
    daemon = mx20(conf={"limits": {"command_timeout": "2s"}})
    with Raw(daemon.address) as c:
        replies = pour(c, [junk])
        assert {r[:1] for r in replies} <= {"4", "5"}
    assert daemon.status()["spool"]["messages"] == 0
    assert daemon.rss_kib() < 20000 or not PLAIN
    send(daemon.address)


def test_connections_per_client(mx20):
    daemon = mx20(conf={"limits": {"connections_per_client": 3}})
    held = [Raw(daemon.address) for _ in range(3)]
    with Raw(daemon.address) as c:
        assert c.greeting.startswith("421 4.7.0")
        assert c.closed()
    held.pop().cmd("QUIT")
    with Raw(daemon.address) as c:
        assert c.greeting.startswith("220")
    for c in held:
        c.close()
    daemon.wait_log(r"rejected .*reason=connections_per_client")


def test_connections(mx20):
    daemon = mx20(conf={"limits": {"connections": 3}})
    held = [Raw(daemon.address) for _ in range(3)]
    with Raw(daemon.address) as c:
        assert c.greeting.startswith("421 4.3.2")
    for c in held:
        c.close()


def test_connection_rate(mx20):
    daemon = mx20(conf={"limits": {"connection_rate": 5}})
    greetings = []
    for _ in range(7):
        with Raw(daemon.address) as c:
            greetings.append(c.greeting[:9])
            if c.greeting.startswith("220"):
                c.cmd("QUIT")
    assert greetings[:5] == [greetings[0]] * 5 != ["421 4.7.0"] * 5
    assert greetings[5:] == ["421 4.7.0"] * 2


def test_command_timeout_is_not_extended_by_a_trickle(mx20):
    daemon = mx20(conf={"limits": {"command_timeout": "2s"}})
    with Raw(daemon.address) as c:
        began = time.monotonic()
        stop = began + PATIENCE / 2  # of a line that is not yet too long
        c.cmd("EHLO client.test")
        c.sock.settimeout(0.1)
        while time.monotonic() < stop:
            try:
                c.send("N")
                reply = c.line()
                break
            except TimeoutError:
                continue
            except OSError:
                reply = ""
                break
        assert reply.startswith("421 4.4.2")
        assert time.monotonic() - began > 1.5


def test_data_timeout(mx20):
    daemon = mx20(conf={"limits": {"data_timeout": "2s"}})
    with Raw(daemon.address) as c:
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        began = time.monotonic()
        while time.monotonic() - began < 3:  # pieces extend it
            c.send("x\r\n")
            time.sleep(0.1)
        c.send("x\r\n")
        assert c.reply().startswith("421 4.4.2")
        assert c.closed()
    assert daemon.status()["spool"]["messages"] == 0


def test_hops(mx20):
    daemon = mx20(conf={"limits": {"hops": 30}})
    with Raw(daemon.address) as c:
        c.envelope()
        assert c.data("Received: from a by b\r\n" * 29 + "\r\nx\r\n.\r\n"
                      ).startswith("250")
        c.envelope()
        assert c.data("Received: from a by b\r\n" * 30 + "\r\nx\r\n.\r\n"
                      ).startswith("554 5.4.6")


def test_vanishing_clients_leave_nothing(mx20):
    daemon = mx20()
    stages = ["", "EHLO x\r\n", "EHLO x\r\nMAIL FROM:<a@sender.test>\r\n",
              "half a li"]
    for stage in stages:
        Raw(daemon.address).send(stage)
    for reset in (False, True):
        c = Raw(daemon.address)
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        c.send("x\r\n" * 100000)
        if reset:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              b"\1\0\0\0\0\0\0\0")
        c.close()
        c = Raw(daemon.address)
        c.envelope()
        c.send("BDAT 100000\r\nx\r\n")
        c.close()
    send(daemon.address)
    assert daemon.status()["spool"]["messages"] == 1


def test_sigterm_answers_everybody(mx20):
    daemon = mx20()
    idle, busy, data = (Raw(daemon.address) for _ in range(3))
    idle.cmd("EHLO x")
    busy.envelope()
    data.envelope()
    assert data.cmd("DATA").startswith("354")
    daemon.process.terminate()
    assert idle.reply().startswith("421 4.3.2")
    assert idle.closed()
    assert busy.cmd("NOOP").startswith("421 4.3.2")
    # what is on its way may still arrive
    data.send(message() + ".\r\n")
    reply = data.reply()
    assert reply.startswith("250 2.6.0"), reply
    assert daemon.stop() == 0
    daemon.start()
    assert daemon.status()["spool"]["messages"] == 1


def test_memory_does_not_grow_with_the_message(mx20):
    daemon = mx20(env=quick_disk(), conf={"limits": {"message_size": "200M"}})
    send(daemon.address)
    before = daemon.rss_kib()
    most = [0]
    done = threading.Event()

    def watch():
        while not done.wait(0.02):
            most[0] = max(most[0], daemon.rss_kib() or 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    line = b"x" * 998 + b"\r\n"
    with Raw(daemon.address) as c:
        c.envelope()
        assert c.cmd("DATA").startswith("354")
        for _ in range(100):
            c.send(line * 1000)
        c.send(b".\r\n")
        assert c.reply().startswith("250")
    done.set()
    watcher.join()
    assert most[0] - before < 40 * 1024 or not PLAIN


def test_many_idle_sessions(mx20):
    """A newcomer is served while many hold their connection."""
    count = 2000
    daemon = mx20(conf={"limits": {"connections_per_client": 5000}})
    send(daemon.address)
    before = daemon.rss_kib()
    held = [socket.create_connection(daemon.address) for _ in range(count)]
    for s in held:
        s.settimeout(30)
        assert s.recv(200).startswith(b"220")
    for s in held:
        s.sendall(b"EHLO client.test\r\n")
    for s in held:
        assert s.recv(2000).startswith(b"250")
    send(daemon.address)
    each = (daemon.rss_kib() - before) / count
    assert each < 6 or not PLAIN, each
    for s in held:
        s.close()


def from_address(daemon, source):
    return Raw(None, sock=socket.create_connection(
        daemon.address, 30, (source, 0)))


def test_announcements_take_no_room(mx20):
    """SIZE without content, and a transaction that stops behind BDAT 0."""
    daemon = mx20(conf={"spool": {"size": "128M"}})
    held = [Raw(daemon.address) for _ in range(40)]
    for n, c in enumerate(held):
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@sender.test> SIZE=50000000"
                     ).startswith("250")
        c.cmd("RCPT TO:<u@example.com>")
        assert c.cmd("DATA" if n % 2 else "BDAT 0")[0] in "23"
    with from_address(daemon, "127.0.0.2") as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:<a@sender.test> SIZE=50000000"
                     ).startswith("250")
        c.cmd("RCPT TO:<u@example.com>")
        assert c.data(message() + ".\r\n").startswith("250")
    for c in held:
        c.close()


def test_content_under_way_leaves_room_for_others(mx20):
    """What is sent and not ended: a quarter of what is left for one client
    network, the rest for all others."""
    daemon = mx20(conf={"spool": {"size": "64M"}})
    held, refused = [], 0
    for _ in range(8):
        c = Raw(daemon.address)
        c.envelope()
        c.send("BDAT 8000000\r\n" + "x" * 8000000)
        reply = c.reply()
        refused += reply.startswith("452 4.3.1")
        assert reply[0] in "24", reply
        held.append(c)
    assert 3 < refused < 8
    daemon.wait_log("rejected .*reason=network_room")
    with from_address(daemon, "127.0.0.2") as c:
        c.envelope()
        assert c.data("x" * 20000000 + "\r\n.\r\n").startswith("250")
    for c in held:
        c.close()


def test_memory_of_envelopes_is_bounded(mx20):
    """Many sessions with long envelopes: the recipients that are too many are
    for later, and others have theirs."""
    daemon = mx20(conf={"limits": {"connections_per_client": 100}})
    send(daemon.address)
    before, later, held = daemon.rss_kib(), 0, []
    lines = "".join(f"RCPT TO:<u{n}@example.com> ORCPT=rfc822;{n:0450}\r\n"
                    for n in range(900)).encode()
    for _ in range(60):
        c = Raw(daemon.address)
        c.envelope()
        c.send(lines)
        replies = [c.reply()[:9] for _ in range(900)]
        assert set(replies) <= {"250 2.1.5", "452 4.5.3"}
        assert replies[:3] == ["250 2.1.5"] * 3
        later += "452 4.5.3" in replies
        held.append(c)
    assert later > 5
    assert daemon.rss_kib() - before < 50 * 1024 or not PLAIN
    daemon.wait_log("rejected .*reason=network_memory")
    with from_address(daemon, "127.0.0.2") as c:
        c.envelope(rcpts=[f"u{n}@example.com" for n in range(1000)])
        assert c.data(message() + ".\r\n").startswith("250")
    # who was told to come again later has lost nothing
    assert held[-1].data(message() + ".\r\n").startswith("250")
    for c in held:
        c.close()


def test_postmaster_is_one_recipient(mx20):
    daemon = mx20(domains="example.com\n",
                  recipients={"example.com": "user\n"})
    with Raw(daemon.address) as c:
        c.envelope(rcpts=["postmaster@example.com", "POSTMASTER@EXAMPLE.COM",
                          "Postmaster@example.com", "user@example.com"])
        assert c.data(message() + ".\r\n").startswith("250")
    (line,) = daemon.queue()
    assert [r["address"] for r in line["recipients"]] == [
        "postmaster@example.com", "user@example.com"]


def test_full_spool(mx20):
    """No room: said before or after the content, and mail goes on when
    there is room again."""
    daemon = mx20(conf={"spool": {"size": "64M"},
                        "limits": {"errors": 1000}})
    line = b"x" * 998 + b"\r\n"
    taken = 0
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        reply = ""
        while not reply.startswith("452") and taken < 200:
            reply = c.cmd("MAIL FROM:<a@sender.test> SIZE=1000000")
            if reply.startswith("452"):
                break
            assert c.cmd("RCPT TO:<u@example.com>").startswith("250")
            reply = c.cmd("DATA")
            if not reply.startswith("354"):
                c.cmd("RSET")
                continue
            c.send(line * 1000 + b".\r\n")
            reply = c.reply()
            taken += reply.startswith("250")
        assert reply.startswith("452 4.3.1")
        assert 20 < taken < 64
        # an announcement that cannot fit, and one that is not made
        assert c.cmd("MAIL FROM:<a@sender.test> SIZE=40000000"
                     ).startswith("452 4.3.1")
        assert daemon.status()["spool"]["messages"] == taken
        daemon.ctl("remove", "--domain", "example.com", "--yes")
        until(lambda: c.cmd("MAIL FROM:<a@sender.test> SIZE=1000000")
              .startswith("250"), pause=0.1)
