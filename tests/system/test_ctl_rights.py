"""What those may see and do who may not open the spool: members of the groups
mx20 and mx20-view, and strangers."""

import json
import os
import re
import shutil
import subprocess

import pytest

from client import Raw, message, send

OPERATORS, VIEWERS, OTHERS = 64020, 64021, 64022
AGE = re.compile(r" *\b\d+(s|m|h\d\dm)\b|\bnow\b|-")
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


# ---- To look ---------------------------------------------------------------


def views(d, qids):
    """What every verb that looks says, in a form that time does not change."""
    seen = {}
    alarms = d.ctl("status", "--alarm", "--json", check=False)
    seen["alarm"] = alarms.returncode, AGE.sub("?", alarms.stdout)
    for args in (["status"], ["queue"], ["queue", "other.test"],
                 ["status", "example.com"],
                 *(["show", qid] for qid in qids)):
        seen[(*args, "--json")] = d.ctl(*args, "--json").stdout
        seen[tuple(args)] = AGE.sub("?", d.ctl(*args).stdout)
    for qid in qids:
        seen[qid] = d.ctl("show", qid, "--raw").stdout
    return seen


def test_who_may_look_sees_what_root_sees(guarded):
    """root reads messages in the spool, members have them from the daemon:
    more than a page, recipients more than a line, content more than a
    piece."""
    d, _ = guarded
    odd = "odd\0 \x01 \u00e9 \t\r\n" * 20000
    qids = [send(d.address, content=message(body=odd).encode()),
            send(d.address, sender="", rcpts=[f"u{n}@example.com"
                                              for n in range(50)])]
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for n in range(70):
            c.send("MAIL FROM:<a@sender.test>\r\nRCPT TO:<u@example.com>\r\n"
                   "RCPT TO:<u@other.test>\r\nDATA\r\n")
            assert [c.reply()[:3] for _ in range(4)][-1] == "354"
            c.send(message() + ".\r\n")
            assert c.reply().startswith("250")
    d.wait_log(r"^state .*to=down")
    d.ctl("hold", "--domain", "other.test", "--reason", "for a look")
    # between two probes nothing changes
    d.ctl("hold", "--destination", "127.0.0.1", "--reason", "still")
    root = views(d, qids)
    assert len(root["queue", "--json"].splitlines()) == 72
    for group in (VIEWERS, OPERATORS):
        become(d, 64001, group)
        assert views(d, qids) == root
    done = d.ctl("show", "0000000000001", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no such message" in done.stderr


def test_many_domains_are_many_pages(mx20, tmp_path):
    groups = tmp_path / "group"
    groups.write_text(f"mx20-view:x:{VIEWERS}:\n")
    d = mx20(domains="*.test recipients=* primary=127.0.0.1:1\n",
             wrapper=WITH_GROUPS + [str(groups)])
    names = [f"d{n:03}.test" for n in range(150)]
    for half in (names[:75], names[75:]):  # at most 100 domains in one mail
        send(d.address, rcpts=[f"u@{name}" for name in half])
    become(d, VIEWERS)
    assert [row["domain"] for row in d.status()["domains"]] == names
    text = d.ctl("status").stdout
    assert all(f"\n{name} " in text for name in names)
    assert sorted(r["domain"] for entry in d.queue()
                  for r in entry["recipients"]) == names


def test_who_may_not_look_is_told_the_remedy(guarded):
    d, _ = guarded
    qid = send(d.address)
    become(d)
    for args in (["status"], ["queue"], ["show", qid], ["outages"],
                 ["status", "--json"], ["show", qid, "--raw"]):
        done = d.ctl(*args, check=False)
        assert (done.returncode, done.stdout) == (1, ""), args
        assert "mx20-view" in done.stderr, done.stderr


def test_without_a_daemon_only_root_sees_anything(guarded):
    d, _ = guarded
    qid = send(d.address)
    d.stop()
    for args in (["status"], ["queue"], ["outages"], ["show", qid]):
        d.ctl_wrapper = []
        assert d.ctl(*args).returncode == 0
        become(d, OPERATORS)
        done = d.ctl(*args, check=False)
        assert (done.returncode, done.stdout) == (3, ""), args
        assert "not running" in done.stderr and "only root" in done.stderr
