"""Descriptors, memory and readers' slots that run out."""

import fcntl
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time

import pytest

from client import PATIENCE, Raw, message, send
from daemon import BUILD
from faults import FAST, PLAIN, Load, allow, offer, reset, subjects, until

MX20CTL = str(BUILD / "mx20ctl")


# -- descriptors ----------------------------------------------------------------

def few_files(count):
    """A wrapper; root must not be able to raise the limit again."""
    return ["prlimit", f"--nofile={count}:{count}"] + (
        ["setpriv", "--bounding-set=-sys_resource"]
        if os.getuid() == 0 else [])


def cpu_s(d):
    fields = open(f"/proc/{d.process.pid}/stat").read().rsplit(")", 1)[1]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def starved(mx20, primary):
    """A daemon with 128 descriptors and ten messages for a primary that is
    away; the limits of connections are far beyond."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    p = primary()
    d = mx20(start=False, domains=allow(p), conf={
        "limits": {"connections": 5000, "connections_per_client": 5000},
        "drain": dict(FAST)})
    d.wrapper = few_files(128)
    d.start()
    d.wait_log("^config level=warn files=128")
    for n in range(10):
        send(d.address, content=message(f"m{n}"))
    return d, p


def test_out_of_descriptors(starved):
    """Clients that hold every connection there is do not keep mail from
    leaving, the operator from looking, or newcomers from an answer."""
    d, p = starved
    held, turned_away = [], 0
    for _ in range(200):
        c = Raw(d.address)
        if c.greeting.startswith("220"):
            held.append(c)
        else:
            assert c.greeting.startswith("421 4.3.2"), c.greeting
            turned_away += 1
            c.close()
    assert turned_away and 40 <= len(held) < 128
    used = cpu_s(d)
    p.start()
    p.wait_messages(10)
    d.wait_empty()
    assert held[0].cmd("NOOP").startswith("250")
    assert d.ctl("flush").returncode == 0
    assert cpu_s(d) - used < 2
    for c in held:
        c.close()
    until(lambda: Raw(d.address).greeting.startswith("220"))
    send(d.address)
    p.wait_messages(11)


def test_who_was_turned_away_holds_no_connection(mx20):
    """Refused for want of descriptors, it is not counted as connected."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    most = 100  # connections_per_client; there are descriptors for fewer
    d = mx20(start=False, conf={"limits": {"connections": 5000,
                                           "connections_per_client": most}})
    d.wrapper = few_files(128)
    d.start()

    def knock(client):
        return Raw(d.address, sock=socket.create_connection(
            d.address, PATIENCE, source_address=(client, 0)))

    held = [knock("127.0.0.1")]
    while held[-1].greeting.startswith("220"):
        held.append(knock("127.0.0.1"))
    assert len(held) < most
    for _ in range(most + 1):
        with knock("127.0.0.1") as c:
            assert c.greeting.startswith("421 4.3.2 Too many"), c.greeting
    for c in held:
        c.close()
    until(lambda: knock("127.0.0.1").greeting.startswith("220"), PATIENCE)


def test_a_storm_of_connections_without_descriptors(starved):
    """A backlog that cannot be accepted makes nobody spin."""
    d, p = starved
    storm = []
    for _ in range(400):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(d.address)
        storm.append(s)
    p.start()
    p.wait_messages(10)
    used, began = cpu_s(d), time.monotonic()
    until(lambda: time.monotonic() - began > 1)
    used = cpu_s(d) - used
    assert used < 0.5 * (time.monotonic() - began)
    for s in storm:
        reset(s)
    until(lambda: Raw(d.address).greeting.startswith("220"))
    send(d.address)
    d.wait_empty()


def test_files_of_the_whole_process_are_gone(mx20, primary):
    """Less than it needs to run at all, taken away while it runs: it pauses
    and goes on when they are back."""
    p = primary()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)})
    for n in range(5):
        send(d.address, content=message(f"m{n}"))
    with Raw(d.address) as c:
        old = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (8, old[1]))
        c.cmd("EHLO client.test")
        assert offer(c, message("m5")).startswith("250")
        waiting = socket.create_connection(d.address)
        d.wait_log("^connect level=error .*pausing accept")
        p.start()
        assert c.cmd("NOOP").startswith("250")
        resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, old)
        waiting.settimeout(10)
        assert waiting.recv(100).startswith(b"220")
        waiting.close()
    p.wait_messages(6)
    d.wait_empty()
    assert sorted(subjects(p)) == [f"m{n}" for n in range(6)]


def test_no_descriptor_to_connect_with(mx20, primary):
    """It is ours to be short of them: the primary is not down for it, nobody
    waits for a growing pace, and the log says what it is."""
    p = primary().start()
    d = mx20(domains=allow(p), conf={"drain": {"probe_max": "1h",
                                               "probe_busy": "1h"}})
    send(d.address, content=message("m0"))
    p.wait_messages(1)
    until(lambda: p.open_sessions == 0)
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        old = resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, (8, old[1]))
        assert offer(c, message("m1")).startswith("250")
        d.wait_log("^probe level=error .*Too many open files", count=3)
        resource.prlimit(d.process.pid, resource.RLIMIT_NOFILE, old)
    p.wait_messages(2)
    d.wait_empty()
    assert "to=down" not in d.text()
    assert d.text().count("probe level=error") < 20


# -- memory ---------------------------------------------------------------------

def vm_kib(d):
    for line in open(f"/proc/{d.process.pid}/status"):
        if line.startswith("VmSize"):
            return int(line.split()[1])


@pytest.mark.skipif(not PLAIN, reason="ASan takes terabytes of addresses")
@pytest.mark.parametrize("gib", [2, 6])
def test_little_address_space(mx20, primary, gib):
    """The map shrinks to what the system gives, or that is said."""
    p = primary()
    d = mx20(start=False, domains=allow(p), conf={"drain": dict(FAST)})
    d.wrapper = ["prlimit", f"--as={gib << 30}"]
    if gib < 4:
        status = subprocess.run(
            d.wrapper + [str(BUILD / "mx20d"), "-c", str(d.conf_path)],
            capture_output=True, text=True, timeout=30)
        assert status.returncode == 74, status.stderr
        assert "annot allocate memory" in status.stderr
        return
    d.start()
    send(d.address)
    assert d.status()["spool"]["size"] <= gib << 30
    p.start()
    p.wait_messages(1)
    d.wait_empty()


@pytest.mark.skipif(not PLAIN, reason="ASan takes terabytes of addresses")
def test_a_reload_without_a_thread(mx20):
    """The old settings stay, and service goes on."""
    d = mx20()
    send(d.address)
    old = resource.prlimit(d.process.pid, resource.RLIMIT_AS)
    limit = (vm_kib(d) + 2048) << 10
    resource.prlimit(d.process.pid, resource.RLIMIT_AS, (limit, old[1]))
    d.process.send_signal(signal.SIGHUP)
    d.wait_log("^reload level=error .*no thread to load it")
    send(d.address)
    resource.prlimit(d.process.pid, resource.RLIMIT_AS, old)
    mark = d.mark()
    d.process.send_signal(signal.SIGHUP)
    d.wait_log("^reload domains=1 ", since=mark)


@pytest.mark.skipif(not PLAIN, reason="ASan takes terabytes of addresses")
def test_names_without_a_thread(mx20):
    """libunbound cannot start its thread: no answer for now, no crash."""
    d = mx20(start=False, domains="example.com recipients=*\n")
    # with an anchor of our own nothing is asked at the start
    (d.dir / "anchor").write_text(
        ". IN DS 20326 8 2 "
        "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n")
    d.conf["dns"]["trust_anchor"] = "anchor"
    d.write_files()
    d.start()
    old = resource.prlimit(d.process.pid, resource.RLIMIT_AS)
    # room for its memory, not for 8 MiB of stack
    limit = (vm_kib(d) + 5000) << 10
    resource.prlimit(d.process.pid, resource.RLIMIT_AS, (limit, old[1]))
    send(d.address)
    d.wait_log("^route .*domain=example.com result=transient")
    resource.prlimit(d.process.pid, resource.RLIMIT_AS, old)
    assert d.stop() == 0


def fill_with_sessions(d, held):
    """As many as it takes.  Recipients are bounded by shares, so that it is
    the sessions themselves that need the memory."""
    recipients = b"".join(b"RCPT TO:<u%d@example.com>\r\n" % n
                          for n in range(20))
    try:
        while d.process.poll() is None and len(held) < 5000:
            held.append(Raw(d.address))
            held[-1].send(b"EHLO x\r\nMAIL FROM:<a@b.test>\r\n" + recipients)
    except OSError:
        pass


@pytest.mark.skipif(not PLAIN, reason="ASan takes terabytes of addresses")
@pytest.mark.parametrize("what", ["sessions", "reload"])
def test_out_of_memory_is_a_clean_stop(mx20, primary, what):
    """It stops where it stands (a 250 is sent only after the commit),
    and what was acknowledged is there."""
    p = primary()
    # one arena: those of the threads are reserved beforehand, and what the
    # loop is refused it would find there
    d = mx20(domains=allow(p), env={"MALLOC_ARENA_MAX": "1"}, conf={
        "limits": {"connections_per_client": 5000}, "drain": dict(FAST)})
    load = Load(d.address, threads=4)
    load.wait(100)
    # a reload needs a thread first: 8 MiB of addresses for its stack
    limit = (vm_kib(d) + (20000 if what == "reload" else 4096)) << 10
    resource.prlimit(d.process.pid, resource.RLIMIT_AS, (limit, limit))
    held = []
    if what == "reload":
        d.domains += "".join(f"d{n}.example recipients=*\n"
                             for n in range(200000))
        d.write_files()
        d.process.send_signal(signal.SIGHUP)
    else:
        fill_with_sessions(d, held)
    status = d.process.wait(30)
    acked = load.stop()
    for s in held:
        s.close()
    assert status == -signal.SIGABRT
    d.wait_log("event=assert .*cond=")
    d.stop()
    d.log.clear()  # that was the point
    d.domains = allow(p)
    d.write_files()
    d.start()
    p.start()
    d.wait_empty()
    got = subjects(p)
    assert set(acked) <= set(got) and len(got) == len(set(got))


# -- readers --------------------------------------------------------------------

def file_mib(d):
    return (d.dir / "spool" / "data.mdb").stat().st_blocks * 512 / 2**20


def churn(d, p, count):
    """Mail of 100 kB that comes and goes, at most ten at a time: a longer
    queue would make the file grow by itself."""
    body = ("x" * 78 + "\r\n") * 1250
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for n in range(count):
            assert offer(c, message("churn", body)).startswith("250")
            until(lambda: len(p.messages) > n - 10)
    until(lambda: subjects(p).count("churn") >= count)
    p.messages.clear()


def test_a_listing_that_nobody_reads(mx20, primary):
    """mx20ctl holds no transaction while it waits for its output: the file
    does not grow, stopped or not."""
    p = primary().start()
    away = primary()
    d = mx20(domains=allow(p) + allow(away, name="away.example"),
             conf={"drain": dict(FAST)})
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for n in range(1000):
            c.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<u@away.example>\r\n"
                   "BDAT 3 LAST\r\nx\r\n")
            assert [c.reply()[:3] for _ in range(3)] == ["250"] * 3
    churn(d, p, 100)
    before = file_mib(d)
    stuck = subprocess.Popen([MX20CTL, "-c", str(d.conf_path), "queue",
                              "--json"], stdout=subprocess.PIPE)
    assert stuck.stdout.read(1)
    until(lambda: "pipe_w" in open(f"/proc/{stuck.pid}/wchan").read() or
          open(f"/proc/{stuck.pid}/stat").read().split()[2] == "S")
    churn(d, p, 200)
    assert file_mib(d) - before < 6, (before, file_mib(d))
    stuck.send_signal(signal.SIGSTOP)
    churn(d, p, 200)
    assert file_mib(d) - before < 6, (before, file_mib(d))
    stuck.send_signal(signal.SIGCONT)
    assert len((b"x" + stuck.stdout.read()).splitlines()) == 1000
    assert stuck.wait(30) == 0


def test_stopped_at_random(mx20, primary):
    """Twenty of them, stopped wherever they are: the daemon goes on."""
    p = primary().start()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)})
    churn(d, p, 20)
    rng = random.Random(os.environ.get("MX20_SEED", "1"))
    stopped = []
    for _ in range(20):
        ctl = subprocess.Popen([MX20CTL, "-c", str(d.conf_path), "status"],
                               stdout=subprocess.DEVNULL)
        # the moment is the input
        time.sleep(rng.uniform(0.001, 0.02))
        ctl.send_signal(signal.SIGSTOP)
        stopped.append(ctl)
    churn(d, p, 50)
    d.wait_empty()
    for ctl in stopped:
        ctl.send_signal(signal.SIGCONT)
    assert {ctl.wait(30) for ctl in stopped} == {0}


def test_slots_of_killed_readers_are_taken_back(mx20, primary):
    """More of them than there are slots."""
    p = primary()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)})
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for n in range(300):  # more to list than a pipe holds
            c.send("MAIL FROM:<a@sender.test>\r\n"
                   f"RCPT TO:<{'u' * 200}@example.com>\r\n"
                   "BDAT 3 LAST\r\nx\r\n")
            assert [c.reply()[:3] for _ in range(3)] == ["250"] * 3
    for _ in range(14):
        batch = [subprocess.Popen(
            [MX20CTL, "-c", str(d.conf_path), "queue", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for _ in range(10)]
        for ctl in batch:
            ctl.stdout.read(1)  # it has its slot
            ctl.kill()
            ctl.wait()
            ctl.stdout.close()
    assert d.status()["spool"]["messages"] == 300
    p.start()
    p.wait_messages(300)
    d.wait_empty()


def test_a_spool_that_cannot_be_read_is_not_an_empty_one(mx20, primary):
    """LMDB knows readers by their process number and refuses a second one of
    the same number, as in another container: its lock stands in for that, on
    whatever number the daemon has.  What waited at the start and what comes
    is delivered as soon as the spool can be read."""
    p = primary()
    d = mx20(domains=allow(p), conf={"drain": dict(FAST)})
    send(d.address, content=message("before"))
    d.stop()
    with open(d.dir / "spool" / "lock.mdb", "r+b") as slots:
        fcntl.lockf(slots, fcntl.LOCK_EX, 1 << 22, 2)
        since = d.mark()
        p.start()
        d.start()
        send(d.address, content=message("after"))
        d.wait_log("^spool level=error .*cannot be read", since=since)
        assert "in use" in d.ctl("status", check=False).stderr
        assert p.messages == []
        fcntl.lockf(slots, fcntl.LOCK_UN, 1 << 22, 2)
    p.wait_messages(2)
    d.wait_empty()
