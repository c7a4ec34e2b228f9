"""mx20ctl: every verb, for people and programs, daemon up and down."""

import concurrent.futures
import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

from client import Raw, message, send
from daemon import BUILD
from primary import Hang
from faults import Clock, until

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def down(mx20, primary):
    """A daemon whose primary does not listen, and that primary."""
    p = primary()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n"
                     f"other.test recipients=* primary={p.route}\n")
    return d, p


def wait_down(d):
    d.wait_log(r"^state .*to=down")


# ---- The command line ------------------------------------------------------


def bare(*args, **options):
    return subprocess.run([str(BUILD / "mx20ctl"), *args],
                          capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, **options)


def test_help_and_version():
    done = bare("--help")
    assert done.returncode == 0
    for verb in ("status", "queue", "show", "flush", "hold", "release",
                 "remove", "bounce", "reload", "route"):
        assert f"  {verb} " in done.stdout
    for args in ("-h",), ("help",), ("help", "queue"), ("queue", "--help"):
        again = bare(*args)
        assert (again.returncode, again.stdout) == (0, done.stdout)
    done = bare("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"mx20ctl \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("args", [
    (), ("nonsense",), ("status", "a.test", "b.test"), ("show",), ("hold",),
    ("hold", "0000000000001", "--domain", "a.test"), ("reload", "now"),
    ("--nonsense", "status"), ("status", "--domain", "a.test"),
    ("status", "--raw"), ("status", "--force"), ("flush", "--dry-run"),
    ("-c",), ("queue", "--alarm"), ("status", "a.test", "--alarm"),
    ("status", "--destination", "a.test", "--alarm"),
])
def test_usage_errors_exit_2(args):
    done = bare(*args)
    assert done.returncode == 2
    assert done.stderr and not done.stdout


def test_a_verb_that_was_mistyped_is_guessed():
    done = bare("qeue")
    assert done.returncode == 2 and 'did you mean "queue"?' in done.stderr
    assert "did you mean" not in bare("nonsense").stderr
    for args in ("nonsense",), ("status", "--nonsense"):
        assert "see mx20ctl --help" in bare(*args).stderr


def test_missing_configuration_exits_1():
    done = bare("-c", "/nonexistent/mx20.conf", "status")
    assert done.returncode == 1
    assert "/nonexistent/mx20.conf" in done.stderr


# ---- status ----------------------------------------------------------------


def test_status_json_has_every_field(down):
    d, p = down
    before = time.time()
    send(d.address, rcpts=["u@example.com", "v@example.com"])
    wait_down(d)
    got = d.status()
    assert got["hostname"] == "mx2.test"
    assert re.fullmatch(r"\d+\.\d+\.\d+", got["version"])
    spool = got["spool"]
    assert spool["messages"] == 1
    assert spool["bytes"] > 50
    assert spool["used"] > 0
    assert spool["size"] == 2 << 30
    assert RFC3339.fullmatch(spool["oldest"])
    arrived = time.strptime(spool["oldest"], "%Y-%m-%dT%H:%M:%SZ")
    assert abs(int(before) - int(time.mktime(arrived) - time.timezone)) < 30
    [row] = got["domains"]
    assert row["domain"] == "example.com"
    assert row["messages"] == 1
    assert row["bytes"] == spool["bytes"]
    assert row["oldest"] == spool["oldest"]
    assert row["held"] is False
    assert row["state"] == "down"
    assert RFC3339.fullmatch(row["since"])
    assert RFC3339.fullmatch(row["next_probe"])
    assert "refused" in row["last_reply"].lower()
    [target] = row["targets"]
    assert target["target"].endswith(f":{p.port}")
    assert target["state"] == "down"
    assert "refused" in target["last_reply"].lower()


def test_status_of_an_empty_spool(down):
    d, _ = down
    got = d.status()
    assert got["domains"] == []
    assert got["spool"]["messages"] == 0
    assert got["spool"]["oldest"] is None
    assert "nothing is waiting" in d.ctl("status").stdout


def test_status_of_one_domain(down):
    d, p = down
    send(d.address)
    send(d.address, rcpts=["u@other.test"])
    wait_down(d)
    text = d.ctl("status", "Example.COM").stdout
    assert "example.com" in text and "other.test" not in text
    assert "1 message" in text
    assert f":{p.port}" in text
    assert "mx20ctl flush example.com" in text
    [row] = json.loads(d.ctl("status", "example.com", "--json").stdout)[
        "domains"]
    assert row["domain"] == "example.com"
    text = d.ctl("status", "foreign.test").stdout
    assert "not in the allowlist" in text


def test_status_table_says_what_waits_and_why(down):
    d, _ = down
    send(d.address)
    wait_down(d)
    lines = d.ctl("status").stdout.splitlines()
    title = next(n for n in lines if n.startswith("DOMAIN"))
    row = next(n for n in lines if n.startswith("example.com"))
    at = title.index("STATE")
    assert row[at:].startswith("down")
    assert "refused" in row.lower()


def test_status_works_while_the_daemon_is_down(down):
    d, p = down
    send(d.address)
    wait_down(d)
    assert d.stop() == 0
    done = d.ctl("status", "--json")
    got = json.loads(done.stdout)
    assert "not running" in done.stderr
    assert got["running"] is False
    assert got["spool"]["messages"] == 1
    assert got["domains"][0]["state"] in ("down", "unknown")
    assert "NOT RUNNING" in d.ctl("status").stdout
    assert len(d.queue()) == 1


def test_status_remembers_targets(down):
    d, p = down
    p.start()
    send(d.address)
    p.wait_messages(1)
    d.wait_log("^delivered ")
    p.stop()
    send(d.address)
    wait_down(d)
    d.stop()
    [row] = d.status()["domains"]
    assert row["state"] == "down"
    assert row["targets"][0]["target"].endswith(f":{p.port}")


@pytest.mark.parametrize("answer, said", [
    ('{"ok":false,"error":"no such verb"}\n', "another version"),
    ('{"item":{"domain":"half', "stopped answering"),
    ("", "stopped answering"),
])
def test_a_daemon_that_cannot_tell_is_replaced_by_the_spool(down, answer,
                                                            said):
    d, _ = down
    send(d.address)
    wait_down(d)
    d.stop()

    def serve(listener):
        with listener.accept()[0] as s, s.makefile("rw") as lines:
            assert "hello" in lines.readline()
            lines.write('{"ok":true,"version":"0"}\n')
            lines.flush()
            assert "overview" in lines.readline()
            lines.write(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(d.conf["control"])
        listener.listen()
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        done = d.ctl("status", "--json")
        server.join()
    assert said in done.stderr
    got = json.loads(done.stdout)
    assert got["running"] is False
    assert got["domains"][0]["domain"] == "example.com"


# ---- status --alarm --------------------------------------------------------


def alarm(d):
    """Exit status, the lines, and the same as objects."""
    done = d.ctl("status", "--alarm", check=False)
    told = d.ctl("status", "--alarm", "--json", check=False)
    assert done.returncode == told.returncode
    lines, objects = done.stdout.splitlines(), json.loads(told.stdout)
    assert len(lines) == len(objects)
    return done.returncode, lines, [o["alarm"] for o in objects]


def test_alarm_when_everything_is_down(mx20):
    """Cut off itself: not a line for each of a hundred thousand."""
    count = 25
    d = mx20(domains="".join(
        f"d{n}.test recipients=* primary=[127.0.0.{n + 10}]:1\n"
        for n in range(count)))
    send(d.address, [f"u@d{n}.test" for n in range(count)])
    d.wait_log("^state .*to=down", count=count)
    done = d.ctl("status", "--alarm", check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and len(lines) == 21
    assert lines[-1] == "5 destinations more are down, 5 messages waiting: " \
        "mx20ctl top"
    told = json.loads(d.ctl("status", "--alarm", "--json", check=False).stdout)
    assert len(told) == count


def test_alarm_by_mail_that_waits_for_a_host_that_is_down(mx20, primary):
    """Also at the moment when it is probed again."""
    p = primary(on={"greeting": ["421 4.3.2 busy", Hang()]}).start()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n"
                     f"other.test recipients=* primary={p.route}\n",
             conf={"drain": {"probe_busy": "10m"}})
    assert alarm(d) == (0, [], [])
    send(d.address, rcpts=["u@example.com", "u@other.test"])
    wait_down(d)
    for _ in range(2):
        status, [line], kinds = alarm(d)
        assert (status, kinds) == (1, ["down"])
        assert "2 messages of 2 domains" in line and "421 4.3.2 busy" in line
        d.ctl("flush")
        until(lambda: d.status()["domains"][0]["state"] == "probing")
    assert d.status()["domains"][0]["down"] is True
    # what the operator holds, he knows of
    d.ctl("hold", "--domain", "other.test")
    assert "1 message of example.com" in alarm(d)[1][0]
    d.ctl("remove", "--domain", "example.com")
    assert alarm(d) == (0, [], [])


def test_alarm_by_a_certificate_and_by_what_we_hold(mx20, pki):
    cert = pki.cert("mx2.test", expired=True)
    d = mx20(domains="a.test recipients=* primary=127.0.0.1:1\n"
                     "b.test recipients=*\n",
             conf={"tls": {"certificate": str(cert.cert_path),
                           "key": str(cert.key_path)}})
    send(d.address, rcpts=["u@a.test"])
    d.put(d.dir / "domains", "b.test recipients=*\n")
    d.ctl("reload", "--force")
    until(lambda: d.status()["domains"][0]["hold"] == "unlisted")
    status, lines, kinds = alarm(d)
    assert status == 1
    assert kinds == ["certificate", "held"]
    assert lines[0].startswith("certificate expired 2d")
    assert lines[1] == ("1 message of a.test held, no longer in the allowlist:"
                        " mx20ctl status a.test")
    assert "no longer in the allowlist: list the domain again" in \
        d.ctl("status").stdout


def test_alarm_when_the_daemon_does_not_answer(down):
    d, _ = down
    d.stop()
    status, [line], kinds = alarm(d)
    assert (status, kinds) == (3, ["unreachable"])
    assert "not running" in line


# ---- queue and show --------------------------------------------------------


def test_queue_json_is_one_object_a_message(down):
    d, _ = down
    qid = send(d.address, rcpts=["u@example.com", "v@other.test"])
    [entry] = d.queue()
    assert entry["id"] == qid
    assert RFC3339.fullmatch(entry["arrival"])
    assert entry["bytes"] > 50
    assert entry["from"] == "a@sender.test"
    assert sorted(r["address"] for r in entry["recipients"]) == [
        "u@example.com", "v@other.test"]
    for r in entry["recipients"]:
        assert r["attempts"] == 0
        assert r["last_reply"] is None and r["due"] is None
    [entry] = d.queue("other.test")
    assert [r["address"] for r in entry["recipients"]] == ["v@other.test"]
    assert d.queue("foreign.test") == []


def test_queue_shows_retries(mx20, primary):
    p = primary(on={"rcpt": "450 4.2.1 mailbox busy"}).start()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n")
    qid = send(d.address)
    d.wait_log(f"^deferred .*mid={qid}")
    [rcpt] = until(lambda: [r for r in d.queue()[0]["recipients"]
                                 if r["attempts"]])
    assert rcpt["attempts"] == 1
    assert rcpt["last_reply"] == "450 4.2.1 mailbox busy"
    assert RFC3339.fullmatch(rcpt["due"])
    text = d.ctl("queue").stdout
    assert qid in text and "retry in" in text and "mailbox busy" in text


def test_queue_is_paged_and_in_order(down):
    d, _ = down
    sent = []
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for i in range(350):
            c.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<u@example.com>\r\n"
                   "RCPT TO:<u@other.test>\r\nDATA\r\n")
            assert [c.reply()[:3] for _ in range(4)][-1] == "354"
            c.send(message() + ".\r\n")
            sent.append(c.reply().split()[-1])
    got = d.queue()
    assert [m["id"] for m in got] == sent
    assert all(len(m["recipients"]) == 2 for m in got)
    text = d.ctl("queue").stdout
    assert text.count("ID ") == 1
    assert sum(line[:13] in sent for line in text.splitlines()) == 350


def test_queue_stops_when_nobody_reads(down):
    d, _ = down
    for _ in range(3):
        send(d.address)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([str(BUILD / "mx20ctl"), "-c", str(d.conf_path),
                           "queue"], stdout=write, stderr=subprocess.PIPE,
                          timeout=30)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_a_failure(down):
    d, _ = down
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [str(BUILD / "mx20ctl"), "-c", str(d.conf_path), "status"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=30)
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_show_is_the_whole_message(down):
    d, _ = down
    content = message(subject="look at me", body="line\r\n" * 30000)
    qid = send(d.address, content=content)
    text = d.ctl("show", qid).stdout
    assert "<u@example.com>" in text
    assert "<a@sender.test>" in text
    assert "Subject: look at me\n" in text
    assert text.count("line\n") == 30000
    raw = subprocess.run(
        [str(BUILD / "mx20ctl"), "-c", str(d.conf_path), "show", qid.lower(),
         "--raw"], capture_output=True, timeout=30).stdout
    assert raw.startswith(b"Received: ")
    assert raw.endswith(content.encode())
    got = json.loads(d.ctl("show", qid, "--json").stdout)
    assert got["id"] == qid
    assert got["bytes"] == len(raw)
    assert got["recipients"][0]["address"] == "u@example.com"
    assert got["client"] == "127.0.0.1"
    assert got["helo"] == "client.test"


def test_show_keeps_control_characters_from_the_terminal(down):
    d, _ = down
    qid = send(d.address, content=message(body="\x1b[2Jgone\r\n"))
    assert "?[2Jgone" in d.ctl("show", qid).stdout
    assert "\x1b[2Jgone" in d.ctl("show", qid, "--raw").stdout


@pytest.mark.parametrize("verb", ["show", "remove", "hold", "release",
                                  "bounce", "flush"])
@pytest.mark.parametrize("qid", ["0000000000001", "NOSUCHMESSAGE", "x"])
def test_a_message_that_is_not_there(down, verb, qid):
    d, _ = down
    done = d.ctl(verb, qid, check=False)
    if verb == "flush" and qid != "0000000000001":
        return  # these are domains, as far as flush can tell
    assert done.returncode == 1
    assert "no such message" in done.stderr
    assert done.stdout == ""


# ---- Orders ----------------------------------------------------------------


def test_orders_need_the_daemon(down):
    d, _ = down
    qid = send(d.address)
    d.stop()
    for args in (["flush"], ["flush", "example.com"], ["hold", qid],
                 ["release", "--domain", "example.com"], ["remove", qid],
                 ["bounce", qid], ["reload"], ["route", "example.com"]):
        done = d.ctl(*args, check=False)
        assert done.returncode == 3, args
        assert "not running" in done.stderr
    assert len(d.queue()) == 1


def test_a_daemon_that_hangs_is_not_reachable(down):
    d, _ = down
    os.kill(d.process.pid, 19)
    try:
        with concurrent.futures.ThreadPoolExecutor() as both:
            shown = both.submit(d.ctl, "status")
            told = both.submit(d.ctl, "status", "--json")
            done = d.ctl("flush", check=False)
    finally:
        os.kill(d.process.pid, 18)
    assert done.returncode == 3
    assert "does not answer" in done.stderr
    # starting what runs would do nothing
    assert "DOES NOT ANSWER; start it anew: systemctl restart mx20" \
        in shown.result().stdout
    got = json.loads(told.result().stdout)
    assert got["running"] is False and got["hangs"] is True


def test_flush_cuts_the_wait_of_a_destination(mx20, primary):
    p = primary()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n",
             conf={"drain": {"probe_busy": "10m"}})
    p.on["greeting"] = ["421 4.3.2 busy", None]
    p.start()
    send(d.address)
    wait_down(d)
    [row] = d.status()["domains"]
    done = d.ctl("flush", "example.com")
    assert done.stdout == "1 message is tried now\n"
    p.wait_messages(1)


def test_flush_ends_the_wait_of_a_message(mx20, primary):
    p = primary(on={"rcpt": ["450 4.2.1 busy", None]}).start()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n")
    qid = send(d.address)
    d.wait_log("^deferred ")
    until(lambda: d.queue()[0]["recipients"][0]["attempts"])
    assert json.loads(d.ctl("flush", qid, "--json").stdout)["ok"] is True
    p.wait_messages(1)


def test_flush_of_nothing(down):
    d, _ = down
    assert d.ctl("flush").stdout == "nothing is waiting\n"
    assert d.ctl("flush", "example.com").stdout == "nothing is waiting\n"


def test_hold_and_release_a_message(down):
    d, p = down
    kept = send(d.address)
    goes = send(d.address)
    assert d.ctl("hold", kept).stdout == "1 message held\n"
    p.start()
    p.wait_messages(1)
    d.wait_log(f"^delivered .*mid={goes}")
    [entry] = until(lambda: len(d.queue()) == 1 and d.queue())
    assert entry["id"] == kept
    assert entry["recipients"][0]["state"] == "held"
    assert d.status()["domains"][0]["held"] is True
    assert d.ctl("release", kept).stdout == "1 message released\n"
    p.wait_messages(2)


def test_hold_and_release_a_domain(down):
    d, p = down
    send(d.address)
    assert d.ctl("hold", "--domain", "example.com", "--reason",
                 "restoring mailboxes").stdout == "1 message held\n"
    send(d.address)  # what comes later is held, too
    send(d.address, rcpts=["u@other.test"])
    p.start()
    [got] = p.wait_messages(1)
    assert got.rcpts == ["u@other.test"]
    rows = {r["domain"]: r for r in d.status()["domains"]}
    row = rows["example.com"]
    assert (row["held"], row["messages"]) == (True, 2)
    assert row["hold_reason"] == "restoring mailboxes"
    assert "restoring mailboxes" in d.ctl("status").stdout
    done = d.ctl("flush", "example.com", check=False)
    assert done.returncode == 1
    assert "2 messages are held" in done.stderr
    d.restart()
    assert d.status()["domains"][0]["held"] is True
    d.ctl("release", "--domain", "example.com")
    p.wait_messages(3)


def test_remove(down):
    d, p = down
    gone = send(d.address)
    stays = send(d.address)
    done = d.ctl("remove", gone, "--json")
    assert json.loads(done.stdout) == {"ok": True, "count": 1}
    d.wait_log(f"^removed .*uid={os.getuid()} .*mid={gone}")
    assert [m["id"] for m in d.queue()] == [stays]
    for _ in range(20):
        send(d.address)
    done = d.ctl("remove", "--domain", "example.com")
    assert done.stdout == "21 messages removed\n"
    got = d.status()
    assert got["spool"]["messages"] == 0 and got["domains"] == []


def test_failures_in_json(down):
    d, _ = down
    done = d.ctl("remove", "0000000000001", "--json", check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"ok": False,
                                       "error": "no such message"}
    # what the daemon need not be asked for
    for args, error in ((["hold", "example"], "no such message"),
                        (["hold", "-"], "no ids on standard input"),
                        (["remove", "--domain", "a b"], "not a domain")):
        done = d.ctl(*args, "--json", check=False)
        assert done.returncode == 1 and done.stderr
        assert json.loads(done.stdout) == {"ok": False, "error": error}


class Terminal:
    """Run mx20ctl on a terminal of its own."""

    def __init__(self, d, *args, columns=80):
        self.fd, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [str(BUILD / "mx20ctl"), "-c", str(d.conf_path), *args],
            stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.text = ""

    def read(self, until=None):
        """Read until these words, or the end."""
        while until is None or until not in self.text:
            ready, _, _ = select.select([self.fd], [], [], 30)
            assert ready, self.text
            try:
                got = os.read(self.fd, 4096)
            except OSError:
                break
            if not got:
                break
            self.text += got.decode()
        return self.text

    def answer(self, text):
        os.write(self.fd, text.encode() + b"\n")

    def exit_status(self):
        self.read()
        os.close(self.fd)
        return self.process.wait(30)


def test_a_terminal_is_asked_first(down):
    d, _ = down
    send(d.address)
    for said, status, left in (("no", 1, 1), ("", 1, 1), ("yes", 0, 0)):
        t = Terminal(d, "remove", "--domain", "example.com")
        assert "1 message" in t.read(until="[yes/no]")
        t.answer(said)
        assert t.exit_status() == status
        assert len(d.queue()) == left


def test_yes_is_not_asked(down):
    d, _ = down
    qid = send(d.address)
    t = Terminal(d, "remove", qid, "--yes")
    assert t.exit_status() == 0
    assert "[yes/no]" not in t.text
    assert d.queue() == []


# ---- reload ----------------------------------------------------------------


def test_reload_takes_new_files(down):
    d, p = down
    d.domains += f"new.test recipients=* primary={p.route}\n"
    done = d.reload()
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 domains" in done.stdout
    send(d.address, rcpts=["u@new.test"])


def test_reload_prints_every_error_and_keeps_the_old(down):
    d, _ = down
    d.domains += ("bad.test recipients=* nonsense=1\n"
                  "worse.test recipients=* lifetime=banana\n")
    done = d.reload()
    assert done.returncode == 1
    assert "domains:3:" in done.stderr and "domains:4:" in done.stderr
    send(d.address)
    done = d.ctl("reload", "--json", check=False)
    got = json.loads(done.stdout)
    assert got["ok"] is False and len(got["errors"]) == 2
    assert done.returncode == 1


def test_reload_with_a_broken_conf_prints_it(down):
    d, _ = down
    d.conf_path.write_text(d.conf_path.read_text() + "nonsense = 1;\n")
    done = d.ctl("reload", check=False)
    assert done.returncode == 1
    assert "nonsense" in done.stderr
    assert "mx20.conf:" in done.stderr
    done = d.ctl("reload", "--json", check=False)
    got = json.loads(done.stdout)
    assert done.returncode == 1 and got["ok"] is False
    assert len(got["errors"]) == 1 and "nonsense" in got["errors"][0]


def test_a_broken_conf_keeps_nobody_from_looking(down):
    """The daemon goes on with the one before it."""
    d, _ = down
    good = d.conf_path.read_text()
    d.put(d.conf_path, good + 'nonsense = 1;\nlog = { level = "loud"; };\n')
    done = d.ctl("status", "--json")
    assert json.loads(done.stdout)["running"] is True
    assert "nonsense: unknown key" in done.stderr
    d.ctl("hold", "--domain", "example.com", "--yes")
    done = d.ctl("check", "example.com", check=False)
    assert done.returncode == 1 and not done.stdout
    for text in good + "x = ;\n", good.replace("hostname", "hostnam"), "":
        d.put(d.conf_path, text)
        assert d.ctl("status", check=False).returncode == 1


def names_of(n):
    """An allowlist of so many domains, without recipients of their own."""
    return "".join(f"d{i}.test recipients=*\n" for i in range(n))


def test_reload_says_what_changes(down):
    d, p = down
    d.domains = d.domains.replace("other.test", "third.test")
    done = d.reload()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:3] == [
        "-1 domain, +1", "  go: other.test", "  come: third.test"]
    assert re.search(r"^warning: .*mx20.conf: tls.certificate: none: ",
                     done.stdout, re.M)
    got = json.loads(d.ctl("reload", "--json").stdout)
    assert (got["ok"], got["refused"], got["dry_run"]) == (True, False, False)
    assert got["summary"] == [] and got["forced"] == []
    assert got["changes"]["domains_gone"] == 0
    assert any(" tls.certificate: none" in w for w in got["warnings"])
    d.wait_log('^reload domains=2 recipients=0 changes="-1 domain, \\+1"$')


def test_a_shrunken_allowlist_is_refused(down):
    """A truncated export: the file before stays, whole, until it is forced."""
    d, _ = down
    d.domains += names_of(1000)
    assert d.reload().returncode == 0
    send(d.address, rcpts=["u@d7.test"])
    d.domains = names_of(3)
    done = d.reload()
    assert done.returncode == 1
    assert done.stdout.startswith(
        "-999 domains; 1 message waits for domains that go\n")
    assert "999 domains of 1,002 would go: example.com, " in done.stderr
    assert "1 message waits for 1 domain that would go: d7.test" in done.stderr
    assert "mx20ctl reload --force" in done.stderr
    send(d.address, rcpts=["u@d7.test"])  # it is listed as before
    got = json.loads(d.ctl("reload", "--json", check=False).stdout)
    assert (got["ok"], got["refused"], got["count"]) == (False, True, 2)
    assert len(got["errors"]) == 2
    assert got["changes"]["domains_gone"] == 999
    assert got["changes"]["messages_waiting"] == 2
    assert got["changes"]["waiting"] == ["d7.test"]
    done = d.ctl("reload", "--force")
    assert "forced: " in done.stdout
    assert done.stdout.endswith("reloaded: 3 domains, 0 recipients\n")
    d.wait_log("^reload level=warn forced=.*999 domains of 1,002")
    d.wait_log("^control by=operator uid=[0-9]+ verb=reload force=yes")
    assert d.ctl("reload").stdout.endswith("reloaded: 3 domains, 0 recipients"
                                           "\n"), "once is enough"


def test_a_single_domain_with_mail_is_refused_too(down):
    d, _ = down
    d.domains += names_of(10)
    assert d.reload().returncode == 0
    send(d.address, rcpts=["u@other.test"])
    d.domains = "".join(line for line in d.domains.splitlines(True)
                        if "other.test" not in line)
    done = d.reload()
    assert done.returncode == 1
    assert "1 message waits for 1 domain that would go: other.test" \
        in done.stderr
    d.ctl("remove", "--domain", "other.test")
    assert d.ctl("reload").stdout.startswith("-1 domain\n")


def test_dry_run_changes_nothing(down):
    d, _ = down
    before, mark = d.domains, d.mark()
    d.domains += names_of(2)
    d.write_files()
    done = d.ctl("reload", "--dry-run")
    assert done.stdout.startswith("+2 domains\n  come: d0.test, d1.test\n")
    assert done.stdout.endswith("would be taken: 4 domains, 0 recipients\n")
    assert d.ctl("reload", "--dry-run").stdout == done.stdout
    d.domains = ""
    d.write_files()
    done = d.ctl("reload", "--dry-run", "--json", check=False)
    assert done.returncode == 1
    got = json.loads(done.stdout)
    assert (got["ok"], got["refused"], got["dry_run"]) == (False, True, True)
    assert "the allowlist is empty" in got["errors"][0]
    assert d.ctl("reload", "--dry-run", "--force").returncode == 0
    d.domains = before + "bad.test nonsense=1\n"
    d.write_files()
    done = d.ctl("reload", "--dry-run", check=False)
    assert done.returncode == 1 and "domains:3: " in done.stderr
    send(d.address)
    assert not [line for line in d.log[mark:] if line.startswith("reload ")]


def test_a_recipient_file_that_lost_its_users_is_refused(mx20):
    users = [f"u{i}\n" for i in range(100)]
    d = mx20(domains="a.test\nb.test recipients=recipients/a.test\n",
             recipients={"a.test": "".join(users)})
    for left, words in (0, "none"), (40, "40"):
        d.recipients["a.test"] = "".join(users[:left])
        done = d.reload()
        assert done.returncode == 1
        assert ("recipients/a.test: a.test and 1 more domain had 100 "
                f"recipients and would have {words}\n") in done.stderr
    send(d.address, rcpts=["u99@b.test"])
    d.recipients["a.test"] = "".join(users[:60])
    assert d.reload().stdout.startswith("-40 recipients\n")
    d.recipients["a.test"] = "# nobody yet\n"
    d.write_files()
    done = d.ctl("reload", "--force")
    assert "warning: " in done.stdout
    assert "recipients/a.test: no recipient for a.test: " in done.stdout
    # a start takes it as it is, and says so
    d.restart()
    d.wait_log("^config level=warn warning=.*recipients/a.test: "
               "no recipient for b.test")


def test_an_older_mx20ctl_reads_the_answer(down):
    """Lines have their "line", the end its "ok", and nothing is asked for."""
    d, _ = down
    d.domains += "bad.test recipients=* nonsense=1\n"
    d.write_files()
    with connect(d) as s:
        s.sendall(b'{"verb":"reload"}\n')
        fault, end = lines(s, 2)
    assert "domains:3: " in fault["line"] and "ok" not in fault
    assert (end["ok"], end["count"]) == (False, 1)


def test_what_was_known_grows_old(down, tmp_path):
    """The daemon is away, and so is the certainty."""
    d, _ = down
    send(d.address)
    wait_down(d)
    d.stop()
    clock = Clock(tmp_path)

    def look(*args):
        return d.ctl("status", *args, env=dict(os.environ, **clock.env)).stdout

    def states(minutes):
        clock.set_ahead(60 * minutes)
        [row] = json.loads(look("--json"))["domains"]
        [target] = row["targets"]
        assert "refused" in target["last_reply"] and target["checked"]
        assert row["checked"] == target["checked"]
        return row["state"], target["state"], bool(row["since"]), bool(
            target["since"])

    assert states(9) == ("down", "down", True, True)
    assert states(60) == ("unknown", "unknown", False, False)
    assert re.search(r"unknown; last seen (1h|60m|59m)", look("example.com"))


# ---- route -----------------------------------------------------------------


def test_route_of_a_primary(down):
    d, p = down
    send(d.address)
    wait_down(d)
    got = json.loads(d.ctl("route", "example.com", "--json").stdout)
    assert got["domain"] == "example.com"
    assert got["result"] == "ok"
    assert got["source"] == "primary"
    assert got["hosts"][0]["addresses"] == [f"127.0.0.1:{p.port}"]
    assert got["hosts"][0]["tls"]["level"]
    assert got["state"] == "down"
    assert got["targets"][0]["state"] == "down"
    assert got["listed"] is True
    text = d.ctl("route", "example.com").stdout
    assert f"127.0.0.1:{p.port}" in text
    assert "down" in text
    assert "not in the allowlist" not in text


def test_route_of_a_domain_that_is_not_listed(down):
    d, _ = down
    assert "not in the allowlist" in d.ctl("route", "stranger.test").stdout
    assert json.loads(d.ctl("route", "stranger.test", "--json").stdout)[
        "listed"] is False


# ---- The socket ------------------------------------------------------------


def connect(d):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(d.conf["control"])
    return s


def test_a_request_without_an_end_is_refused_at_once(down):
    """What is read ahead of a line is its greatest length."""
    d, _ = down
    with connect(d) as s:
        s.settimeout(15)  # it would be idle for a minute
        s.sendall(b"x" * (64 << 10))
        assert not json.loads(s.recv(4096))["ok"]


def lines(s, count):
    data = b""
    while data.count(b"\n") < count:
        got = s.recv(65536)
        if not got:
            break
        data += got
    return [json.loads(n) for n in data.splitlines()]


def test_the_socket_goes_with_the_daemon(down):
    d, _ = down
    assert os.path.exists(d.conf["control"])
    d.stop()
    assert not os.path.exists(d.conf["control"])


def test_a_socket_left_by_a_crash_is_replaced(down):
    d, _ = down
    d.kill()
    assert os.path.exists(d.conf["control"])
    d.start()
    d.status()


@pytest.mark.parametrize("line", [
    b"hello\n", b"[]\n", b"\n", b"{\"verb\":1}\n", b"{\"verb\":\"x\"}\n",
    b"{}\n", b"{\"verb\":\"remove\"}\n",
    b"{\"verb\":\"remove\",\"domain\":\"a b\"}\n",
    b"{\"verb\":\"remove\",\"id\":\"0000000000000\"}\n",
    b"{\"verb\":\"state\"}\n", b"\xff\xfe\n", b"[" * 5000 + b"\n",
])
def test_nonsense_is_refused(down, line):
    d, _ = down
    with connect(d) as s:
        s.sendall(line)
        [got] = lines(s, 1)
    assert got["ok"] is False and got["error"]
    d.status()


def test_a_line_without_end_is_cut_off(down):
    d, _ = down
    with connect(d) as s:
        try:
            for _ in range(200):
                s.sendall(b"x" * 1000)
        except OSError:
            return
        [got] = lines(s, 1)
        assert got["ok"] is False


def test_requests_sent_ahead_are_answered_in_order(down):
    d, _ = down
    with connect(d) as s:
        s.sendall(b"".join(
            json.dumps({"verb": "domain", "domain": f"d{i}.test"}).encode() +
            b"\n" for i in range(300)))
        got = lines(s, 600)
    assert [g["item"]["domain"] for g in got if "item" in g] == [
        f"d{i}.test" for i in range(300)]


def test_a_client_that_does_not_read_stalls_nobody(down):
    d, _ = down
    question = json.dumps({"verb": "domain", "domain": "a.test"}).encode()
    with connect(d) as s:
        s.settimeout(2)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += s.send((question + b"\n") * 1000)
        except TimeoutError:
            pass
        assert sent < 64 << 20, "the daemon reads without end"
        assert d.rss_kib() < 100 << 10
        d.status()


def test_a_client_that_hangs_up_harms_nobody(down):
    d, _ = down
    for _ in range(50):
        with connect(d) as s:
            s.sendall(b'{"verb":"flush"}\n{"verb":"reload"}\n'
                      b'{"verb":"route","domain":"example.com"}\n')
    d.status()


def test_connections_are_bounded(down):
    d, _ = down
    many = [connect(d) for _ in range(80)]
    closed = [s for s in many
              if select.select([s], [], [], 0.05)[0] and
              b"too many" in s.recv(100) and s.recv(1) == b""]
    assert closed
    for s in many:
        s.close()
    until(lambda: d.ctl("flush", check=False).returncode == 0)


def test_tables_fit_the_terminal(down):
    d, _ = down
    send(d.address, sender="a-rather-long-local-part@sender.test")
    wait_down(d)
    for verb in ("status", "queue"):
        t = Terminal(d, verb, columns=72)
        assert t.exit_status() == 0
        table = [n for n in t.text.splitlines()
                 if n.startswith(("DOMAIN", "example.com", "ID", " "))]
        assert table and max(map(len, table)) <= 72, t.text


def test_two_reloads_at_once_are_both_answered(down):
    d, _ = down
    results = []

    def run():
        results.append(d.ctl("reload", check=False).returncode)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [0, 0, 0, 0]
