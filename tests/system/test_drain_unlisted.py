"""Mail of domains that left the allowlist while it waited: held, neither
returned nor sent on, until the operator or the allowlist says otherwise."""

import re

import pytest

from client import Raw, send
from faults import until
from test_drain_faults import FAST

STAY = "stay.test recipients=*\n"


@pytest.fixture
def world(mx20, primary):
    class World:
        def start(self, options="", **conf):
            self.host = primary()
            self.line = (f"gone.test recipients=* tls=none "
                         f"primary={self.host.route} {options}\n")
            return mx20(domains=self.line + STAY,
                        conf={"drain": FAST, **conf})

    world = World()
    world.primary = primary
    return world


def relist(daemon, text):
    daemon.domains = text
    daemon.write_files()
    done = daemon.ctl("reload", "--force", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def row_of(daemon, name="gone.test"):
    [row] = [r for r in daemon.status()["domains"] if r["domain"] == name]
    return row


def wait_held(daemon, since=0):
    daemon.wait_log(r"held level=error domain=gone\.test .*"
                    r"reason=\"no longer in the allowlist\"", since=since)
    # said when it was decided; on disk with the next commit
    until(lambda: row_of(daemon)["held"])


def bounced(daemon):
    return [x for x in daemon.log if re.match("bounced|deferred", x)]


def test_held_over_a_restart_and_released_by_the_last_options(world):
    daemon = world.start()
    ident = send(daemon.address, "u@gone.test")
    daemon.wait_log("state .*to=down")
    relist(daemon, STAY)
    wait_held(daemon)
    daemon.restart()
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        assert c.cmd("RCPT TO:<new@gone.test>").startswith("451 4.3.5")
        assert c.cmd("RCPT TO:<new@never.test>").startswith("550 5.7.1")
    row = row_of(daemon)
    assert row["held"] and row["hold_reason"] == "no longer in the allowlist"
    assert daemon.queue()[0]["recipients"][0]["state"] == "held"
    for verb in (["status"], ["show", ident]):
        assert "no longer in the allowlist" in daemon.ctl(*verb).stdout
    world.host.start()
    daemon.ctl("flush", "gone.test", check=False)
    assert not world.host.sessions  # nobody was asked about it
    daemon.ctl("release", "--domain", "gone.test", "--yes")
    world.host.wait_messages(1)
    daemon.wait_empty()
    assert not bounced(daemon)


def test_what_was_released_stays_so_over_a_restart(world):
    daemon = world.start()
    send(daemon.address, "u@gone.test")
    relist(daemon, STAY)
    wait_held(daemon)
    daemon.ctl("release", "--domain", "gone.test", "--yes")
    daemon.wait_log(r"probe .*result=failed")
    daemon.restart()
    assert row_of(daemon)["state"] in ("down", "probing")
    assert not row_of(daemon)["held"]
    world.host.start()
    world.host.wait_messages(1)
    daemon.wait_empty()


def test_a_start_with_a_shorter_list_and_one_with_the_old_again(world):
    daemon = world.start()
    send(daemon.address, "u@gone.test")
    daemon.wait_log("state .*to=down")
    daemon.stop()
    daemon.domains = STAY
    daemon.write_files()
    since = daemon.mark()
    daemon.start()
    wait_held(daemon, since)
    world.host.start()
    daemon.stop()
    daemon.domains = world.line + STAY
    daemon.write_files()
    daemon.start()
    world.host.wait_messages(1)
    daemon.wait_empty()


def test_listed_again_lets_go_what_the_operator_did_not_hold(world):
    daemon = world.start()
    his = send(daemon.address, "u@gone.test")
    send(daemon.address, "v@gone.test")
    daemon.ctl("hold", his, "--yes")
    relist(daemon, STAY)
    wait_held(daemon)
    world.host.start()
    relist(daemon, world.line + STAY)
    daemon.wait_log(r"released .*domain=gone\.test .*allowlist again")
    [message] = world.host.wait_messages(1)
    assert message.rcpts == ["v@gone.test"]
    until(lambda: row_of(daemon)["messages"] == 1)
    row = row_of(daemon)
    assert row["held_messages"] == 1
    assert row["hold_reason"] is None


def test_no_lifetime_ends_while_the_line_is_away(world):
    """Not while it is held, and not at the moment it is let go."""
    daemon = world.start(options="lifetime=2s")
    first = send(daemon.address, "u@gone.test")
    relist(daemon, STAY)
    wait_held(daemon)
    # a later message for a listed domain ends: the first one's time is over
    daemon.domains = STAY.replace("\n", " primary=[127.0.0.1]:1 lifetime=2s\n")
    daemon.reload()
    send(daemon.address, "u@stay.test")
    daemon.wait_log(r"bounced .*to=<u@stay\.test>")
    assert [m["id"] for m in daemon.queue("gone.test")] == [first]
    world.host.start()
    relist(daemon, world.line + STAY)
    world.host.wait_messages(1)


def test_a_report_to_a_domain_that_is_not_listed_goes(world):
    """By bounce.relay here; those domains are nobody's of ours."""
    relay = world.primary().start()
    daemon = world.start(bounce={"relay": relay.route})
    world.host.on["rcpt"] = "550 5.1.1 unknown"
    world.host.start()
    send(daemon.address, "u@gone.test")
    [report] = relay.wait_messages(1)
    assert report.rcpts == ["a@sender.test"]
    daemon.wait_empty()


def test_what_waits_behind_a_report_is_held_and_let_go(world):
    """And goes where its line said then, not where our reports go."""
    relay = world.primary()
    refusing = world.primary()
    refusing.on["rcpt"] = "550 5.1.1 unknown"
    refusing.start()
    stay = f"stay.test recipients=* tls=none primary={refusing.route}\n"
    daemon = world.start(bounce={"relay": relay.route})
    relist(daemon, world.line + stay)
    send(daemon.address, "u@stay.test", sender="a@gone.test")
    until(lambda: daemon.queue("gone.test"))
    send(daemon.address, "u@gone.test")
    relist(daemon, stay)
    relay.start()
    [report] = relay.wait_messages(1)
    assert report.rcpts == ["a@gone.test"]
    wait_held(daemon)
    world.host.start()
    daemon.ctl("release", "--domain", "gone.test", "--yes")
    [message] = world.host.wait_messages(1)
    assert message.rcpts == ["u@gone.test"]
    daemon.wait_empty()


def test_the_list_shrinks_while_a_sender_talks(world):
    """RCPT was answered by the old list: its mail is held, too."""
    daemon = world.start()
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        assert c.cmd("RCPT TO:<u@gone.test>").startswith("250")
        relist(daemon, STAY)
        assert c.data("Subject: x\r\n\r\nx\r\n.\r\n").startswith("250")
    wait_held(daemon)
    assert row_of(daemon)["held"]
    assert not bounced(daemon)
