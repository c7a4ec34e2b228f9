"""What the machine's own files say: /etc/resolv.conf and /etc/hosts, replaced
in a mount namespace of the daemon's own."""

import os
import shutil

import pytest

from client import send
from dns import Relay

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None,
    reason="needs root and util-linux: mounts files")


def with_file(path, over):
    """A wrapper: the daemon sees the file `path` as `over`."""
    return ["unshare", "-m", "--propagation", "private", "sh", "-c",
            f'mount --bind "{path}" {over} && exec "$@"', "sh"]


def test_resolv_conf_is_taken_up_when_it_changes(mx20, dns, primary, tmp_path):
    """Empty at the start, as in a container whose network comes later."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("")
    host = primary(address="127.0.0.2").start()
    dns.zone("a.test", "@ MX 10 mx\nmx A 127.0.0.2")
    dns.start()
    relay = Relay(dns.port, address=("127.0.0.153", 53))
    try:
        daemon = mx20(domains="a.test recipients=*\n",
                      wrapper=with_file(conf, "/etc/resolv.conf"),
                      conf={"drain": {"port": host.port},
                            "dns": {"servers": [],
                                    "trust_anchor": str(dns.anchor)}})
        send(daemon.address, "u@a.test")
        conf.write_text("nameserver 127.0.0.153\n")
        daemon.wait_log(r"route note=.*/etc/resolv\.conf has changed")
        host.wait_messages(1)
        daemon.wait_empty()
    finally:
        relay.close()


def test_hosts_are_for_hosts_that_the_operator_named(mx20, dns, primary,
                                                     tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.2 inside.test\n127.0.0.99 mx.b.test b.test\n")
    host = primary(address="127.0.0.2").start()
    dns.zone("b.test", "@ MX 10 mx\nmx A 127.0.0.2")
    dns.start()
    daemon = mx20(domains=f"a.test recipients=* "
                          f"primary=inside.test:{host.port}\n"
                          "b.test recipients=*\n",
                  wrapper=with_file(hosts, "/etc/hosts"),
                  conf={"drain": {"port": host.port}, "dns": dns.conf})
    send(daemon.address, ["u@a.test", "u@b.test"])
    host.wait_messages(2)  # that of b.test goes where DNS says
    assert "addresses from /etc/hosts" in daemon.ctl("route", "a.test").stdout
    daemon.wait_empty()
