"""mx20ctl top, as somebody in tmux sees it."""

import json
import os
import shutil
import smtplib
import subprocess
import uuid

import pytest

from client import Raw, message, send
from daemon import BUILD
from faults import until
from test_ctl import bare
from test_terminal import is_harmless, width

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux")


class Screen:
    """mx20ctl top on a screen of its own."""

    def __init__(self, d, columns=100, rows=24, term="C.UTF-8"):
        self.name = f"mx20-{uuid.uuid4().hex}"
        env = dict(os.environ, LC_ALL=term, TERM="screen")
        env.pop("TMUX", None)
        self.env = env
        self.tmux("-u", "-f", "/dev/null", "new-session", "-d", "-x",
                  str(columns), "-y", str(rows),
                  f"{BUILD / 'mx20ctl'} -c {d.conf_path} top; "
                  "echo left $?; exec cat")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-L", self.name, *args], env=self.env,
                              check=True, capture_output=True, text=True,
                              timeout=30).stdout

    def text(self):
        return self.tmux("capture-pane", "-p")

    def keys(self, *names):
        self.tmux("send-keys", *names)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait(self, *words):
        """Until the screen has all these; the screen."""
        return until(lambda: (lambda s: s if all(w in s for w in words)
                              else None)(self.text()))

    def marked(self):
        """The line that is shown in reverse."""
        for line in self.tmux("capture-pane", "-pe").split("\n"):
            if "\x1b[7m" in line:
                return line.partition("\x1b[7m")[2].split("\x1b")[0].strip()
        return ""

    def close(self):
        subprocess.run(["tmux", "-L", self.name, "kill-server"], env=self.env,
                       capture_output=True, timeout=30)


@pytest.fixture
def screen():
    made = []

    def make(*args, **options):
        made.append(Screen(*args, **options))
        return made[-1]

    yield make
    for s in made:
        s.close()


@pytest.fixture
def two(mx20, primary):
    """A destination that is down, and another one."""
    one, other = primary(), primary()
    d = mx20(domains=f"a.test recipients=* primary={one.route}\n"
             f"a2.test recipients=* primary={one.route}\n"
             f"b.test recipients=* primary={other.route}\n")
    for to in ("u@a.test", "u@a2.test", "v@a.test", "u@b.test"):
        send(d.address, [to])
    d.wait_log("^state .*to=down", count=2)
    return d, one, other


def test_shows_and_leaves(two, screen):
    d, one, other = two
    s = screen(d)
    text = s.wait("mx2.test", "4 messages", "2 destinations", f":{one.port}",
                  f":{other.port}", "down", "q quit")
    lines = text.split("\n")
    assert lines[3].split()[:4] == ["DESTINATION", "DOMAINS", "MSGS", "SIZE"]
    row = next(w for w in lines if f":{one.port}" in w).split()
    assert "2" in row and "3" in row
    s.keys("q")
    s.wait("left 0")


def test_keys(two, screen):
    d, one, other = two
    s = screen(d)
    s.wait(f":{one.port}", f":{other.port}")
    assert f":{one.port}" in s.marked()
    s.keys("Down")
    until(lambda: f":{other.port}" in s.marked())
    s.keys("Up")
    until(lambda: f":{one.port}" in s.marked())
    s.keys("Enter")
    s.wait("a.test and others", "Connection refused", "targets")
    s.keys("Enter")
    s.wait("DESTINATION")
    s.keys("?")
    s.wait("or release what holds it")
    s.keys("q")
    s.wait("DESTINATION")
    mark = d.mark()
    s.keys("f")
    s.wait("flush:")
    d.wait_log("^wake .*why=flush", since=mark)
    s.keys("h")
    s.wait("hold", "? y/n")
    s.keys("n")
    s.wait("q quit")
    assert not any(r["hold"] for r in d.status()["domains"])
    s.keys("h")
    s.wait("? y/n")
    s.keys("y")
    s.wait("hold: ", "held")
    held = {r["domain"]: r["hold"] for r in d.status()["domains"]}
    assert held == {"a.test": "destination", "a2.test": "destination",
                    "b.test": None}
    s.keys("h")
    s.wait("release", "? y/n")
    s.keys("y")
    until(lambda: not any(r["hold"] for r in d.status()["domains"]))
    s.keys("o")
    s.wait("by oldest")
    s.keys("C-c")
    s.wait("left 0")


def test_the_daemon_restarts_while_it_runs(two, screen):
    d, one, _ = two
    s = screen(d)
    s.wait("4 messages", f":{one.port}")
    d.stop()
    text = s.wait("NOT ANSWERING")
    assert f":{one.port}" in text, "what was known stays"
    d.start()
    send(d.address, ["w@a.test"])
    s.wait("is running", "5 messages")
    assert "NOT ANSWERING" not in s.text()


def test_every_size(two, screen):
    d, one, _ = two
    s = screen(d)
    s.wait("4 messages", f":{one.port}", "q quit")
    for columns, rows in (60, 24), (40, 12), (30, 6), (10, 2), (200, 50):
        s.resize(columns, rows)
        text = s.wait("mx20" if columns < 30 else "127.0")
        lines = text.rstrip("\n").split("\n")
        assert len(lines) <= rows
        assert all(width(line) <= columns for line in lines)
    s.wait("LAST REPLY", "Connection refused")


def test_hostile_words(mx20, primary, screen):
    evil = "\x1b[2J\x1b]0;owned\x07\u202eesrever\u009b31m\x7f"
    p = primary(on={"greeting": "554 5.0.0 " + evil}).start()
    d = mx20(domains=f"a.test recipients=* primary={p.route}\n")
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        c.send("MAIL FROM:<a\u202e@x.test> SMTPUTF8\r\n"
               "RCPT TO:<u\u202e@a.test>\r\nDATA\r\n")
        assert [c.reply()[:3] for _ in range(3)][-1] == "354"
        c.send(f"Subject: {evil}\r\n\r\n.\r\n")
        assert c.reply()[:3] == "250"
    d.wait_log("^state .*to=down")
    d.ctl("hold", "--domain", "a.test", "--reason", evil)
    for term in "C.UTF-8", "C":
        s = screen(d, columns=160, term=term)
        s.wait("esrever", "held")
        s.keys("s")
        text = s.wait("because")
        is_harmless(text.replace("\n", "\r\n"))
        assert "\u009b" not in text
        assert "owned" not in s.tmux("display-message", "-p", "#{pane_title}")


def test_a_thousand_destinations(mx20, screen):
    """All are shown in a while, and the daemon answers others meanwhile."""
    count = 1000
    d = mx20(domains="".join(
        f"d{n}.test recipients=* primary=[127.0.{n // 250}.{n % 250 + 1}]:1\n"
        for n in range(count)))
    with smtplib.SMTP(*d.address, local_hostname="client.test") as smtp:
        for n in range(0, count, 50):
            smtp.sendmail("a@sender.test",
                          [f"u@d{k}.test" for k in range(n, n + 50)],
                          message())
    s = screen(d)
    s.wait(f"{count:d} destinations", "20 messages")
    s.keys("End")
    until(lambda: s.marked() != "" and "DESTINATION" in s.text())
    got = json.loads(d.ctl("status", "--json").stdout)
    assert len(got["domains"]) == count
    s.keys("q")
    s.wait("left 0")


def test_it_is_for_a_terminal(mx20):
    d = mx20(start=False)
    done = d.ctl("top", check=False)
    assert done.returncode == 2 and "terminal" in done.stderr
    done = bare("top", "a.test")
    assert done.returncode == 2
