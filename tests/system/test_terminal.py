"""What mx20ctl writes on a terminal: it fits, and nothing that strangers wrote
tells the terminal what to do."""

import json
import re
import subprocess
import unicodedata

import pytest

from client import Raw, message
from daemon import BUILD
from faults import until
from test_ctl import Terminal, bare

ESC = "\x1b[2J\x1b]0;x\x07\x9b31m\u202e\r\v\x7f"
BAD = ("450 4.2.1 \x1b[2J\x1b]0;owned\x07 \u202eesrever \xc2\x9b31m\x7f " +
       "word " * 40)


def usage():
    """Each verb of --help, with how it is used."""
    found = {}
    for line in bare("--help").stdout.splitlines():
        m = re.match(r"  ([a-z]+)(?: (.*))?$", line)
        if m:
            found[m[1]] = m[2] or ""
    return found


@pytest.fixture
def hostile(mx20, primary):
    """Everything that comes from elsewhere is of the worst kind."""
    p = primary(on={"rcpt": lambda s, a: BAD if "later" in a
                    else "550 5.7.1" + BAD[9:] if "never" in a else None,
                    "dot": "250 2.0.0 " + BAD[10:], "bdat": "250 2.0.0 ok"}
                ).start()
    away = primary()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n"
             "a-domain-with-a-rather-long-name-that-fits-nowhere.example.test"
             f" recipients=* primary={away.route}\n",
             conf={"bounce": {"mode": "proven"}})
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        for to in ("later@example.com", "never@example.com", "ok@example.com",
                   "\u202eu@a-domain-with-a-rather-long-name-that-fits-nowhere"
                   ".example.test"):
            # who has no sender is on the shelf at once
            sender = "" if "never" in to else "a\u202eb\u0085\u009b@x.test"
            for line in (f"MAIL FROM:<{sender}> SMTPUTF8",
                         f"RCPT TO:<{to}>", "DATA"):
                got = c.cmd(line)
                assert got[:1] in "23", (line, got)
            c.send(f"Subject: {ESC}\r\n\r\n{ESC}\r\n" + "long " * 50 +
                   "\r\n.\r\n")
            assert c.reply()[:3] == "250"
    d.wait_log("^deferred ")
    d.wait_log("^shelved ")
    d.wait_log("^delivered ")
    d.wait_log("^state .*to=down")
    until(lambda: len(d.queue()) == 3 and d.ctl("find", "ok@example.com"))
    qid = d.queue()[0]["id"]
    d.ctl("hold", qid, "--reason", ESC + "why " * 40)
    d.ctl("hold", "--domain", "*.example.test", "--reason", ESC)
    return d, qid


def is_harmless(text):
    """The line ends of a terminal, and what is shown."""
    for c in text.replace("\r\n", "").replace("\t", ""):
        assert unicodedata.category(c) not in ("Cc", "Cs"), (c, text)
        assert c not in "\u202e\u2066\u2028\u061c", (c, text)


def width(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in line)


# what each verb is asked; a verb that is missing here fails the test below
ASKED = {
    "status": [[], ["example.com"], ["--alarm"]],
    "queue": [[], ["--sort", "newest"], ["--from", "\u202e"]],
    "find": [["ID"], ["later@example.com"], ["owned"], [ESC]],
    "show": [["ID"], ["ID", "--raw"], [ESC]],
    "refused": [[]],
    "outages": [[]],
    "route": [["example.com"], [ESC]],
    "recipient": [["later@example.com"], ["later@example.com", "--recheck"],
                  [ESC]],
    "explain": [["--client", "192.0.2.1", "--to", "never@example.com",
                 "--from", f"a{ESC}@x.test", "--helo", ESC]],
    "flush": [["example.com"], [ESC]],
    "hold": [["ID", "--reason", ESC], [ESC]],
    "release": [["ID"], ["--domain", ESC]],
    "bounce": [["ID"], ["--destination", ESC]],
    "remove": [["ID"], [ESC]],
    "summary": [[], ["--since", "yesterday"], ["--since", ESC]],
    "mirror": [[], ["take", ESC], [ESC]],  # shown: test_mirror.py
    "reload": [["--dry-run"], []],
}


def test_every_verb_is_asked():
    # top: test_top.py; check: below, it asks DNS
    assert set(ASKED) | {"top", "check"} == set(usage())


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_nothing_hostile_reaches_a_terminal_and_all_fits(hostile, columns):
    d, qid = hostile
    for verb, calls in ASKED.items():
        for args in calls:
            args = [qid if a == "ID" else a for a in args]
            for form in [], ["--json"]:
                t = Terminal(d, verb, *args, "--yes", *form, columns=columns)
                t.exit_status()
                is_harmless(t.text)
                if form or "--raw" in args:
                    continue
                assert t.text.strip() or "--alarm" in args
                for line in t.text.replace("\r\n", "\n").split("\n"):
                    # a long word has no place to be broken at
                    assert width(line) <= columns or \
                        max(map(width, line.split())) > columns / 2, \
                        (verb, args, line)


@pytest.mark.parametrize("columns", [40, 80])
def test_all_that_check_says(mx20, primary, dns, columns):
    """The zone and the primary are of the worst kind."""
    says = "450 4.7.1 Greylisted " + BAD[10:]
    p = primary(on={"greeting": "220 mx " + BAD[10:], "rcpt": says}).start()
    dns.zone("own.test", "mx2 A 127.0.0.3", signed=False)
    dns.zone("a.test", '@ MX 10 mx2.own.test.\n@ MX 10 "\\027[2J\\155x".x\n'
             '@ TXT "v=spf1 \\027[2J\\155 -all"\n'
             '_mta-sts TXT "v=STSv1; id=\\027[2J"', signed=False).start()
    d = mx20(domains=f"a.test recipients=* primary={p.route}\n",
             conf={"dns": dns.conf, "hostname": "mx2.own.test"})
    t = Terminal(d, "check", "a.test", "--all", columns=columns)
    assert t.exit_status() == 1
    *shown, text = t.text.rsplit("\r\x1b[K", 1)  # progress, and all behind it
    is_harmless(text)
    assert "Greylisted" in " ".join(text.split())
    for line in text.replace("\r\n", "\n").split("\n"):
        # what is to be pasted is not broken
        assert width(line) <= columns or line.startswith(" " * 11) or \
            max(map(width, line.split())) > columns / 2, line


def test_no_more_than_can_be_read(mx20):
    """A terminal has the first thousand, and what needs somebody; a pipe has
    all."""
    count = 1100
    d = mx20(domains="".join(f"d{n}.test recipients=* primary=[127.0.0.1]:1\n"
                             for n in range(count)), start=False)
    subprocess.run([BUILD / "bench" / "spoolfill", d.dir / "spool",
                    str(count), str(count)], check=True)
    d.start()
    d.ctl("hold", "--domain", "d999.test")  # the last one by name
    t = Terminal(d, "status", columns=80)
    assert t.exit_status() == 0
    rows = [line.split()[0] for line in t.text.splitlines()
            if re.match(r"d[0-9]+\.test ", line)]
    assert len(rows) == 1001 and rows[-1] == "d999.test"
    assert "\r\n99 domains more, not held nor braked" in t.text
    text = d.ctl("status").stdout
    assert len(re.findall("^d[0-9]+", text, re.M)) == count
    t = Terminal(d, "queue", columns=80)
    assert t.exit_status() == 0
    assert t.text.count("@sender.test") == 1000
    assert "mx20ctl queue | less" in t.text
    done = d.ctl("queue")
    assert done.stdout.count("@sender.test") == count and done.stderr == ""


def test_json_on_a_terminal_has_the_same_values(hostile):
    d, _ = hostile
    t = Terminal(d, "queue", "--json", columns=80)
    t.exit_status()
    assert "\\u202e" in t.text
    assert [json.loads(line) for line in t.text.splitlines()] == d.queue()


def test_raw_is_as_it_came_unless_a_terminal_has_it(hostile):
    d, qid = hostile
    t = Terminal(d, "show", qid, "--raw", columns=80)
    t.exit_status()
    assert "Subject: ?[2J" in t.text
    done = d.ctl("show", qid, "--raw", encoding="latin-1")
    assert "Subject: \x1b[2J" in done.stdout


def test_help_fits_in_80_columns():
    done = bare("--help")
    assert max(map(len, done.stdout.splitlines())) <= 80
