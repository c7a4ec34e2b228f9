"""What a second copy costs, and how fast another node has it."""

import time

import servers
from servers import cpu_seconds, memory_kib
from mirrored import in_step, lose_disk, mirror
from postgres import Postgres

WAL = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint;"


class Node(servers.Mx20Server):
    """With a mirror, if pg is given."""

    def __init__(self, pg=None, name="mx2a", port=1, lease="30s"):
        super().__init__(port)
        self.pg = pg
        if pg:
            self.daemon.conf["mirror"] = {"postgresql": pg.dsn(), "node": name,
                                          "lease": lease}
        self.daemon.write_files()

    def start(self):
        super().start()
        if self.pg:
            in_step(self.daemon)


def rates(load, note, messages):
    """4 KiB, 50 sessions: alone, with a database, with a standby as well."""
    title = f"m1 accept 4 KiB, 50 x {messages}: with a second copy"
    for name in ("mx20", "mirror", "mirror, sync. standby"):
        pg = Postgres().start() if name != "mx20" else None
        if "standby" in name:
            pg.add_standby()
        node = Node(pg)
        node.start()
        try:
            load(node.port, 5, 5)
            cpu = node.cpu()
            pg_cpu = cpu_seconds(pg.process.pid) if pg else 0
            wal = int(pg.one(WAL)) if pg else 0
            r = load(node.port, 50, messages)
            thousands = r["messages"] / 1000
            note(title, name, "rate", r["rate"], "msg/s", "more")
            note(title, name, "reply after dot, median", r["p50_ms"], "ms",
                 "less")
            note(title, name, "reply after dot, p99", r["p99_ms"], "ms",
                 "less")
            note(title, name, "CPU of mx20d per 1,000",
                 (node.cpu() - cpu) / thousands, "s", "less")
            if pg:
                note(title, name, "CPU of PostgreSQL per 1,000",
                     (cpu_seconds(pg.process.pid) - pg_cpu) / thousands, "s",
                     "less")
                note(title, name, "WAL per message",
                     (int(pg.one(WAL)) - wal) / r["messages"] / 1024, "KiB",
                     "less")
        finally:
            node.stop()
            if pg:
                pg.close()


def sizes(pg, note, title, count):
    total = int(pg.one("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class"
                       " c WHERE relnamespace = 'mx20'::regnamespace AND"
                       " relkind = 'r';"))
    note(title, "mx20", "room in the database, per message",
         total / count / 1024, "KiB", "less")


def takeover(load, note, count):
    """A node is lost with its disk; another has its mail."""
    title = f"m2 take over {count:,} messages of 4 KiB"
    pg = Postgres(settings="max_wal_size = 8GB\n").start()
    a, b = (Node(pg, name, lease="3s") for name in ("mx2a", "mx2b"))
    try:
        for node in (a, b):
            node.start()
        load(a.port, 50, count // 50)
        sizes(pg, note, title, count)
        lose_disk(a.daemon)
        while not mirror(b.daemon)["taken_over"]:
            time.sleep(0.02)
        first, cpu, most = time.monotonic(), b.cpu(), 0
        had = mirror(b.daemon)["taken_over"]
        while b.queued() < count:
            most = max(most, memory_kib(b.pid))
            time.sleep(0.1)
        took = time.monotonic() - first
        note(title, "mx20", "rate", (count - had) / took, "msg/s", "more")
        note(title, "mx20", "CPU of mx20d per 1,000",
             (b.cpu() - cpu) * 1000 / count, "s", "less")
        note(title, "mx20", "memory of mx20d, most", most / 1024, "MiB",
             "less")
    finally:
        for node in (a, b):
            node.stop()
        pg.close()
        Postgres.forget_template()
