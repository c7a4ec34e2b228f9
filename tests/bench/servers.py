"""The backup MXes under measurement: mx20, and peers found installed.

Each takes mail for u@example.com and hands it to the primary at
127.0.0.1:<primary_port>.  Peers keep their durable defaults; only caps on
concurrency are raised.
"""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

from daemon import BUILD, Mx20  # noqa: E402
from net import free_port  # noqa: E402
import exim as exim_module  # noqa: E402
import postfix as postfix_module  # noqa: E402

OTHER = os.environ.get("OTHER", "")
SHIM = BUILD / "preload" / "syncshim.so"
TICK = os.sysconf("SC_CLK_TCK")


class Counters:
    """What syncshim counts: flushes and bytes written."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder) / "syncshim.count"
        self.path.write_bytes(b"\0" * 16)
        self.path.chmod(0o666)

    def env(self, delay_ms=0):
        return {"LD_PRELOAD": str(SHIM), "SYNCSHIM_COUNT": str(self.path),
                "SYNCSHIM_DELAY_MS": str(delay_ms)}

    def read(self):
        return struct.unpack("QQ", self.path.read_bytes())


def process_tree(pid):
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        at = todo.pop()
        found.append(at)
        todo += parents.get(at, [])
    return found


def cpu_seconds(pid):
    """User and system time of a process tree, reaped children included."""
    total = 0
    for p in process_tree(pid):
        try:
            text = pathlib.Path(f"/proc/{p}/stat").read_text()
        except OSError:
            continue
        total += sum(int(v) for v in text.rpartition(")")[2].split()[11:15])
    return total / TICK


def memory_kib(pid, field="RssAnon"):
    total = 0
    for p in process_tree(pid):
        try:
            for line in open(f"/proc/{p}/status"):
                if line.startswith(field + ":"):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


class Server:
    def cpu(self):
        return cpu_seconds(self.pid)


class Mx20Server(Server):
    name = "mx20"

    def __init__(self, primary_port, delay_ms=0, probe_max="30s"):
        self.daemon = Mx20(
            domains="example.com recipients=* "
                    f"primary=[127.0.0.1]:{primary_port}\n",
            conf={"limits": {"connections": 20000,
                             "connections_per_client": 20000},
                  "drain": {"probe_max": probe_max},
                  "spool": {"size": "32G"},
                  "log": {"level": "info"}})
        self.counters = Counters(self.daemon.dir)
        self.daemon.env = self.counters.env(delay_ms)
        self.port = self.daemon.port

    def offer_tls(self, cert, key):
        self.daemon.conf["tls"] = {"certificate": str(cert), "key": str(key)}
        self.daemon.write_files()

    def use_tls(self):
        """Towards the primary: it does where that offers it."""

    def know(self, *mailboxes):
        """Who is a recipient; nobody else is."""
        self.daemon.recipients["example.com"] = "\n".join(mailboxes) + "\n"
        self.daemon.domains = self.daemon.domains.replace(
            "recipients=*", "recipients=recipients/example.com")
        self.daemon.write_files()

    def start(self):
        self.daemon.start()

    def keep_mail(self):
        """Nothing to do: the destination is down."""

    @property
    def pid(self):
        return self.daemon.process.pid

    def queued(self):
        return self.daemon.status()["spool"]["messages"]

    def primary_is_back(self):
        """mx20 finds out by itself."""

    def stop(self):
        self.daemon.stop()
        shutil.rmtree(self.daemon.dir, ignore_errors=True)


class RelayingMx20(Mx20Server):
    """Mail is carried to the primary as it arrives; a second domain has a
    primary of its own."""

    def __init__(self, primary_port, second_port=1):
        super().__init__(primary_port)
        self.daemon.domains += ("second.test recipients=* "
                                f"primary=[127.0.0.1]:{second_port}\n")
        self.daemon.conf["policy"] = {"standby": "relay"}
        self.daemon.conf["drain"]["connections"] = 50
        self.daemon.write_files()

    def relayed(self):
        return sum(line.startswith("relayed ") for line in self.daemon.log)


class BarePipe(Server):
    """A proxy of one thread that does nothing at all: no such server can be
    faster here."""

    name = "pipe"

    def __init__(self, primary_port):
        self.port, self.primary_port = free_port(), primary_port

    def start(self):
        self.process = subprocess.Popen(
            [BUILD / "bench" / "barepipe", "--port", str(self.port), "--to",
             str(self.primary_port)])
        wait_port(self.port)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.terminate()
        self.process.wait()


class OtherServer(Mx20Server):
    """mx20 of another build: OTHER=folder."""

    name = "other"

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.daemon.build = pathlib.Path(OTHER).resolve()
        # older ones do not know these
        del self.daemon.conf["dns"]["private"], self.daemon.conf["policy"]
        self.daemon.write_files()


class PostfixServer(Server):
    name = "Postfix"

    def __init__(self, primary_port, delay_ms=0):
        self.postfix = postfix_module.Postfix(domains=(), main={
            "relay_domains": "example.com",
            "relay_recipient_maps": "static:ok",
            "relay_transport": f"relay:[127.0.0.1]:{primary_port}",
            "virtual_mailbox_domains": "",
            "default_process_limit": "2000",
            "smtpd_client_connection_count_limit": "0",
            "message_size_limit": "60000000",
            "in_flow_delay": "0",
        })
        self.counters = Counters(self.postfix.dir)
        self.env = self.counters.env(delay_ms)
        self.set("import_environment", "MAIL_CONFIG TZ LANG=C " +
                 " ".join(f"{k}={v}" for k, v in self.env.items()))
        self.port = self.postfix.port

    def set(self, name, value):
        subprocess.run(["postconf", "-c", str(self.postfix.conf), "-e",
                        f"{name}={value}"], check=True)

    def offer_tls(self, cert, key):
        self.set("smtpd_tls_security_level", "may")
        self.set("smtpd_tls_cert_file", cert)
        self.set("smtpd_tls_key_file", key)

    def use_tls(self):
        self.set("smtp_tls_security_level", "may")

    def know(self, *mailboxes):
        self.set("relay_recipient_maps", "inline:{" + " ".join(
            f"{{{m}@example.com=ok}}" for m in mailboxes) + "}")

    def start(self):
        self.postfix.start()
        wait_port(self.port)

    def keep_mail(self):
        """Take mail without trying to deliver, until primary_is_back: what
        is tried and deferred just then would miss the flush."""
        self.set("defer_transports", "relay")

    @property
    def pid(self):
        return int((self.postfix.queue / "pid" / "master.pid").read_text())

    def queued(self):
        return sum(1 for place in ("incoming", "active", "deferred")
                   for f in (self.postfix.queue / place).rglob("*")
                   if f.is_file())

    def primary_is_back(self):
        """What an operator has to do by hand."""
        while any(f.is_file() for place in ("incoming", "active")
                  for f in (self.postfix.queue / place).rglob("*")):
            time.sleep(0.1)
        self.set("defer_transports", "")
        self.postfix.reload()
        subprocess.run(["postqueue", "-c", str(self.postfix.conf), "-f"],
                       check=True)

    def stop(self):
        self.postfix.stop()


class ProxyingPostfix(PostfixServer):
    """The primary is its before-queue filter, and has the last word."""

    def __init__(self, primary_port):
        super().__init__(primary_port)
        self.set("smtpd_proxy_filter", f"127.0.0.1:{primary_port}")


class EximServer(Server):
    name = "Exim"

    def __init__(self, primary_port, delay_ms=0):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mx20-exim-"))
        self.dir.chmod(0o755)
        self.port = free_port()
        self.counters = Counters(self.dir)
        self.env = exim_module.user_env(self.dir)
        counting = self.counters.env(delay_ms)
        counting["LD_PRELOAD"] += ":" + self.env["LD_PRELOAD"]
        self.env.update(counting)
        user = pwd.getpwnam("nobody")
        for sub in ("spool", "log"):
            (self.dir / sub).mkdir()
            shutil.chown(self.dir / sub, user.pw_uid, user.pw_gid)
        (self.dir / "exim.conf").write_text(f"""\
exim_user = nobody
exim_group = nogroup
exim_path = {exim_module.BINARY}
keep_environment = LD_PRELOAD : ^NSS_WRAPPER : ^SYNCSHIM
spool_directory = {self.dir}/spool
log_file_path = {self.dir}/log/%slog
primary_hostname = mx2.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
tls_advertise_hosts =
smtp_accept_max = 3000
smtp_accept_queue_per_connection = 0
smtp_connect_backlog = 4096
queue_run_max = 20
remote_max_parallel = 20
message_size_limit = 60M
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  accept domains = example.com
  deny
begin routers
primary:
  driver = manualroute
  domains = example.com
  transport = smtp
  route_list = * 127.0.0.1
  self = send
begin transports
smtp:
  driver = smtp
  port = {primary_port}
  hosts_try_chunking =
begin retry
* * F,2h,15m
""")
        shutil.chown(self.dir / "exim.conf", "root")
        self.binary = str(exim_module.BINARY)
        self.process = None
        self.runner_cpu = 0

    def keep_mail(self):
        with open(self.dir / "exim.conf", "r+") as conf:
            text = conf.read()
            conf.seek(0)
            conf.write("queue_only\n" + text)

    def start(self):
        self.process = subprocess.Popen(
            [self.binary, "-C", str(self.dir / "exim.conf"), "-bdf",
             "-q30m"], env=self.env,
            stderr=open(self.dir / "log" / "stderr", "ab"))
        wait_port(self.port)

    @property
    def pid(self):
        return self.process.pid

    def queued(self):
        return sum(1 for _ in (self.dir / "spool" / "input").rglob("*-H"))

    def cpu(self):
        return super().cpu() + self.runner_cpu

    def primary_is_back(self):
        """A queue runner of our own, waited for: its time counts, too."""
        before = os.times()
        subprocess.run([self.binary, "-C", str(self.dir / "exim.conf"),
                        "-qff"], check=False, env=self.env,
                       stderr=subprocess.DEVNULL)
        after = os.times()
        self.runner_cpu += (after.children_user - before.children_user +
                            after.children_system - before.children_system)

    def stop(self):
        for p in reversed(process_tree(self.process.pid)):
            try:
                os.kill(p, signal.SIGTERM)
            except ProcessLookupError:
                pass
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class OpenSmtpdServer(Server):
    """Unpacked (peers.sh) into a mount namespace of its own, where what it
    looks for at fixed places is."""

    name = "OpenSMTPD"
    BINARY = ROOT / "build" / "peers" / "usr" / "sbin" / "smtpd"
    USERS = {"opensmtpd": 64001, "opensmtpq": 64002}

    def __init__(self, primary_port, delay_ms=0):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mx20-opensmtpd-"))
        self.port = free_port()
        self.counters = Counters(self.dir)
        counting = self.counters.env(delay_ms)
        counting["LD_PRELOAD"] += ":" + exim_module.WRAPPER
        self.env = dict(os.environ, **counting)
        for sub in ("lib/opensmtpd/empty", "spool", "run"):
            (self.dir / sub).mkdir(parents=True)
        (self.dir / "smtpd.conf").write_text(f"""\
queue ttl 5d
smtp max-message-size "60M"
smtp limit max-mails 100000
listen on 127.0.0.1 port {self.port} hostname mx2.test
action "relay" relay host "smtp://127.0.0.1:{primary_port}"
match from any for domain "example.com" action "relay"
""")
        self.lend_users()
        for path in [self.dir, *self.dir.rglob("*")]:
            path.chmod(0o711 if path.is_dir() else 0o644)
        self.counters.path.chmod(0o666)
        self.process = None

    def lend_users(self):
        """The package's users, which only it sees."""
        for kind, line in (("passwd", "{}:x:{}:{}::/nonexistent:/bin/false"),
                           ("group", "{}:x:{}:")):
            text = pathlib.Path("/etc/" + kind).read_text()
            for name, number in self.USERS.items():
                text += line.format(name, number, number) + "\n"
            path = self.dir / kind
            path.write_text(text)
            self.env["NSS_WRAPPER_" + kind.upper()] = str(path)

    def keep_mail(self):
        """Nothing to do: the destination is down."""

    def start(self):
        mounts = " && ".join(
            f"mount --bind {self.dir}/{sub} {place}" for sub, place in
            (("lib", "/var/lib"), ("spool", "/var/spool"), ("run", "/run")))
        preload = self.env.pop("LD_PRELOAD")
        self.process = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c",
             f"{mounts} && LD_PRELOAD={preload} exec {self.BINARY} -d "
             f"-f {self.dir}/smtpd.conf"], env=self.env,
            stderr=open(self.dir / "stderr", "ab"))
        self.env["LD_PRELOAD"] = preload
        wait_port(self.port)

    @property
    def pid(self):
        return self.process.pid

    def queued(self):
        return sum(1 for _ in (self.dir / "spool" / "smtpd" / "queue"
                               ).rglob("message"))

    def primary_is_back(self):
        subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "--",
             self.BINARY.with_name("smtpctl"), "schedule", "all"],
            check=False, env=self.env, stdout=subprocess.DEVNULL,
            group=self.USERS["opensmtpq"])

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def wait_port(port, seconds=20):
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def first_screen_ms(daemon, *args):
    """How long until mx20ctl has printed 50 lines, or all that it has."""
    began = time.monotonic()
    with subprocess.Popen([BUILD / "mx20ctl", "-c", daemon.conf_path, *args],
                          stdout=subprocess.PIPE) as p:
        for n, _ in enumerate(p.stdout):
            if n == 50:
                break
        p.stdout.close()
        ms = (time.monotonic() - began) * 1e3
    return ms


def found():
    """Server classes that can run here, mx20 first.  OTHER: another build
    of mx20 instead of the peers."""
    servers = [Mx20Server]
    if OTHER:
        return servers + [OtherServer]
    if os.getuid() != 0:
        return servers
    if shutil.which("postfix"):
        servers.append(PostfixServer)
    if exim_module.can_run():
        servers.append(EximServer)
    if OpenSmtpdServer.BINARY.exists() and shutil.which("nsenter"):
        servers.append(OpenSmtpdServer)
    return servers
