"""mx20ctl and --check as root, and a spool that is not what it seems."""

import fcntl
import os
import pwd
import random
import subprocess

import pytest

from client import message, send
from daemon import BUILD

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def check(d):
    return subprocess.run([str(BUILD / "mx20d"), "--check", "-c",
                           str(d.conf_path)], capture_output=True, text=True,
                          timeout=30)


def serve(d):
    mark = d.mark()
    d.start(ready=False)  # who is nobody cannot tell systemd
    d.wait_log("^start ", since=mark)


@pytest.fixture
def owned(mx20):
    """A spool of a user who is not root, with mail, and no daemon."""
    d = mx20(start=False, conf={"user": "nobody"})
    serve(d)
    send(d.address)
    d.stop()
    return d


@needs_root
@pytest.mark.parametrize("look", [lambda d: d.ctl("queue", check=False), check],
                         ids=["mx20ctl", "--check"])
def test_what_root_makes_there_is_the_owners(owned, look):
    """Else the daemon cannot open it at its next start."""
    lock = owned.dir / "spool" / "lock.mdb"
    lock.unlink()
    assert look(owned).returncode == 0
    assert lock.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    serve(owned)
    assert len(owned.queue()) == 1


@needs_root
@pytest.mark.parametrize("name", ["lock.mdb", "data.mdb"])
def test_root_follows_no_link_of_the_daemons_user(owned, tmp_path, name):
    precious = tmp_path / "precious"
    precious.write_bytes(b"only root's\n" * 1000)
    precious.chmod(0o600)
    link = owned.dir / "spool" / name
    link.unlink()
    link.symlink_to(precious)
    done = owned.ctl("queue", check=False)
    assert done.returncode == 1 and name in done.stderr, done.stderr
    check(owned)
    assert precious.read_bytes() == b"only root's\n" * 1000


@needs_root
def test_root_does_not_look_where_others_write(owned):
    """Nobody in particular is the owner, so there is nobody to become."""
    spool = owned.dir / "spool"
    os.chown(spool, 0, 0)
    spool.chmod(0o777)
    done = owned.ctl("queue", check=False)
    assert done.returncode == 1 and "others may write" in done.stderr


def test_damage_beside_a_daemon_is_no_crash(mx20):
    """Who holds the lock may be anybody, and what it writes anything."""
    d = mx20()
    for n in range(30):
        send(d.address, content=message(f"m{n}", "x" * 70 + "\r\n"))
    d.stop()
    data = d.dir / "spool" / "data.mdb"
    good = data.read_bytes()
    rng = random.Random(int(os.environ.get("MX20_SEED", "1")))
    held = os.open(d.dir / "spool", os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(held, fcntl.LOCK_EX)
    ends = set()
    for n in range(60):
        bad = bytearray(good)
        for _ in range(30):
            bad[rng.randrange(8192, len(bad))] = rng.randrange(256)
        data.write_bytes(bad)
        done = d.ctl(rng.choice(["status", "queue"]), check=False)
        assert done.returncode in (0, 1, 3), (n, done)
        ends.add(done.returncode)
    os.close(held)
    assert 1 in ends, "most of it is found"
    data.write_bytes(good)
    assert len(d.queue()) == 30
