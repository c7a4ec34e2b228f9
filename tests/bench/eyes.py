"""What looking costs while a million messages wait for a hundred thousand
domains whose primaries are dead: the operator's verbs, the page, the metrics,
and what an honest client and the loop notice of each."""

import fcntl
import os
import pty
import re
import select
import shutil
import statistics
import struct
import subprocess
import sys
import termios
import time

import servers
import web
from daemon import Mx20
from servers import BUILD, free_port, memory_kib
from table import Probe

WATCHED_S = 20  # of top
TRIES = 5
IDLE_S = 5
FRESH_S = 2.5  # then what was made is made anew, unless that is dear


def domain_lines(domains, primaries):
    """Nobody listens at port 1 of these addresses."""
    for n in range(domains):
        a = n % primaries
        yield (f"d{n}.test recipients=* primary="
               f"[127.{1 + (a >> 16)}.{a >> 8 & 255}.{a & 255}]:1\n")


def loop_ms(pid):
    """What the main thread, the loop's, has had of a processor."""
    text = open(f"/proc/{pid}/task/{pid}/schedstat").read()
    return int(text.split()[0]) / 1e6


class Watch:
    """How much of the loop's time something takes, and how long an honest
    session waits for a reply meanwhile."""

    def __init__(self, d):
        self.d = d

    def __enter__(self):
        self.probe = Probe(self.d.address)
        time.sleep(0.1)
        self.probe.worst.value = 0
        self.began = time.monotonic()
        self.loop = loop_ms(self.d.process.pid)
        return self

    def __exit__(self, *exc):
        self.loop = loop_ms(self.d.process.pid) - self.loop
        self.seconds = time.monotonic() - self.began
        self.worst = self.probe.stop()


class Eyes:
    def __init__(self, d, where, note):
        self.d, self.where, self.note = d, where, note
        self.pid = d.process.pid

    def quiet(self):
        """The loop with the session alone."""
        with Watch(self.d) as w:
            time.sleep(3)
        self.note("nobody looks: loop's time", w.loop / w.seconds, "ms/s")
        self.note("nobody looks: worst reply", w.worst, "ms")

    def watched(self, what, work, times=1):
        """work() with what it takes: beyond what the loop does anyway, which
        is seen behind it."""
        with Watch(self.d) as w:
            work()
        seconds = min(max(w.seconds, 0.2), IDLE_S)
        idle = loop_ms(self.pid)
        time.sleep(seconds)
        idle = (loop_ms(self.pid) - idle) / seconds
        self.note(f"{what}: loop's time",
                  (w.loop - idle * w.seconds) / times, "ms")
        self.note(f"{what}: worst reply to others", w.worst, "ms")

    def ask(self, path):
        began = time.monotonic()
        r = web.ask(self.where, path)
        assert r.status == 200, (path, r.status)
        self.size = len(r.text)
        return (time.monotonic() - began) * 1e3

    def page(self, path):
        def often():
            for _ in range(TRIES):
                time.sleep(FRESH_S)
                self.note(f"{path}: made", self.ask(path), "ms")

        time.sleep(FRESH_S)
        self.watched(path, often, TRIES)
        self.note(f"{path}: had already", self.ask(path), "ms")
        self.note(f"{path}: size", self.size / 1024, "KiB")

    def ctl(self, *args):
        def run():
            began = time.monotonic()
            done = subprocess.run(
                [BUILD / "mx20ctl", "-c", self.d.conf_path, *args],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            assert done.returncode in (0, 1), args
            self.note(f"{' '.join(args)}: whole",
                      (time.monotonic() - began) * 1e3, "ms")

        self.watched(" ".join(args), run)

    def first_line(self, *args):
        self.note(f"{' '.join(args)}: first screen",
                  servers.first_screen_ms(self.d, *args), "ms")

    def top(self):
        seen = Top(self.d)
        self.watched(f"top, {WATCHED_S} s", lambda: seen.run(WATCHED_S))
        self.note("top: dropped replies", seen.text.count("NOT ANSWERING"), "")
        self.note("top: repaints", len(seen.paints), "")
        self.note("top: longest between two", seen.longest(), "ms")
        self.note("top: answers a key within", max(seen.keys), "ms")
        seen.close()


class Top:
    """mx20ctl top on a terminal; a key is pressed each second."""

    def __init__(self, d):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(BUILD / "mx20ctl",
                     ["mx20ctl", "-c", str(d.conf_path), "top"])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 24, 100, 0, 0))
        self.text, self.paints, self.keys = "", [], []

    def read(self, seconds):
        """Until something came, and nothing more within 20 ms; false: nothing
        came."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        self.paints.append(time.monotonic())
        try:
            while select.select([self.fd], [], [], 0.02)[0]:
                self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
        except OSError:
            return False  # it has left
        return True

    def press(self, key):
        began = time.monotonic()
        os.write(self.fd, key)
        assert self.read(10), "top does not answer a key"
        self.keys.append((self.paints[-1] - began) * 1e3)

    def run(self, seconds):
        end = time.monotonic() + seconds
        pressed = 0.0
        while time.monotonic() < end:
            self.read(0.5)
            if time.monotonic() - pressed > 1:
                pressed = time.monotonic()
                self.press(b"j")

    def longest(self):
        return 1e3 * max(b - a for a, b in zip(self.paints, self.paints[1:]))

    def close(self):
        os.write(self.fd, b"q")
        while self.read(10):
            pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def known_id(d):
    """A message's id: any."""
    with subprocess.Popen([BUILD / "mx20ctl", "-c", d.conf_path, "queue",
                           "--json", "--limit", "1"],
                          stdout=subprocess.PIPE, text=True) as p:
        return re.search(r'"id": ?"([^"]+)"', p.stdout.read())[1]


def started(d, note):
    began = time.monotonic()
    d.start()
    note("start to ready", time.monotonic() - began, "s")
    note("memory behind the start", memory_kib(d.process.pid) / 1024, "MiB")
    # all destinations are looked up and probed once
    while loop_rate(d.process.pid) > 100 and time.monotonic() < began + 60:
        pass
    note("until the loop is calm", time.monotonic() - began, "s")


def loop_rate(pid):
    before = loop_ms(pid)
    time.sleep(1)
    return loop_ms(pid) - before


def look(d, where, note):
    e = Eyes(d, where, note)
    e.quiet()
    for path in "/metrics", "/", "/api/status":
        e.page(path)
    note("/healthz", e.ask("/healthz"), "ms")
    e.ctl("status", "d77.test")
    e.ctl("status", "--alarm")
    e.first_line("status")
    e.ctl("status")
    e.ctl("status", "--json")
    e.first_line("queue")
    e.ctl("queue", "d77.test")
    e.ctl("queue", "--limit", "20", "--sort", "newest")
    qid = known_id(d)
    e.ctl("show", qid)
    e.ctl("find", qid)
    e.ctl("find", "u3@d77.test")
    e.ctl("find", "nobody@nowhere.test")
    e.ctl("summary")
    e.ctl("outages")
    e.top()
    note("memory at the end", memory_kib(d.process.pid) / 1024, "MiB")


def exact(d, where, note):
    """What a document takes of the loop while nothing else does: all is held,
    so that no primary is probed."""
    pid = d.process.pid
    d.ctl("hold", "--domain", "*.test", "--yes")
    while loop_rate(pid) > 20:
        pass
    idle = loop_rate(pid)
    for path in "/metrics", "/", "/api/status":
        for _ in range(TRIES):
            time.sleep(FRESH_S)
            began, before = time.monotonic(), loop_ms(pid)
            web.ask(where, path)
            note(f"{path}: of the loop", loop_ms(pid) - before -
                 idle * (time.monotonic() - began), "ms")


def measure(messages, domains, primaries, note):
    """note(title, what, value, unit)"""
    where = f"127.0.0.1:{free_port()}"
    d = Mx20(conf={"web": {"listen": where},
                   "spool": {"size": "64G", "reserve": "1M"}})
    try:
        began = time.monotonic()
        subprocess.run([BUILD / "bench" / "spoolfill", d.dir / "spool",
                        str(domains), str(messages)], check=True)
        note("k the spool", "filled within", time.monotonic() - began, "s")
        for n in primaries:
            title = (f"k {messages:,} queued, {domains:,} domains, "
                     f"{n:,} primaries")
            d.domains = "".join(domain_lines(domains, n))
            d.write_files()

            def say(what, value, unit, title=title):
                note(title, what, value, unit)

            started(d, say)
            look(d, where, say)
            if n == primaries[-1]:
                exact(d, where, say)
            began = time.monotonic()
            d.stop()
            say("stop", time.monotonic() - began, "s")
    finally:
        d.stop()
        shutil.rmtree(d.dir, ignore_errors=True)


def main():
    numbers = [int(a) for a in sys.argv[1:]] or [1_000_000, 100_000]
    figures = {}
    measure(numbers[0], numbers[1], numbers[2:] or [1000, 100_000],
            lambda title, what, value, unit:
            figures.setdefault((title, what, unit), []).append(value))
    for (title, what, unit), values in figures.items():
        print(f"{title[:60]:<60} {what:<46}"
              f"{statistics.median(values):>10,.1f} {unit:<5}"
              f"({min(values):,.1f} .. {max(values):,.1f})")


if __name__ == "__main__":
    main()
