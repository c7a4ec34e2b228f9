#!/usr/bin/python3
"""make soak, second part: mail is relayed while its primary flaps.

Two hundred sessions at once send small and large mail for domains of one
primary that goes away and comes back every few seconds, and judges: some
recipients and contents it refuses, some it cannot take now, some replies never
come, some come late.  Some clients leave in the middle.  At the end what was
acknowledged is there, byte for byte; what was refused in a session, or left
before its final dot, is nowhere, and nobody gets a report about it; what is
there twice has a cause that the log tells.

    flap.py SECONDS [SEED]
"""

import collections
import hashlib
import pathlib
import random
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from client import Raw  # noqa: E402
from daemon import Mx20  # noqa: E402
from primary import Delay, Drop  # noqa: E402
from soak import Books, Keeper, play, tell  # noqa: E402

SESSIONS, DOMAINS = 200, 5
USERS = [f"u{i}" for i in range(20)]


class Flap:
    def __init__(self, seconds, seed, sessions=SESSIONS, late="2s"):
        self.seconds, self.sessions = seconds, sessions
        self.rng = random.Random(seed)
        self.late = float(late.rstrip("s"))
        self.books = Books()
        self.calm = False
        self.over = threading.Event()
        self.ends = collections.Counter()  # codes of final replies
        self.refused, self.left = set(), set()
        self.faults = []
        self.primary = Keeper(
            self.books.took, address="127.0.0.3",
            offers=["PIPELINING", "8BITMIME", "SIZE", "DSN",
                    "ENHANCEDSTATUSCODES"],
            on={"mail": self.mail, "rcpt": self.rcpt, "data": self.data,
                "dot": self.dot})
        self.reports = Keeper(self.books.reports, name="reports.test")
        self.daemon = Mx20(
            domains="".join(
                f"d{i}.test recipients=users standby=relay "
                f"primary={self.primary.route}\n" for i in range(DOMAINS)),
            conf={"bounce": {"relay": f"127.0.0.1:{self.reports.port}",
                             "rate": 0},
                  "limits": {"connections_per_client": 500},
                  "drain": {"retry": ["1s"], "probe_max": "1s",
                            "probe_busy": "1s", "connect_timeout": "2s",
                            "reply_timeout": f"{self.late + 3:.0f}s"},
                  "policy": {"verify_timeout": "2s"}})
        (self.daemon.dir / "users").write_text(
            "".join(f"{u}\n" for u in USERS + ["gone"]))

    # -- the primary's moods -------------------------------------------------------

    def one_of(self, *moods):
        """Each is (share, action)."""
        roll = 2 if self.calm else self.rng.random()
        for share, action in moods:
            if roll < share:
                return action
            roll -= share
        return None

    def mail(self, _session, _argument):
        return self.one_of((0.01, "451 4.3.0 not now"), (0.005, Drop()),
                           (0.005, "421 4.3.2 too much"))

    def rcpt(self, _session, address):
        if address.startswith("gone"):
            return "550 5.1.1 no such user"
        return self.one_of((0.02, "450 4.2.1 busy"), (0.005, Drop()))

    def data(self, _session, _argument):
        return self.one_of((0.01, "451 4.3.0 not now"), (0.005, Drop()))

    def dot(self, session, _argument):
        if b"\r\nX-Spam: yes\r\n" in session.finishing.content:
            return "554 5.7.1 spam"
        mood = self.one_of((0.02, "451 4.3.0 later"), (0.01, Drop()),
                           (0.01, "twice"), (0.002, Delay(self.late)))
        if mood == "twice":  # taken, but the reply never comes
            self.books.excuse()
            self.books.took(session.finishing)
            return Drop()
        return mood

    # -- the clients ---------------------------------------------------------------

    @staticmethod
    def content(rng, mail_id, is_spam):
        size = rng.choice([300, 2000, 4000, 4000, 70_000])
        if rng.random() < 0.003:
            size = 2_000_000
        line = f"..{mail_id} {rng.random()}\r\n".encode()
        wire = line * (size // len(line) + 1)
        digest = hashlib.sha256(wire.replace(b"\r\n..", b"\r\n.")[1:]
                                ).hexdigest()
        spam = "X-Spam: yes\r\n" if is_spam else ""
        return (f"Subject: flap\r\nX-Soak-Id: {mail_id}\r\n{spam}"
                f"X-Soak-Digest: {digest}\r\n\r\n").encode() + wire

    def client(self, number):
        rng = random.Random(f"{number} {self.rng.random()}")
        count = 0
        while not self.over.is_set():
            try:
                with Raw(self.daemon.address) as c:
                    c.cmd("EHLO flap.test")
                    for _ in range(rng.randrange(1, 6)):
                        count += 1
                        if not self.send_one(c, rng, f"{number}.{count}"):
                            break
                        if self.over.wait(rng.expovariate(4)):
                            break
            except OSError as error:
                self.faults.append(f"a session was lost: {error}")

    def send_one(self, c, rng, mail_id):
        """False: the client is gone."""
        domain = f"d{rng.randrange(DOMAINS)}.test"
        # to one alone: two reports about a message are a minute apart
        is_spam = rng.random() < 0.05
        rcpts = [f"{u}@{domain}" for u in rng.sample(
            USERS, 1 if is_spam else rng.choice([1, 1, 1, 3]))]
        if not is_spam and rng.random() < 0.05:
            rcpts.append(f"gone@{domain}")
        wire = self.content(rng, mail_id, is_spam)
        lines = ["MAIL FROM:<sender@flap.test>",
                 *(f"RCPT TO:<{r}>" for r in rcpts), "DATA"]
        if rng.random() < 0.5:
            c.send("".join(x + "\r\n" for x in lines))
            said = [c.reply() for _ in lines]
        else:
            said = [c.cmd(x) for x in lines]
        taken = [r for r, s in zip(rcpts, said[1:]) if s[:1] == "2"]
        if said[-1][:1] != "3":
            self.ends[said[-1][:3]] += 1
            self.refused.add(mail_id)
            return said[-1] != "" and c.cmd("RSET") != ""
        if rng.random() < 0.05:
            self.left.add(mail_id)
            c.send(wire[:rng.randrange(len(wire))])
            return False
        self.books.doubt(mail_id)
        c.send(wire + b".\r\n")
        end = c.reply()
        self.ends[end[:3]] += 1
        if end[:1] == "2":
            self.books.promise(mail_id, taken)
        elif end[:1] in "45" and end:
            self.refused.add(mail_id)
        return end != ""

    def flapping(self):
        while not self.over.wait(self.rng.uniform(1, 4)):
            self.primary.stop()
            self.over.wait(self.rng.uniform(0.5, 2))
            self.primary.start()

    # -- the story -------------------------------------------------------------------

    def run(self):
        self.reports.start()
        self.primary.start()
        self.daemon.start()
        actors = [threading.Thread(target=self.client, args=(i,))
                  for i in range(self.sessions)]
        actors.append(threading.Thread(target=self.flapping))
        play(self, actors)

    def close(self):
        self.daemon.close()
        self.primary.stop()
        self.reports.stop()

    def audit(self):
        """(figures, faults)"""
        b = self.books
        lost = [k for k in b.promised
                if not b.delivered[k] and not b.reported[k]]
        both = [k for k in b.promised if b.delivered[k] and b.reported[k]]
        ghosts = [k for k in b.delivered if k[0] in self.refused | self.left]
        reports = [k for k in b.reported
                   if k not in b.promised or k[0] in self.refused]
        doubles = sum(n - 1 for n in b.delivered.values())
        said = sum("a duplicate is possible" in x for x in self.daemon.log)
        relayed = sum(x.startswith("relayed ") for x in self.daemon.log)
        faults = list(self.faults)
        for name, found in (("lost", lost), ("delivered and bounced", both),
                            ("refused or left, and there", ghosts),
                            ("reported for nothing", reports),
                            ("damaged", b.damaged)):
            if found:
                faults.append(f"{name}: {len(found)}, such as {found[:3]}")
        # one message has up to four recipients
        if doubles > 4 * said:
            faults.append(f"{doubles} duplicates, {said} explained")
        return {"promised": len(b.promised), "relayed": relayed,
                "ends": dict(self.ends), "left": len(self.left),
                "reported": len(b.reported), "duplicates": doubles,
                "explained": said, "lost_replies": b.excuses}, faults


def main():
    tell("flap", Flap(float(sys.argv[1]),
                      sys.argv[2] if len(sys.argv) > 2 else "1", late="60s"))


if __name__ == "__main__":
    main()
