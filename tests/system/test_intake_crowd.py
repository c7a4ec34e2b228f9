"""Many connections: who is let in, who goes, and what the log says."""

import os
import socket
import time

from client import PATIENCE, Raw, message
from faults import offer, until

LIMITS = {"connections": 40, "connections_per_client": 30}


def knock(d, client="127.0.0.1"):
    return Raw(None, sock=socket.create_connection(
        d.address, PATIENCE, source_address=(client, 0)))


def fill(d, clients, each):
    return [knock(d, c) for c in clients for _ in range(each)]


def test_a_newcomer_gets_in_before_the_tenth_of_another(mx20):
    d = mx20(conf={"limits": LIMITS})
    all = fill(d, ["127.0.0.1", "127.0.0.2"], 30)
    let_in = [c for c in all if c.greeting.startswith("220")]
    # 30 of the one; the other, when places are short, no more than 10
    assert len(let_in) == 40
    assert {c.greeting[:9] for c in all if c not in let_in} == {"421 4.7.0"}
    late = knock(d, "127.0.2.1")
    assert late.greeting.startswith("220")
    assert offer_whole(late).startswith("250")
    # for it went one of those who have many, and was told
    gone = [c for c in let_in if was_told(c)]
    assert len(gone) == 1
    # one of those who have many has to wait
    assert knock(d, "127.0.0.1").greeting.startswith("421")


def offer_whole(c):
    c.cmd("EHLO client.test")
    return offer(c, message())


def was_told(c):
    c.sock.settimeout(0.02)
    try:
        return c.line().startswith("421 4.3.2")
    except TimeoutError:
        return False


def test_the_idle_go_first(mx20):
    d = mx20(conf={"limits": dict(LIMITS, connections=8)})
    idle = fill(d, [f"127.0.1.{n}" for n in range(4)], 1)
    busy = fill(d, [f"127.0.2.{n}" for n in range(4)], 1)
    for c in busy:
        c.envelope()
    # nobody is idle for long enough yet
    assert knock(d, "127.0.3.1").greeting.startswith("421 4.3.2")
    time.sleep(2.2)  # there is no event: idle is what does not happen
    new = fill(d, [f"127.0.4.{n}" for n in range(4)], 1)
    assert {c.greeting[:3] for c in new} == {"220"}
    assert all(was_told(c) for c in idle)
    for c in busy:
        assert c.data(message() + ".\r\n").startswith("250")


def test_who_lingers_holds_few_descriptors(mx20):
    """QUIT with bytes behind it: we wait for the peer, but not for all."""
    d = mx20(conf={"limits": {"connections": 5000,
                              "connections_per_client": 5000}})
    gone = []
    for _ in range(400):
        c = knock(d)
        c.send("QUIT\r\n" + "x" * 100)
        gone.append(c)
    for c in gone:
        assert c.line().startswith("221")
    # told first, then counted
    until(lambda: 0 < connections_of(d) <= 256)


def connections_of(d):
    """Sockets of the daemon in the state of a connection."""
    with open(f"/proc/{d.process.pid}/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    ours = set()
    for n in os.listdir(f"/proc/{d.process.pid}/fd"):
        try:
            ours.add(os.readlink(f"/proc/{d.process.pid}/fd/{n}"))
        except FileNotFoundError:
            pass
    listening = "0A"
    return sum(f"socket:[{r[9]}]" in ours and r[3] != listening for r in rows)


def test_the_log_is_not_flooded(mx20):
    d = mx20(conf={"limits": {"errors": 1000}})
    for _ in range(3):
        with knock(d, "127.0.0.9") as c:
            c.send("WHAT\r\n" * 200 + "QUIT\r\n")
            while not c.line().startswith("221"):
                pass
    with knock(d, "127.0.0.10") as c:
        c.cmd("WHAT")
    d.wait_log("^rejected .*client=127.0.0.10 ")
    lines = [l for l in d.log if "client=127.0.0.9 " in l]
    assert len([l for l in lines if l.startswith("rejected")]) == 100
    said = [l for l in d.log if l.startswith("log level=warn client=127.0.0.9")]
    assert len(said) == 1 and "left out" in said[0]
