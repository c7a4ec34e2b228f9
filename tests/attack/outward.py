"""What strangers' servers and names do to the host that delivers.

Mail to a primary that refuses it, each from a forged sender, makes reports
that leave for wherever the strangers' names lead.
"""

import functools
import ssl
import subprocess
import time

from client import Raw
from frame import attack, dial
from world import World

DOMAINS = "listed.test recipients=*\nrefused.test recipients=*\n"


def forge(port, seconds, below, least=0, senders=1 << 40):
    """One message after another, each from a sender's domain of its own, or
    one of so many."""
    ends, n = time.monotonic() + seconds, 0
    while time.monotonic() < ends or n < least:
        with Raw(None, sock=dial(port)) as c:
            c.cmd("EHLO attack.test")
            for _ in range(50):
                n += 1
                c.send(f"MAIL FROM:<x@s{n % senders}.{below}>\r\n"
                       "RCPT TO:<u@refused.test>\r\nBDAT 6 LAST\r\nX: y\r\n")
            for _ in range(150):
                c.reply()
    time.sleep(max(0, ends - time.monotonic()))


def outward(name, below, comes_back=False, world=None, senders=1 << 40,
            **more):
    conf = more.pop("conf", {"limits": {"connections_per_client": 1000}})
    attack(name, conf=conf, domains=DOMAINS, comes_back=comes_back,
           world=world or (lambda folder, pki: World(folder)), **more)(
               functools.partial(forge, below=below, senders=senders))


def few_connections(d, world):
    print("   strangers", world.most.value, world.reports.value, flush=True)


for kind in ("mute", "slow", "tarpit", "ending", "lost", "flood", "busy"):
    outward(f"senders' hosts: {kind}", f"{kind}.test",
            comes_back=kind == "mute", check=few_connections)
for kind in ("ending", "lost", "busy"):
    outward(f"few senders' hosts: {kind}", f"{kind}.test", senders=60,
            check=few_connections)
for kind in ("silent", "huge", "chain"):
    outward(f"senders' names: {kind}", f"{kind}.test")


def costly_policies(folder, pki):
    """TLS 1.2 with a finite-field group that takes both sides 100 ms."""
    cert = pki.cert("mta-sts.policy.test")
    params = folder / "dh.pem"
    params.write_bytes(subprocess.run(
        ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt",
         "group:ffdhe8192"], check=True, capture_output=True).stdout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert.cert_path, cert.key_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("DHE")
    context.load_dh_params(params)
    return World(folder, policy_tls=context)


outward("policy hosts: costly groups", "policy.test", world=costly_policies)
outward("policy hosts: trickle", "policy.test", check=few_connections)
