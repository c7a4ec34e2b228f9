"""DNS for tests: NSD on a loopback port, zones made by the test, DNSSEC.

    dns = Dns()
    dns.zone("a.test", "@ MX 10 mx1\\nmx1 A 127.0.0.1")
    dns.zone("b.test", "...", signed=False)
    dns.zone("c.test", "...", bogus=True)
    dns.start()
    conf = {"dns": dns.conf}

All zones hang below test., which is signed; its key is the trust anchor.
NSD is authoritative only, but serves parent and children alike, so libunbound
forwards to it as if it were a resolver: it answers every question it is asked,
DS and denials included, and libunbound validates from our own anchor.  That
needs no recursive server; a name outside of test. is REFUSED (SERVFAIL for
mx20).
"""

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

SOA = "@ SOA ns.test. hostmaster.test. {serial} 3600 600 86400 {negative}\n"
KEYS = {}  # made once: zone name -> list of (name, key, ds) texts


def _run(*command, cwd):
    return subprocess.run(command, cwd=cwd, check=True, text=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout.strip()


class Zone:
    def __init__(self, name, text, signed, bogus, tamper, ttl, missing):
        self.name, self.text = name, text
        self.signed, self.bogus = signed or bogus, bogus
        self.tamper, self.ttl, self.missing = tamper, ttl, missing


class Dns:
    """ttl: of every record; negative: of denials."""

    def __init__(self, ttl=60, negative=5):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mx20-dns-"))
        self.port = free_port()
        self.ttl, self.negative = ttl, negative
        self.zones = {}
        self.outside = {}
        self.serial = 1
        self.process = None

    # -- zones ---------------------------------------------------------------

    def zone(self, name, text="", signed=True, bogus=False, tamper=None,
             missing=False):
        """Add or replace a zone below test.

        text: records in zone file syntax, names relative to the zone.
        bogus: signed, but the parent vouches for another key.
        tamper: a regular expression; in records that match, the last letter
        or digit is changed after signing: those alone are bogus.
        missing: NSD answers SERVFAIL for it.
        """
        assert name.endswith(".test"), name
        self.zones[name] = Zone(name, text, signed, bogus, tamper, self.ttl,
                                missing)
        return self

    def zone_outside(self, name, text):
        """A zone that is not below test, not signed and without a parent:
        for reverse names."""
        self.outside[name] = text
        return self

    @property
    def anchor(self):
        return self.dir / "anchor.key"

    @property
    def conf(self):
        """The `dns` group of mx20.conf."""
        return {"servers": [f"127.0.0.1@{self.port}"],
                "trust_anchor": str(self.anchor)}

    def _key(self, zone, number=0):
        """The n-th key of a zone, made when first asked for."""
        made = KEYS.setdefault(zone, [])
        while len(made) <= number:
            stem = _run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone,
                        cwd=self.dir)
            made.append((stem, *((self.dir / f"{stem}{end}").read_text()
                                 for end in (".key", ".private", ".ds"))))
        stem, key, private, ds = made[number]
        (self.dir / f"{stem}.key").write_text(key)
        (self.dir / f"{stem}.private").write_text(private)
        return stem, key, ds

    def _write(self, name, text, signed=True, tamper=None):
        path = self.dir / f"{name}.zone"
        soa = SOA.format(serial=self.serial, negative=self.negative)
        path.write_text(f"$ORIGIN {name}.\n$TTL {self.ttl}\n{soa}"
                        f"@ NS ns.test.\n{text}\n")
        if not signed:
            return
        stem, _, _ = self._key(name)
        done = self.dir / f"{name}.signed"
        _run("ldns-signzone", "-f", str(done), str(path), stem, cwd=self.dir)
        if tamper:
            done.write_text("".join(
                _spoil(line) if re.search(tamper, line)
                and not re.search(r"\sRRSIG\s", line) else line
                for line in done.read_text().splitlines(True)))
        shutil.move(done, path)

    def write(self):
        """Make all zone files anew."""
        parent = ["ns A 127.0.0.1"]
        for zone in self.zones.values():
            label = zone.name.removesuffix(".test")
            if "." in label:  # a zone in a zone: unsigned, no cut in test.
                assert not zone.signed
            parent.append(f"{label} NS ns.test.")
            if zone.signed:
                parent.append(self._key(zone.name, int(zone.bogus))[2])
            if not zone.missing:
                self._write(zone.name, zone.text, zone.signed, zone.tamper)
        for name, text in self.outside.items():
            self._write(name, text, signed=False)
        self._write("test", "\n".join(parent))
        self.anchor.write_text(self._key("test")[1])
        self.serial += 1

    def _write_conf(self):
        names = ["test", *self.zones, *self.outside]
        body = "".join(f'zone:\n  name: "{n}"\n  zonefile: "{n}.zone"\n'
                       for n in names)
        (self.dir / "nsd.conf").write_text(
            f"server:\n  ip-address: 127.0.0.1@{self.port}\n"
            f'  zonesdir: "{self.dir}"\n  username: ""\n  chroot: ""\n'
            f'  database: ""\n  pidfile: "{self.dir}/nsd.pid"\n'
            f'  xfrdfile: ""\n  xfrdir: "{self.dir}"\n'
            f'  zonelistfile: "{self.dir}/zone.list"\n'
            f'  logfile: "{self.dir}/nsd.log"\n  server-count: 1\n'
            f"  hide-version: yes\nremote-control:\n  control-enable: no\n"
            f"{body}")

    # -- life ----------------------------------------------------------------

    def start(self):
        assert self.process is None
        self.write()
        self._write_conf()
        self.process = subprocess.Popen(
            ["nsd", "-d", "-c", str(self.dir / "nsd.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        self._wait(f"SOA of serial {self.serial - 1}", self._serves)
        return self

    def update(self):
        """Zones were changed: serve them as they are now."""
        self.write()
        self._write_conf()
        self.process.send_signal(signal.SIGHUP)
        self._wait(f"SOA of serial {self.serial - 1}", self._serves)

    def _wait(self, what, ready, seconds=PATIENCE):
        for _ in range(int(seconds * 50)):
            if ready():
                return
            assert self.process.poll() is None, self.log()
            time.sleep(0.02)
        raise AssertionError(f"NSD: no {what}:\n{self.log()}")

    def _serves(self):
        reply = ask(self.port, "test", 6)
        serial = (self.serial - 1).to_bytes(4, "big")
        return reply is not None and b"\x0ahostmaster" in reply \
            and serial in reply

    def log(self):
        path = self.dir / "nsd.log"
        return path.read_text() if path.exists() else ""

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.process = None

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


def _spoil(line):
    """Change the last hex digit of a record, or the last of an address."""
    text = line.rstrip()
    last = text[-1]
    return text[:-1] + ("1" if last != "1" else "2") + "\n"


def ask(port, name, kind, timeout=0.5):
    """One question by UDP; the raw reply or None."""
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    query = (b"\x12\x34\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels +
             b"\x00" + kind.to_bytes(2, "big") + b"\x00\x01")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        try:
            s.sendto(query, ("127.0.0.1", port))
            return s.recv(4096)
        except OSError:
            return None


class Relay:
    """A name server in front of another: counts questions, swallows some.

    silent: no answer to anything while true.  drop: a set of (name, type)
    that get no answer; type None stands for all.  drop_below: nor does any
    name that ends so.  deny: a set that gets
    NXDOMAIN, without proof.
    """

    def __init__(self, behind, address=("127.0.0.1", 0)):
        self.behind = behind
        self.silent = False
        self.drop, self.deny = set(), set()
        self.drop_below = None
        self.asked = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.port = self.sock.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _question(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        return (".".join(labels).lower(),
                int.from_bytes(query[at + 1:at + 3], "big"))

    def _run(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            if len(query) < 17:
                continue
            name, kind = self._question(query)
            self.asked.append((name, kind))
            if self.silent or {(name, kind), (name, None)} & self.drop:
                continue
            if self.drop_below and name.endswith(self.drop_below):
                continue
            if (name, kind) in self.deny:
                end = query.index(b"\0", 12) + 5  # header and question only
                self.sock.sendto(query[:2] + b"\x81\x83\0\1" + bytes(6) +
                                 query[12:end], peer)
                continue
            threading.Thread(target=self._forward, args=(query, peer),
                             daemon=True).start()

    def _forward(self, query, peer):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            try:
                s.sendto(query, ("127.0.0.1", self.behind))
                self.sock.sendto(s.recv(65536), peer)
            except OSError:
                pass

    def close(self):
        # a shutdown wakes the thread; closing alone would not
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
