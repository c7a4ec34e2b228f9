"""mx20d as a service: options, readiness, signals, privileges, sockets."""

import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from client import PATIENCE, Raw, message, send
from daemon import BUILD, ROOT, libconfig
from faults import until
from net import free_port
from primary import Delay

MX20D = str(BUILD / "mx20d")


def run(*args, **options):
    return subprocess.run([MX20D, *args], capture_output=True, text=True,
                          timeout=PATIENCE, **options)


class Notify:
    """What the service manager would hear."""

    def __init__(self, folder):
        self.path = str(folder / "service.sock")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(PATIENCE)

    def wait(self, text):
        while True:
            got = self.sock.recv(4096).decode()
            if text in got:
                return got


@pytest.fixture
def service(mx20, tmp_path):
    """A factory: a daemon with its own service manager."""
    made = []

    def start(env=None, **options):
        d = mx20(start=False, **options)
        d.notify = Notify(tmp_path)
        d.process = subprocess.Popen(
            [MX20D, "-c", str(d.conf_path)],
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            env=dict(os.environ, NOTIFY_SOCKET=d.notify.path, **(env or {})))
        d._dead = False
        d._reader = threading.Thread(target=d._read_log, args=(d.process,),
                                     daemon=True)
        d._reader.start()
        made.append(d.notify)
        return d

    yield start
    for notify in made:
        notify.sock.close()


# -- options and exit status --------------------------------------------------

def test_help_and_version():
    done = run("--help")
    assert done.returncode == 0 and "--check" in done.stdout
    done = run("--version")
    assert done.returncode == 0 and done.stdout.startswith("mx20d ")


@pytest.mark.parametrize("args", [("--nonsense",), ("-c",), ("extra",)])
def test_wrong_usage(args):
    done = run(*args)
    assert done.returncode == 64
    assert "usage: mx20d" in done.stderr


def test_check(mx20):
    d = mx20(start=False)
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 0, done.stderr
    assert "no errors, 1 domain," in done.stdout
    assert re.search("^warning: .*domains:1: .*recipients=[*]", done.stderr,
                     re.M), "warnings, too, and not as in the log"
    assert "level=" not in done.stderr
    assert not (d.dir / "spool").exists()
    d.conf["limits"] = {"hops": "many"}
    d.domains = "exa mple\n"
    d.write_files()
    for args in (("--check",), ()):
        done = run("-c", str(d.conf_path), *args)
        assert done.returncode == 78
        assert "mx20.conf:" in done.stderr and "hops" in done.stderr


def test_check_tells_what_changes_and_what_waits(mx20):
    """Against what was in force last, with the daemon and without it."""
    d = mx20(domains="a.test recipients=* primary=127.0.0.1:1\n"
                     "b.test recipients=few\nc.test recipients=*\n",
             start=False)
    (d.dir / "few").write_text("".join(f"u{i}\n" for i in range(50)))
    d.start()
    send(d.address, rcpts=["u@a.test"])
    until((d.dir / "spool" / "listed").exists)
    done = run("-c", str(d.conf_path), "--check")
    assert done.stdout == \
        f"{d.conf_path}: no errors, 3 domains, 50 recipients\n"
    (d.dir / "few").write_text("u7\n")
    d.domains = "b.test recipients=few\nd.test recipients=*\n"
    d.write_files()
    expected = [
        "-2 domains, +1; -49 recipients; 1 message waits for domains that go",
        "  go: a.test, c.test",
        "  come: d.test",
        "  mail waits for: a.test",
        "a reload is refused without --force: "
        f"{d.dir}/few: b.test had 50 recipients and would have 1",
        "a reload is refused without --force: "
        f"{d.dir}/domains: 2 domains of 3 would go: a.test, c.test",
        "a reload is refused without --force: "
        f"{d.dir}/domains: 1 message waits for 1 domain that would go: a.test",
        "1 message waits for 1 domain that is not listed: a.test",
        f"{d.conf_path}: no errors, 2 domains, 1 recipient",
    ]
    for _ in "running", "stopped":
        done = run("-c", str(d.conf_path), "--check")
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == expected
        d.stop()


def test_a_start_takes_what_it_finds_and_says_what_is_lost(mx20):
    d = mx20(domains="a.test recipients=* primary=127.0.0.1:1\n"
                     "b.test recipients=*\nc.test recipients=*\n")
    send(d.address, rcpts=["u@a.test"])
    listed = d.dir / "spool" / "listed"
    until(listed.exists)
    d.stop()
    d.domains = "c.test recipients=*\n"
    d.write_files()
    d.start()
    d.wait_log("^config level=error error=.*2 domains of 3 would go: a.test, "
               "b.test.* remedy=.*mx20ctl reload")
    d.wait_log("^config level=error error=\"1 message waits for 1 domain that "
               "is not listed: a.test")
    until(lambda: "a.test" not in listed.read_text())
    d.stop()
    d.domains = "# truncated\n"
    d.write_files()
    mark = d.mark()
    d.start()
    d.wait_log("^config level=error error=.*no domain is listed", since=mark)
    assert d.status()["spool"]["messages"] == 1
    # what is not whole is not believed, and no harm
    d.stop()
    listed.write_text("mx20-listed 1 5 0\na.test ")
    mark = d.mark()
    d.start()
    until(lambda: listed.read_text() == "mx20-listed 1 0 0\nend\n")
    assert not [line for line in d.log[mark:] if "would go" in line]


def test_certificates_that_cannot_serve(mx20, pki, tmp_path):
    """Each names its file and what is wrong; nothing asks the terminal."""
    good, other = pki.cert("mx2.test"), pki.cert("mx2.test")
    junk, locked = tmp_path / "junk.pem", tmp_path / "locked.key"
    junk.write_text("junk\n")
    sealed = tmp_path / "sealed.pem"  # nobody encrypts one, OpenSSL would ask
    sealed.write_text(pathlib.Path(good.cert_path).read_text().replace(
        "CERTIFICATE-----\n", "CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
        "DEK-Info: AES-128-CBC," + "0" * 32 + "\n\n", 1))
    subprocess.run(["openssl", "pkey", "-in", good.key_path, "-out", locked,
                    "-aes128", "-passout", "pass:x"], check=True)
    d = mx20(start=False)
    for cert, key, said in (
            (junk, good.key_path, f"{junk}: not usable as a PEM certificate"),
            (good.cert_path, junk, f"{junk}: not usable as a PEM private key"),
            (good.cert_path, good.cert_path, "not usable as a PEM private"),
            (good.cert_path, other.key_path, "not the key of"),
            (good.cert_path, locked, f"{locked}: the key needs a pass phrase"),
            (good.cert_path, tmp_path / "none", "none: No such file"),
            (sealed, good.key_path, f"{sealed}: not usable as a PEM"),
            ([good.cert_path, sealed], [good.key_path] * 2,
             f"{sealed}: not usable as a PEM")):
        d.conf["tls"] = {"certificate": [str(c) for c in cert]
                         if isinstance(cert, list) else str(cert),
                         "key": [str(k) for k in key]
                         if isinstance(key, list) else str(key)}
        d.write_files()
        # a session of its own: without a terminal to ask
        done = run("-c", str(d.conf_path), "--check", stdin=subprocess.DEVNULL,
                   start_new_session=True)
        assert done.returncode == 78
        assert "mx20.conf:" in done.stderr and said in done.stderr
        assert "Enter" not in done.stdout + done.stderr


def test_expired_certificate(mx20, pki):
    """It still encrypts: served, and complained of."""
    expired = pki.cert("mx2.test", expired=True)
    d = mx20(conf={"tls": {"certificate": str(expired.cert_path),
                           "key": str(expired.key_path)}})
    d.wait_log(f"^config level=warn .*tls.certificate: {expired.cert_path}: "
               "expired .*renew")
    with Raw(d.address) as raw:
        raw.cmd("EHLO client.example")
        assert raw.cmd("STARTTLS").startswith("220")
    good = pki.cert("mx2.test")
    d.conf["tls"] = {"certificate": str(good.cert_path),
                     "key": str(good.key_path)}
    mark = d.mark()
    assert d.reload().returncode == 0
    assert not [line for line in d.log[mark:] if "expired" in line]


def test_certificates_with_the_same_kind_of_key(mx20, pki):
    """One is served: whoever means several names by it is told."""
    first, last = pki.cert("mx2.test"), pki.cert("mx2.test")
    d = mx20(start=False, conf={"tls": {
        "certificate": [str(first.cert_path), str(last.cert_path)],
        "key": [str(first.key_path), str(last.key_path)]}})
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 0
    said = [line for line in (done.stdout + done.stderr).splitlines()
            if "never served" in line]
    assert len(said) == 1 and str(first.cert_path) in said[0]


def test_trust_anchor_that_is_none(mx20):
    """Only libunbound can tell, and is asked in time."""
    d = mx20(start=False)
    anchor = d.dir / "anchor"
    anchor.write_text("not a zone file\n")
    old = d.conf["dns"]
    d.conf["dns"] = dict(old, trust_anchor="anchor")
    d.write_files()
    for args in (("--check",), ()):
        done = run("-c", str(d.conf_path), *args)
        assert done.returncode == 78
        assert f"mx20.conf: dns: {anchor}: " in done.stderr
    d.conf["dns"] = old
    d.write_files()
    d.start()
    d.conf["dns"] = dict(old, trust_anchor="anchor")
    d.conf["hostname"] = "other.test"
    done = d.reload()
    assert done.returncode == 1
    assert f"{anchor}: " in done.stdout + done.stderr
    with Raw(d.address) as raw:
        assert raw.greeting.startswith("220 mx2.test")


def test_missing_configuration():
    done = run("-c", "/nonexistent/mx20.conf")
    assert done.returncode == 78
    assert "/nonexistent/mx20.conf" in done.stderr


def test_address_in_use(mx20):
    d = mx20()
    other = mx20(start=False, conf={
        "listen": [{"address": "127.0.0.1", "port": d.port}]})
    done = run("-c", str(other.conf_path))
    assert done.returncode == 71
    assert f"127.0.0.1:{d.port}" in done.stderr
    assert "in use" in done.stderr


def test_spool_of_another_daemon(mx20):
    d = mx20()
    other = mx20(start=False, conf={"spool": {"path": str(d.dir / "spool")}})
    done = run("-c", str(other.conf_path))
    assert done.returncode == 74
    assert str(d.dir / "spool") in done.stderr


def test_closed_standard_files(mx20):
    """A socket in the place of stderr would get the log."""
    d = mx20(start=False)
    process = subprocess.Popen(
        ["sh", "-c", f"exec {MX20D} -c {d.conf_path} 0<&- 1>&- 2>&-"])
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                raw = Raw(d.address)
                break
            except ConnectionRefusedError:
                assert time.monotonic() < end
                time.sleep(0.05)
        assert raw.greeting.startswith("220 ")
        assert raw.cmd("NOOP").startswith("250 ")
        raw.close()
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


# -- the service manager ------------------------------------------------------

def test_it_says_what_it_does(service):
    d = service()
    ready = d.notify.wait("READY=1")
    assert "STATUS=" in ready and "1 domain," in ready
    assert Raw(d.address).greeting.startswith("220")
    d.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in d.notify.wait("RELOADING=1")
    d.notify.wait("READY=1")
    # a reload that fails is over, too
    d.domains = "=\n"
    d.write_files()
    d.process.send_signal(signal.SIGHUP)
    d.notify.wait("RELOADING=1")
    d.notify.wait("READY=1")
    d.wait_log("^reload level=error .*domains:1")
    d.process.send_signal(signal.SIGTERM)
    d.notify.wait("STOPPING=1")
    assert d.process.wait(PATIENCE) == 0
    d.wait_log("^stop ")


def test_watchdog_is_fed_by_the_loop(service):
    d = service(env={"WATCHDOG_USEC": "200000"})
    for _ in range(3):
        d.notify.wait("WATCHDOG=1")


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None,
                    reason="needs systemd-socket-activate")
def test_sockets_of_the_service_manager(mx20):
    """A client that came before the daemon is served.  Such a socket blocks:
    the loop must not.  One that no row names is closed."""
    d = mx20(start=False)
    other = free_port()
    d.wrapper = ["systemd-socket-activate", "-l", f"127.0.0.1:{d.port}",
                 "-l", f"127.0.0.1:{other}"]
    d.start(ready=False)
    d.wait_log(f"Listening on 127.0.0.1:{other}")
    early = Raw(d.address)  # starts the daemon
    assert early.greeting.startswith("220 ")
    assert early.cmd("NOOP").startswith("250 ")
    d.wait_log(f"^config .*socket=127.0.0.1:{other}")
    assert not can_connect(other)
    send(d.address)
    assert d.stop() == 0


# -- SIGHUP -------------------------------------------------------------------

def can_connect(port, address="127.0.0.1"):
    try:
        with Raw((address, port)) as raw:
            return raw.greeting.startswith("220")
    except ConnectionRefusedError:
        return False


def test_sighup_takes_no_accident(mx20):
    """Refused and logged, with the remedy; the mail stays, and its domain."""
    d = mx20(domains="a.test recipients=* primary=127.0.0.1:1\n"
                     "b.test recipients=*\nc.test recipients=*\n")
    send(d.address, rcpts=["u@a.test"])
    d.domains = "b.test recipients=*\nc.test recipients=*\n"
    d.write_files()
    d.process.send_signal(signal.SIGHUP)
    d.wait_log("^reload level=error refused=.*1 message waits for 1 domain "
               "that would go: a.test.* remedy=.*mx20ctl reload --force")
    send(d.address, rcpts=["u@a.test"])
    d.domains = "#\n"
    d.write_files()
    d.process.send_signal(signal.SIGHUP)
    d.wait_log("^reload level=error refused=.*the allowlist is empty")
    send(d.address, rcpts=["u@b.test"])
    assert not [line for line in d.log if line.startswith("reload domains=")]


def test_listeners_come_and_go_with_a_reload(mx20):
    d = mx20()
    second = free_port()
    stays = Raw(d.address)
    old = d.conf["listen"][0]
    d.conf["listen"] = [old, {"address": "127.0.0.1", "port": second}]
    assert d.reload().returncode == 0
    assert can_connect(d.port) and can_connect(second)
    d.conf["listen"] = [{"address": "127.0.0.1", "port": second}]
    assert d.reload().returncode == 0
    assert not can_connect(d.port) and can_connect(second)
    assert stays.cmd("NOOP").startswith("250 "), "its session goes on"


def test_a_new_listener_is_this_host(mx20):
    """RFC 5321 section 5.1: mail must not be sent to ourselves."""
    second = free_port()
    d = mx20(domains=f"example.com recipients=* primary=127.0.0.1:{second}\n")

    def result():
        return json.loads(d.ctl("route", "example.com", "--json",
                                check=False).stdout)["result"]

    assert result() == "ok"
    d.conf["listen"].append({"address": "127.0.0.1", "port": second})
    assert d.reload().returncode == 0
    assert result() == "self"
    d.conf["listen"].pop()
    assert d.reload().returncode == 0
    assert result() == "ok"


@pytest.fixture
def taken():
    """A port that somebody else has."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        yield other.getsockname()[1]


def test_listener_that_cannot_be_had(mx20, taken):
    """Nothing of the new settings counts, and who asked is told."""
    d = mx20()
    second = free_port()
    here = {"address": "127.0.0.1", "port": d.port}
    d.conf["listen"] = [{"address": "127.0.0.1", "port": second},
                        {"address": "127.0.0.1", "port": taken}]
    d.conf["hostname"] = "other.test"
    done = d.reload()
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert f"mx20.conf: listen: cannot listen on 127.0.0.1:{taken}" in said
    assert "in use" in said
    d.wait_log(f"^reload level=error .*127.0.0.1:{taken}")
    with Raw(d.address) as raw:
        assert raw.greeting.startswith("220 mx2.test")
    assert not can_connect(second)
    done = json.loads(d.ctl("reload", "--json", check=False).stdout)
    assert not done["ok"] and f"127.0.0.1:{taken}" in done["errors"][0]
    d.conf["listen"] = [here]
    assert d.reload().returncode == 0
    with Raw(d.address) as raw:
        assert raw.greeting.startswith("220 other.test")


def test_all_addresses_instead_of_one_and_back(mx20):
    """One port cannot be bound for both: the old one makes way."""
    d = mx20()
    for address in ("*", "127.0.0.1", "0.0.0.0", "*"):
        d.conf["listen"] = [{"address": address, "port": d.port}]
        assert d.reload().returncode == 0
        assert can_connect(d.port)


def test_what_made_way_comes_back(mx20):
    d = mx20()
    with socket.socket() as other:
        other.bind(("127.0.0.2", d.port))
        other.listen(1)
        d.conf["listen"] = [{"address": "*", "port": d.port}]
        done = d.reload()
        assert done.returncode == 1 and "in use" in done.stdout + done.stderr
        assert can_connect(d.port)
    assert d.reload().returncode == 0
    assert can_connect(d.port)


def test_what_needs_a_restart_is_said(mx20):
    d = mx20()
    d.conf["spool"]["path"] = str(d.dir / "elsewhere")
    d.write_files()
    d.process.send_signal(signal.SIGHUP)
    d.wait_log("^reload level=warn key=spool.path .*restart")
    send(d.address)
    assert not (d.dir / "elsewhere").exists()


def test_wildcard_is_both_families(mx20):
    port = free_port()
    d = mx20(conf={"listen": [{"address": "*", "port": port}]})
    assert can_connect(port)
    if os.path.exists("/proc/net/if_inet6") and \
            open("/proc/net/if_inet6").read():
        assert can_connect(port, "::1")
    d.stop()


# -- SIGTERM ------------------------------------------------------------------

def test_stop_tells_the_sessions(mx20):
    d = mx20()
    idle, busy = Raw(d.address), Raw(d.address)
    busy.envelope()
    process = d.process
    process.send_signal(signal.SIGTERM)
    assert idle.line().startswith("421 4.3.2")
    assert busy.line().startswith("421 4.3.2")
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stop_does_not_wait_for_a_sender_that_hangs(mx20, sig):
    d = mx20()
    raw = Raw(d.address)
    raw.envelope()
    assert raw.cmd("DATA").startswith("354")
    raw.send("Subject: half a mes")
    assert d.stop(sig) == 0  # the sender has minutes


def test_a_log_that_nobody_reads(mx20, primary, tmp_path):
    """Mail comes and goes, and so does the daemon."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(held, bytes(4096))
    p = primary().start()
    d = mx20(start=False, conf={"log": {"level": "debug"}},
             domains=f"example.com recipients=* primary={p.route}\n")
    d.wrapper = ["sh", "-c", f'exec "$0" "$@" 2<>{fifo}']
    d.start()
    for _ in range(20):
        send(d.address)
    p.wait_messages(20)
    d.wait_empty()
    assert d.stop() == 0
    os.close(held)


def test_acknowledged_before_the_stop_is_there_after_it(mx20, primary):
    p = primary()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n")
    ids, stop = [], threading.Event()

    def load(n):
        with Raw(d.address) as raw:
            while not stop.is_set():
                try:
                    raw.envelope()
                    reply = raw.data(message(f"m{n}") + "\r\n.\r\n")
                except (AssertionError, OSError):
                    return
                if reply.startswith("250 "):
                    ids.append(reply.split()[-1])

    threads = [threading.Thread(target=load, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    until(lambda: len(ids) > 50)
    assert d.stop() == 0
    stop.set()
    for t in threads:
        t.join()
    assert ids
    d.start()
    p.start()
    p.wait_messages(len(ids))
    d.wait_empty()
    # every commit was still answered: nobody will send it again
    assert len(p.messages) == len(ids) == len(set(ids))


def test_stop_while_mail_flows_makes_no_duplicates(mx20, primary):
    p = primary().start()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n")
    sent = 0
    for _ in range(4):
        for _ in range(25):
            send(d.address, content=message(f"n{sent}"))
            sent += 1
        d.restart()
    p.wait_messages(sent)
    d.wait_empty()
    subjects = [m.content.split(b"Subject: ")[1].split(b"\r\n")[0]
                for m in p.messages]
    assert len(subjects) == len(set(subjects)) == sent


def test_stop_waits_for_the_reply_to_what_was_sent(mx20, primary):
    reached = threading.Event()

    def slowly(session, argument):
        reached.set()
        return Delay(1)

    p = primary(on={"dot": slowly}).start()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n")
    send(d.address)
    assert reached.wait(PATIENCE)
    assert d.stop() == 0
    d.wait_log("^delivered ")
    p.on.clear()
    mark = d.mark()
    d.start()
    assert d.status()["spool"]["messages"] == 0
    assert len(p.messages) == 1
    assert not [line for line in d.log[mark:] if "delivered" in line]


# -- privileges ---------------------------------------------------------------

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def proc_status(pid):
    return dict(line.split(":\t", 1) for line in
                open(f"/proc/{pid}/status").read().splitlines()
                if ":\t" in line)


@as_root
def test_root_is_left_behind(mx20):
    d = mx20(start=False)
    shutil.chown(d.dir, "nobody")
    d.conf["user"] = "nobody"
    d.conf["spool"]["path"] = str(d.dir / "var" / "spool")
    d.conf["control"] = str(d.dir / "run" / "ctl.sock")
    page = d.dir / "page" / "web.sock"
    d.conf["web"] = {"listen": str(page)}
    d.dir.chmod(0o755)
    shutil.chown(d.dir, "root")
    d.write_files()
    d.start(ready=False)  # nobody may not write to the notify socket
    d.wait_log(rf"^start .* listen=127.0.0.1:{d.port} web={page} ")
    nobody = pwd.getpwnam("nobody")
    facts = proc_status(d.process.pid)
    assert facts["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert facts["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert int(facts["CapEff"], 16) == 0
    assert facts["NoNewPrivs"].strip() == "1"
    assert (d.dir / "var" / "spool").stat().st_uid == nobody.pw_uid
    assert (d.dir / "var" / "spool").stat().st_mode & 0o777 == 0o700
    send(d.address)
    assert d.status()["spool"]["messages"] == 1
    d.stop()
    assert not (d.dir / "run" / "ctl.sock").exists()
    assert page.parent.stat().st_uid == nobody.pw_uid and not page.exists()
    mark = d.mark()
    d.start(ready=False)
    d.wait_log("^start ", since=mark)
    assert d.status()["spool"]["messages"] == 1


@as_root
def test_check_reads_as_the_user(mx20, pki):
    """A key that only root may read is found before systemd does."""
    d = mx20(start=False, conf={"user": "nobody"})
    pair = pki.cert("mx2.test")
    pair.key_path.chmod(0o600)
    d.conf["tls"] = {"certificate": str(pair.cert_path),
                     "key": str(pair.key_path)}
    d.write_files()
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 78 and "no errors" not in done.stdout
    assert re.search(r"mx20.conf:\d+: tls.key: "
                     f"{pair.key_path}: Permission denied .as nobody.",
                     done.stderr)
    pair.key_path.chmod(0o644)
    d.conf_path.chmod(0o600)
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 78
    assert "mx20.conf: cannot be read: Permission denied" in done.stderr
    d.conf_path.chmod(0o644)
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 0 and "no errors" in done.stdout
    d.conf["user"] = "nosuchuser"
    d.write_files()
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 78 and 'no user "nosuchuser"' in done.stderr
    assert "useradd --system --user-group nosuchuser" in done.stderr


@as_root
def test_check_finds_a_spool_that_the_user_cannot_open(mx20):
    """Root was here by hand, and left files of its own."""
    d = mx20(start=False, conf={"user": "nobody"})
    spool = d.dir / "spool"
    spool.mkdir(0o700)
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 78 and "no errors" not in done.stdout
    assert f"spool.path: {spool}: not writable by nobody, and a start does " \
        f"not change that: chown nobody {spool}" in done.stderr
    d.start(ready=False)
    assert d.process.wait(PATIENCE) == 74
    d.process = None
    shutil.chown(spool, "nobody")
    (spool / "data.mdb").touch(0o600)
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 78
    assert f"spool.path: {spool}/data.mdb: Permission denied" in done.stderr
    shutil.chown(spool / "data.mdb", "nobody")
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 0, done.stderr


@as_root
def test_a_key_that_only_root_can_read(mx20, pki):
    """It was read before root was left: a reload as the user fails."""
    pair = pki.cert("mx2.test")
    pair.key_path.chmod(0o600)
    d = mx20(conf={"user": "nobody", "tls": {
        "certificate": str(pair.cert_path), "key": str(pair.key_path)}},
        start=False)
    d.dir.chmod(0o777)  # for the control socket
    d.start(ready=False)  # who is not root cannot tell us
    d.wait_log("^start ")
    d.wait_log(f"^config level=warn .*tls.key: {pair.key_path}: Permission "
               "denied for nobody: a reload will fail")
    assert d.reload().returncode == 1
    pair.key_path.chmod(0o644)
    assert d.reload().returncode == 0


def test_check_tells_of_a_spool_that_is_not_there(mx20):
    """A start makes one: so does one with a name that is mistyped."""
    d = mx20(start=False, conf={"spool": {"path": "spol"}})
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 0
    said = f"spool.path: {d.dir}/spol: not there: a start makes an empty spool"
    assert said in done.stderr
    d.start()
    made = rf"^spool (level=error )?path={d.dir}/spol/data.mdb .*made="
    d.wait_log(made)
    assert said not in run("-c", str(d.conf_path), "--check").stderr
    mark = d.mark()
    d.restart()
    assert not any(re.search(made, line) for line in d.log[mark:])
    d.stop()
    os.truncate(d.dir / "spol" / "data.mdb", 0)
    d.start()
    d.wait_log(rf"^spool level=error path={d.dir}/spol/data.mdb error=.*there "
               "had been one.*made=", since=mark)


@pytest.mark.parametrize("listen, primary, is_loop", [
    ("127.0.0.1", "127.0.0.1:{port}", True),
    ("127.0.0.1", "127.0.0.2:{port}", False),
    ("127.0.0.1", "127.0.0.1:{other}", False),
    ("127.0.0.1", "mail.test,MX2.test:{port}", True),
    ("127.0.0.1", "mx2.test:{other}", False),
    ("*", "127.0.0.2:{port}", True),
    ("*", "192.0.2.7:{port}", False)])
def test_check_finds_a_primary_that_is_this_host(mx20, listen, primary,
                                                 is_loop):
    port = free_port()
    primary = primary.format(port=port, other=port + 1)
    d = mx20(domains="a.test recipients=* primary=127.0.0.1:1\n"
                     f"b.test recipients=* primary={primary}\n",
             conf={"listen": [{"address": listen, "port": port}]},
             start=False)
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == (78 if is_loop else 0), done.stderr
    assert bool(re.search(r"/domains: b\.test: primary=\S+ leads to this host "
                          "itself$", done.stderr, re.M)) == is_loop
    assert "a.test: primary" not in done.stderr


@pytest.mark.parametrize("conf, said", [
    ({"spool": {"path": "domains"}}, "spool.path: .*/domains: Not a dir"),
    ({"control": "domains"}, "control: .*/domains: exists and is no socket"),
    ({"control": "domains/x"}, "control: .*/domains/: Not a dir"),
    ({"listen": [{"address": "192.0.2.7", "port": 2525}]},
     "listen: 192.0.2.7: not an address of this host"),
    ({"web": {"listen": "192.0.2.7:8020"}},
     "web.listen: 192.0.2.7:8020: not an address of this host"),
    ({"dns": {"trust_anchor": "recipients"}},
     "dns.trust_anchor: .*/recipients: Is a directory"),
    ({"mirror": {"postgresql": "host=db passwrod=s3cret"}},
     'mirror.postgresql: invalid connection option "passwrod"'),
    ({"mirror": {"postgresql": "dbname=m password= s3 cret"}},
     'mirror.postgresql: expected words such as "host='),
    ({"mirror": {"postgresql": "host=a,b port=1,2 sslmode=foo"}},
     'mirror.postgresql: invalid sslmode value: "foo"'),
    ({"mirror": {"postgresql": "host=a passfile=/nonexistent"}},
     "mirror.postgresql: passfile /nonexistent: No such file"),
])
def test_check_finds_what_cannot_start(mx20, conf, said):
    d = mx20(start=False, conf=conf, recipients={"x": ""})
    done = run("-c", str(d.conf_path), "--check")
    assert done.returncode == 78 and "no errors" not in done.stdout
    assert re.search(said, done.stderr)
    assert "cret" not in done.stderr + done.stdout


def test_reload_shows_the_warnings(mx20, pki):
    """Whoever has renewed a certificate looks there, not into the log."""
    pair = pki.cert("other.test")
    d = mx20()
    d.conf["tls"] = {"certificate": str(pair.cert_path),
                     "key": str(pair.key_path)}
    done = d.reload()
    said = f"tls.certificate: {pair.cert_path}: is not for mx2.test (hostname)"
    assert done.returncode == 0 and said in done.stdout + done.stderr
    d.wait_log(re.escape(said))


def test_signals_that_are_meant_for_others(mx20):
    """What rotates the logs of other programs sends these."""
    d = mx20()
    for sig in signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE:
        d.process.send_signal(sig)
    assert d.reload().returncode == 0
    assert d.stop() == 0


@as_root
def test_unknown_user(mx20):
    d = mx20(start=False, conf={"user": "nosuchuser"})
    done = run("-c", str(d.conf_path))
    assert done.returncode == 78
    assert "nosuchuser" in done.stderr


def test_descriptors_are_raised(mx20):
    d = mx20(conf={"limits": {"connections": 3000}})
    for line in open(f"/proc/{d.process.pid}/limits"):
        if line.startswith("Max open files"):
            soft, hard = line.split()[3:5]
            assert soft == hard or int(soft) >= 3000


# -- make install -------------------------------------------------------------

@pytest.mark.skipif("address" in str(BUILD), reason="installs the plain build")
def test_install(tmp_path):
    def install():
        subprocess.run(
            ["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"],
            cwd=ROOT, check=True, capture_output=True, timeout=300)

    install()
    for name in ("sbin/mx20d", "bin/mx20ctl", "share/man/man8/mx20d.8",
                 "share/man/man8/mx20ctl.8",
                 "share/bash-completion/completions/mx20ctl",
                 "share/zsh/vendor-completions/_mx20ctl",
                 "share/man/man5/mx20.conf.5",
                 "share/man/man5/mx20-domains.5",
                 "lib/systemd/system/mx20.service",
                 "lib/systemd/system/mx20.socket",
                 "lib/sysusers.d/mx20.conf", "lib/tmpfiles.d/mx20.conf"):
        assert (tmp_path / "usr" / name).is_file(), name
    unit = (tmp_path / "usr/lib/systemd/system/mx20.service").read_text()
    assert "ExecStart=/usr/sbin/mx20d\n" in unit and "@" not in \
        unit.replace("@system-service", "").replace("@privileged", "")
    # the sample configuration is right, and never overwrites
    conf = tmp_path / "etc/mx20/mx20.conf"
    # the package makes the user
    conf.write_text(conf.read_text().replace(
        'user = "mx20"', f'user = "{pwd.getpwuid(os.getuid()).pw_name}"'))
    done = subprocess.run([str(tmp_path / "usr/sbin/mx20d"), "-c", str(conf),
                           "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    conf.write_text(f"hostname = {libconfig('mine.test')};\n")
    install()
    assert "mine.test" in conf.read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None,
                    reason="needs systemd-analyze")
def test_units_are_well_formed(tmp_path):
    """Every directive is known, and the sandbox is as tight as it says."""
    for kind in ("service", "socket"):
        text = (ROOT / "contrib" / "systemd" / f"mx20.{kind}").read_text()
        text = text.replace("@PREFIX@/sbin/mx20d", "/bin/true").replace(
            "@PREFIX@/bin/mx20ctl", "/bin/true")
        (tmp_path / f"mx20.{kind}").write_text(text)
    units = [str(tmp_path / f"mx20.{kind}") for kind in ("service", "socket")]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units],
                          capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and not done.stderr, done.stderr
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager",
         "--threshold=20", units[0]],
        capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout[-300:]
