"""Targets, connections and fairness: who is asked, how often, by how many."""

import re
import threading
import time

import pytest

from client import PATIENCE, Raw, message, send
from faults import deaf_listener, until
from primary import Accept, Delay, Hang
from test_drain_faults import FAST, allow, daemon


def send_many(d, count, rcpt="u@example.com"):
    """As BDAT, many transactions at a time."""
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for at in range(0, count, 100):
            some = range(at, min(at + 100, count))
            for i in some:
                to = rcpt(i) if callable(rcpt) else rcpt
                text = message(subject=str(i))
                c.send(f"MAIL FROM:<a@sender.test>\r\nRCPT TO:<{to}>\r\n"
                       f"BDAT {len(text)} LAST\r\n{text}")
            for _ in some:
                replies = [c.reply() for _ in range(3)]
                assert all(r.startswith("250") for r in replies), replies


def test_the_second_target_serves_while_the_first_is_away(mx20, primary):
    first, second = primary(), primary().start()
    d = daemon(mx20, first, second)
    send(d.address)
    second.wait_messages(1)
    assert second.messages[0].at
    # the first returns: asked beside the mail that flows, then preferred
    first.start()
    until(lambda: send(d.address) and first.messages, pause=0.2)
    sent = len(second.messages)
    for _ in range(5):
        send(d.address)
    d.wait_empty()
    assert len(second.messages) == sent
    [row] = [r for r in d.status()["domains"]] or [None]
    assert row is None or row["state"] == "up"


@pytest.mark.parametrize("greeting", ["421 4.3.2 busy", "554 5.7.1 no",
                                      "451 4.3.0 no"])
def test_the_next_target_is_tried_at_once(mx20, primary, greeting):
    first = primary(on={"greeting": greeting, "helo": greeting}).start()
    second = primary().start()
    d = daemon(mx20, first, second, drain={"probe_busy": "1h"})
    send(d.address)
    second.wait_messages(1)
    assert len(first.sessions) <= 2  # greeted, or with HELO once more


def test_an_address_that_drops_packets_does_not_hold_mail_long(mx20, primary):
    """A listener with a full backlog takes no SYN: the next address is tried
    long before connect_timeout is over."""
    first, second = primary(), primary().start()
    with deaf_listener(first.address, first.port):
        d = daemon(mx20, first, second, drain={"connect_timeout": "10m"})
        send(d.address)
        second.wait_messages(1)
        d.wait_log(r"^probe .*stage=connect .*\(connect\) Time-out")


def test_status_shows_every_target(mx20, primary):
    first, second = primary(), primary()
    d = daemon(mx20, first, second)
    send(d.address)
    d.wait_log("^state .*to=down")
    [row] = d.status()["domains"]
    assert [t["target"] for t in row["targets"]] == [
        f"[127.0.0.1]:{first.port}", f"[127.0.0.1]:{second.port}"]
    assert row["state"] in ("down", "probing")
    assert all("refused" in t["last_reply"] for t in row["targets"])
    assert row["since"] and row["next_probe"] and row["checked"]
    assert all(t["checked"] >= t["since"] for t in row["targets"])


def test_connections_stay_below_the_limit(mx20, primary):
    p = primary(on={"dot": Delay(0.02)})
    d = daemon(mx20, p, drain={"connections": 4})
    send_many(d, 200)
    p.start()
    p.wait_messages(200)
    assert 2 <= p.most_sessions <= 4
    # connections are reused: the first probe's, too
    assert len(p.sessions) <= 5
    d.wait_empty()


def test_a_primary_that_takes_three_connections(mx20, primary):
    def greeting(_, __):
        return "421 4.7.0 too many" if p.open_sessions > 3 else None

    p = primary(on={"greeting": greeting, "dot": Delay(0.01)})
    d = daemon(mx20, p, drain={"probe_busy": "1h"})
    send_many(d, 300)
    p.start()
    p.wait_messages(300)
    # told once, it is not asked again and again
    assert len(p.sessions) < 20
    assert "to=down" not in "\n".join(
        d.log[[i for i, l in enumerate(d.log) if "to=up" in l][0]:])


def test_a_slow_destination_does_not_hold_another(mx20, primary):
    slow = primary(on={"greeting": Hang()}).start()
    fast = primary().start()
    d = daemon(mx20, fast, domains=allow(slow, name="slow.example"),
               drain={"reply_timeout": "1h"})
    for _ in range(20):
        send(d.address, rcpts="u@slow.example")
    slow.wait_sessions(1)
    send(d.address)
    fast.wait_messages(1)


def test_fresh_mail_does_not_wait_behind_the_backlog(mx20, primary):
    arrived = threading.Event()

    def dot(_, __):
        if len(p.messages) >= 60:
            arrived.wait(PATIENCE)

    p = primary(on={"dot": dot}, offers=["PIPELINING"])
    d = daemon(mx20, p, drain={"connections": 5, "reply_timeout": "1h"})
    send_many(d, 400)
    p.start()
    p.wait_messages(60)
    send(d.address, content=message(subject="fresh"))
    arrived.set()
    p.wait_messages(401)
    order = [re.search(rb"Subject: (\S+)", m.content).group(1)
             for m in p.messages]
    assert order.index(b"fresh") < 200
    d.wait_empty()


def test_fifo_within_a_domain(mx20, primary):
    p = primary()
    d = daemon(mx20, p, drain={"connections": 1})
    send_many(d, 100)
    p.start()
    p.wait_messages(100)
    order = [int(re.search(rb"Subject: (\d+)", m.content).group(1))
             for m in p.messages]
    assert order == sorted(order)


def test_round_robin_across_domains(mx20, primary):
    """One domain's backlog does not hold its neighbour on the same host."""
    p = primary(on={"dot": Delay(0.01)}, offers=["PIPELINING"])
    d = daemon(mx20, p, domains=allow(p, name="small.example"),
               drain={"connections": 1})
    send_many(d, 200)
    send_many(d, 3, rcpt="u@small.example")
    p.start()
    p.wait_messages(203)
    small = [i for i, m in enumerate(p.messages)
             if m.rcpts == ["u@small.example"]]
    assert max(small) < 15


def test_many_domains_are_one_destination(mx20, primary):
    """Shared route: one probe at a time, at most `connections`."""
    count = 10000
    p = primary(on={"greeting": ["421 4.3.2 busy", Accept()]})
    lines = "".join(f"d{i}.example recipients=* primary={p.route}\n"
                    for i in range(count))
    d = mx20(domains=lines, conf={
        "drain": dict(FAST, connections=5), "bounce": {"mode": "hold"},
        "log": {"level": "debug"}})
    began = time.monotonic()
    send_many(d, count, rcpt=lambda i: f"u@d{i}.example")
    before = d.text().count("probe ")
    assert before < 5 + time.monotonic() - began # one a second for all
    p.start()
    p.wait_messages(count)
    assert p.most_sessions <= 5
    assert len(p.sessions) <= 8
    d.wait_empty()


def test_a_changed_route_wakes_its_mail(mx20, primary):
    old = primary(on={"greeting": "421 4.3.2 busy"}).start()
    new = primary().start()
    d = daemon(mx20, old, drain={"probe_busy": "1h"})
    send(d.address)
    d.wait_log("^state .*to=down")
    d.domains = allow(new)
    assert d.reload().returncode == 0
    new.wait_messages(1)
    d.wait_empty()


def test_what_waits_behind_a_host_that_hangs_goes_where_its_domain_went(
        mx20, primary):
    """What the old connection has not begun with does not wait for its end."""
    old = primary(on={"dot": Hang()}).start()
    new = primary().start()
    d = daemon(mx20, old, drain={"connections": 1, "reply_timeout": "1h"})
    send(d.address)
    until(lambda: old.sessions and "DATA" in old.sessions[0].transcript)
    send_many(d, 5)
    d.domains = allow(new)
    assert d.reload().returncode == 0
    new.wait_messages(5)


def test_parameters_are_passed_on_where_offered(mx20, primary):
    p = primary().start()
    d = daemon(mx20, p)
    send(d.address, mail_options=["BODY=8BITMIME", "RET=HDRS",
                                  "ENVID=abc+2Bd", "SMTPUTF8"],
         rcpt_options=["NOTIFY=FAILURE,DELAY",
                       "ORCPT=rfc822;other+40example.com"])
    [got] = p.wait_messages(1)
    params = set(got.params)
    assert {"BODY=8BITMIME", "RET=HDRS", "ENVID=abc+2Bd",
            "SMTPUTF8"} <= params
    assert any(re.fullmatch(r"SIZE=\d+", x) for x in params)
    assert set(got.rcpt_params[0]) == {
        "NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;other+40example.com"}


def test_parameters_are_left_out_where_not_offered(mx20, primary):
    p = primary(offers=[]).start()
    d = daemon(mx20, p)
    send(d.address, mail_options=["BODY=8BITMIME", "RET=HDRS"],
         rcpt_options=["NOTIFY=FAILURE"])
    [got] = p.wait_messages(1)
    assert got.params == [] and got.rcpt_params == [[]]


def test_helo_only(mx20, primary):
    p = primary(on={"ehlo": "502 5.5.1 what?"}).start()
    d = daemon(mx20, p)
    send(d.address)
    [got] = p.wait_messages(1)
    assert got.params == []


def test_large_messages_do_not_fill_memory(mx20, primary):
    p = primary(offers=["PIPELINING", "CHUNKING"])
    d = daemon(mx20, p)
    body = ("q" * 76 + "\r\n") * (10 * 1024 * 1024 // 78)
    for _ in range(4):
        send(d.address, content=message(body=body))
    before = d.rss_kib()
    p.start()
    p.wait_messages(4)
    assert all(len(m.content) > 10 * 1000 * 1000 for m in p.messages)
    assert d.rss_kib() - before < 16 * 1024
    d.wait_empty()


# -- probes -------------------------------------------------------------------

def test_nothing_waits_and_nobody_is_probed(mx20, primary):
    """The last mail is removed while its host is down.  Another host that is
    down, and has mail, is the clock."""
    busy = {"greeting": "421 4.3.2 busy"}
    p, clock = primary(on=busy).start(), primary(on=busy).start()
    d = mx20(domains=allow(p) + allow(clock, name="clock.example"),
             conf={"drain": dict(FAST, probe_busy="1s")})
    send(d.address)
    send(d.address, rcpts="u@clock.example")
    p.wait_sessions(2)
    [row] = d.queue("example.com")
    d.ctl("remove", row["id"])
    asked = len(p.sessions)
    clock.wait_sessions(len(clock.sessions) + 4)
    assert len(p.sessions) <= asked + 1  # that was under way
    [row] = d.status()["domains"]
    assert row["domain"] == "clock.example" and row["next_probe"]
    send(d.address)
    p.wait_sessions(asked + 2)


def test_failed_probes_are_logged_on_change(mx20, primary):
    """Not each of them; what differs in numbers only is no change."""
    words = ["busy"]
    p = primary(on={"greeting": lambda _, __:
                    f"421 4.3.2 {words[0]} #{len(p.sessions)}"}).start()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST, probe_busy="1s")})
    send(d.address)
    p.wait_sessions(4)
    words[0] = "broken"
    d.wait_log("^probe .*result=failed .*broken.* repeated=[123] ")
    lines = [line for line in d.log if line.startswith("probe ")]
    assert len(lines) == 2 and "busy #1" in lines[0], lines
