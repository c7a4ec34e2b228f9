"""mx20d under test: configuration, start, log, control."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from net import PATIENCE, free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("MX20_BUILD", "build/plain")
SANITIZER = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|event=assert")


def libconfig(value):
    """A Python value in libconfig syntax."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        body = " ".join(f"{k} = {libconfig(v)};" for k, v in value.items())
        return "{ " + body + " }"
    if isinstance(value, (list, tuple)):
        # groups need a list, plain values an array
        opened, closed = ("(", ")") if value and isinstance(
            value[0], dict) else ("[", "]")
        return opened + ", ".join(libconfig(v) for v in value) + closed
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def merge(base, over):
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
    return base


class Mx20:
    """One daemon with a folder of its own.

    domains: the text of the allowlist.  recipients: {file name: text}, files
    below recipients/.  conf: what differs from the defaults below, nested as
    in mx20.conf.  env: for the process.
    """

    build = BUILD

    def __init__(self, domains="example.com recipients=*\n", recipients=None,
                 conf=None, env=None, wrapper=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mx20-test-"))
        self.dir.chmod(0o755)
        self.port = free_port()
        self.env = env or {}
        self.wrapper = list(wrapper)
        self.ctl_wrapper = []
        self.conf = merge({
            "hostname": "mx2.test",
            "domains": "domains",
            "listen": [{"address": "127.0.0.1", "port": self.port}],
            "user": "root" if os.getuid() == 0 else "",
            "control": str(self.dir / "ctl.sock"),
            "spool": {"path": str(self.dir / "spool"), "size": "2G",
                      "reserve": "1M"},
            "dns": {"servers": ["127.0.0.1@1"],
                    "private": ["127.0.0.0/8", "::1/128"]},
            # what a primary refuses is final and reported at once, so that
            # a test need not wait: those about that say otherwise
            "drain": {"brake_window": "0"},
            "bounce": {"mode": "dsn"},
            # so that mail goes through the spool, whether or not the primary
            # is there; what is relayed has tests of its own
            "policy": {"standby": "accept"},
            # 0: as many as there are; from 6 on threads serve the sockets
            "limits": {"processors": int(
                os.environ.get("MX20_PROCESSORS", "0"))},
        }, conf or {})
        self.domains = domains
        self.recipients = recipients or {}
        self.process = None
        self.log = []
        self._heard = threading.Condition()
        self._reader = None
        self.write_files()

    # -- files ---------------------------------------------------------------

    @property
    def conf_path(self):
        return self.dir / "mx20.conf"

    def put(self, path, text):
        """At once: a reload must not find half of a file."""
        new = self.dir / "new-file"
        new.write_text(text)
        os.replace(new, path)

    def write_files(self):
        self.put(self.conf_path, "".join(
            f"{k} = {libconfig(v)};\n" for k, v in self.conf.items()))
        self.put(self.dir / "domains", self.domains)
        for name, text in self.recipients.items():
            path = self.dir / "recipients" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self.put(path, text)

    # -- life ----------------------------------------------------------------

    def start(self, ready=True):
        """Start; with ready wait until it serves (sd_notify)."""
        assert self.process is None
        self._dead = False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            address = str(self.dir / "notify.sock")
            if os.path.exists(address):
                os.unlink(address)
            notify.bind(address)
            notify.settimeout(0.2)
            env = dict(os.environ, NOTIFY_SOCKET=address, **self.env)
            env.setdefault("ASAN_OPTIONS", "detect_leaks=1")
            self.process = subprocess.Popen(
                self.wrapper + [str(self.build / "mx20d"), "-c",
                                str(self.conf_path)],
                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env)
            self._reader = threading.Thread(
                target=self._read_log, args=(self.process,), daemon=True)
            self._reader.start()
            waited = 0.0
            while ready and waited < PATIENCE:
                try:
                    if b"READY=1" in notify.recv(4096):
                        return self
                except TimeoutError:
                    waited += 0.2
                    if self.process.poll() is not None:
                        break
        if ready:
            self._reader.join(PATIENCE)
            raise AssertionError("mx20d did not get ready:\n" + self.text())
        return self

    def _read_log(self, process):
        for raw in process.stderr:
            with self._heard:
                self.log.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._heard.notify_all()
        with self._heard:
            self._dead = True
            self._heard.notify_all()

    def stop(self, sig=signal.SIGTERM, timeout=PATIENCE):
        """Ask it to leave; returns the exit status."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            process.send_signal(sig)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("mx20d did not leave:\n" + self.text())
        self._reader.join(PATIENCE)
        return status

    def kill(self):
        """Pull the plug: no chance to finish anything."""
        return self.stop(signal.SIGKILL)

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        status = self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not SANITIZER.search(self.text()), self.text()
        assert status in (None, 0, -signal.SIGKILL), \
            f"mx20d left with {status}:\n{self.text()}"

    def reload(self):
        """Write the files anew and reload by mx20ctl; its result."""
        self.write_files()
        return self.ctl("reload", check=False)

    # -- log -----------------------------------------------------------------

    def text(self):
        return "\n".join(self.log)

    def mark(self):
        """A position for wait_log(since=...)."""
        return len(self.log)

    def wait_log(self, pattern, timeout=PATIENCE, since=0, count=1):
        """Wait for `count` lines that match; returns the last match."""
        regex = re.compile(pattern)

        def found():
            hits = [m for m in map(regex.search, self.log[since:]) if m]
            return hits[count - 1] if len(hits) >= count else None

        with self._heard:
            self._heard.wait_for(lambda: found() or self._dead, timeout)
            hit = found()
        assert hit, f"no log line matches {pattern!r}:\n{self.text()}"
        return hit

    # -- mx20ctl -------------------------------------------------------------

    def ctl(self, *args, check=True, **options):
        """Run mx20ctl; returns the CompletedProcess."""
        done = subprocess.run(
            self.ctl_wrapper + [str(self.build / "mx20ctl"), "-c",
                                str(self.conf_path), *args],
            capture_output=True, text=True, timeout=PATIENCE * 2,
            stdin=subprocess.DEVNULL, **options)
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def status(self):
        return json.loads(self.ctl("status", "--json").stdout)

    def queue(self, *args):
        out = self.ctl("queue", *args, "--json").stdout
        return [json.loads(line) for line in out.split("\n") if line]

    def wait_empty(self, timeout=PATIENCE):
        """Until nothing is queued: the spool has no event for outsiders."""
        end = time.monotonic() + timeout
        while self.status()["spool"]["messages"]:
            assert time.monotonic() < end, \
                self.ctl("queue").stdout + self.text()
            time.sleep(0.05)

    def rss_kib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("RssAnon"):
                return int(line.split()[1])
        return None

    @property
    def address(self):
        return ("127.0.0.1", self.port)
