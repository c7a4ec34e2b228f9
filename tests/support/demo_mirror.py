#!/usr/bin/python3
"""Two copies, on loopback, in a minute.

Two nodes share a PostgreSQL with a synchronous standby.  A domain's primary is
down; one node takes its mail, says 250 when both copies are durable, and is
lost with its disk.  The other delivers the mail when the primary is back.
"""

import pathlib
import smtplib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "system"), str(ROOT / "tests" / "support")]

import postgres  # noqa: E402
from daemon import Mx20  # noqa: E402
from demo import MESSAGE, expect, fail, offer, say, step, wait_for  # noqa: E402
from mirrored import lose_disk, mirror  # noqa: E402
from primary import Primary  # noqa: E402

LEASE_S = 4


def show(daemon, *verb):
    say("\n".join("  " + line for line in
                  daemon.ctl(*verb).stdout.rstrip().split("\n")))


def make_node(name, dsn, primary):
    return Mx20(
        domains=f"example.com  primary={primary.route}\n",
        recipients={"example.com": "info\n"},
        conf={"hostname": f"{name}.example.net",
              "mirror": {"postgresql": dsn, "node": name,
                         "lease": f"{LEASE_S}s"}})


def is_in_step(node):
    return mirror(node)["state"] == "in-step"


def send(node, count):
    with smtplib.SMTP("127.0.0.1", node.port, timeout=20) as smtp:
        smtp.ehlo("sender.test")
        for _ in range(count):
            expect("mail was refused", offer(smtp, "info@example.com") == 250)


def take_mail(pg, standby, a, b):
    step("A PostgreSQL, and a standby that has each commit as well")
    say("  synchronous_standby_names = '%s'" % pg.one(
        "SHOW synchronous_standby_names;"))
    step("Two nodes of it: mirror = { postgresql = \"host=... dbname=mx20\"; };")
    for node in (a, b):
        node.start()
        wait_for("a node is not in step", lambda n=node: is_in_step(n), 20)
    show(a, "mirror")
    step("Three mails arrive at mx2a; the primary is down")
    send(a, 3)
    for name, server in (("database", pg), ("standby ", standby)):
        wait_for(f"the {name} has not what it said it has",
                 lambda s=server: s.count("message") == 3, 10)
        say(f"  {name}  SELECT count(*) FROM message: 3")


def lose_one(a, b, primary):
    step("mx2a dies, and its disk with it")
    lose_disk(a)
    lost = time.monotonic()
    step("The primary is back")
    primary.start()
    wait_for("the mail did not arrive", lambda: len(primary.messages) == 3,
             10 * LEASE_S)
    say(f"  all three arrived {time.monotonic() - lost:.1f} s after mx2a had"
        f" died; its lease was {LEASE_S} s:\n")
    say("    " + primary.messages[0].text.replace("\r\n", "\n    ").rstrip())
    for message in primary.messages:
        expect("the content was changed", message.body.decode() == MESSAGE)
    wait_for("mx2b has mail left",
             lambda: b.status()["spool"]["messages"] == 0, 10)
    step("mx20ctl mirror, at mx2b")
    wait_for("mx2a's row does not say who has its mail", lambda: any(
        n["taken_by"] == "mx2b" for n in mirror(b)["nodes"]), 20)
    show(b, "mirror")


def lose_database(pg, standby, b, primary):
    step("Now the database dies; its standby becomes the primary")
    pg.kill()
    send(b, 1)
    show(b, "status")
    standby.promote()
    wait_for("mx2b is not in step", lambda: is_in_step(b), 30)
    step("mx2b has found it, by the second host of its connection string")
    show(b, "mirror")
    wait_for("the last mail did not arrive",
             lambda: len(primary.messages) == 4, 20)


def main():
    if postgres.BIN is None:
        fail("PostgreSQL is not installed")
    pg = postgres.Postgres().start()
    standby = pg.add_standby()
    primary = Primary(name="mail.example.com")
    nodes = [make_node(n, pg.dsn(standby), primary) for n in ("mx2a", "mx2b")]
    try:
        take_mail(pg, standby, *nodes)
        lose_one(*nodes, primary)
        lose_database(pg, standby, nodes[1], primary)
        expect("mx2b did not leave cleanly", nodes[1].stop() == 0)
    except (AssertionError, OSError, smtplib.SMTPException) as error:
        fail(str(error))
    finally:
        primary.stop()
        for node in nodes:
            node.close()
        pg.close()
        postgres.Postgres.forget_template()
    say("\ndemo: done: a node, a disk and a database lost; no mail was")


if __name__ == "__main__":
    main()
