"""Recipients from files, tables over HTTPS, and several of them."""

import base64
import json
import pathlib
import threading

import pytest

from client import Raw
from pki import Pki
from tables import TableHost


@pytest.fixture(scope="module")
def pki():
    made = Pki()
    yield made
    made.close()


@pytest.fixture
def host(pki):
    made = TableHost(pki.cert("localhost"))
    yield made
    made.close()


@pytest.fixture
def start(mx20, pki):
    def run(domains, refresh="1h", **rest):
        conf = {"tls": {"ca_file": pki.ca_file},
                "policy": {"refresh": refresh}}
        return mx20(domains=domains, conf=conf, **rest)
    return run


def says(daemon, address):
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.cmd("MAIL FROM:<a@sender.test>")
        return c.cmd(f"RCPT TO:<{address}>")[:9]


KNOWN, NOBODY, NOT_YET = "250 2.1.5", "550 5.1.1", "451 4.4.1"
MANY = "".join(f"user{i}\n" for i in range(40))


def sources(daemon, domain="a.test"):
    [row] = json.loads(
        daemon.ctl("status", domain, "--json").stdout)["domains"]
    return row["recipients"]


def fetched(daemon, changed="yes", since=0):
    return daemon.wait_log(rf"^table .*changed={changed}", since=since)


def reload(daemon, *options):
    """Reload; what the table then came to is in the log behind the mark."""
    mark = daemon.mark()
    daemon.write_files()
    daemon.ctl("reload", *options)
    return mark


def doubted(daemon, why, since):
    daemon.wait_log(rf"^table level=warn .*error=\"[^\"]*{why}", since=since)


def test_one_table_of_many_domains_and_only_what_is_new(host, start):
    host.tables["/users"] = "alice\nbob@a.test\ncarol@b.test\nx@else.test\n"
    daemon = start(f"a.test recipients={host.url()}\n"
                   f"b.test recipients={host.url()},more\n"
                   f"*.w.test recipients={host.url()} delimiter=+\n",
                   recipients={"../more": "dora\n"})
    fetched(daemon)
    assert says(daemon, "Alice@a.test") == KNOWN
    assert says(daemon, "bob@a.test") == KNOWN
    assert says(daemon, "bob@b.test") == NOBODY
    assert says(daemon, "carol@b.test") == KNOWN
    assert says(daemon, "dora@b.test") == KNOWN
    assert says(daemon, "dora@a.test") == NOBODY
    assert says(daemon, "alice+x@a.w.test") == KNOWN
    for address, source in (("carol@b.test", "url"), ("dora@b.test", "file")):
        got = json.loads(daemon.ctl("recipient", address, "--json").stdout)
        assert (got["known"], got["source"]) == ("yes", source)
    assert [s["count"] for s in sources(daemon)] == [2]
    assert [s["count"] for s in sources(daemon, "b.test")] == [2, 1]
    before = sources(daemon)[0]["fetched"]
    assert before is not None and sources(daemon)[0]["error"] is None

    reload(daemon)  # the same: nothing but its head comes
    asked = host.wait_asked(2)
    assert [status for _, _, status in asked] == [200, 304]
    host.tables["/users"] += "dave\n"
    mark = reload(daemon)
    fetched(daemon, since=mark)
    assert says(daemon, "dave@b.test") == KNOWN
    shown = daemon.ctl("status", "a.test").stdout
    assert "RECIPIENTS FROM" in shown and host.url() in shown


def test_unknown_until_the_first_fetch_and_kept_over_a_restart(host, start):
    host.status["/users"] = 503
    host.tables["/users"] = "alice\n"
    daemon = start(f"a.test recipients={host.url()} unknown=reject\n"
                   f"b.test recipients={host.url()} unknown=accept\n")
    daemon.wait_log(r"^config .*was not fetched yet")
    daemon.wait_log(r"^table level=warn .*HTTP status 503")
    assert says(daemon, "alice@a.test") == NOT_YET
    assert says(daemon, "alice@b.test") == KNOWN
    assert sources(daemon)[0]["count"] is None
    assert "HTTP status 503" in sources(daemon)[0]["error"]
    alarm = daemon.ctl("status", "--alarm", check=False)
    assert alarm.returncode == 1 and "cannot be fetched" in alarm.stdout

    del host.status["/users"]
    mark = reload(daemon)
    fetched(daemon, since=mark)
    assert says(daemon, "alice@a.test") == KNOWN
    [copy] = pathlib.Path(daemon.dir, "spool").glob("table-*")
    assert copy.stat().st_mode & 0o777 == 0o600

    daemon.stop()
    host.close()
    mark = daemon.mark()
    daemon.start()
    daemon.wait_log(r"^table level=warn .*error=", since=mark)
    assert says(daemon, "alice@a.test") == KNOWN
    assert says(daemon, "bob@a.test") == NOBODY
    assert sources(daemon)[0]["count"] == 1
    assert daemon.ctl("status", "--alarm", check=False).returncode == 0, \
        "away for some minutes, and there is a copy"


@pytest.mark.parametrize("text, why", [
    ("", "has no recipient"),
    ("# nobody\n\n", "has no recipient"),
    ("user1\nuser2\n", "has shrunk from 40 recipients to 2"),
    ("<html><body>\n<form action=login>\n", "line 1: "),
    (MANY + "Unexpected error: no database\n", "line 41: expected one"),
    (MANY.encode() + b"m\xfcller\n", "line 41: holds"),
])
def test_not_believed_until_it_is_forced(host, start, text, why):
    host.tables["/users"] = MANY
    daemon = start(f"a.test recipients={host.url()}\n")
    fetched(daemon)
    host.tables["/users"] = text
    mark = reload(daemon)
    doubted(daemon, why, mark)
    assert says(daemon, "user7@a.test") == KNOWN
    assert why in sources(daemon)[0]["error"]
    alarm = daemon.ctl("status", "--alarm", check=False)
    assert alarm.returncode == 1 and "are not believed" in alarm.stdout
    assert "are not believed" in daemon.ctl("status").stdout

    mark = reload(daemon, "--force")
    fetched(daemon, since=mark)
    gone = len(MANY.encode()) > len(text)
    assert says(daemon, "user7@a.test") == (NOBODY if gone else KNOWN)
    assert sources(daemon)[0]["error"] is None
    assert daemon.ctl("status", "--alarm", check=False).returncode == 0


def test_force_is_kept_until_something_comes(host, start):
    host.tables["/users"] = MANY
    daemon = start(f"a.test recipients={host.url()}\n", refresh="1s")
    fetched(daemon)
    host.status["/users"] = 503
    mark = reload(daemon, "--force")
    daemon.wait_log("^table level=warn .*HTTP status 503", since=mark)
    host.tables["/users"] = "user1\nuser2\n"
    del host.status["/users"]
    daemon.wait_log("^table .*recipients=2 before=40 changed=yes", since=mark)
    assert says(daemon, "user7@a.test") == NOBODY


def test_what_is_no_table_changes_nothing(host, start):
    host.tables["/users"] = host.tables["/else"] = MANY
    daemon = start(f"a.test recipients={host.url()}\n")
    fetched(daemon)
    host.tables["/users"] = MANY + "new\n"

    def fails(why):
        mark = reload(daemon)
        daemon.wait_log(rf"^table level=warn .*{why}", since=mark)
        assert says(daemon, "user7@a.test") == KNOWN
        assert says(daemon, "new@a.test") == NOBODY

    host.cut["/users"] = 100
    fails("error=")
    host.cut.clear()
    host.status["/users"] = 500
    fails("HTTP status 500")
    host.status.clear()
    host.type["/users"] = "text/html; charset=utf-8"
    fails("is a page for people")
    host.type.clear()
    host.location["/users"] = "https://127.0.0.1:%d/else" % host.port
    fails("redirects to another host")
    host.location["/users"] = "http://localhost:%d/else" % host.port
    fails("redirects to another host")
    host.location["/users"] = "/users"
    fails("redirects too often")
    host.location["/users"] = "/else"
    host.tables["/else"] = MANY + "moved\n"
    mark = reload(daemon)
    fetched(daemon, since=mark)
    assert says(daemon, "moved@a.test") == KNOWN


def test_slow_one_keeps_nobody_waiting(host, start):
    host.tables["/slow"] = host.tables["/users"] = "alice\n"
    host.drip["/slow"] = threading.Event()
    daemon = start(f"a.test recipients={host.url('/slow')}\n"
                   f"b.test recipients={host.url()}\n")
    fetched(daemon)
    assert says(daemon, "alice@b.test") == KNOWN
    assert says(daemon, "alice@a.test") == NOT_YET
    mark = daemon.mark()
    host.drip["/slow"].set()
    fetched(daemon, since=mark)
    assert says(daemon, "alice@a.test") == KNOWN


def test_left_while_it_comes(host, start):
    host.tables["/slow"] = "alice\n"
    host.drip["/slow"] = threading.Event()
    daemon = start(f"a.test recipients={host.url('/slow')}\n")
    host.wait_asked(1)
    daemon.domains = "a.test recipients=*\n"
    assert daemon.reload().returncode == 0
    assert says(daemon, "bob@a.test") == KNOWN
    daemon.domains = f"a.test recipients={host.url('/slow')}\n"
    assert daemon.reload().returncode == 0
    host.wait_asked(2)
    assert daemon.stop() == 0


def test_fetched_again_by_itself(host, start):
    host.tables["/users"] = "alice\nbob\n"
    daemon = start(f"a.test recipients={host.url()}\n", refresh="1s")
    fetched(daemon)
    host.tables["/users"] = "alice\nbob\ncarol\n"
    daemon.wait_log("^table .*recipients=3 before=2 changed=yes")
    assert says(daemon, "carol@a.test") == KNOWN


def test_password_is_sent_and_never_shown(host, start):
    host.tables["/users"] = "alice\n"
    host.authorization = "Basic " + base64.b64encode(
        b"backup:s3cret/word").decode()
    url = host.url(user="backup:s3cret%2Fword@")
    daemon = start(f"a.test recipients={url}\n"
                   f"b.test recipients={url.replace('word', 'wrong')}\n")
    fetched(daemon)
    daemon.wait_log("^table level=warn .*HTTP status 401")
    assert says(daemon, "alice@a.test") == KNOWN
    out = [daemon.ctl("status", d, *o).stdout for d in ("a.test", "b.test")
           for o in ((), ("--json",))]
    out += [daemon.ctl("status", "--alarm", check=False).stdout]
    out += [p.read_text() for p in
            pathlib.Path(daemon.dir, "spool").glob("table-*")]
    assert not [t for t in out + daemon.log if "s3cret" in t]


def test_copies_that_no_line_names_are_removed(host, start):
    """By a reload that is taken, and nothing else of the spool is."""
    host.tables.update({"/a": "alice\n", "/b": "bob\n"})
    a, b = (f"{d}.test recipients={host.url(f'/{d}')}\n" for d in "ab")
    daemon = start(a + b)
    daemon.wait_log("^table .*recipients=1 ", count=2)
    spool = pathlib.Path(daemon.dir, "spool")
    copies = {p.name for p in spool.glob("table-*")}
    assert len(copies) == 2
    daemon.put(spool / ("table-" + "0" * 16 + ".new"), "cut off in a crash")
    others = {"table-notes", "table-" + "0" * 17, "data"}
    for name in others - {"data"}:
        daemon.put(spool / name, "")
    others = {p.name for p in spool.iterdir()} - copies - {
        "table-" + "0" * 16 + ".new"}
    daemon.domains = a + "c.test recipients=none\n"
    assert daemon.reload().returncode == 1
    daemon.domains = a
    assert daemon.reload().returncode == 0
    daemon.wait_log("^table removed=table-", count=2)
    left = {p.name for p in spool.iterdir()}
    assert len(left & copies) == 1 and others <= left
    assert len(left) == len(others) + 1
    assert says(daemon, "alice@a.test") == KNOWN


def test_a_host_that_is_not_proven(host, mx20):
    host.tables["/users"] = "alice\n"
    daemon = mx20(domains=f"a.test recipients={host.url()}\n")
    daemon.wait_log("^table level=warn .*certificate")
    assert says(daemon, "alice@a.test") == NOT_YET
    assert host.asked == []
