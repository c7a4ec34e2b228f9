"""What the operator does to mail: what happens, what is said, what the log
has of it afterwards."""

import json
import os
import subprocess
import threading

import pytest

from client import send
from daemon import BUILD


class Gate:
    """A reply that waits until the test opens it."""

    def __init__(self, action=None):
        self.action = action
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, session, argument):
        self.reached.set()
        self.opened.wait(30)
        return self.action


@pytest.fixture
def world(mx20, primary):
    """A daemon, the primary of example.com and other.test, and the server of
    the senders.  The primary is not up yet."""

    def make(on=None, domains="", **conf):
        p = primary(on=on)
        home = primary(name="home.test").start()
        d = mx20(domains=f"example.com recipients=* primary={p.route}\n"
                         f"other.test recipients=* primary={p.route}\n"
                         + domains.replace("PRIMARY", p.route),
                 conf=dict({"bounce": {"relay": f"127.0.0.1:{home.port}"}},
                           **conf))
        return d, p, home

    return make


@pytest.fixture
def down(world):
    d, p, _ = world()
    return d, p


def ids(d):
    return [m["id"] for m in d.queue()]


# ---- Mail that is being delivered at this moment ---------------------------


def test_what_is_delivered_is_not_bounced(world):
    gate = Gate()
    d, p, home = world(on={"dot": gate})
    p.start()
    qid = send(d.address)
    assert gate.reached.wait(30)
    done = d.ctl("bounce", qid, check=False)
    assert done.returncode == 1
    assert "1 message is being delivered at this moment" in done.stderr
    assert done.stdout == ""
    gate.opened.set()
    d.wait_log(f"^delivered .*mid={qid}")
    d.wait_empty()
    assert len(p.messages) == 1
    assert home.sessions == [] and "bounced" not in d.text()


def test_what_a_long_delivery_leaves_is_bounced(world):
    """The order waits for it when nobody waits for the order any more."""
    gate = Gate("451 4.3.0 not now")
    d, p, home = world(on={"dot": gate})
    p.start()
    qid = send(d.address)
    assert gate.reached.wait(30)
    done = d.ctl("bounce", qid, check=False)
    assert done.returncode == 1
    assert "what that leaves is returned then" in done.stderr
    assert "bounced" not in d.text()
    gate.opened.set()
    d.wait_log(f"^bounced .*mid={qid}.* by=operator")
    home.wait_messages(1)
    d.wait_empty()
    assert p.messages == []


@pytest.mark.parametrize("scope", ["id", "domain"])
def test_what_is_refused_meanwhile_is_bounced(world, scope):
    gate = Gate("451 4.3.0 not now")
    d, p, home = world(on={"dot": gate})
    p.start()
    qid = send(d.address)
    assert gate.reached.wait(30)
    opener = threading.Timer(0.3, gate.opened.set)
    opener.start()
    done = d.ctl("bounce", *([qid] if scope == "id" else
                             ["--domain", "example.com"]))
    opener.join()
    assert done.stdout == "1 message bounced\n"
    home.wait_messages(1)
    d.wait_empty()
    assert p.messages == []
    assert "delivered mid=" + qid not in d.text()


def test_a_bounced_unit_is_not_delivered(world):
    """Many, while the primary comes up: each is one or the other."""
    d, p, home = world()
    for _ in range(60):
        send(d.address)
    p.start()
    d.ctl("flush")
    done = d.ctl("bounce", "--domain", "example.com", "--json", check=False)
    bounced = json.loads(done.stdout)["count"]
    home.wait_messages(bounced)
    d.wait_empty()
    assert len(p.messages) + len(home.messages) == 60


def test_removing_or_holding_it_says_so(world):
    gate = Gate("451 4.3.0 not now")
    d, p, _ = world(on={"dot": gate})
    p.start()
    qid = send(d.address)
    assert gate.reached.wait(30)
    for args in (["hold", qid], ["hold", "--domain", "example.com"],
                 ["remove", qid]):
        done = d.ctl(*args)
        assert done.stdout.startswith("1 message ")
        assert ("1 message is being delivered at this moment and may still "
                "arrive") in done.stderr
    gate.opened.set()
    d.wait_empty()


# ---- By destination, by pattern, by many ids -------------------------------


def test_a_destination_is_held_and_released(down):
    d, p = down
    first = send(d.address)
    name = d.status()["domains"][0]["targets"][0]["target"]
    assert name == f"[127.0.0.1]:{p.port}"
    done = d.ctl("hold", "--destination", name, "--reason", "moving house")
    assert done.stdout == "1 message held\n"
    d.wait_log(f"^held .*mid={first} .*reason=\"moving house\"")
    later = send(d.address, rcpts=["u@other.test"])
    p.start()
    done = d.ctl("flush", "--destination", name, check=False)
    assert done.returncode == 1
    assert f"mx20ctl release --destination '{name}'" in done.stderr
    for row in d.status()["domains"]:
        assert row["held"] is True
        assert row["hold_reason"] == "moving house"
    assert "moving house" in d.ctl("status").stdout
    d.restart()
    d.ctl("flush", check=False)
    assert "moving house" in d.ctl("status", "--destination", name).stdout
    assert "no mail goes to mx.nowhere.test" in d.ctl(
        "status", "--destination", "mx.nowhere.test").stdout
    assert p.sessions == []
    assert d.ctl("release", "--destination", f"127.0.0.1:{p.port}",
                 check=False).returncode == 1  # the hold has another name
    done = d.ctl("release", "--destination", name)
    assert done.stdout == "2 messages released\n"
    p.wait_messages(2)
    d.wait_log(f"^released .*mid={later}")
    d.wait_empty()
    assert d.status()["domains"] == []


def test_flush_and_bounce_by_destination(mx20, primary):
    one, two = primary(), primary()
    home = primary(name="home.test").start()
    d = mx20(domains=f"a.test recipients=* primary={one.route}\n"
                     f"b.test recipients=* primary={one.route}\n"
                     f"c.test recipients=* primary={two.route}\n",
             conf={"drain": {"probe_busy": "10m"},
                   "bounce": {"relay": f"127.0.0.1:{home.port}"}})
    one.on["greeting"] = ["421 4.3.2 busy", None]
    one.start()
    for name in "abc":
        send(d.address, rcpts=[f"u@{name}.test"])
    d.wait_log("^state .*to=down", count=2)
    rows = json.loads(d.ctl("status", "--json", "--destination",
                            f"127.0.0.1:{one.port}").stdout)["domains"]
    assert [r["domain"] for r in rows] == ["a.test", "b.test"]
    done = d.ctl("flush", "--destination", f"127.0.0.1:{one.port}")
    assert done.stdout == "2 messages are tried now\n"
    one.wait_messages(2)
    done = d.ctl("bounce", "--destination", f"[127.0.0.1]:{two.port}")
    assert done.stdout == "1 message bounced\n"
    home.wait_messages(1)
    for verb in ("hold", "release", "flush", "bounce"):
        done = d.ctl(verb, "--destination", "mx.nowhere.test", check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "no such destination" in done.stderr


def test_a_pattern_is_held_and_released(world):
    d, p, _ = world(domains="*.wild.test recipients=* primary=PRIMARY\n")
    assert d.ctl("hold", "*.wild.test", "--reason", "why not").stdout == \
        "*.wild.test is held; no mail waits there now\n"
    qid = send(d.address, rcpts=["u@a.b.wild.test"])
    send(d.address)
    p.start()
    [got] = p.wait_messages(1)
    assert got.rcpts == ["u@example.com"]
    rows = {r["domain"]: r for r in d.status()["domains"]}
    assert rows["a.b.wild.test"]["held"] is True
    assert rows["a.b.wild.test"]["hold_reason"] == "why not"
    [entry] = d.queue("a.b.wild.test")
    assert entry["recipients"][0]["state"] == "held"
    assert entry["recipients"][0]["hold_reason"] == "why not"
    for args in (["release", "--domain", "a.b.wild.test"], ["release", qid]):
        done = d.ctl(*args, check=False)
        assert done.returncode == 1
        assert "*.wild.test" in done.stderr
    d.restart()
    assert d.ctl("release", "*.wild.test").stdout == "1 message released\n"
    p.wait_messages(2)
    d.wait_empty()
    assert d.status()["domains"] == []


def test_several_ids_and_standard_input(down):
    d, _ = down
    sent = [send(d.address) for _ in range(5)]
    done = d.ctl("hold", *sent[:2])
    assert done.stdout == "2 messages held\n"
    done = d.ctl("remove", sent[0], "0000000000001", check=False)
    assert (done.returncode, done.stdout) == (1, "1 message removed\n")
    assert "no such message: 0000000000001" in done.stderr
    done = d.ctl("remove", "anybody@example.com", check=False)
    assert "anybody@example.com\n" in done.stderr  # and no --domain
    fed = subprocess.run(
        [str(BUILD / "mx20ctl"), "-c", str(d.conf_path), "remove", "-"],
        input=f"{sent[1]}\n\n  {sent[2]}  3m  1.2K  a@b.test\n",
        capture_output=True, text=True, timeout=30)
    assert (fed.returncode, fed.stdout) == (0, "2 messages removed\n")
    assert ids(d) == sent[3:]
    done = d.ctl("remove", sent[3], sent[3])  # as a list may have it twice
    assert (done.stdout, done.stderr) == ("1 message removed\n", "")
    sent.append(send(d.address))
    got = json.loads(d.ctl("remove", *sent, "--json", check=False).stdout)
    assert got["count"] == 2 and sorted(got["missing"]) == sorted(sent[:4])


def test_more_ids_than_one_request_takes(down):
    d, _ = down
    qid = send(d.address)
    fed = subprocess.run(
        [str(BUILD / "mx20ctl"), "-c", str(d.conf_path), "hold", "-"],
        input="0000000000001\n" * 1000 + qid + "\n",
        capture_output=True, text=True, timeout=30)
    assert (fed.returncode, fed.stdout) == (1, "1 message held\n")


def test_advice_fits_a_terminal(down):
    d, _ = down
    send(d.address)
    for order in ["hold", "release"]:
        d.ctl(order, "--domain", "example.com")
        for args in [], ["example.com"]:
            _, advice = d.ctl("status", *args).stdout.rsplit("\n\n", 1)
            assert advice and max(map(len, advice.splitlines())) <= 80, advice


# ---- Two kinds of hold -----------------------------------------------------


def test_release_of_a_domain_leaves_what_was_held_by_id(down):
    d, p = down
    kept, goes = send(d.address), send(d.address)
    d.ctl("hold", kept, "--reason", "evidence")
    d.ctl("hold", "--domain", "example.com", "--reason", "broken primary")
    d.ctl("hold", "--domain", "other.test")
    p.start()
    done = d.ctl("release", "--domain", "example.com")
    assert done.stdout == "1 message released\n"
    assert f"still; to let it go: mx20ctl release {kept}" in done.stderr
    p.wait_messages(1)
    d.wait_log(f"^delivered .*mid={goes}")
    [entry] = d.queue()
    [rcpt] = entry["recipients"]
    assert (entry["id"], rcpt["state"], rcpt["hold_reason"]) == (
        kept, "held", "evidence")
    assert "held: evidence" in d.ctl("queue").stdout
    assert "held: evidence" in d.ctl("show", kept).stdout
    assert d.ctl("release", "--domain", "example.com",
                 check=False).returncode == 1
    done = d.ctl("release", "--domain", "example.com", "--all")
    assert (done.stdout, done.stderr) == ("1 message released\n", "")
    p.wait_messages(2)


def test_several_that_stay_held_are_named_together(down):
    d, p = down
    ids = [send(d.address) for _ in range(3)]
    d.ctl("hold", *ids[:2])
    done = d.ctl("release", "--domain", "example.com", check=False)
    assert done.returncode == 1
    assert "2 messages are held still; to let them go: mx20ctl release " \
        "--all --domain 'example.com'\n" in done.stderr
    done = d.ctl("flush", *ids, check=False)
    assert f"to let them go: mx20ctl release {ids[0]} {ids[1]}\n" in \
        done.stderr
    p.start()
    assert d.ctl("release", "--all", "--domain", "example.com").stdout == \
        "2 messages released\n"
    p.wait_messages(3)


# ---- Words -----------------------------------------------------------------


@pytest.mark.parametrize("args", [
    ["hold", "--domain", "exmaple.com"], ["hold", "*.exmaple.com"],
    ["release", "--domain", "exmaple.com"], ["flush", "exmaple.com"],
    ["remove", "--domain", "exmaple.com"],
    ["bounce", "--domain", "exmaple.com"], ["queue", "exmaple.com"],
])
def test_a_typo_is_an_error(down, args):
    d, _ = down
    done = d.ctl(*args, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no such domain" in done.stderr
    assert d.status()["domains"] == []


def test_what_is_not_waiting_is_said(down):
    d, _ = down
    qid = send(d.address)
    done = d.ctl("flush", "0000000000001", check=False)
    assert done.returncode == 1 and "no such message" in done.stderr
    d.ctl("hold", qid)
    done = d.ctl("flush", qid, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"1 message is held; to let it go: mx20ctl release {qid}" in \
        done.stderr
    assert d.ctl("release", qid).stdout == "1 message released\n"
    done = d.ctl("release", qid, check=False)
    assert done.returncode == 1 and "is not held" in done.stderr


def test_what_we_made_up_is_not_shown_as_the_primarys_words(down):
    d, _ = down
    qid = send(d.address)
    d.wait_log(r'^probe .*reply="\(connect\) Connection refused"')
    words = "(connect) Connection refused"
    [row] = d.status()["domains"]
    assert row["last_reply"] == words
    assert row["targets"][0]["last_reply"] == words
    for args in (["status"], ["status", "example.com"], ["queue"],
                 ["route", "example.com"]):
        text = d.ctl(*args).stdout
        assert words in text and "4.4.1" not in text, args
    assert "4.4.1" not in d.text()
    d.stop()
    assert words in d.ctl("status").stdout
    assert qid in d.ctl("queue").stdout


# ---- The log ---------------------------------------------------------------


def test_who_did_what_to_which_unit(world):
    d, p, home = world()
    qid = send(d.address, rcpts=[f"u{i}@example.com" for i in range(12)] +
               ["v@other.test"])
    uid = os.getuid()
    sudo = {"env": dict(os.environ, SUDO_UID="4711")}
    who = f"by=operator uid={uid} claimed_uid=4711"
    d.ctl("hold", "--domain", "example.com", **sudo)
    line = d.wait_log(f"^held {who} mid={qid} domain=example.com .*").string
    assert "to=<u0@example.com>,<u1@example.com>," in line
    assert "<u9@example.com>" in line and "u10@" not in line
    d.ctl("release", "--domain", "example.com", **sudo)
    d.wait_log(f"^released {who} mid={qid} domain=example.com ")
    for verb, event in (("hold", "held"), ("release", "released")):
        d.ctl(verb, qid, **sudo)
        d.wait_log(f"^{event} {who} mid={qid} domain=other.test ")
    d.ctl("bounce", "--domain", "example.com", **sudo)
    hit = d.wait_log(f"^bounced mid={qid} to=<u11@example.com> .*{who} "
                     r"report=(\w{13}) ")
    home.wait_messages(1)
    d.wait_log(f"^delivered mid={hit[1]} ")
    d.ctl("remove", qid)
    d.wait_log(f"^removed by=operator uid={uid} mid={qid} domain=other.test "
               "to=<v@other.test>")


def test_where_is_x(world):
    d, p, home = world(on={"rcpt": lambda s, a: "550 5.1.1 no"
                           if a.startswith("bad") else None})
    p.start()
    wanted = "<the=one \x1b[2J@client.test>"
    head = (f"From: a@sender.test\r\nMessage-Id:\r\n {wanted}\r\n"
            "Subject: x\r\nMessage-ID: <second@client.test>\r\n\r\nhi\r\n")
    qid = send(d.address, content=head, rcpts=["good@example.com",
                                               "bad@example.com"])
    line = d.wait_log(f"^accepted .*mid={qid} ").string
    assert 'msgid="<the=one\\x1b[2J@client.test>"' in line
    assert "to=<good@example.com>,<bad@example.com> rcpts=2 " in line
    d.wait_log(f"^delivered mid={qid} to=<good@example.com> ")
    hit = d.wait_log(f"^bounced mid={qid} to=<bad@example.com> .*"
                     r"report=(\w{13}) ")
    d.wait_log(f"^delivered mid={hit[1]} to=<a@sender.test> ")
    qid = send(d.address, sender="", rcpts=["bad@example.com"])
    d.wait_log(f"^bounced mid={qid} .*report=none ")
    qid = send(d.address, content="Message-ID: <" + "x" * 900 + "@y>\r\n\r\n",
               rcpts=[f"u{i}@example.com" for i in range(40)])
    line = d.wait_log(f"^accepted .*mid={qid} ").string
    assert "msgid=<" + "x" * 199 + " " in line
    assert "<u9@example.com> rcpts=40 " in line


def test_the_report_of_a_delay_is_named(world):
    d, p, home = world(spool={"warn_after": "1s"})
    qid = send(d.address, rcpts=["u@example.com", "v@example.com"])
    hits = [d.wait_log(f"^delayed mid={qid} to=<{who}@example.com> "
                       r"from=<a@sender.test> report=(\w{13})$")
            for who in "uv"]
    assert hits[0][1] == hits[1][1]
    d.wait_log(f"^delivered mid={hits[0][1]} ")
