"""standby=relay between real clients (swaks, Postfix's smtp-source) and real
primaries (Postfix, Exim)."""

import collections
import os
import re
import shutil
import signal
import subprocess

import pytest

from client import PATIENCE, message
from faults import until
from relaying import before, deliver, messages

SWAKS, SOURCE = shutil.which("swaks"), shutil.which("smtp-source")


def swaks(d, *args, to="u@example.com"):
    if SWAKS is None:
        pytest.skip("swaks is not installed")
    done = subprocess.run(
        [SWAKS, "--server", "127.0.0.1", "--port", str(d.port), "--from",
         "a@sender.test", "--to", to, "--helo", "client.test", *args],
        capture_output=True, text=True, timeout=PATIENCE)
    return done


def patient(mx20, p):
    return before(mx20, p, drain={"reply_timeout": "30s"})


@pytest.fixture(params=["postfix", "exim"])
def real(request, postfix, exim):
    """A real primary that has `u` and `v`, and what refuses a word."""
    if request.param == "exim":
        return exim(users=["u", "v"]).start()
    return postfix(main={
        "smtpd_recipient_restrictions":
            "reject_unauth_destination, check_recipient_access "
            "inline:{{u@example.com=OK},{v@example.com=OK}}, "
            "reject"}).start()


def test_swaks(mx20, real):
    d = patient(mx20, real)
    done = swaks(d, "--header", "Subject: by swaks")
    assert done.returncode == 0, done.stdout
    assert "queued as" in done.stdout or "OK id=" in done.stdout
    done = swaks(d, to="gone@example.com")
    assert done.returncode != 0
    assert re.search(r"<\*\* 55\d", done.stdout), done.stdout
    done = swaks(d, "--pipeline", to="u@example.com,v@example.com")
    assert done.returncode == 0, done.stdout
    assert messages(d) == 0
    got = real.wait_messages(2)
    assert any(b"Subject: by swaks" in m for m in got)
    d.wait_log(r"^relayed ", count=2)


def test_large(mx20, real):
    d = patient(mx20, real)
    assert deliver(d).end.startswith("250")
    body = "".join(f"{i:077d}\r\n" for i in range(10 * 1024 * 1024 // 79))
    assert deliver(d, content=message(body=body)).end.startswith("250")
    assert messages(d) == 0
    got = max(real.wait_messages(2), key=len)
    assert got.replace(b"\r\n", b"\n").endswith(
        body.replace("\r\n", "\n").encode().rstrip(b"\n") + b"\n")


def test_smtp_source(mx20, postfix):
    """A hundred messages over ten sessions at once."""
    if SOURCE is None:
        pytest.skip("smtp-source is not installed")
    p = postfix().start()
    d = patient(mx20, p)
    subprocess.run(
        [SOURCE, "-s", "10", "-m", "100", "-l", "4096", "-f",
         "a@sender.test", "-t", "u@example.com", "-M", "client.test",
         f"inet:127.0.0.1:{d.port}"], check=True, timeout=PATIENCE)
    p.wait_messages(100)
    d.wait_empty()
    assert len(p.messages()) == 100
    d.wait_log(r"^relayed ")


def test_postfix_is_killed_while_it_takes_mail(mx20, postfix):
    """Its smtpd processes, by kill -9, again and again."""
    p = postfix(main={"service_throttle_time": "1s"}).start()
    d = before(mx20, p, drain={"reply_timeout": "10s"})
    for n in range(40):
        if n % 10 == 5:
            for pid in smtpds(p):
                os.kill(pid, signal.SIGKILL)
        heard = deliver(d, content=message(f"number {n}"))
        assert heard.end.startswith("250"), heard
    until(lambda: len(numbers(p)) == 40)
    d.wait_empty()
    twice = sum(numbers(p).values()) - 40
    said = sum("duplicate" in x.lower() or "in_doubt=" in x for x in d.log)
    assert twice <= said


def numbers(p):
    return collections.Counter(
        int(re.search(rb"^Subject: number (\d+)", m, re.M).group(1))
        for m in p.messages())


def smtpds(p):
    """The children of this Postfix that serve SMTP."""
    master = int((p.queue / "pid" / "master.pid").read_text())
    found = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(master)],
                           capture_output=True, text=True).stdout
    return [int(x.split()[0]) for x in found.splitlines()
            if x.split()[1] == "smtpd"]
