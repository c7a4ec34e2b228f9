"""kill -9 at random moments: every acknowledged message arrives, whole."""

import os
import random
import re
import subprocess
import time

from daemon import BUILD

ROUNDS = int(os.environ.get("MX20_CRASH_ROUNDS", "12"))
LOAD_ID = re.compile(r"^X-Load-Id: (\d+)\r$", re.M)


def load(d, first, acked):
    """A generator that sends until the daemon dies."""
    return subprocess.Popen(
        [str(BUILD / "bench" / "smtpload"), "--port", str(d.port), "--conns",
         "20", "--messages", "100000", "--size", "1600", "--first-id",
         str(first), "--acked", str(acked)], stdout=subprocess.DEVNULL)


def body_is_whole(m):
    """Exactly what the generator makes for --size 1600."""
    return m.body.split(b"\r\n\r\n", 1)[1] == (b"x" * 78 + b"\r\n") * 20


def test_no_acknowledged_message_is_lost_by_kill_9(mx20, primary, tmp_path):
    p = primary()
    d = mx20(start=False,
             domains=f"example.com recipients=* primary={p.route}\n",
             conf={"limits": {"connections_per_client": 100}})
    rng = random.Random(os.environ.get("MX20_SEED", "1"))
    acknowledged = set()
    for i in range(ROUNDS):
        d.start()
        # every other round the primary takes mail while the axe falls
        if i % 2:
            p.start()
        acked = tmp_path / f"acked{i}"
        generator = load(d, i * 10_000_000, acked)
        # the moment is the test's input, not a wait for something
        time.sleep(rng.uniform(0.05, 0.6))
        d.kill()
        generator.wait(30)
        acknowledged.update(int(n) for n in acked.read_text().split())
        if i % 2:
            p.stop()
    assert len(acknowledged) > 20 * ROUNDS

    d.start()
    p.start()
    d.wait_empty(timeout=120)
    got = [(int(LOAD_ID.search(m.text).group(1)), m) for m in p.messages]
    assert acknowledged <= {n for n, _ in got}
    assert all(body_is_whole(m) for _, m in got)
