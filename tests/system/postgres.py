"""PostgreSQL of the tests' own: a database for nodes, its standbys, the wire.

Each instance has a folder and a port of its own and flushes what it commits,
as an operator's does.  initdb runs once in a process of the tests; what it
made is copied.  PostgreSQL does not run as root: then it runs as `postgres`,
or as `nobody`.
"""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from net import PATIENCE, free_port

PASSWORD = "mx20 secret"
SETTINGS = """
shared_buffers = 32MB
max_connections = 40
wal_level = replica
max_wal_senders = 8
wal_sender_timeout = 3s
wal_receiver_timeout = 3s
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 200ms
checkpoint_timeout = 30min
log_min_messages = warning
log_line_prefix = '%m [%p] %a '
"""
RIGHTS = """
local all all trust
host replication all 127.0.0.1/32 trust
host all mx20 127.0.0.1/32 scram-sha-256
host all bare 127.0.0.1/32 scram-sha-256
host all mx20 198.18.0.0/15 scram-sha-256
"""
# what mx20 may: its schema, and no more; `bare` may not even that
ROLES = f"""
SET password_encryption = 'scram-sha-256';
CREATE ROLE mx20 LOGIN PASSWORD '{PASSWORD}';
CREATE ROLE bare LOGIN PASSWORD '{PASSWORD}';
CREATE DATABASE mx20;
\\c mx20
CREATE SCHEMA mx20 AUTHORIZATION mx20;
"""


def _bin():
    found = shutil.which("postgres")
    if found:
        return pathlib.Path(found).resolve().parent
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    return pathlib.Path(max(folders, key=lambda f: int(f.split("/")[4]))
                        ) if folders else None


BIN = _bin()


def _user():
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("no user to run PostgreSQL as")


def _wrapper(before=()):
    """Before a command of PostgreSQL: not as root, and not beyond us."""
    become = []
    if os.getuid() == 0:
        user = _user()
        become = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                  "--clear-groups"]
    return [*before, "setpriv", *become, "--pdeathsig=QUIT", "--"]


def open_folder(prefix="mx20-pg-"):
    """One that PostgreSQL can get at, and write to."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    if os.getuid() == 0:
        user = _user()
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def run(*args, **options):
    return subprocess.run(
        [*_wrapper(), str(BIN / args[0]), *map(str, args[1:])], check=True,
        capture_output=True, text=True, timeout=PATIENCE * 2, cwd="/",
        **options)


def children(pid):
    """Of a process, in the order they were born."""
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


class Postgres:
    """One server.  of: the one it is a standby of.  on: a small disk of its
    own (faults.SmallDisk).  behind: a Cable."""

    _template = None

    def __init__(self, of=None, name="standby", settings="", on=None,
                 behind=None):
        self.dir = open_folder("mx20-pg-")
        self.data = self.dir / "data"
        self.before = on.wrapper if on else behind.wrapper if behind else []
        self.host = behind.far if behind else "127.0.0.1"
        if behind:
            settings += "listen_addresses = '*'\n"
        self.seen = self.data  # from outside of its namespace
        if on:
            self.data = on.path / "data"
            self.seen = on.seen / "data"
            on.seen.chmod(0o755)
        self.port = free_port()
        self.process = None
        self.standbys = []
        if of is None:
            subprocess.run(["cp", "-a", "--reflink=auto",
                            self.template() / "data", self.seen], check=True)
        else:
            run("pg_basebackup", "-D", self.data, "-R", "-X", "stream",
                "--checkpoint=fast", "-d",
                f"host=127.0.0.1 port={of.port} user={of.owner} "
                f"application_name={name}")
            of.standbys.append(self)
        with open(self.seen / "postgresql.auto.conf", "a") as f:
            f.write(f"port = {self.port}\n"
                    f"unix_socket_directories = '{self.dir}'\n" + settings)

    # -- made once ---------------------------------------------------------------

    owner = "owner"  # the superuser

    @classmethod
    def template(cls):
        if Postgres._template is None:
            folder = open_folder("mx20-pg-template-")
            data = folder / "data"
            run("initdb", "-D", data, "-U", cls.owner, "-A", "trust",
                "--no-sync", "--no-instructions", "-E", "UTF8", "--no-locale")
            for file, text in (("postgresql.conf", SETTINGS +
                                "listen_addresses = '127.0.0.1'\n"),
                               ("pg_hba.conf", RIGHTS)):
                # what initdb wrote says the same at length
                (data / file).write_text(text)
            first = cls.__new__(cls)
            first.dir, first.data, first.port = folder, data, free_port()
            first.seen, first.before, first.host = data, [], ""
            first.process, first.standbys = None, []
            (data / "postgresql.auto.conf").write_text(
                f"port = {first.port}\n"
                f"unix_socket_directories = '{folder}'\n")
            first.start()
            first.sql(ROLES, database="postgres", user=cls.owner)
            first.stop()
            (data / "postgresql.auto.conf").write_text("")
            Postgres._template = folder
        return Postgres._template

    @classmethod
    def forget_template(cls):
        if Postgres._template is not None:
            shutil.rmtree(Postgres._template, ignore_errors=True)
            Postgres._template = None

    # -- life ----------------------------------------------------------------------

    def start(self):
        """Start, and wait until it takes connections."""
        assert self.process is None
        pid_file = self.seen / "postmaster.pid"
        with contextlib.suppress(OSError):
            pid_file.unlink()  # of one that was killed
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*_wrapper(self.before), str(BIN / "postgres"), "-D",
                 str(self.data)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                state = pid_file.read_text().split("\n")[7].strip()
                if state in ("ready", "standby"):
                    return self
            time.sleep(0.02)
        raise AssertionError("PostgreSQL did not start:\n" + self.log())

    def log(self):
        return (self.dir / "log").read_text(errors="replace")

    def _signal(self, sig, wait=True):
        process = self.process
        process.send_signal(sig)
        if wait:
            self.process = None
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError("PostgreSQL did not leave:\n" +
                                     self.log()) from None

    def stop(self, mode="fast"):
        """mode: fast, or immediate, which is a crash it notices."""
        if self.process is not None:
            self.resume()
            self._signal({"fast": signal.SIGINT,
                          "immediate": signal.SIGQUIT}[mode])

    def kill(self):
        """kill -9 of it and of all it has started."""
        if self.process is None:
            return
        pids = children(self.process.pid)
        self._signal(signal.SIGKILL)
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def revive(self):
        """Start it again if it has given up."""
        if self.process.poll() is not None:
            self.process = None
            self.start()

    def pause(self):
        """SIGSTOP of all of it: connections stand, nothing answers."""
        for pid in [self.process.pid, *children(self.process.pid)]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in [*children(self.process.pid), self.process.pid]:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)

    def close(self):
        for standby in self.standbys:
            standby.close()
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    # -- questions ---------------------------------------------------------------------

    def sql(self, text, database="mx20", user=None):
        """Rows as lists of text."""
        done = subprocess.run(
            [str(BIN / "psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v",
             "ON_ERROR_STOP=1", "-h", str(self.dir), "-p", str(self.port),
             "-U", user or self.owner, "-d", database],
            input=text, capture_output=True, text=True, timeout=PATIENCE * 2)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.split("\n") if line]

    def one(self, text, **options):
        rows = self.sql(text, **options)
        return rows[0][0] if rows else None

    @contextlib.contextmanager
    def locked(self, table, where):
        """Nobody else changes these rows."""
        holder = subprocess.Popen(
            [str(BIN / "psql"), "-X", "-q", "-A", "-t", "-h", str(self.dir),
             "-p", str(self.port), "-U", self.owner, "-d", "mx20"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holder.stdin.write(f"BEGIN; SELECT 'locked' FROM mx20.{table}"
                           f" WHERE {where} LIMIT 1 FOR UPDATE;\n")
        holder.stdin.flush()
        try:
            assert holder.stdout.readline() == "locked\n"
            yield
        finally:
            holder.communicate()

    def count(self, table, where="true"):
        """Of one of mx20's tables."""
        return int(self.one(f"SELECT count(*) FROM mx20.{table}"
                            f" WHERE {where};"))

    def configure(self, **settings):
        """And reload."""
        self.sql("".join(f"ALTER SYSTEM SET {key} = '{value}';\n"
                         for key, value in settings.items()) +
                 "SELECT pg_reload_conf();", database="postgres")

    # -- standbys ----------------------------------------------------------------------

    def add_standby(self, name="standby", synchronous=True):
        """One that runs and streams; what is committed is on both."""
        standby = Postgres(of=self, name=name).start()
        if synchronous:
            self.configure(synchronous_standby_names=name)
        self.wait_standby(name, "sync" if synchronous else "async")
        return standby

    def wait_standby(self, name, state):
        end = time.monotonic() + PATIENCE
        while self.one("SELECT sync_state FROM pg_stat_replication WHERE"
                       f" application_name = '{name}' AND"
                       " state = 'streaming';") != state:
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)

    def promote(self):
        """Of a standby: it is the primary from here on."""
        assert self.one("SELECT pg_promote(true, 60);",
                        database="postgres") == "t", self.log()
        # it waits for no standby of its own, whatever the old one did
        self.configure(synchronous_standby_names="")

    # -- how to reach it ---------------------------------------------------------------

    def dsn(self, *others, user="mx20", password=PASSWORD, port=None):
        """As an operator writes it; others: further hosts of the cluster."""
        ports = [port or self.port] + [o.port for o in others]
        several = " target_session_attrs=read-write" if others else ""
        return (f"host={','.join([self.host] * len(ports))} "
                f"port={','.join(map(str, ports))} dbname=mx20 user={user} "
                f"password='{password}'{several}")


class Cable:
    """A network of our own with one host at its far end; what goes there while
    it is cut is lost, and nobody is told."""

    def __init__(self):
        if os.getuid() != 0 or shutil.which("ip") is None:
            raise RuntimeError("needs root and iproute2")
        self.holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo made && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"made\n"
        self.wrapper = ["nsenter", "-t", str(self.holder.pid), "-n", "--"]
        # of the addresses that are for benchmarks alone: RFC 2544
        block = self.holder.pid % 16384 * 4
        self.near, self.far = (f"198.18.{n >> 8}.{n & 255}"
                               for n in (block + 1, block + 2))
        name = f"mx20t{self.holder.pid}"
        self._ip("link", "add", name, "type", "veth", "peer", "name", "far",
                 "netns", str(self.holder.pid))
        self._ip("addr", "add", f"{self.near}/30", "dev", name)
        self._ip("link", "set", name, "up")
        self._far("addr", "add", f"{self.far}/30", "dev", "far")
        self._far("link", "set", "lo", "up")
        self.mend()

    def _ip(self, *args, wrapper=()):
        subprocess.run([*wrapper, "ip", *args], check=True)

    def _far(self, *args):
        self._ip(*args, wrapper=self.wrapper)

    def cut(self):
        self._far("link", "set", "far", "down")

    def mend(self):
        self._far("link", "set", "far", "up")

    def close(self):
        """The namespace goes, and with it both ends."""
        self.holder.stdin.close()
        self.holder.wait(PATIENCE)
        self.holder.stdout.close()


class Wire:
    """A relay before a server, that can be slow, silent or cut."""

    def __init__(self, to_port):
        self.to_port = to_port
        self.delay = 0.0          # of each piece, either way
        self.replace = None       # (bytes, as many others) of the answers
        self._silent = threading.Event()
        self._closed = False
        self._pairs = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._silent.is_set():
                self._pairs.append((near, None))  # as if nobody were there
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.to_port))
            except OSError:
                near.close()
                continue
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(a, b, near),
                                 daemon=True).start()

    def _carry(self, a, b, near):
        try:
            while data := a.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                if self.replace and b is near:
                    data = data.replace(*self.replace)
                if self._silent.is_set():
                    return  # lost, as a packet; the connection stands
                b.sendall(data)
        except OSError:
            pass
        if not self._silent.is_set():
            for s in (a, b):
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

    def silence(self):
        """Nothing comes through any more, and nobody is told."""
        self._silent.set()

    def cut(self):
        """Every connection is reset."""
        pairs, self._pairs = self._pairs, []
        for s in (s for pair in pairs for s in pair if s is not None):
            with contextlib.suppress(OSError):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def heal(self):
        """New connections come through; what stood is reset."""
        self._silent.clear()
        self.cut()

    def close(self):
        self._listener.close()
        self._silent.set()
        self.cut()
