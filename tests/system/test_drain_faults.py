"""What goes wrong at the primary, and what then happens to the mail."""

import time

import pytest

from client import Raw, message, send
from faults import Clock, deaf_listener
from primary import Accept, Bytes, Delay, Drop, Hang

# Short waits, so that a test sees several rounds.
FAST = {"probe_max": "30s", "probe_busy": "2s", "retry": ["1s", "2s"],
        "reply_timeout": "2s", "connect_timeout": "2s"}


def allow(*primaries, options="recipients=*", name="example.com"):
    """An allowlist line with these targets in order of preference."""
    route = ",".join(p.route for p in primaries)
    return f"{name} {options} primary={route}\n"


def daemon(mx20, *primaries, drain=None, **options):
    conf = options.pop("conf", {})
    conf["drain"] = dict(FAST, **(drain or {}))
    conf.setdefault("bounce", {"mode": "hold"})
    conf.setdefault("log", {"level": "debug"})  # every probe is there
    extra = options.pop("domains", "")
    return mx20(domains=allow(*primaries) + extra, conf=conf, **options)


def gaps(times):
    return [b - a for a, b in zip(times, times[1:])]


# -- connecting ---------------------------------------------------------------

def test_refused_connections_are_tried_again_at_a_growing_pace(mx20, primary):
    p = primary()
    d = daemon(mx20, p)
    send(d.address)
    d.wait_log("^probe .*result=failed", count=4)
    probes = [line for line in d.log if line.startswith("probe ")]
    assert "stage=connect" in probes[0]
    assert "onnection refused" in probes[0]
    p.start()
    p.wait_messages(1)
    d.wait_log("^state .*to=up")
    d.wait_empty()


@pytest.mark.parametrize("stage", ["greeting", "ehlo"])
@pytest.mark.parametrize("reply", ["421 4.3.2 busy", "450 4.3.2 busy"])
def test_a_busy_primary_is_left_alone_for_probe_busy(mx20, primary, stage,
                                                     reply):
    p = primary(on={stage: [reply, reply, Accept()]}).start()
    d = daemon(mx20, p)
    send(d.address)
    p.wait_messages(1)
    assert all(gap >= 1.9 for gap in gaps(p.accepted_at[:3])), p.accepted_at
    d.wait_log("^state .*to=down")
    d.wait_empty()


@pytest.mark.parametrize("stage", ["greeting", "ehlo"])
def test_5yz_to_the_connection_is_never_about_mail(mx20, primary, stage):
    on = {stage: ["554 5.7.1 not you", "554 5.7.1 not you", Accept()],
          "helo": ["554 5.7.1 not you", "554 5.7.1 not you", Accept()]}
    p = primary(on=on).start()
    d = daemon(mx20, p)
    send(d.address)
    d.wait_log("^state .*to=down")
    [row] = d.status()["domains"]
    assert row["state"] in ("down", "probing")
    assert "554" in row["last_reply"]
    p.wait_messages(1)
    d.wait_empty()
    assert "bounced" not in d.text()


def test_a_slow_banner_is_waited_for(mx20, primary):
    p = primary(on={"greeting": Delay(3)}).start()
    d = daemon(mx20, p, drain={"reply_timeout": ""})
    send(d.address)
    p.wait_messages(1)
    assert len(p.sessions) == 1


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data",
                                   "dot"])
@pytest.mark.parametrize("fault", [Hang(), Drop(), Drop(reset=True)],
                         ids=["hang", "close", "reset"])
def test_silence_and_loss_at_every_stage(mx20, primary, stage, fault):
    """Nothing is lost, and nothing bounces."""
    p = primary(on={stage: [fault, Accept()]}).start()
    d = daemon(mx20, p)
    content = message(body="x" * 70 + "\r\n")
    send(d.address, content=content)
    [got] = p.wait_messages(1)
    assert got.body.decode() == content
    d.wait_empty()
    assert "bounced" not in d.text()
    if stage == "dot":
        assert "a duplicate is possible" in d.text()


def test_lost_in_the_middle_of_content(mx20, primary):
    """The server closes while content is on its way."""
    def cut(session, _):
        if len(p.sessions) > 1:
            return None
        session.say("354 go on")
        session.take(100000)
        return Drop(reset=True)

    p = primary(on={"data": cut}).start()
    d = daemon(mx20, p)
    content = message(body=("y" * 70 + "\r\n") * 100000)
    send(d.address, content=content)
    [got] = p.wait_messages(1)
    assert got.body.decode() == content
    d.wait_empty()


def test_an_answer_in_the_middle_of_content(mx20, primary):
    """A server that has seen enough says so at once and closes."""
    def enough(session, _):
        session.say("354 go on")
        session.take(100000)
        session.say("552 5.3.4 too big")
        return Drop()

    p = primary(on={"data": enough}).start()
    d = daemon(mx20, p)
    send(d.address, content=message(body=("y" * 70 + "\r\n") * 100000))
    d.wait_log("^held .*552 5.3.4 too big")
    assert len(p.sessions) == 1


def test_a_reply_that_never_ends(mx20, primary):
    """10 MB of reply lines: the connection goes, memory does not grow."""
    flood = Bytes(b"250-" + b"x" * 500 + b"\r\n", drop=False)

    def pour(session, _):
        if len(p.sessions) > 1:
            return None
        for _ in range(20000):
            session.perform(flood, "")
        return Drop()

    p = primary(on={"mail": pour}).start()
    d = daemon(mx20, p)
    before = d.rss_kib()
    send(d.address)
    p.wait_messages(1)
    assert d.rss_kib() - before < 4096
    d.wait_empty()


def test_not_smtp_at_all(mx20, primary):
    p = primary(on={"greeting": [Bytes(b"SSH-2.0-OpenSSH_9.2\r\n"),
                                 Accept()]}).start()
    d = daemon(mx20, p)
    send(d.address)
    p.wait_messages(1)
    d.wait_log(r"^probe .*stage=greeting .*not SMTP")


def test_a_host_that_drops_packets_is_found_again(mx20, primary):
    """A listener with a full backlog takes no SYN: connect hangs."""
    p = primary()
    with deaf_listener(p.address, p.port):
        d = daemon(mx20, p)
        send(d.address)
        d.wait_log(r"^probe .*stage=connect .*\(connect\) Time-out", count=2)
    p.start()
    p.wait_messages(1)
    assert p.messages[0].at - p.started < 5


# -- in the session -------------------------------------------------------------

@pytest.mark.parametrize("stage", ["rcpt", "dot"])
def test_4yz_to_one_waits_for_the_retry(mx20, primary, stage):
    p = primary(on={stage: ["451 4.3.0 later", "451 4.3.0 later",
                            Accept()]}).start()
    d = daemon(mx20, p)
    send(d.address)
    d.wait_log(r"^deferred .*attempts=1 .*451 4.3.0 later")
    [entry] = d.queue()
    [rcpt] = entry["recipients"]
    assert rcpt["attempts"] == 1
    assert rcpt["last_reply"] == "451 4.3.0 later"
    p.wait_messages(1)
    hit = d.wait_log(r"^deferred .*attempts=2 .*due_s=(\d)")
    assert hit.group(1) == "2"
    d.wait_empty()
    # it says so at once on a connection that works: no outage
    assert "to=down" not in d.text()


class Ill:
    """A primary that answers, and says this to everybody until it is well."""

    def __init__(self, reply):
        self.reply = reply

    def __call__(self, _session, _argument):
        return self.reply


def tries(p):
    return sum(line.startswith("MAIL") for s in list(p.sessions)
               for line in list(s.transcript))


@pytest.mark.parametrize("stage, reply, offers", [
    ("mail", "452 4.3.1 Insufficient system resources", ("PIPELINING",)),
    ("rcpt", "451 4.3.0 Temporary lookup failure", ("PIPELINING",)),
    ("rcpt", "451 Temporary local problem", ()),
    ("data", "451 4.3.0 later", ("PIPELINING",)),
    ("dot", "451 4.7.1 Service unavailable", ("PIPELINING",)),
    ("bdat", "451 4.7.1 Service unavailable", ("PIPELINING", "CHUNKING"))])
def test_4yz_to_everybody_is_an_outage(mx20, primary, stage, reply, offers):
    """Disk, directory or scanner away behind a primary that answers."""
    ill = Ill(reply)
    p = primary(on={stage: ill}, offers=offers).start()
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    for i in range(30):
        send(d.address, f"u{i}@example.com")
    d.wait_log("^state .*to=down")
    d.wait_log(f"^probe .*result=failed stage={'dot' if stage == 'bdat' else stage} ")
    [row] = d.status()["domains"]
    assert row["state"] in ("down", "probing")
    assert row["last_reply"] == reply
    assert row["next_probe"] is not None or row["state"] == "probing"
    assert tries(p) < 20
    ill.reply = None
    p.wait_messages(30)
    d.wait_empty()
    assert len([line for line in d.log if line.startswith("deferred")]) < 10


@pytest.mark.parametrize("stage", ["mail", "data"])
def test_4yz_that_names_no_mailbox_is_an_outage(mx20, primary, stage):
    """Even when only one message waits."""
    ill = Ill("451 4.3.0 later")
    p = primary(on={stage: ill}).start()
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    send(d.address)
    d.wait_log(rf"^probe .*result=failed stage={stage} .*451 4.3.0 later")
    [row] = d.status()["domains"]
    assert (row["state"], row["last_reply"]) in (
        ("down", "451 4.3.0 later"), ("probing", "451 4.3.0 later"))
    ill.reply = None
    p.wait_messages(1)
    d.wait_empty()


def test_a_restart_in_the_middle_of_such_an_outage(mx20, primary):
    """What was put off does not wait an hour for nothing."""
    ill = Ill("451 4.3.0 later")
    p = primary(on={"rcpt": ill}).start()
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    for i in range(4):
        send(d.address, f"u{i}@example.com")
    d.wait_log("^probe .*result=failed stage=rcpt ")
    d.restart()
    ill.reply = None
    p.wait_messages(4)
    d.wait_empty()


def test_another_host_takes_what_the_first_refuses_to_all(mx20, primary):
    p = primary(on={"rcpt": "451 4.3.0 Temporary lookup failure"}).start()
    q = primary().start()
    d = daemon(mx20, p, q, drain={"retry": ["1h"]})
    for i in range(20):
        send(d.address, f"u{i}@example.com")
    q.wait_messages(20)
    d.wait_empty()
    assert "to=down" not in d.text()


def test_a_refused_mailbox_is_a_matter_of_its_own(mx20, primary):
    """Among others that are taken; and what waits for it goes when the next
    message for it does."""
    full = Ill("452 No room")

    def rcpt(session, address):
        return full(session, "") if address == "full@example.com" else None

    p = primary(on={"rcpt": rcpt}).start()
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    for i in range(8):
        send(d.address, "full@example.com" if i == 2 else f"u{i}@example.com")
    p.wait_messages(7)
    d.wait_log("^deferred .*to=<full@")
    assert tries(p) == 8
    assert "to=down" not in d.text()
    full.reply = None
    send(d.address, "full@example.com")
    p.wait_messages(9)
    d.wait_empty()


def test_greylisting_is_not_an_outage_for_long(mx20, primary):
    """Each sender and recipient is refused at first, then taken: the first
    ones look like an outage, but the others do not wait behind them."""
    first = {}

    def rcpt(session, address):
        key = session.message.sender, address
        begun = first.setdefault(key, time.monotonic())
        return "450 4.7.1 later" if time.monotonic() - begun < 2 else None

    p = primary(on={"rcpt": rcpt}).start()
    d = daemon(mx20, p, drain={"retry": ["1s", "2s"]})
    for i in range(60):
        send(d.address, f"u{i}@example.com")
    p.wait_messages(60)
    d.wait_empty()
    assert d.text().count("to=down") <= 2


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize("offers", [
    ("8BITMIME",), ("PIPELINING",), ("PIPELINING", "CHUNKING")],
    ids=["plain", "pipelining", "chunking"])
def test_5yz_is_reported_or_held(mx20, primary, stage, offers):
    if stage == "data" and "CHUNKING" in offers:
        pytest.skip("there is no DATA")
    if stage == "dot" and "CHUNKING" in offers:
        stage = "bdat"
    p = primary(offers=offers, on={stage: "554 5.7.9 never"}).start()
    d = daemon(mx20, p)
    send(d.address)
    d.wait_log(r"^held .*554 5.7.9 never")
    [row] = d.status()["domains"]
    assert (row["state"], row["messages"]) == ("up", 1)


def test_recipients_are_settled_one_by_one(mx20, primary):
    def rcpt(_, address):
        return {"busy@example.com": "450 4.2.1 busy",
                "gone@example.com": "550 5.1.1 unknown"}.get(address)

    p = primary(on={"rcpt": rcpt}).start()
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    send(d.address, rcpts=["a@example.com", "busy@example.com",
                           "gone@example.com", "b@example.com"])
    [got] = p.wait_messages(1)
    assert got.rcpts == ["a@example.com", "b@example.com"]
    d.wait_log("^deferred .*to=<busy@example.com>")
    d.wait_log("^held .*to=<gone@example.com>")
    [entry] = d.queue()
    assert sorted(r["address"] for r in entry["recipients"]) == [
        "busy@example.com", "gone@example.com"]


def test_too_many_recipients_go_in_the_next_transaction(mx20, primary):
    def rcpt(session, _):
        if len(session.message.rcpts) >= 5:
            return "452 4.5.3 too many recipients"
        return None

    p = primary(on={"rcpt": rcpt}).start()
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    rcpts = [f"u{i}@example.com" for i in range(23)]
    send(d.address, rcpts=rcpts)
    got = p.wait_messages(5)
    assert sorted(sum((m.rcpts for m in got), [])) == sorted(rcpts)
    d.wait_empty()


@pytest.mark.parametrize("end", ["421 4.5.3 too many", Drop()],
                         ids=["421", "close"])
def test_a_server_that_leaves_at_the_fifth_recipient(mx20, primary, end):
    """Each connection would end alike, and the mail would never arrive."""
    p = primary(on={"rcpt": lambda session, _: end if len(
        session.message.rcpts) >= 4 else None}).start()
    d = daemon(mx20, p, drain={"retry": ["1h"], "probe_busy": "1s"})
    rcpts = [f"u{i}@example.com" for i in range(9)]
    send(d.address, rcpts=rcpts)
    got = p.wait_messages(3)
    assert [len(m.rcpts) for m in got] == [4, 4, 1]
    assert sorted(sum((m.rcpts for m in got), [])) == sorted(rcpts)
    d.wait_empty()
    d.wait_log('^fallback .*without=recipients')


def test_a_hundred_recipients_at_a_time(mx20, primary):
    p = primary().start()
    d = daemon(mx20, p)
    rcpts = [f"u{i}@example.com" for i in range(250)]
    send(d.address, rcpts=rcpts)
    got = p.wait_messages(3)
    assert [len(m.rcpts) for m in got] == [100, 100, 50]
    d.wait_empty()


def test_a_stubborn_recipient_does_not_hold_the_others(mx20, primary):
    """250 recipients, the first of which is never taken."""
    def rcpt(_, address):
        return "450 4.2.1 busy" if address == "u0@example.com" else None

    p = primary(on={"rcpt": rcpt}).start()
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    send(d.address, rcpts=[f"u{i}@example.com" for i in range(250)])
    p.wait_messages(3)

    def asked():
        return [line for s in p.sessions for line in s.transcript
                if line.startswith("RCPT TO:<u0@")]

    d.wait_log("^deferred .*to=<u0@")
    d.wait_log("^delivered", count=249)
    [entry] = d.queue()
    assert len(entry["recipients"]) == 1
    d.ctl("status")
    assert len(asked()) == 1
    assert sum(len(m.rcpts) for m in p.messages) == 249


def test_421_in_the_session_ends_the_connection_only(mx20, primary):
    """A server that takes one message per connection still gets all."""
    served = set()

    def mail(session, _):
        return "421 4.7.0 one a connection" if session in served else None

    def dot(session, _):
        served.add(session)

    p = primary(on={"mail": mail, "dot": dot})
    p.start()
    d = daemon(mx20, p, drain={"probe_busy": "1h"})
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for _ in range(5):
            c.cmd("MAIL FROM:<a@sender.test>")
            c.cmd("RCPT TO:<u@example.com>")
            c.data(message() + ".\r\n")
    p.wait_messages(5)
    d.wait_empty()


def test_a_message_that_kills_the_primary_does_not_hold_the_rest(mx20,
                                                                 primary):
    def mail(_, rest):
        return Drop() if "poison@" in rest else None

    p = primary(on={"mail": mail})
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    send(d.address, sender="poison@sender.test")
    for _ in range(3):
        send(d.address)
    p.start()
    p.wait_messages(3)
    d.wait_log("^deferred .*attempts=1")
    d.wait_log("^delivered", count=3)
    [entry] = d.queue()
    assert entry["from"] == "poison@sender.test"


def test_messages_that_silence_the_primary_do_not_starve_the_rest(mx20,
                                                                  primary):
    """Three of them, the oldest: the first loss is the others' only wait.
    Then each is tried over a connection of its own, and waits longer than it
    has cost."""
    bad = [True]

    def dot(session, _):
        if bad[0] and b"Subject: bad" in session.finishing.content:
            return Hang()
        return None

    p = primary(on={"dot": dot})
    d = daemon(mx20, p, drain={"retry": ["1s"], "reply_timeout": "2s"})
    for i in range(23):
        send(d.address, content=message("bad" if i < 3 else f"good {i}"))
    p.start()
    p.wait_messages(20)
    lost = d.text().count("a duplicate is possible")
    assert lost <= 3, lost
    hit = d.wait_log(r"^deferred .*attempts=1 due_s=(\d+) .*Connection lost")
    assert int(hit.group(1)) >= 7
    bad[0] = False
    d.ctl("flush")
    p.wait_messages(23)
    d.wait_empty()


def test_one_message_and_a_network_that_breaks(mx20, primary):
    """Nothing else waits: it goes as soon as the primary answers again."""
    p = primary(on={"dot": [Drop(), Accept()]}).start()
    d = daemon(mx20, p, drain={"retry": ["1h"]})
    send(d.address)
    p.wait_messages(1)
    d.wait_empty()


def test_the_primary_greets_with_our_name(mx20, primary):
    p = primary(name="mx2.test").start()
    d = daemon(mx20, p)
    send(d.address)
    d.wait_log("^route level=error .*own name")
    assert p.messages == []
    [row] = d.status()["domains"]
    assert row["messages"] == 1


# -- time -----------------------------------------------------------------------

def test_the_lifetime_ends_in_held_mail_without_reports(mx20, primary):
    p = primary()
    d = daemon(mx20, p, conf={"spool": {"lifetime": "3s"}})
    send(d.address)
    d.wait_log("^held .* reason=lifetime ")
    [row] = d.status()["domains"]
    assert row["messages"] == 1


def test_mail_in_hand_does_not_hide_other_ends(mx20, primary):
    """What is being tried is not given up; what ends behind it is."""
    p = primary(address="0.0.0.0", on={"dot": Hang(), "bdat": Hang()}).start()
    names = [f"d{n}.test" for n in range(40)]
    d = mx20(domains="".join(
        f"{name} recipients=* lifetime=3s primary=127.0.1.{n + 1}:{p.port}\n"
        for n, name in enumerate(names)) +
        "last.test recipients=* lifetime=3s primary=127.0.0.1:1\n",
        conf={"bounce": {"mode": "hold"}, "limits": {"errors": 100}})
    for name in names:
        send(d.address, f"a@{name}")
    send(d.address, "a@last.test")
    d.wait_log("^held .*a@last.test")
    d.kill()


def test_a_restart_continues_where_it_was(mx20, primary):
    p = primary()
    d = daemon(mx20, p)
    for _ in range(5):
        send(d.address)
    d.wait_log("^state .*to=down")
    d.restart()
    p.start()
    p.wait_messages(5)
    d.wait_empty()


def test_sigterm_while_draining_leaves_at_once(mx20, primary):
    p = primary(on={"dot": Delay(0.2)}).start()
    d = daemon(mx20, p, drain={"connections": 2})
    for _ in range(200):
        send(d.address)
    p.wait_messages(3)
    assert d.stop() == 0
    assert len(p.messages) < 100  # it did not wait for the queue
    p.on = {}
    d.start()
    p.wait_messages(200)
    d.wait_empty()


def test_flush_cuts_the_wait(mx20, primary):
    p = primary(on={"greeting": ["421 busy", Accept()]}).start()
    d = daemon(mx20, p, drain={"probe_busy": "1h"})
    send(d.address)
    d.wait_log("^state .*to=down")
    d.ctl("flush")
    p.wait_messages(1)


def test_a_connection_from_the_primary_cuts_the_wait(mx20, primary, tmp_path):
    """It has been away for ten hours: the next look were in half an hour."""
    p, clock = primary(), Clock(tmp_path)
    d = daemon(mx20, p, drain={"probe_max": "1h"}, env=clock.env)
    send(d.address)
    d.wait_log("^probe .*result=failed", count=3)
    d.stop()
    clock.set_ahead(10 * 3600)
    d.start()
    d.wait_log("^probe .*result=failed", count=4)
    p.start()
    Raw(d.address).close()
    p.wait_messages(1)
