"""Two copies: joining under load, leases that change, nodes that stand still."""

import ctypes
import subprocess
import time

from client import Raw
from daemon import BUILD
from faults import Load, until
from mirrored import both, fill, in_step, mirror, node, state

MANY = {"errors": 100000, "connections_per_client": 1000}


def test_joins_under_load(mx20, pg, primary):
    """The batch that joins has mail in it: nobody waits for anybody."""
    p = primary()
    d = node(mx20, pg.dsn(), p=p, conf={"limits": MANY}, lease="30s")
    load = Load(d.address, threads=4, size=500)
    load.wait(100)
    for _ in range(4):
        mark = d.mark()
        pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
               " WHERE application_name LIKE 'mx20 %';")
        d.wait_log("state=in-step", since=mark)
        n = len(load.acked)
        until(lambda: len(load.acked) > n, 6)  # a third of the lease is 10 s
    load.stop()
    assert "did not wait any longer" not in d.text()


def test_a_longer_lease_is_renewed_at_once(mx20, pg, primary):
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p, lease="2s")
    node(mx20, pg.dsn(), "mx2b", p=p, lease="2s")
    fill(a, ["m1"])
    a.conf["mirror"]["lease"] = "10m"
    a.write_files()
    a.reload()
    time.sleep(8)
    assert pg.count("taken") == 0
    assert state(a) == "in-step"


def test_content_that_arrives_over_a_takeover_is_whole(mx20, pg, wire,
                                                       primary):
    p = primary()
    w = wire(to=pg.port)
    a = node(mx20, pg.dsn(port=w.port), "mx2a", p=p, lease="2s")
    b = node(mx20, pg.dsn(), "mx2b", p=p, lease="2s")
    fill(a, ["m1"])
    line = "x" * 98 + "\r\n"
    with Raw(a.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        c.cmd("RCPT TO:<u@example.com>")
        c.cmd("DATA")
        c.send("Subject: slow\r\n\r\n")
        c.send(line * 5000)
        until(lambda: int(pg.one("SELECT sum(length(data)) FROM"
                                 " mx20.content;")) > 300000, 20, pause=0.1)
        w.silence()
        until(lambda: b.status()["spool"]["messages"] == 1, pause=0.1)
        until(lambda: int(pg.one("SELECT coalesce(sum(length(data)), 0) FROM"
                                 " mx20.content;")) < 10000, pause=0.1)
        w.heal()
        in_step(a)
        c.send(line * 1000)
        c.send(".\r\n")
        assert c.reply().startswith("250")
    both(pg, a, b)
    assert int(pg.one("SELECT sum(length(data)) FROM mx20.content;")) > 600000


def test_a_frozen_node_does_not_hold_its_row(mx20, pg, primary):
    """It stopped in the midst of a transaction that has its row."""
    p = primary()
    a = node(mx20, pg.dsn(), "mx2a", p=p, lease="2s")
    b = node(mx20, pg.dsn(), "mx2b", p=p, lease="2s")
    fill(a, ["m1"])
    pq = ctypes.CDLL("libpq.so.5")
    pq.PQconnectdb.restype = ctypes.c_void_p
    conn = ctypes.c_void_p(pq.PQconnectdb(
        (pg.dsn() + " application_name='mx20 mx2a'").encode()))
    assert pq.PQstatus(conn) == 0
    assert pq.PQenterPipelineMode(conn)
    for sql in ("SELECT set_config('idle_in_transaction_session_timeout',"
                " '1s', false)", "BEGIN",
                "UPDATE mx20.node SET seen = now() WHERE name = 'mx2a'"):
        assert pq.PQsendQueryParams(conn, sql.encode(), 0, None, None, None,
                                    None, 0)
    pq.PQsendFlushRequest(conn)
    pq.PQflush(conn)
    try:
        a.kill()
        until(lambda: b.status()["spool"]["messages"] == 1, 20, pause=0.2)
    finally:
        pq.PQfinish(conn)


def test_a_passfile_that_others_may_read(mx20, pg, primary, tmp_path):
    """libpq would say so on standard error at each try, in its own form."""
    words = tmp_path / "pgpass"
    words.write_text("*:*:*:*:secret\n")
    words.chmod(0o644)
    d = node(mx20, pg.dsn() + f" passfile={words}", p=primary(), start=False)
    said = "others may read it: chmod 600"
    done = subprocess.run([BUILD / "mx20d", "-c", d.conf_path, "--check"],
                          capture_output=True, text=True)
    assert done.returncode == 78 and said in done.stderr
    words.chmod(0o600)
    d.start()
    in_step(d)
    words.chmod(0o644)
    pg.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
           " WHERE application_name LIKE 'mx20 %';")
    d.wait_log(f"error=.*{said}")
    words.chmod(0o600)
    in_step(d)
    assert "WARNING" not in d.text()


def test_the_own_row_is_as_it_is(mx20, pg, primary):
    d = node(mx20, pg.dsn(), p=primary(), lease="30s")
    until(lambda: mirror(d)["nodes"])
    fill(d, ["m1", "m2", "m3"])
    until(lambda: mirror(d)["nodes"][0]["messages"] == 3, 5)
    until(lambda: pg.one("SELECT messages FROM mx20.node") == "3", 8)


def test_who_cannot_hand_over_stays(mx20, pg, primary):
    """The database is away: nobody would take the mail, nor new mail."""
    a = node(mx20, pg.dsn(), "mx2a", p=primary())
    b = node(mx20, pg.dsn(), "mx2b", p=primary())
    until(lambda: len(mirror(a)["nodes"]) == len(mirror(b)["nodes"]) == 2)
    pg.stop()
    until(lambda: state(a) == "away")
    done = a.ctl("mirror", "leave", "--yes", "--force", check=False)
    assert done.returncode == 1 and "the database is away" in done.stderr
    fill(a, ["m1"])
    pg.start()
    in_step(a)
    fill(a, ["m2"])
    assert "2 messages" in a.ctl("mirror", "leave", "--yes").stdout
    seen = mirror(a)
    assert seen["state"] == "left" and seen["lag"]["messages"] == 0
