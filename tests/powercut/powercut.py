#!/usr/bin/python3
"""make powercut: no image a power cut can leave loses or invents a message.

One run of mx20d is recorded: mail of 600 bytes to 7 MB arrives over many
connections while one primary takes it, one says 4yz and 5yz, and one is down;
powershim writes down every write and flush of the data file.  powercut builds
the images that a cut at random instants could leave and compares each with
what the last commit left.  Then mx20d is started on the image, with primaries
that take everything, and must deliver every message that was acknowledged
before the instant, byte for byte, to the recipients that did not have it yet.

    powercut.py IMAGES [SEED]
"""

import collections
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from client import Raw  # noqa: E402
from daemon import BUILD, Mx20  # noqa: E402
from primary import Primary  # noqa: E402

MAIL_ID = re.compile(rb"^X-Power-Id: (\d+)\r$", re.M)
DOMAINS = ("up.example", "moody.example", "down.example")
SENDERS, MESSAGES = 12, 25


class Instant:
    """How many events powershim has written down."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        self.file = open(path, "rb", buffering=0)

    def now(self):
        return struct.unpack("=Q", os.pread(self.file.fileno(), 8, 0))[0]


class Books:
    def __init__(self):
        self.lock = threading.Lock()
        self.promised = {}    # id -> (instant, digest, recipients)
        self.delivered = collections.Counter()   # (id, rcpt), while recorded

    def promise(self, mail_id, instant, content, rcpts):
        with self.lock:
            self.promised[mail_id] = (instant, digest(content), rcpts)


def digest(content):
    return hashlib.blake2b(content, digest_size=16).digest()


def content_of(mail_id, size, rng):
    """Lines of any length, with dots and 8-bit bytes among them."""
    head = b"X-Power-Id: %d\r\nSubject: power\r\n\r\n" % mail_id
    lines = []
    while size > 0:
        n = min(size, rng.randrange(1, 900))
        line = rng.randbytes(n).translate(None, b"\r\n\0")
        lines.append((b"." if n % 17 == 0 else b"") + line + b"\r\n")
        size -= n + 2
    return head + b"".join(lines)


def sizes(rng):
    pick = rng.random()
    if pick < 0.7:
        return rng.randrange(100, 9000)
    if pick < 0.95:
        return rng.randrange(9000, 120000)
    if pick < 0.99:
        return rng.randrange(120000, 1000000)
    return 7_000_000  # more than is committed at once


def stuffed(content):
    return re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"


def send_all(d, books, instant, first, seed):
    """One connection's worth of mail."""
    rng = random.Random(seed)
    with Raw(d.address) as c:
        c.cmd("EHLO power.test")
        for mail_id in range(first, first + MESSAGES):
            content = content_of(mail_id, sizes(rng), rng)
            domains = rng.sample(DOMAINS, rng.choice((1, 1, 1, 2, 3)))
            rcpts = [f"{name}@{domain}" for domain in domains
                     for name in ("a", "b", "c")[:rng.choice((1, 1, 2, 3))]]
            c.cmd("MAIL FROM:<s@power.test>")
            for rcpt in rcpts:
                assert c.cmd(f"RCPT TO:<{rcpt}>")[0] == "2"
            if c.cmd("DATA")[:3] != "354":
                raise AssertionError("DATA was refused")
            c.send(stuffed(content))
            reply = c.reply()
            assert reply[:3] == "250", reply
            # later than all that the answer rests on
            books.promise(mail_id, instant.now(), content, rcpts)


def moody(rng):
    def rcpt(_session, address):
        pick = rng.random()
        if pick < 0.2:
            return "450 4.2.1 later"
        if pick < 0.25:
            return "550 5.1.1 never"
        return None
    return rcpt


def note_deliveries(books, primary):
    for message in primary.messages:
        found = MAIL_ID.search(message.content)
        for rcpt in message.rcpts:
            if found:
                books.delivered[int(found.group(1)), rcpt] += 1


def record(where, seed):
    """One run under powershim; the log, and what was promised when."""
    log, counter = where / "log", where / "seq"
    instant, books = Instant(counter), Books()
    up = Primary().start()
    bad = Primary(on={"rcpt": moody(random.Random(seed))}).start()
    d = Mx20(domains=f"up.example recipients=* primary={up.route}\n"
             f"moody.example recipients=* primary={bad.route}\n"
             "down.example recipients=* primary=[127.0.0.1]:1\n",
             conf={"bounce": {"mode": "hold"},
                   "drain": {"retry": ["1s"]}},
             env={"LD_PRELOAD": str(BUILD / "preload" / "powershim.so"),
                  "ASAN_OPTIONS": "detect_leaks=1:verify_asan_link_order=0",
                  "POWERSHIM_LOG": str(log), "POWERSHIM_SEQ": str(counter)})
    try:
        d.start()
        threads = [threading.Thread(target=send_all, args=(
            d, books, instant, 1 + i * MESSAGES, seed * 1000 + i))
            for i in range(SENDERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        d.kill()
    finally:
        up.stop()
        bad.stop()
        d.close()
    note_deliveries(books, up)
    note_deliveries(books, bad)
    assert len(books.promised) == SENDERS * MESSAGES, "senders gave up"
    return log, books


class Judge:
    """mx20d on one image after the other, primaries that take everything."""

    def __init__(self, books):
        self.books = books
        self.primary = Primary().start()
        self.d = Mx20(domains="".join(
            f"{name} recipients=* primary={self.primary.route}\n"
            for name in DOMAINS), conf={
                "drain": {"connections": 4, "retry": ["1s"]}})
        self.spool = self.d.dir / "spool"

    def close(self):
        self.primary.stop()
        self.d.close()

    def start_on(self, image):
        shutil.rmtree(self.spool, ignore_errors=True)
        shutil.move(image, self.spool)
        image.mkdir()
        self.primary.messages.clear()
        self.d.log.clear()
        self.d.start()
        self.d.ctl("release", "--domain", "moody.example", "--all", "--yes",
                   check=False)
        self.d.ctl("flush")
        self.d.wait_empty()
        self.d.stop()

    def verdict(self, image, instant):
        """All that is wrong with the image, as sentences."""
        try:
            self.start_on(image)
        except AssertionError as error:
            self.d.stop()
            return ["mx20d: " + str(error)[:2000]]
        return self.faults(instant)

    def faults(self, instant):
        """What the image lost or spoiled."""
        got, faults = collections.Counter(), []
        for message in self.primary.messages:
            found = MAIL_ID.search(message.content)
            mail_id = int(found.group(1))
            promised = self.books.promised[mail_id]
            if digest(message.body) != promised[1]:
                faults.append(f"message {mail_id} is not what was sent")
            for rcpt in message.rcpts:
                got[mail_id, rcpt] += 1
        for mail_id, rcpt in got:
            if rcpt not in self.books.promised[mail_id][2]:
                faults.append(f"{mail_id} for {rcpt}: who is that?")
        for mail_id, (at, _, rcpts) in self.books.promised.items():
            for rcpt in rcpts:
                have = got[mail_id, rcpt]
                before = self.books.delivered[mail_id, rcpt]
                if at <= instant and have + before == 0:
                    faults.append(f"{mail_id} for {rcpt} is lost")
                if have > 1:
                    faults.append(f"{mail_id} for {rcpt} came {have} times")
        return faults


def build_images(log, where, images, seed):
    return subprocess.Popen(
        [str(BUILD / "powercut" / "powercut"), str(log), str(where),
         str(images), str(seed)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)


def judge_images(log, books, where, images, seed):
    image = where / "image"
    image.mkdir()
    tool = build_images(log, image, images, seed)
    judge, bad, facts = Judge(books), [], collections.Counter()
    try:
        for line in tool.stdout:
            fact = json.loads(line)
            faults = [] if fact["ok"] else [fact["why"]]
            faults += judge.verdict(image, fact["instant"])
            facts["images"] += 1
            facts["in_commit"] += fact["in_commit"]
            facts["messages"] += fact["messages"]
            if faults:
                bad.append((fact, faults))
                print("FAULT", fact, [f[:600] for f in faults[:5]], flush=True)
            tool.stdin.write("\n")
            tool.stdin.flush()
    finally:
        tool.kill()
        judge.close()
    assert tool.wait() in (0, -9)
    return facts, bad


def run(images, seed):
    shm = pathlib.Path("/dev/shm")
    where = pathlib.Path(tempfile.mkdtemp(
        prefix="mx20-power-", dir=shm if shm.is_dir() else None))
    began = time.monotonic()
    try:
        log, books = record(where, seed)
        size = log.stat().st_size
        facts, bad = judge_images(log, books, where, images, seed)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    took = time.monotonic() - began
    print(f"powercut: {facts['images']} images of {size >> 20} MiB of writes, "
          f"{facts['in_commit']} of them within a commit, "
          f"{facts['messages']} messages in them, {len(bad)} bad, "
          f"{took:.0f} s, seed {seed}")
    return facts, bad


def main():
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    done, wrong = 0, 0
    while done < images:
        # a new recording now and then: other instants of another history
        facts, bad = run(min(100, images - done), seed)
        done += max(facts["images"], 1)
        wrong += len(bad)
        seed += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
