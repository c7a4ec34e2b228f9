"""Recipients of a URL, as many as there may be: how long until they count, how
long others wait meanwhile, and the same from a file."""

import multiprocessing
import shutil
import sys
import time

import servers  # noqa: F401  makes the next ones found
from client import Raw
from daemon import Mx20
from pki import Pki
from tables import TableHost

COMMANDS = 40  # of a session: more without a message would end it


def probe(address, over, worst):
    """The longest that a reply took."""
    while not over.is_set():
        with Raw(address) as c:
            for _ in range(COMMANDS):
                began = time.monotonic()
                c.cmd("NOOP")
                took = (time.monotonic() - began) * 1000
                worst.value = max(worst.value, took)
                time.sleep(0.001)


class Probe:
    def __init__(self, address):
        self.over = multiprocessing.Event()
        self.worst = multiprocessing.Value("d", 0)
        self.process = multiprocessing.Process(
            target=probe, args=(address, self.over, self.worst))
        self.process.start()

    def stop(self):
        self.over.set()
        self.process.join()
        return self.worst.value


def timed(daemon, change):
    """Seconds that it takes, and the longest wait of others, in ms."""
    p = Probe(daemon.address)
    began = time.monotonic()
    change()
    seconds = time.monotonic() - began
    return seconds, p.stop()


def knows(daemon, address):
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        return c.cmd(f"RCPT TO:<{address}>").startswith("250")


def measure(count, note):
    pki = Pki()
    host = TableHost(pki.cert("localhost"))
    host.tables["/users"] = b"first\n"
    daemon = Mx20(domains=f"example.com recipients={host.url()}\n",
                  conf={"tls": {"ca_file": pki.ca_file}})
    daemon.start()
    try:
        daemon.wait_log("^table .*recipients=1 ")
        text = b"".join(b"user%d\n" % i for i in range(count))
        last = f"user{count - 1}@example.com"
        host.tables["/users"] = text

        def fetch():
            daemon.ctl("reload")
            daemon.wait_log(rf"^table .*recipients={count} ", timeout=600)

        def read():
            daemon.domains = "example.com recipients=users\n"
            assert daemon.reload().returncode == 0

        def one(source, change):
            seconds, stall = timed(daemon, change)
            assert knows(daemon, last)
            note(f"{source}: until they count", seconds, "s")
            note(f"{source}: worst reply to others", stall, "ms")
            note(f"{source}: memory", daemon.rss_kib() / 1024, "MiB")

        one("URL", fetch)
        (daemon.dir / "users").write_bytes(text)
        one("file", read)
    finally:
        daemon.close()
        host.close()
        pki.close()
        shutil.rmtree(daemon.dir, ignore_errors=True)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    measure(count, lambda what, value, unit:
            print(f"{what:<34}{value:>10.1f} {unit}", flush=True))


if __name__ == "__main__":
    main()
