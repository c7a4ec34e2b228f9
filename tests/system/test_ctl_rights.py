"""What those may see and do who may not open the spool: members of the groups
mx20 and mx20-view, and strangers."""

import json
import os
import shutil
import socket
import subprocess

import pytest

from client import message, send

OPERATORS, VIEWERS, OTHERS = 64020, 64021, 64022
# The daemon has a list of groups of its own.
WITH_GROUPS = ["unshare", "-m", "sh", "-c",
               'mount --bind "$0" /etc/group && exec "$@"']


def can_change_groups():
    return os.getuid() == 0 and shutil.which("setpriv") is not None and \
        subprocess.run(["unshare", "-m", "true"]).returncode == 0


pytestmark = pytest.mark.skipif(
    not can_change_groups(), reason="needs root and mount namespaces")


@pytest.fixture
def guarded(mx20, primary, tmp_path):
    """A daemon on a machine that has both groups, with a primary that is
    down."""
    p = primary()
    groups = tmp_path / "group"
    groups.write_text(f"root:x:0:\nmx20:x:{OPERATORS}:\n"
                      f"mx20-view:x:{VIEWERS}:\n")
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n"
                     f"other.test recipients=* primary={p.route}\n",
             wrapper=WITH_GROUPS + [str(groups)])
    return d, p


def become(d, *groups):
    """From now on mx20ctl is run by a user who is nobody but for these."""
    d.ctl_wrapper = ["setpriv", "--reuid", "64099", "--regid", str(OTHERS),
                     "--groups", ",".join(map(str, groups or (OTHERS,)))]


def test_orders_take_the_group_mx20(guarded):
    d, _ = guarded
    send(d.address)
    become(d, 64001, VIEWERS)
    for order in (["remove", "--domain", "example.com"], ["flush"],
                  ["hold", "--domain", "example.com"], ["reload"],
                  ["bounce", "--domain", "example.com"],
                  ["release", "--domain", "example.com"]):
        done = d.ctl(*order, check=False)
        assert done.returncode == 1, order
        assert "group mx20" in done.stderr, done.stderr
    assert d.ctl("route", "example.com").returncode == 0
    become(d, 64001, OPERATORS)
    assert d.ctl("remove", "--domain", "example.com").stdout == \
        "1 message removed\n"


def test_a_stranger_is_told_the_remedy(guarded):
    d, _ = guarded
    become(d)
    for args in (["route", "example.com"], ["flush"]):
        done = d.ctl(*args, check=False)
        assert (done.returncode, done.stdout) == (1, ""), args
        assert "group mx20" in done.stderr and "mx20-view" in done.stderr
    # at once, and whatever it says
    script = ("import socket, sys\n"
              "s = socket.socket(socket.AF_UNIX)\n"
              "s.connect(sys.argv[1])\n"
              "print(s.makefile().read())\n")
    done = subprocess.run(
        d.ctl_wrapper + ["/usr/bin/python3", "-c", script,
                         d.conf["control"]],
        capture_output=True, text=True, timeout=30)
    answer = json.loads(done.stdout)
    assert answer["ok"] is False and "not permitted" in answer["error"]
