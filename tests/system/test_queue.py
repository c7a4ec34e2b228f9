"""mx20ctl queue with filters: the spool itself and the daemon say the same."""

import json

import pytest

from client import message, send
from faults import until


def asked(d):
    """The path of a configuration whose spool is not there: whoever uses it
    has to ask the daemon."""
    path = d.dir / "asks.conf"
    if not path.exists():
        path.write_text(d.conf_path.read_text().replace(
            str(d.dir / "spool"), str(d.dir / "elsewhere")))
    return path


def both(d, *args, **options):
    """What queue says, which is the same whoever looks; unless a second went by
    between the two, which it does not do again and again."""
    for _ in range(5):
        own = d.ctl("queue", *args, **options)
        other = d.ctl("-c", str(asked(d)), "queue", *args, **options)
        if own.stdout == other.stdout:
            break
    assert (own.returncode, own.stdout) == (other.returncode, other.stdout)
    return own


def rows(d, *args):
    return [json.loads(line)
            for line in both(d, *args, "--json").stdout.splitlines()]


def ids(d, *args):
    return [m["id"] for m in rows(d, *args)]


@pytest.fixture
def waits(mx20, primary):
    """Mail of two domains, some of it tried, and its ids."""
    p = primary(on={"rcpt": lambda s, a: "450 4.2.1 full" if "busy" in a
                    else None}).start()
    away = primary()
    d = mx20(domains=f"up.test recipients=* primary={p.route}\n"
                     f"down.test recipients=* primary={away.route}\n")
    got = {
        "plain": send(d.address, ["u@down.test"], sender="one@a.test"),
        "big": send(d.address, ["v@down.test"], sender="two@A.test",
                    content=message(body="x" * 70 + "\r\n" + "y" * 70 + "\r\n")),
        "busy": send(d.address, ["busy@up.test"], sender="three@sub.a.test"),
        "two": send(d.address, ["u@down.test", "U@down.test", "w@down.test"],
                    sender=""),
    }
    d.wait_log(f"^deferred .*mid={got['busy']}")
    until(lambda: any(r["attempts"] for m in d.queue()
                      for r in m["recipients"]))
    return d, got


def test_filters(waits):
    d, q = waits
    assert ids(d) == list(q.values())
    for args, names in (
            (["--from", "one@A.TEST"], ["plain"]),
            (["--from", "@a.test"], ["plain", "big"]),
            (["--from", "A.TEST"], ["plain", "big", "busy"]),
            (["--from", "<>"], ["two"]),
            (["--from", "nobody@a.test"], []),
            (["--to", "u@down.test"], ["plain", "two"]),
            (["--to", "@up.test"], ["busy"]),
            (["--to", "@test"], []),
            (["--state", "deferred"], ["busy"]),
            (["--state", "ready"], ["plain", "big", "two"]),
            (["--state", "ready,deferred", "--from", "t"],
             ["plain", "big", "busy"]),
            (["--older", "1d"], []),
            (["--older", "0"], list(q)),
            (["--limit", "2"], ["plain", "big"]),
            (["--to", "@down.test", "--limit", "1"], ["plain"]),
            (["up.test", "--state", "deferred"], ["busy"]),
            (["@up.test"], ["busy"]),
            (["down.test", "--state", "deferred"], [])):
        assert ids(d, *args) == [q[n] for n in names], args
    # these recipients alone
    [_, m] = rows(d, "--to", "u@down.test")
    assert [r["address"] for r in m["recipients"]] == ["u@down.test",
                                                      "U@down.test"]
    assert "nothing like that" in both(d, "--to", "x@y.test").stdout
    text = both(d, "--state", "deferred").stdout
    assert q["busy"] in text and q["plain"] not in text


def test_orders(waits):
    d, q = waits
    for order, names in (("newest", ["two", "busy", "big", "plain"]),
                         ("arrival", list(q)),
                         ("from", ["two", "plain", "busy", "big"])):
        assert ids(d, "--sort", order) == [q[n] for n in names], order
    assert ids(d, "--sort", "size")[0] == q["big"]
    assert ids(d, "--sort", "due")[0] == q["busy"]
    assert ids(d, "--sort", "tries")[0] == q["busy"]
    assert ids(d, "--sort", "newest", "--limit", "2") == [q["two"], q["busy"]]
    text = both(d, "--sort", "newest", "--limit", "1").stdout
    assert q["two"] in text and q["busy"] not in text


def test_sorted_lists_say_what_is_left_out(mx20, primary):
    d = mx20(domains=f"down.test recipients=* primary={primary().route}\n")
    with_smtp(d, 1003)
    done = both(d, "--sort", "newest", "--json")
    shown = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert len(shown) == 1000
    assert shown == sorted(shown, reverse=True)  # several a millisecond
    assert "3 more are not shown" in done.stderr
    done = both(d, "--sort", "newest", "--limit", "1000", "--json")
    assert done.stderr == ""


def with_smtp(d, count):
    import smtplib
    with smtplib.SMTP(*d.address, local_hostname="client.test") as smtp:
        for _ in range(count):
            smtp.sendmail("a@sender.test", ["u@down.test"], message())


@pytest.mark.parametrize("args, says", [
    (["--older", "3"], "30m"), (["--older", "soon"], "30m"),
    (["--state", "waiting"], "unsettled"), (["--sort", "up"], "newest"),
    (["--limit", "0"], "whole number"), (["--limit", "-1"], "whole number"),
    (["--limit", "100001", "--sort", "size"], "100000"),
    (["--from", ""], "@domain"), (["--to", "@a..b"], "@domain"),
    (["--client", "192.0.2.1"], "takes no --client"),
])
def test_what_is_no_filter(mx20, args, says):
    d = mx20(start=False)
    done = d.ctl("queue", *args, check=False)
    assert done.returncode == 2
    assert says in done.stderr and not done.stdout
