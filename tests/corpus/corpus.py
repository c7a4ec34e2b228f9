"""What mx20 says, recorded: `make corpus OUT=folder`.

Every session is a file: what was sent (C), what came back (S); for deliveries
what mx20 sent to a scripted primary, with extensions offered or not, refused,
or wrong.  Then what its log, its queue and mx20ctl say.  Names of this run
(ids, ports, dates, durations) are replaced, so that two trees compare by
`diff -r`: MX20_BUILD=other/build/plain records with another tree's programs.
"""

import pathlib
import re
import ssl
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))

from client import Raw  # noqa: E402
from daemon import Mx20  # noqa: E402
from faults import until  # noqa: E402
from pki import Pki  # noqa: E402
from primary import Accept, Bytes, Drop, Primary  # noqa: E402

PLAIN_NAMES = [
    (r"\x1b\[[0-9;]*m", ""),
    (r"/tmp/mx20-(test|pki)-\w+", "DIR"),
    (r"\b1[0-9A-HJKMNP-TV-Z]{12}\b", "ID"),
    (r"\b(sid|conn)=\w+", r"\1=SID"),
    (r"(\w*_?(ms|s))=\d+\b", r"\1=N"),
    (r"127\.0\.0\.1(\]?):\d+", r"127.0.0.1\1:PORT"),
    (r"127\.0\.0\.1@\d+", "127.0.0.1@PORT"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d+ \w+ \d{4} [\d:]+ [-+]\d{4}", "DATE"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "TIME"),
    (r"boundary=\"[^\"]*\"", 'boundary="BOUNDARY"'),
    (r"=_mx20_\w+", "BOUNDARY"),
    (r"<[^<>@ ]+@mx2\.test>", "<MESSAGE-ID@mx2.test>"),
    (r"(\"(pid|used|disk_free|\w*_ms)\": ?)\d+", r"\1N"),
    (r"\b\d+(\.\d+)? ?(ms|s|seconds?)\b", "N s"),
    (r"(uptime|since) .*", r"\1 ..."),
    (r"^(Spool|spool) .*", r"\1 ..."),
]


def normal(text):
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    for pattern, name in PLAIN_NAMES:
        text = re.sub(pattern, name, text, flags=re.M)
    return text


def shown(text):
    """One line of a transcript; long ones by their ends."""
    if isinstance(text, str):
        text = text.encode("utf-8", "surrogateescape")
    text = repr(text)[2:-1]
    return text if len(text) < 400 else \
        f"{text[:150]} ...{len(text)}... {text[-100:]}"


class Book:
    """The folder that is written."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.count = 0

    def write(self, name, lines):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(normal("\n".join(lines)) + "\n")
        self.count += 1


# ---- Intake: steps are lines, or (bytes, replies that come) ----

HELO, EHLO = "HELO client.test", "EHLO client.test"
MAIL, RCPT = "MAIL FROM:<a@sender.test>", "RCPT TO:<u@example.com>"
BODY = b"Subject: x\r\n\r\nhello\r\n"
PHASES = {"new": [], "helo": [HELO], "ehlo": [EHLO], "mail": [EHLO, MAIL],
          "rcpt": [EHLO, MAIL, RCPT]}
LINES = [
    "", " ", "X", "HELO", "HELO ", HELO, "HELO [192.0.2.1]", "HELO a b",
    "HELO -x-", "HELO .", "EHLO", EHLO, "EHLO [IPv6:2001:db8::1]",
    "EHLO client_with.underscore", "EHLO " + "x" * 300, "ehlo lower.test",
    "MAIL", "MAIL FROM", "MAIL FROM:", MAIL, "mail from:<a@sender.test>",
    "MAIL FROM: <a@sender.test>", "MAIL FROM:a@sender.test", "MAIL FROM:<>",
    "MAIL TO:<a@b.test>", "RCPT", "RCPT TO:", RCPT, "rcpt to:<u@example.com>",
    "RCPT TO: <u@example.com>", "RCPT TO:<>", "RCPT FROM:<u@example.com>",
    "DATA x", "BDAT", "BDAT x", "BDAT -1", "BDAT 1 FIRST", "BDAT 0",
    "BDAT 99999999999999999999", "RSET", "RSET x", "NOOP", "NOOP x", "HELP",
    "HELP MAIL", "VRFY", "VRFY u", "VRFY <u@example.com>", "EXPN", "EXPN list",
    "QUIT", "QUIT x", "STARTTLS", "STARTTLS x", "ETRN", "ETRN example.com",
    "ETRN @example.com", "ETRN #x", "ETRN other.test", "AUTH PLAIN AAAA",
    "TURN", "SEND FROM:<a@b.test>", "XCLIENT ADDR=192.0.2.1", "BURL x",
    "GET / HTTP/1.1", "POST / HTTP/1.1", "NOOP\x00", "NOOP\x01", "NOOP \x7f",
    "N" * 511, "N" * 600, "MAIL FROM:<a@sender.test> " + "X" * 1000,
    "\u00fcber", "RCPT TO:<\u00fc@example.com>", "DATA",
]
MAIL_ENDS = [
    "SIZE=1", "SIZE=0", "SIZE=", "SIZE", "SIZE=x", "SIZE=-1", "SIZE=52428800",
    "SIZE=52428801", "SIZE=999999999999999999999", "SIZE=1 SIZE=1",
    "BODY=7BIT", "BODY=8BITMIME", "BODY=BINARYMIME", "BODY=X", "BODY",
    "body=8bitmime", "SMTPUTF8", "SMTPUTF8=1", "RET=FULL", "RET=HDRS",
    "RET=X", "RET", "ENVID=abc", "ENVID=a+2Bb", "ENVID=a+2b", "ENVID=",
    "ENVID",
    "ENVID=" + "x" * 101, "REQUIRETLS", "REQUIRETLS=1", "AUTH=<>", "AUTH=x",
    "HOLDFOR=1", "MT-PRIORITY=1", "BY=1;R", "X=1", "=", "=1", "SIZE=1=2",
    "SIZE=1 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=q", "  SIZE=1  ", "\tSIZE=1",
]
RCPT_ENDS = [
    "NOTIFY=NEVER", "NOTIFY=SUCCESS", "NOTIFY=SUCCESS,FAILURE,DELAY",
    "NOTIFY=NEVER,DELAY", "NOTIFY=SUCCESS,SUCCESS", "NOTIFY=", "NOTIFY",
    "NOTIFY=X", "notify=delay", "ORCPT=rfc822;u@example.com", "ORCPT=u",
    "ORCPT=rfc822;", "ORCPT=rfc822;u+40x", "ORCPT=rfc822;u+4", "ORCPT=",
    "ORCPT=utf-8;\\x{fc}@example.com", "ORCPT=" + "x" * 501,
    "NOTIFY=DELAY ORCPT=rfc822;x", "NOTIFY=DELAY NOTIFY=DELAY", "RRVS=x", "X",
]
PATHS = [
    "<u@example.com>", "<U@EXAMPLE.COM>", "<u@example.com.>", "<u@other.test>",
    "<u@sub.example.com>", "<postmaster>", "<Postmaster@example.com>", "<u>",
    "<@relay.test:u@example.com>", "<@a.test,@b.test:u@example.com>",
    "<\"quoted x\"@example.com>", "<\"u\"@example.com>", "<\"\"@example.com>",
    "<\"a\\\"b\"@example.com>", "<u@[192.0.2.1]>", "<u@[IPv6:::1]>", "<u@>",
    "<@example.com>", "<u..v@example.com>", "<.u@example.com>",
    "<u.@example.com>", "<u@exa_mple.com>", "<u@-example.com>", "<u@com>",
    "<u@example..com>", "<u u@example.com>", "<u@example.com",
    "u@example.com>",
    "<<u@example.com>>", "<u@example.com>x", "<u%other.test@example.com>",
    "<other.test!u@example.com>", "<u+tag@example.com>", "<u=v@example.com>",
    "<" + "u" * 64 + "@example.com>", "<" + "u" * 65 + "@example.com>",
    "<" + "u" * 300 + "@example.com>", "<u@" + "x." * 125 + "com>",
    "<u@b\u00fccher.example>", "<u@xn--bcher-kva.example>",
    "<known@listed.test>", "<unknown@listed.test>", "<KNOWN+x@listed.test>",
    "<u@null.test>", "<\u00fc@example.com>", "<u@example.com>\x00",
]
CONTENTS = {
    "ordinary": b"Subject: x\r\n\r\nhello\r\n.\r\n", "empty": b".\r\n",
    "no header": b"hello\r\n.\r\n", "no blank": b"Subject: x\r\n.\r\n",
    "dots": b"Subject: x\r\n\r\n..\r\n...\r\n..x\r\n.\r\n",
    "dot ahead": b"Subject: x\r\n\r\n.x\r\n.\r\n",
    "bare lf": b"Subject: x\n\nhello\n.\n\r\n.\r\n",
    "bare lf dot": b"Subject: x\r\n\r\nx\n.\r\ny\r\n.\r\n",
    "bare cr": b"Subject: x\r\n\r\nx\ry\r\n.\r\n",
    "cr dot": b"Subject: x\r\n\r\nx\r.\r\n\r\n.\r\n",
    "nul": b"Subject: x\r\n\r\nx\0y\r\n.\r\n",
    "8bit": b"Subject: x\r\n\r\n\xfc\xff\r\n.\r\n",
    "long line": b"Subject: x\r\n\r\n" + b"x" * 5000 + b"\r\n.\r\n",
    "998": b"Subject: x\r\n\r\n" + b"x" * 998 + b"\r\n.\r\n",
    "many hops": b"Received: x\r\n" * 101 + b"\r\nx\r\n.\r\n",
    "few hops": b"Received: x\r\n" * 99 + b"\r\nx\r\n.\r\n",
    "header in utf-8": "Subject: \u00fc\r\n\r\nx\r\n.\r\n".encode(),
    "folded": b"Subject: x\r\n y\r\n\tz\r\n\r\nx\r\n.\r\n",
}
BDATS = {
    "one": [(b"BDAT 21 LAST\r\n" + BODY, 1)],
    "two": [(b"BDAT 12\r\n" + BODY[:12], 1), (b"BDAT 9 LAST\r\n" + BODY[12:],
                                              1)],
    "empty last": [(b"BDAT 21\r\n" + BODY, 1), "BDAT 0 LAST"],
    "nothing": ["BDAT 0 LAST"], "nothing first": ["BDAT 0"],
    "lower": [(b"bdat 21 last\r\n" + BODY, 1)],
    "then data": [(b"BDAT 12\r\n" + BODY[:12], 1), "DATA"],
    "then mail": [(b"BDAT 12\r\n" + BODY[:12], 1), MAIL],
    "then rcpt": [(b"BDAT 12\r\n" + BODY[:12], 1), RCPT],
    "then rset": [(b"BDAT 12\r\n" + BODY[:12], 1), "RSET", MAIL],
    "then quit": [(b"BDAT 12\r\n" + BODY[:12], 1), "QUIT"],
    "last twice": [(b"BDAT 21 LAST\r\n" + BODY, 1),
                   (b"BDAT 21 LAST\r\n" + BODY, 1)],
    "binary": [(b"BDAT 8 LAST\r\n\0\1\r\n\xff\n.\r", 1)],
    "ahead": [(b"BDAT 12\r\n" + BODY[:12] + b"BDAT 9 LAST\r\n" + BODY[12:] +
               b"NOOP\r\n", 3)],
}
AHEAD = {
    "mail": (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<u@example.com>\r\n"
             b"DATA\r\n", 3),
    "refused": (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<u@no.test>\r\nDATA\r\n", 3),
    "bdat": (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<u@example.com>\r\n"
             b"BDAT 21 LAST\r\n" + BODY + b"RSET\r\nNOOP\r\nQUIT\r\n", 6),
    "bdat refused": (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<u@no.test>\r\n"
                     b"BDAT 21 LAST\r\n" + BODY + b"NOOP\r\n", 4),
    "behind data": (b"MAIL FROM:<a@b.test>\r\nRCPT TO:<u@example.com>\r\n"
                    b"DATA\r\n" + BODY + b".\r\n", 4),
    "behind ehlo": (b"EHLO x.test\r\nNOOP\r\n", 2),
    "behind noop": (b"NOOP\r\nNOOP\r\n", 2),
    "behind vrfy": (b"VRFY u\r\nNOOP\r\n", 2),
    "behind quit": (b"QUIT\r\nNOOP\r\n", 2),
    "behind starttls": (b"STARTTLS\r\nNOOP\r\n", 2),
    "behind help": (b"HELP\r\nRSET\r\nNOOP\r\n", 3),
    "bare lf": (b"NOOP\nNOOP\r\n", 2),
    "bare cr": (b"NOOP\rNOOP\r\nNOOP\r\n", 2),
}


def intake_scripts():
    for phase, before in PHASES.items():
        for n, line in enumerate(LINES):
            after = ["NOOP"] if line != "DATA" else []
            yield f"phase-{phase}/{n:02}", before + [line] + after
    for n, end in enumerate(MAIL_ENDS):
        yield f"mail/{n:02}", [EHLO, f"{MAIL} {end}", RCPT]
        yield f"mail-helo/{n:02}", [HELO, f"{MAIL} {end}", RCPT]
    for n, end in enumerate(RCPT_ENDS):
        yield f"rcpt/{n:02}", [EHLO, MAIL, f"{RCPT} {end}", "DATA"]
    for n, path in enumerate(PATHS):
        yield f"path-to/{n:02}", [EHLO, MAIL, f"RCPT TO:{path}", "DATA"]
        yield f"path-from/{n:02}", [EHLO, f"MAIL FROM:{path}", RCPT, "RSET"]
        yield f"path-utf8/{n:02}", [EHLO, f"MAIL FROM:{path} SMTPUTF8",
                                    f"RCPT TO:{path}", "RSET"]
    for name, content in CONTENTS.items():
        for hello in HELO, EHLO:
            yield f"data/{hello[:4]} {name}", [
                hello, MAIL, RCPT, "DATA", (content, 1), MAIL]
    for name, steps in BDATS.items():
        yield f"bdat/{name}", [EHLO, MAIL, RCPT, *steps, "NOOP"]
        yield f"bdat-nobody/{name}", [EHLO, MAIL, *steps, "NOOP"]
    for name, step in AHEAD.items():
        yield f"ahead/{name}", [EHLO, step, (b".\r\n", 1), "NOOP"]
    yield "limits/errors", [EHLO] + ["X"] * 12
    yield "limits/chatter", [EHLO] + ["NOOP"] * 220
    yield "limits/recipients", [EHLO, MAIL] + [
        f"RCPT TO:<u{n}@example.com>" for n in range(1003)] + ["DATA"]
    yield "limits/domains", [EHLO, MAIL] + [
        f"RCPT TO:<u@d{n}.many.test>" for n in range(103)] + ["DATA"]
    yield "limits/transactions", [EHLO] + [
        MAIL, RCPT, "DATA", (BODY + b".\r\n", 1)] * 3 + ["QUIT"]


def converse(c, script, out):
    """Say the steps until the server hangs up."""
    for step in script:
        data, count = (step.encode() + b"\r\n", 1) if isinstance(step, str) \
            else step
        out.append("C: " + shown(data))
        try:
            c.send(data)
            for _ in range(count):
                reply = c.reply()
                out.extend("S: " + line for line in reply.split("\n"))
                if not reply:
                    return
        except OSError as error:
            out.append(f"S: ({type(error).__name__})")
            return


def record_intake(book, pki):
    cert = pki.cert("mx2.test")
    d = Mx20(domains="example.com recipients=* primary=[127.0.0.1]:1 "
                     "etrn=127.0.0.1\n"
                     "xn--bcher-kva.example recipients=* primary=[127.0.0.1]:1"
                     "\n*.many.test recipients=* primary=[127.0.0.1]:1\n"
                     "listed.test recipients=recipients/listed "
                     "primary=[127.0.0.1]:1\n",
             recipients={"listed": "known\n"},
             conf={"limits": {"connections_per_client": 5000},
                   "tls": {"certificate": str(cert.cert_path),
                           "key": str(cert.key_path)}})
    d.start()
    try:
        for name, script in intake_scripts():
            with Raw(d.address, timeout=10) as c:
                out = ["S: " + c.greeting]
                converse(c, script, out)
            book.write(f"intake/{name}", out)
        record_intake_tls(book, d)
        record_words(book, d)
    finally:
        d.close()


def record_intake_tls(book, d):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for n, line in enumerate(LINES + [f"{MAIL} {e}" for e in MAIL_ENDS]):
        with Raw(d.address) as c:
            out = []
            converse(c, [EHLO, "STARTTLS"], out)
            c.sock = context.wrap_socket(c.sock)
            converse(c, [line, EHLO, line, RCPT], out)
        book.write(f"intake/tls/{n:03}", out)


def in_order(lines):
    """Threads log, too: sorted, and each with how often it came."""
    counts = {}
    for line in map(normal, lines):
        counts[line] = counts.get(line, 0) + 1
    return [f"{n} {line}" for line, n in sorted(counts.items())]


PACED = ("probe ", "state ", "wake ")  # how often is a matter of time
CTL = [["status"], ["status", "--json"], ["queue"], ["queue", "--json"],
       ["queue", "example.com"], ["domains"], ["config"], ["help"],
       ["--help"], ["route", "example.com"],
       ["route", "example.com", "--json"],
       ["route", "other.test"], ["flush", "other.test"], ["hold", "nonsense"],
       ["show", "1000000000000"], ["remove"], ["nonsense"], [], ["check"],
       ["check", "u@example.com"], ["check", "unknown@listed.test"],
       ["hold", "--domain", "example.com", "--reason", "why"], ["status"],
       ["release", "--domain", "example.com"], ["reload"], ["version"]]


def record_words(book, d):
    """What mx20ctl and the log say about all that."""
    until(lambda: "probe " in d.text())
    for n, words in enumerate(CTL):
        done = d.ctl(*words, check=False)
        lines = done.stdout.splitlines()
        if "--json" in words or words[:1] == ["queue"]:
            lines = in_order(lines)
        book.write(f"ctl/{n:02} {' '.join(words) or 'none'}",
                   [f"exit {done.returncode}", *lines, "--",
                    *done.stderr.splitlines()])
    book.write("intake/log", in_order(
        line for line in d.log if not line.startswith(PACED)))


# ---- Delivery ----

ALL = ["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 100000000", "DSN",
       "CHUNKING", "ENHANCEDSTATUSCODES", "REQUIRETLS", "LIMITS RCPTMAX=2"]
OFFERS = {"nothing": [], "all": ALL, "pipelining": ["PIPELINING"],
          "chunking": ["PIPELINING", "CHUNKING"], "chunks only": ["CHUNKING"],
          **{f"no {w.split()[0]}": [x for x in ALL if x != w] for w in ALL}}
SENT = {
    "ordinary": (MAIL, [RCPT], BODY),
    "dots": (MAIL, [RCPT], b"Subject: x\r\n\r\n.\r\n..x\r\nend"),
    "8bit": (MAIL + " BODY=8BITMIME", [RCPT], b"Subject: x\r\n\r\n\xfc\r\n"),
    "utf8": ("MAIL FROM:<\u00fc@sender.test> SMTPUTF8",
             ["RCPT TO:<\u00e4@example.com>"], BODY),
    "dsn": (MAIL + " RET=HDRS ENVID=q+2B", [
        RCPT + " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y.test",
        "RCPT TO:<v@example.com> NOTIFY=NEVER"], BODY),
    "null sender": ("MAIL FROM:<>", [RCPT], BODY),
    "many": (MAIL, [f"RCPT TO:<u{n}@example.com>" for n in range(5)], BODY),
    "source route": ("MAIL FROM:<@r.test:a@sender.test>", [RCPT], BODY),
    "quoted": ('MAIL FROM:<"a b"@sender.test>',
               ['RCPT TO:<"x y"@example.com>'], BODY),
    "large": (MAIL + " SIZE=300000", [RCPT],
              b"Subject: x\r\n\r\nx" + (b"\r\n" + b"y" * 78) * 3800),
}
REPLIES = ["250 2.0.0 fine", "450 4.2.0 later", "452 4.5.3 too many",
           "500 what", "501 5.5.4 parameter", "503 5.5.1 sequence",
           "550 5.1.1 unknown", "552 5.3.4 too big", "554 5.7.1 no",
           "555 5.5.4 unknown parameter", "421 4.3.2 bye", "354 go", "999 odd"]
BREAKS = {"drop": Drop(), "odd": Bytes(b"250-x\r\n451 y\r\n"),
          "nonsense": Bytes(b"hello\r\n"), "two": Bytes(b"250 a\r\n250 b\r\n")}
UNCLEAR = {"354", "999", "421", *BREAKS}
STAGES = ["greeting", "ehlo", "mail", "rcpt", "data", "dot", "bdat", "rset"]


def delivery_scripts():
    """Name, offers, what the primary does, what is sent.  What is no reply at
    all is left out where commands run ahead: how much of them was read when
    the connection ends differs from run to run."""
    for offers in OFFERS:
        for sent in SENT:
            yield f"plain/{offers}/{sent}", OFFERS[offers], {}, [sent]
    for offers in ("nothing", "pipelining", "chunking"):
        for stage in STAGES:
            for reply in REPLIES:
                yield (f"once/{offers}/{stage} {reply[:3]}", OFFERS[offers],
                       {stage: [reply, Accept()]}, ["many"])
            for name, what in BREAKS.items():
                yield (f"once/{offers}/{stage} {name}", OFFERS[offers],
                       {stage: [what, Accept()]}, ["many"])
        for reply in REPLIES[1:-3]:
            yield (f"always/{offers}/{reply[:3]}", OFFERS[offers],
                   {"rcpt": reply}, ["many"])
    for stage in "mail", "rcpt", "bdat", "dot":
        for reply in REPLIES[3:5]:
            yield (f"fallback/{stage} {reply[:3]}", ALL,
                   {stage: [reply, Accept()]}, ["dsn", "8bit"])


def mail_in(d, sent):
    """The message as it is sent, by BDAT: nothing in it is changed."""
    mail, rcpts, content = SENT[sent]
    with Raw(d.address) as c:
        for line in [EHLO, mail, *rcpts]:
            reply = c.cmd(line)
            assert reply.startswith("250"), (line, reply)
        c.send(b"BDAT %d LAST\r\n" % len(content) + content)
        reply = c.reply()
        assert reply.startswith("250"), reply


def is_settled(d):
    """Delivered, or answered in a way that a retry of an hour is due."""
    rcpts = [r for m in d.queue("example.com") for r in m["recipients"]]
    return all(r["state"] in ("held", "deferred") for r in rcpts)


def dialogue(p):
    out = []
    for session in p.sessions:
        out.append("-- connection")
        out.extend("C: " + shown(line) for line in session.transcript)
    for m in p.messages:
        out.append(f"-- message from <{m.sender}> {m.params}")
        out.extend(f"to <{r}> {ps}" for r, ps in zip(m.rcpts, m.rcpt_params))
        out.extend(shown(line) for line in m.content.split(b"\r\n")[:60])
    return out


def reloaded(d):
    """Where in the log it says so."""
    mark = d.mark()
    assert d.reload().returncode == 0
    d.wait_log("^reload ", since=mark)
    return next(n for n in range(mark, d.mark())
                if d.log[n].startswith("reload "))


def record_delivery(book):
    """One daemon for all: each primary has a port, and so a line, of its
    own; what was learnt about one says nothing about another."""
    d = Mx20(domains="example.com recipients=* primary=[127.0.0.1]:1\n",
             conf={"bounce": {"mode": "hold"},
                   "drain": {"connections": 1, "retry": ["1h"],
                             "probe_busy": "1s", "reply_timeout": "2s"}})
    d.start()
    try:
        for name, offers, on, sent in delivery_scripts():
            if "PIPELINING" in offers and UNCLEAR & set(name.split(" ")[-1:]):
                continue
            p = Primary(offers=offers, on=on)
            for s in sent:
                mail_in(d, s)
            p.start()
            d.domains = f"example.com recipients=* primary={p.route}\n"
            mark = reloaded(d)
            until(lambda: is_settled(d))
            reloaded(d)  # the log is in order: all about it is there
            for domain in "example.com", "sender.test":
                d.ctl("remove", "--domain", domain, "--yes", check=False)
            p.stop()
            book.write(f"delivery/{name}", dialogue(p) + ["-- log"] + in_order(
                line for line in d.log[mark:] if line.startswith((
                    "delivered ", "held ", "deferred ", "fallback "))))
    finally:
        d.close()


# ---- Reports ----

def record_reports(book):
    for name, on, sent in [
            ("refused", {"rcpt": "550 5.1.1 unknown"}, "ordinary"),
            ("no code", {"rcpt": "550 unknown"}, "many"),
            ("content", {"dot": "554 5.6.0 spam"}, "dsn"),
            ("utf8", {"rcpt": "550 5.1.1 unknown"}, "utf8"),
            ("null", {"rcpt": "550 5.1.1 unknown"}, "null sender"),
            ("relayed", {}, "dsn"), ("8bit", {"dot": "550 no"}, "8bit")]:
        home = Primary(name="home.test", on={}).start()
        p = Primary(on=on, offers=["8BITMIME", "SMTPUTF8"]).start()
        d = Mx20(domains=f"example.com recipients=* primary={p.route}\n",
                 conf={"bounce": {"relay": f"127.0.0.1:{home.port}"}})
        d.start()
        mail_in(d, sent)
        d.wait_empty()
        book.write(f"report/{name}", dialogue(p) + dialogue(home) +
                   ["-- log"] + in_order(line for line in d.log
                            if not line.startswith(PACED)))
        d.close()
        p.stop()
        home.stop()


def main():
    book, pki = Book(sys.argv[1]), Pki()
    try:
        record_intake(book, pki)
        record_delivery(book)
        record_reports(book)
    finally:
        pki.close()
    print(f"{book.count} transcripts in {book.folder}")


if __name__ == "__main__":
    main()
