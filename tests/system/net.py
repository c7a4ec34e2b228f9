"""Small helpers for sockets on loopback."""

import os
import random
import socket

# How long anything is waited for that must happen.  Sanitizers and a busy
# machine make everything slower, never wrong: only who fails waits so long.
PATIENCE = float(os.environ.get("MX20_PATIENCE", "60"))

# Below the range the kernel takes ports for outgoing connections from: what
# is free stays free until its server starts.
FIRST, LAST, BLOCK = 10000, 32000, 200

_ports = []  # of our blocks, not given out yet
_blocks = []  # names in the abstract namespace: gone when we are


def _take_block():
    """Ports that no other process of the tests gives out: workers run side
    by side, and a port is bound only some time after it was given out."""
    starts = list(range(FIRST, LAST, BLOCK))
    random.shuffle(starts)
    for start in starts:
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0mx20-test-ports-{start}")
        except OSError:
            name.close()
            continue
        _blocks.append(name)
        _ports.extend(random.sample(range(start, start + BLOCK), BLOCK))
        return
    raise RuntimeError("no block of ports is left")


def free_port(address="127.0.0.1"):
    """A TCP port nobody listens on now, never given out before."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        if not _ports:
            _take_block()
        port = _ports.pop()
        with socket.socket(family) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, port))
            except OSError:
                continue
        return port
