"""The status page's server: metrics, JSON, health, and that it does no harm."""

import datetime
import json
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import time
import urllib.parse

import pytest

from client import send
from faults import FAST, Disk, allow, until
from net import free_port
from web import ask, metrics

# of the contract: what others graph and alert by
NAMES = """mx20_spool_messages mx20_spool_bytes mx20_spool_used_bytes
mx20_spool_size_bytes mx20_oldest_message_seconds mx20_messages_accepted_total
mx20_recipients_delivered_total mx20_recipients_relayed_total
mx20_recipients_deferred_total mx20_recipients_refused_total
mx20_reports_sent_total mx20_sessions mx20_session_limit
mx20_commit_seconds_count mx20_delivery_wait_seconds_count
mx20_config_reload_success""".split()


@pytest.fixture
def served(mx20):
    """mx20(**options) with a server; its address stands in .web."""
    def make(conf=None, **options):
        at = f"127.0.0.1:{free_port()}"
        d = mx20(conf=dict(conf or {}, web={"listen": at}), **options)
        d.web = at
        return d

    return make


def by_destination(d, what, port):
    name = f'mx20_destination_{what}{{destination="127.0.0.1:{port} tls=may"}}'
    return metrics(d.web).get(name)


def test_metrics_tell_of_an_outage_and_its_end(served, primary):
    p = primary()
    d = served(domains=allow(p), conf={"drain": FAST})
    for to in ("a", "b"):
        send(d.address, rcpts=[f"{to}@example.com"])
    with pytest.raises(Exception):
        send(d.address, rcpts=["a@foreign.example"])
    until(lambda: by_destination(d, "up", p.port) == 0)
    m = metrics(d.web)
    assert not [n for n in NAMES if n not in m]
    assert m["mx20_spool_messages"] == 2
    assert m["mx20_messages_accepted_total"] == 2
    assert m["mx20_spool_size_bytes"] == 2 << 30
    assert m['mx20_recipients_rejected_total{reason="foreign_domain"}'] == 1
    assert m["mx20_session_limit"] == 10000
    assert 'mx20_build_info{version="0.1.0"}' in m
    assert by_destination(d, "messages", p.port) == 2
    until(lambda: by_destination(d, "down_seconds", p.port) >= 1)
    p.start()
    until(lambda: by_destination(d, "messages", p.port) == 0)
    assert by_destination(d, "up", p.port) == 1, "also without mail"
    assert by_destination(d, "down_seconds", p.port) == 0
    m = metrics(d.web)
    assert m["mx20_recipients_delivered_total"] == 2
    assert m["mx20_delivery_wait_seconds_count"] == 2
    assert m["mx20_oldest_message_seconds"] == 0


def test_metrics_tell_when_the_certificate_ends(served, pki):
    cert = pki.cert("mx2.test")
    d = served(conf={"tls": {"certificate": str(cert.cert_path),
                             "key": str(cert.key_path)}})
    assert metrics(d.web)["mx20_certificate_expiry_timestamp_seconds"] == \
        cert.certificate.not_valid_after.replace(
            tzinfo=datetime.timezone.utc).timestamp()
    with smtplib.SMTP(*d.address) as c:
        c.starttls()
    until(lambda: metrics(d.web)[
        'mx20_tls_handshakes_total{side="in",result="ok"}'] == 1)


def test_promtool_finds_no_fault(served):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("Prometheus is not installed")
    d = served()
    send(d.address, rcpts=["a@example.com"])
    until(lambda: metrics(d.web)["mx20_spool_messages"] == 1)
    done = subprocess.run([promtool, "check", "metrics"], text=True,
                          input=metrics(d.web, open_metrics=False),
                          capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def query(port, words):
    at = "/api/v1/query?" + urllib.parse.urlencode({"query": words})
    try:
        answer = json.loads(ask(f"127.0.0.1:{port}", at).text)
    except (OSError, ValueError):  # it is starting
        return []
    return [r["value"][1] for r in answer["data"]["result"]]


def test_prometheus_scrapes_it(served, tmp_path):
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed")
    d = served()
    send(d.address, rcpts=["a@example.com"])
    port = free_port()
    (tmp_path / "p.yml").write_text(
        "scrape_configs: [{job_name: mx20, scrape_interval: 1s, "
        f"static_configs: [{{targets: ['{d.web}']}}]}}]\n")
    with open(tmp_path / "log", "w") as log:
        p = subprocess.Popen(
            ["prometheus", f"--config.file={tmp_path}/p.yml",
             f"--storage.tsdb.path={tmp_path}/data",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=log, env=dict(os.environ, GOMAXPROCS="1"))
    try:
        until(lambda: query(port, "mx20_spool_messages") == ["1"])
        assert query(port, 'up{job="mx20"}') == ["1"]
        assert query(port, "mx20_messages_accepted_total") == ["1"]
    finally:
        p.kill()
        p.wait()


def test_api_status_is_that_of_mx20ctl(served, primary):
    p = primary()
    d = served(domains=allow(p) + "held.test recipients=*\n",
               conf={"drain": FAST})
    send(d.address, rcpts=["a@example.com", "b@held.test"])
    d.wait_log("^state .*to=down")
    d.ctl("hold", "--yes", "--domain", "held.test")
    d.ctl("hold", "--yes", "--destination", "127.0.0.1")

    def same():
        ours = json.loads(ask(d.web, "/api/status").text)
        theirs = d.status()
        for s in ours, theirs:
            for row in s["domains"]:
                for name in ("next_probe", "checked", "targets",
                             "connections"):
                    row.pop(name)
        return ours == theirs and len(ours["domains"]) == 2 and \
            ours["destinations_held"]

    until(same)


def test_api_outages_is_that_of_mx20ctl(served, primary):
    d = served()
    r = ask(d.web, "/api/outages")
    assert r.status == 200 and json.loads(r.text) == []
    assert r.headers["Content-Type"] == "application/json"


def test_there_is_nothing_to_be_changed(served):
    d = served()
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"):
        r = ask(d.web, "/metrics", method, body="x" * 5000)
        assert r.status == 405 and r.headers["Allow"] == "GET, HEAD"
    assert ask(d.web, "/reload").status == 404
    assert ask(d.web, "/metrics/").status == 404
    got, head = ask(d.web, "/healthz"), ask(d.web, "/healthz", "HEAD")
    assert (got.status, got.text) == (200, "ok\n")
    assert (head.status, head.text) == (200, "")
    assert head.headers["Content-Length"] == "3"
    assert ask(d.web, "/metrics", "HEAD").status == 200


def test_a_browser_may_do_nothing_else_with_it(served):
    h = ask(served().web, "/api/status").headers
    assert "default-src 'none'" in h["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in h["Content-Security-Policy"]
    assert h["X-Content-Type-Options"] == "nosniff"
    assert h["Referrer-Policy"] == "no-referrer"
    assert h["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in h


def test_health_is_told_while_the_loop_stands(served):
    """Also by the metrics: those that the loop need not be asked for."""
    d = served()
    send(d.address, rcpts=["a@example.com"])
    until(lambda: metrics(d.web)["mx20_spool_messages"] == 1)
    loop = str(d.process.pid)
    os.kill(d.process.pid, 0)
    # stop the main thread alone: the others go on
    tracer = subprocess.Popen(
        ["/usr/bin/python3", "-c", STOP_ONE, loop], stdin=subprocess.PIPE)
    try:
        until(lambda: ask(d.web, "/healthz").status == 503)
        assert ask(d.web, "/healthz").text == "the loop stands\n"
        m = metrics(d.web)
        assert m["mx20_spool_messages"] == 1
    finally:
        tracer.communicate(b"\n")
    until(lambda: ask(d.web, "/healthz").status == 200)


def test_health_tells_of_a_disk_that_failed(served, tmp_path):
    disk = Disk(tmp_path)
    d = served(env=disk.env)
    assert ask(d.web, "/healthz").status == 200
    disk.fail("sync EIO")
    with pytest.raises(Exception):
        send(d.address, rcpts=["a@example.com"])
    until(lambda: ask(d.web, "/healthz").status == 503)
    assert ask(d.web, "/healthz").text == "the disk failed\n"
    assert "The disk failed." in ask(d.web, "/").text


# ptrace(2): attach stops one thread, and detach lets it go on
STOP_ONE = """
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long] + [ctypes.c_void_p] * 3
assert libc.ptrace(16, pid, None, None) == 0
os.waitpid(pid, 0x40000000)
sys.stdin.readline()
libc.ptrace(17, pid, None, None)
"""


def test_many_slow_readers_do_not_stop_mail(served):
    d = served()
    host, port = d.web.split(":")
    slow = []
    try:
        for i in range(200):
            s = socket.create_connection((host, int(port)))
            slow.append(s)
            if i % 2:
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            else:
                s.sendall(b"GET /metr")
        began = time.monotonic()
        assert ask(d.web, "/healthz").text == "ok\n"
        # none of them has been silent for so long that it ends for that
        assert time.monotonic() - began < 8
        for i in range(20):
            send(d.address, rcpts=[f"a{i}@example.com"])
        assert d.status()["spool"]["messages"] == 20
    finally:
        for s in slow:
            s.close()
    until(lambda: metrics(d.web)["mx20_spool_messages"] == 20)


def test_a_document_is_the_same_for_all_who_ask_within_a_second(served):
    d = served()
    begin = time.monotonic()
    first = ask(d.web, "/metrics").text
    send(d.address, rcpts=["a@example.com"])
    again = [ask(d.web, "/metrics").text for _ in range(20)]
    if time.monotonic() - begin < 1:  # a busy machine takes longer
        assert set(again) == {first}
    until(lambda: ask(d.web, "/metrics").text != first)


def test_nonsense_ends_a_connection_and_nothing_else(served):
    d = served()
    host, port = d.web.split(":")
    for junk in (b"\0" * 100000, b"GET " + b"/a" * 50000 + b" HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 20000,
                 b"\x16\x03\x01\x02\x00\x01", b"EHLO me\r\n",
                 b"GET /%00%ff%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"GET /metrics HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Length: 99999999999999999999\r\n\r\n"):
        with socket.create_connection((host, int(port))) as s:
            s.settimeout(1)  # some of it is a request that goes on
            try:
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:
                pass
    assert ask(d.web, "/healthz").text == "ok\n"


def test_a_unix_socket_serves_as_well(mx20, tmp_path):
    path = str(tmp_path / "web.sock")
    d = mx20(conf={"web": {"listen": path}})
    assert "mx20_sessions" in metrics(path)
    d.stop(signal.SIGKILL)
    d.start()  # the one that was left is replaced
    assert ask(path, "/healthz").status == 200
    d.stop()
    assert not os.path.exists(path)


def test_it_leaves_while_somebody_reads(served):
    d = served()
    host, port = d.web.split(":")
    with socket.create_connection((host, int(port))) as s:
        s.sendall(b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n")
        begin = time.monotonic()
        assert d.stop() == 0
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("listen, words", [
    ("web.sock", None),  # beside the configuration
    ("127.0.0.1", "ADDRESS:PORT"),
    ("8020", "ADDRESS:PORT"),
    ("127.0.0.1:0", "ADDRESS:PORT"),
    ("localhost:8020", "ADDRESS:PORT"),
    ("127.0.0.1:99999", "ADDRESS:PORT"),
    ("/" + "x" * 200, "at most 107 bytes"),
])
def test_what_it_may_listen_on(mx20, listen, words):
    d = mx20(start=False, conf={"web": {"listen": listen}})
    done = subprocess.run([d.build / "mx20d", "-c", d.conf_path, "--check"],
                          capture_output=True, text=True)
    if words is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 78
        assert "web.listen" in done.stderr and words in done.stderr


def test_a_new_address_takes_a_restart(served):
    d = served()
    d.conf["web"]["listen"] = ""
    done = d.reload()
    assert done.returncode == 0
    assert "web.listen: a restart is needed" in done.stdout + done.stderr
    assert ask(d.web, "/healthz").status == 200
