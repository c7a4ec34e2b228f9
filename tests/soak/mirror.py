#!/usr/bin/python3
"""make soak, third part: two copies, and a fault each round.

Two nodes share a PostgreSQL with a synchronous standby and deliver to one
primary that comes and goes.  mx2a takes mail while the database is away, mx2b
refuses it; so mx2b may lose its disk at any moment.  Each round something
fails at a random point: a node is killed, stopped, or loses its disk; the
database is killed, paused, changes over to its standby; a wire goes silent.
When it is mended both are in step again, and after each round the books and
the database agree.  At the end everything that was acknowledged has been
delivered, byte for byte; of what is there twice each is told, and the first
was in hand when its node was struck (witness.py).

    mirror.py ROUNDS [SEED]
"""

import collections
import contextlib
import hashlib
import os
import pathlib
import random
import signal
import smtplib
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

import postgres  # noqa: E402
from faults import until  # noqa: E402
from mirrored import lose_disk, mirror  # noqa: E402
from soak import Books, tell  # noqa: E402
from witness import Blow, Inquest, Observed, Witness  # noqa: E402

LEASE, SENDERS, DOMAINS = 3.0, 4, 5
# a commit that takes longer is none (daemon/mirror/lease.h), and what a busy
# machine adds
NOTICES_S = LEASE / 3 + 1


class Node:
    """A daemon and its wire to the database; the lock keeps faults apart
    from looks at it."""

    def __init__(self, name, domains, when_away):
        self.name = name
        self.wire = None
        self.daemon = Observed(domains=domains, conf={
            "hostname": f"{name}.test",
            "limits": {"errors": 100000, "connections_per_client": 1000},
            "drain": {"retry": ["1s"], "probe_max": "1s", "probe_busy": "1s"},
            "log": {"level": "info"},
            "mirror": {"postgresql": "", "node": name, "patience": "24h",
                       "lease": f"{LEASE:.0f}s", "when_away": when_away}})

    def connect(self, *databases):
        """By a wire to the first; the others are reached without one."""
        self.wire = postgres.Wire(databases[0].port)
        self.daemon.conf["mirror"]["postgresql"] = databases[0].dsn(
            *databases[1:], port=self.wire.port)
        self.daemon.write_files()

    def wait_in_step(self):
        until(lambda: mirror(self.daemon)["state"] == "in-step", 120, 0.1)


class Soak:
    def __init__(self, rounds, seed):
        self.rounds, self.rng = rounds, random.Random(seed)
        self.books = Books()
        self.over = threading.Event()
        self.flap = threading.Lock()  # whose the primary is
        self.sent = 0
        self.refused = collections.Counter()
        self.done = collections.Counter()
        self.blows = []  # what befell which node, and when
        self.primary = Witness(self.books.took, name="primary.test")
        domains = "".join(f"d{i}.test recipients=* primary="
                          f"{self.primary.route}\n" for i in range(DOMAINS))
        self.a = Node("mx2a", domains, "accept")
        self.b = Node("mx2b", domains, "refuse")
        self.nodes = [self.a, self.b]
        self.database = postgres.Postgres().start()
        self.standby = self.database.add_standby()

    # -- actors --------------------------------------------------------------------

    def mail(self, rng, mail_id):
        size = rng.choice([600, 600, 2000, 4000, 20_000, 150_000])
        if rng.random() < 0.005:
            size = 3_000_000
        body = f"{mail_id} {rng.random()}\r\n".encode() * (size // 30)
        head = (f"Subject: soak\r\nX-Soak-Id: {mail_id}\r\nX-Soak-Digest: "
                f"{hashlib.sha256(body).hexdigest()}\r\n\r\n").encode()
        domains = rng.sample(range(DOMAINS), rng.choice([1, 1, 1, 2]))
        return [f"u@d{d}.test" for d in domains], head + body

    def sender(self, number):
        rng = random.Random(f"{number} {self.rng.random()}")
        count = 0
        while not self.over.is_set():
            to = self.nodes[number % 2].daemon
            try:
                with smtplib.SMTP(*to.address, timeout=60) as smtp:
                    smtp.ehlo("soak.test")
                    while not self.over.wait(rng.expovariate(30)):
                        count += 1
                        self.send_one(smtp, rng, f"{number}.{count}")
            except (OSError, smtplib.SMTPException):
                self.over.wait(0.2)

    def send_one(self, smtp, rng, mail_id):
        rcpts, content = self.mail(rng, mail_id)
        smtp.mail("sender@soak.test")
        for rcpt in rcpts:
            smtp.rcpt(rcpt)
        self.books.doubt(mail_id)
        code, _ = smtp.data(content)
        if code == 250:
            self.books.promise(mail_id, rcpts)
            self.sent += 1
        else:
            self.refused[code] += 1

    def flapping(self):
        rng = random.Random(self.rng.random())
        while not self.over.wait(rng.uniform(2, 8)):
            with self.flap:
                self.primary.stop()
                self.over.wait(rng.uniform(1, 6))
                self.primary.start()

    def amid(self):
        """A node, in the middle of its deliveries more often than not."""
        if self.rng.random() < 0.7:
            with self.flap:
                self.primary.stop()
                self.some(0.5, 2)
                before = self.primary.count
                self.primary.start()
            until(lambda: self.primary.count > before or None, 10, 0.01)
            self.some(0, 0.3)
        return self.rng.choice(self.nodes)

    # -- faults ----------------------------------------------------------------------

    def some(self, least=0.0, most=1.0):
        """The moment is the input."""
        time.sleep(self.rng.uniform(least, most))

    def struck(self, what, node, **times):
        self.blows.append(Blow(what, node.name, **times))

    def kill(self, node):
        node.daemon.kill()
        self.struck("kill", node)

    def node_killed(self):
        node = self.amid()
        self.kill(node)
        self.some()
        node.daemon.start()

    def both_killed(self):
        self.amid()
        for node in self.nodes:
            self.kill(node)
        self.some()
        for node in self.nodes:
            node.daemon.start()

    def node_away(self):
        """Long enough to be taken over; it comes back in the middle."""
        node = self.amid()
        self.kill(node)
        self.some(2 * LEASE, 3.5 * LEASE)
        node.daemon.start()

    def disk_lost(self):
        self.amid()
        lose_disk(self.b.daemon)
        self.struck("loss of the disk", self.b)
        self.some(0, 3 * LEASE)
        self.b.daemon.start()

    def node_stopped(self):
        node = self.amid()
        os.kill(node.daemon.process.pid, signal.SIGSTOP)
        self.struck("stop", node, late_s=LEASE)
        self.some(0, 4 * LEASE)
        os.kill(node.daemon.process.pid, signal.SIGCONT)

    def database_killed(self):
        self.database.kill()
        self.some(0, LEASE)
        self.database.start()

    def database_crashed(self):
        self.database.stop("immediate")
        self.some()
        self.database.start()

    def database_paused(self):
        self.database.pause()
        self.some(0, 2 * LEASE)
        self.database.resume()

    def standby_killed(self):
        self.standby.kill()
        self.some(0, LEASE)
        self.standby.start()

    def changed_over(self):
        """The standby is the database, and gets a new standby; nodes learn of
        it as their operator would tell them."""
        old, new = self.database, self.standby
        old.kill()
        self.some(0, LEASE)
        new.promote()
        old.standbys.remove(new)
        old.close()
        self.database = new
        self.standby = new.add_standby(f"standby{self.done.total()}")
        for node in self.nodes:
            node.wire.to_port = new.port
            node.wire.heal()

    def wire_silent(self):
        node = self.amid()
        node.wire.silence()
        self.struck("silence", node, notices_s=NOTICES_S)
        self.some(0, 4 * LEASE)
        node.wire.heal()

    def wire_cut(self):
        self.rng.choice(self.nodes).wire.cut()

    FAULTS = [node_killed, both_killed, node_away, disk_lost, node_stopped,
              database_killed, database_crashed, database_paused,
              standby_killed, changed_over, wire_silent, wire_cut]

    # -- the story ---------------------------------------------------------------------

    def one_round(self, number):
        deck = self.FAULTS
        fault = deck[number] if number < len(deck) else self.rng.choice(deck)
        self.some(0.2, 2)
        fault(self)
        self.done[fault.__name__] += 1
        for node in self.nodes:
            node.wait_in_step()
        print(f"round {number + 1}: {fault.__name__}, {self.sent} sent, "
              f"{self.primary.count} delivered", flush=True)

    def run(self):
        self.primary.start()
        for node in self.nodes:
            node.connect(self.database)
            node.daemon.start()
            node.wait_in_step()
        actors = [threading.Thread(target=self.sender, args=(i,))
                  for i in range(SENDERS)]
        actors.append(threading.Thread(target=self.flapping))
        for actor in actors:
            actor.start()
        try:
            for number in range(self.rounds):
                self.one_round(number)
        finally:
            self.over.set()
            for actor in actors:
                actor.join(90)
        for node in self.nodes:
            node.daemon.ctl("flush")
        for node in self.nodes:
            node.daemon.wait_empty(timeout=300)
        # and what somebody had left to be taken over
        until(lambda: not any(self.database.count(t)
                              for t in ("message", "unit")), 120, 0.2)

    def close(self):
        for node in self.nodes:
            with contextlib.suppress(OSError, AttributeError):
                os.kill(node.daemon.process.pid, signal.SIGCONT)
            node.daemon.close()
            if node.wire:
                node.wire.close()
        self.primary.stop()
        self.database.close()
        postgres.Postgres.forget_template()

    def audit(self):
        """(figures, faults)"""
        b = self.books
        lost = [k for k in b.promised if not b.delivered[k]]
        invented = [k for k in b.delivered if k[0] not in b.doubtful]
        doubles = sum(n - 1 for n in b.delivered.values())
        lines, avoidable, faults = Inquest(
            self.primary, {n.name: n.daemon.log for n in self.nodes},
            self.blows).judge()
        print("\n".join(lines))
        for name, found in (("lost", lost), ("never sent", invented),
                            ("damaged", b.damaged)):
            if found:
                faults.append(f"{name}: {len(found)}, such as {found[:3]}")
        return {"rounds": self.rounds, "messages": self.sent,
                "promised": len(b.promised), "delivered": len(b.delivered),
                "lost": len(lost), "duplicates": doubles,
                "avoidable": avoidable, "refused": dict(self.refused),
                "taken_over": sum(mirror(n.daemon)["taken_over"]
                                  for n in self.nodes),
                "faults": dict(self.done)}, faults


def main():
    tell("mirror", Soak(int(sys.argv[1]),
                        sys.argv[2] if len(sys.argv) > 2 else "1"))


if __name__ == "__main__":
    main()
