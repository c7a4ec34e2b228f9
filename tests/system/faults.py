"""What the fault tests share: disks that fail, clocks that are set, floods."""

import contextlib
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import threading
import time

import pytest

from client import PATIENCE, Raw, message
from daemon import BUILD

# A sanitizer's memory and address space say nothing about ours.
PLAIN = "address" not in str(BUILD)

FAST = {"probe_max": "1s", "probe_busy": "1s", "retry": ["1s"],
        "reply_timeout": "2s", "connect_timeout": "2s"}


def allow(*primaries, name="example.com"):
    route = ",".join(p.route for p in primaries)
    return f"{name} recipients=* primary={route}\n"


def preload(name, **env):
    """The environment that puts a library of tests/preload under mx20d."""
    library = BUILD / "preload" / f"{name}.so"
    assert library.exists(), f"make bench-tools builds {library}"
    return dict(env, LD_PRELOAD=str(library),
                ASAN_OPTIONS="detect_leaks=1:verify_asan_link_order=0")


def quick_disk():
    """The environment for a test of memory: content waits there for a disk
    that is slow, up to two batches of what a slow one takes."""
    return preload("syncshim", SYNCSHIM_DELAY_MS="-1") if PLAIN else {}


class Disk:
    """What diskshim does to a daemon: disk.fail("write EIO"), disk.heal()."""

    def __init__(self, folder):
        self.file = pathlib.Path(folder) / "disk-fails"
        self.env = preload("diskshim", DISKSHIM=str(self.file))

    def fail(self, how):
        beside = self.file.with_suffix(".new")
        beside.write_text(how)
        beside.rename(self.file)

    def heal(self):
        self.file.unlink(missing_ok=True)


class Clock:
    """The wall clock of a daemon under clockshim."""

    def __init__(self, folder):
        self.file = pathlib.Path(folder) / "clock"
        self.file.write_bytes(struct.pack("q", 0))
        self.env = preload("clockshim", CLOCKSHIM=str(self.file))

    def set_ahead(self, seconds):
        with open(self.file, "r+b") as f:
            f.write(struct.pack("q", seconds))


class SmallDisk:
    """A tmpfs of our own, in a mount namespace that only the daemon and its
    mx20ctl are in.  Files in it are seen through /proc/PID/root."""

    def __init__(self, path, size):
        if os.getuid() != 0 or shutil.which("nsenter") is None:
            pytest.skip("needs root and util-linux: mounts a file system")
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.holder = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c",
             f"mount -t tmpfs -o size={size},mode=700 none {self.path} && "
             "echo mounted && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"mounted\n":
            self.close()
            pytest.skip("cannot mount a tmpfs here")
        self.wrapper = ["nsenter", "-t", str(self.holder.pid), "-m", "--"]
        self.seen = pathlib.Path(f"/proc/{self.holder.pid}/root{self.path}")

    def fill(self, leave=0):
        """Take all the room but this much."""
        with open(self.seen / "ballast", "ab", buffering=0) as f:
            stat = os.statvfs(self.seen)
            left = stat.f_bavail * stat.f_frsize - leave
            try:
                while left > 0:
                    left -= f.write(b"\0" * min(left, 1 << 20))
            except OSError:
                pass

    def free(self):
        (self.seen / "ballast").unlink(missing_ok=True)

    def close(self):
        self.holder.stdin.close()
        self.holder.wait(PATIENCE)
        self.holder.stdout.close()


def offer(c, content=None, size=None, rcpts=("u@example.com",)):
    """One transaction over an open session; the reply that decided it.  After
    a refusal the session is ready for the next one."""
    param = f" SIZE={size}" if size else ""
    for line in (f"MAIL FROM:<a@sender.test>{param}",
                 *(f"RCPT TO:<{rcpt}>" for rcpt in rcpts), "DATA"):
        reply = c.cmd(line)
        if reply[:1] not in "23":
            c.cmd("RSET")
            return reply
    c.send((content or message()) + "\r\n.\r\n")
    return c.reply()


def pour(c, chunks):
    """Send until it is told to go away; what was answered."""
    def run():
        try:
            for chunk in chunks:
                c.send(chunk)
        except OSError:
            pass

    sender = threading.Thread(target=run)
    sender.start()
    replies = []
    while not replies or replies[-1]:
        replies.append(c.reply())
    sender.join()
    return replies[:-1]


@contextlib.contextmanager
def deaf_listener(address, port):
    """A listener with a full backlog: it takes no SYN, connect hangs."""
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind((address, port))
        hole.listen(0)
        for _ in range(3):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex((address, port))
        yield


def until(what, seconds=PATIENCE, pause=0.05):
    """Ask again and again where there is no event; the first true answer."""
    end = time.monotonic() + seconds
    while True:
        got = what()
        if got:
            return got
        assert time.monotonic() < end, "it did not happen"
        time.sleep(pause)


class Load:
    """Threads that send numbered mail until told to stop; what was answered
    250 is in .acked, every other answer in .refused."""

    def __init__(self, address, threads=8, size=2000):
        self.address, self.size = address, size
        self.acked, self.refused = [], []
        self.stopping = threading.Event()
        self._heard = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(n,),
                                          daemon=True)
                         for n in range(threads)]
        for t in self._threads:
            t.start()

    def _run(self, n):
        i = 0
        body = ("x" * 78 + "\r\n") * (self.size // 80)
        while not self.stopping.is_set():
            try:
                with Raw(self.address) as c:
                    c.cmd("EHLO client.test")
                    while not self.stopping.is_set():
                        i += 1
                        name = f"load-{n}-{i}"
                        reply = offer(c, message(name, body))
                        with self._heard:
                            if reply.startswith("250"):
                                self.acked.append(name)
                            else:
                                self.refused.append(reply)
                            self._heard.notify_all()
                        if not reply:
                            break
            except OSError:
                self.stopping.wait(0.05)

    def wait(self, count):
        """Until so many were acknowledged."""
        with self._heard:
            assert self._heard.wait_for(
                lambda: len(self.acked) >= count, PATIENCE), \
                (len(self.acked), self.refused[-3:])

    def stop(self):
        self.stopping.set()
        for t in self._threads:
            t.join(PATIENCE)
        return self.acked


def subjects(p):
    """The names of the messages a primary took, as Load gave them."""
    return [line[9:].decode() for m in p.messages
            for line in m.content.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
            if line.startswith(b"Subject: ")]


def reset(sock):
    """Close by RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(
        "ii", 1, 0))
    sock.close()
