"""Small helpers for sockets on loopback."""

import random
import socket

# Below the range the kernel takes ports for outgoing connections from: what
# is free stays free until its server starts.
FIRST, LAST = 10000, 32000

_given = set()


def free_port(address="127.0.0.1"):
    """A TCP port nobody listens on now, never given out before here."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        port = random.randrange(FIRST, LAST)
        if port in _given:
            continue
        with socket.socket(family) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, port))
            except OSError:
                continue
        _given.add(port)
        return port
