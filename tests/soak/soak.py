#!/usr/bin/python3
"""make soak: mixed traffic, outages and kill -9; then the books are audited.

Senders push mail of 600 bytes to 10 MB for many domains behind three
primaries that go up and down and answer 4yz and 5yz at random; a reports
server takes the DSNs.  Every so often mx20d is killed.  At the end everything
that was acknowledged must have been delivered byte for byte, reported to its
sender, or be still in the queue; a duplicate must have a cause; memory, file
size and rate must show no trend.

    soak.py SECONDS [SEED]
"""

import collections
import hashlib
import json
import pathlib
import random
import re
import smtplib
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from daemon import Mx20  # noqa: E402
from primary import Drop, Primary  # noqa: E402

PRIMARIES, DOMAINS, SENDERS = 3, 24, 6
MAIL_ID = re.compile(rb"^X-Soak-Id: (\S+)\r$", re.M)
DIGEST = re.compile(rb"^X-Soak-Digest: (\S+)\r$", re.M)


class Books:
    """Who was promised what, and what became of it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.promised = {}                 # (id, rcpt) -> domain
        self.doubtful = set()              # sent, the answer never came
        self.delivered = collections.Counter()
        self.reported = collections.Counter()
        self.damaged = []
        self.excuses = 0                   # what may double a delivery

    def promise(self, mail_id, rcpts):
        with self.lock:
            for rcpt in rcpts:
                self.promised[mail_id, rcpt] = True

    def doubt(self, mail_id):
        with self.lock:
            self.doubtful.add(mail_id)

    def excuse(self):
        with self.lock:
            self.excuses += 1

    def took(self, message):
        """A primary took a message."""
        head, _, body = message.content.partition(b"\r\n\r\n")
        mail_id = MAIL_ID.search(head + b"\r\n").group(1).decode()
        digest = DIGEST.search(head + b"\r\n").group(1).decode()
        with self.lock:
            if hashlib.sha256(body).hexdigest() != digest:
                self.damaged.append(mail_id)
            for rcpt in message.rcpts:
                self.delivered[mail_id, rcpt] += 1
        message.content = b""  # two hours of mail do not fit in memory

    def reports(self, message):
        """The reports server took a DSN."""
        found = MAIL_ID.search(message.content)
        failed = re.findall(rb"^Final-Recipient: [^;]*; *(\S+)\r$",
                            message.content, re.M)
        with self.lock:
            for rcpt in failed:
                self.reported[found.group(1).decode(), rcpt.decode()] += 1
        message.content = b""


class Keeper(Primary):
    """A primary that only remembers what the books need."""

    def __init__(self, book, **options):
        super().__init__(**options)
        self.book, self.count = book, 0

    def took(self, message):
        self.book(message)
        self.count += 1

    def session_ended(self, session):
        super().session_ended(session)
        self.sessions.remove(session)
        del self.accepted_at[:]


class Soak:
    def __init__(self, seconds, seed):
        self.seconds, self.rng = seconds, random.Random(seed)
        self.books = Books()
        self.calm = False           # the end: everybody behaves
        self.over = threading.Event()
        self.sent = 0
        self.primaries = [
            Keeper(self.books.took, name=f"primary{i}.test",
                   offers=["PIPELINING", "8BITMIME", "SIZE", "DSN",
                           "ENHANCEDSTATUSCODES"] +
                          (["CHUNKING"] if i else []),
                   on={"rcpt": self.rcpt, "dot": self.dot, "bdat": self.dot})
            for i in range(PRIMARIES)]
        self.reports = Keeper(self.books.reports, name="reports.test")
        domains = "".join(
            f"d{i}.test recipients=* "
            f"primary={self.primaries[i % PRIMARIES].route}\n"
            for i in range(DOMAINS))
        self.daemon = Mx20(domains=domains, conf={
            "bounce": {"relay": f"127.0.0.1:{self.reports.port}",
                       "rate": 0},
            "drain": {"retry": ["1s", "2s"], "probe_max": "2s",
                      "probe_busy": "1s"},
            "spool": {"size": "16G"},
            "policy": {"standby": "relay"},
            "log": {"level": "warn"}})
        self.samples = []
        self.kills = 0

    # -- the primaries' moods --------------------------------------------------

    def rcpt(self, _session, address):
        if address.startswith("gone"):
            return "550 5.1.1 no such mailbox"
        if not self.calm and self.rng.random() < 0.03:
            return "450 4.2.1 mailbox busy"
        return None

    def dot(self, session, _argument):
        mood = 1 if self.calm else self.rng.random()
        if mood < 0.02:
            return "451 4.3.0 try later"
        if mood < 0.03:
            return Drop()  # taken back: nothing was kept
        if mood < 0.04:
            # kept, but the reply never comes: a duplicate is unavoidable
            self.books.excuse()
            self.books.took(session.finishing)
            return Drop()
        return None

    # -- actors ------------------------------------------------------------------

    def mail(self, rng, mail_id):
        size = rng.choice([600, 600, 2000, 4000, 4000, 20_000, 100_000,
                           rng.randrange(600, 300_000)])
        if rng.random() < 0.004:
            size = rng.randrange(1_000_000, 10_000_000)
        line = f"{mail_id} .dots and words {rng.random()}\r\n".encode()
        body = b".\r\n" + line * (size // len(line) + 1) + b"..\r\n"
        head = (f"Subject: soak\r\nX-Soak-Id: {mail_id}\r\nX-Soak-Digest: "
                f"{hashlib.sha256(body).hexdigest()}\r\n\r\n").encode()
        domain = rng.randrange(DOMAINS)
        rcpts = [f"u{i}@d{domain}.test" for i in range(rng.choice([1, 1, 3]))]
        if rng.random() < 0.05:
            rcpts.append(f"gone@d{domain}.test")
        if rng.random() < 0.1:
            rcpts.append(f"u@d{(domain + 1) % DOMAINS}.test")
        return rcpts, head + body

    def sender(self, number):
        rng = random.Random(self.rng.random())
        count = 0
        while not self.over.is_set():
            try:
                with smtplib.SMTP(*self.daemon.address, timeout=60) as smtp:
                    smtp.ehlo("soak.test")
                    for _ in range(rng.randrange(1, 30)):
                        if self.over.is_set():
                            break
                        count += 1
                        self.send_one(smtp, rng, f"{number}.{count}")
                        self.over.wait(rng.expovariate(40))
            except (OSError, smtplib.SMTPException):
                self.over.wait(0.1)  # it was killed just now

    def send_one(self, smtp, rng, mail_id):
        rcpts, content = self.mail(rng, mail_id)
        smtp.mail("sender@soak.test")
        taken = []
        for rcpt in rcpts:
            code, text = smtp.rcpt(rcpt)
            if code == 250:
                taken.append(rcpt)
            elif code != 550 or not rcpt.startswith("gone"):
                raise AssertionError((rcpt, code, text))
        rcpts = taken
        self.books.doubt(mail_id)
        code, _ = smtp.data(content)
        if code == 250:
            self.books.promise(mail_id, rcpts)
            self.sent += 1

    def outages(self, primary):
        rng = random.Random(self.rng.random())
        while not self.over.wait(rng.uniform(5, 30)):
            primary.stop()
            self.over.wait(rng.uniform(1, 20))
            primary.start()

    def killer(self):
        pause = max(10, min(180, self.seconds / 6))
        while not self.over.wait(self.rng.uniform(pause / 2, pause * 1.5)):
            self.daemon.kill()
            self.kills += 1
            self.daemon.start()

    def sampler(self):
        spool = self.daemon.dir / "spool" / "data.mdb"
        last = 0
        while not self.over.wait(max(1, self.seconds / 120)):
            try:
                memory = self.daemon.rss_kib()
            except (OSError, AttributeError):
                continue  # between two lives
            if memory:
                self.samples.append((memory, spool.stat().st_size,
                                     self.sent - last))
                last = self.sent

    # -- the story ---------------------------------------------------------------

    def run(self):
        self.reports.start()
        for p in self.primaries:
            p.start()
        self.daemon.start()
        actors = [threading.Thread(target=self.sender, args=(i,))
                  for i in range(SENDERS)]
        actors += [threading.Thread(target=self.outages, args=(p,))
                   for p in self.primaries]
        actors += [threading.Thread(target=self.killer),
                   threading.Thread(target=self.sampler)]
        play(self, actors)

    def close(self):
        self.daemon.close()
        for p in self.primaries + [self.reports]:
            p.stop()

    # -- the audit ---------------------------------------------------------------

    def audit(self):
        """(figures, faults)"""
        b = self.books
        lost = [k for k in b.promised
                if not b.delivered[k] and not b.reported[k]]
        both = [k for k in b.promised if b.delivered[k] and b.reported[k]]
        invented = [k for k in b.delivered if k[0] not in b.doubtful]
        doubles = sum(n - 1 for n in b.delivered.values())
        # a kill may double what was on its way: at most a window of messages
        # on each connection to each primary
        possible = b.excuses * 5 + self.kills * PRIMARIES * 10 * 64
        faults = []
        if lost:
            faults.append(f"lost: {len(lost)}, such as {lost[:3]}")
        if both:
            faults.append(f"delivered and bounced: {both[:3]}")
        if invented:
            faults.append(f"never sent: {invented[:3]}")
        if b.damaged:
            faults.append(f"damaged: {b.damaged[:3]}")
        if doubles > possible:
            faults.append(f"{doubles} duplicates, {possible} explained")
        faults += self.trends()
        return {
            "messages": self.sent, "promised": len(b.promised),
            "delivered": len(b.delivered), "reported": len(b.reported),
            "duplicates": doubles, "lost_replies": b.excuses,
            "kills": self.kills,
            "memory_kib": self.samples[-1][0] if self.samples else 0,
            "spool_bytes": self.samples[-1][1] if self.samples else 0,
        }, faults

    def trends(self):
        """Does the last third use more, or take less mail, than the one
        before it did?"""
        third = len(self.samples) // 3
        if self.seconds < 600 or third < 10:
            return []  # the first minutes are all growth
        faults = []
        for column, name, least, most in ((0, "memory", 0, 1.25),
                                          (1, "file", 0, 1.5),
                                          (2, "rate", 0.6, 10)):
            middle = statistics.median(
                s[column] for s in self.samples[third:2 * third])
            last = statistics.median(
                s[column] for s in self.samples[2 * third:])
            print(f"{name}: {middle} in the middle third, {last} in the last")
            if not middle * least <= last <= middle * most:
                faults.append(f"{name} has a trend: {middle} then {last}")
        return faults


def play(story, actors):
    """The actors act for its time; then it is calm, and all goes out."""
    for a in actors:
        a.start()
    time.sleep(story.seconds)
    story.over.set()
    for a in actors:
        a.join(90)
    story.calm = True
    story.daemon.ctl("flush")
    story.daemon.wait_empty(timeout=300)


def tell(name, story):
    """Run it, and exit by what its audit finds."""
    try:
        story.run()
        figures, faults = story.audit()
    finally:
        story.close()
    print(json.dumps(figures))
    for fault in faults:
        print(f"{name}: {fault}")
    sys.exit(1 if faults else 0)


def main():
    tell("soak", Soak(float(sys.argv[1]),
                      sys.argv[2] if len(sys.argv) > 2 else "1"))


if __name__ == "__main__":
    main()
