"""The grammar of commands, clause by clause: what is legal and odd is taken,
what is wrong gets the code that RFC 5321 and the extensions name, and the
session goes on as before."""

import pytest

from client import Raw
from daemon import Mx20

DOMAINS = """example.com recipients=recipients/example.com delimiter=+
any.example recipients=*
xn--bcher-kva.example recipients=*
"""
USERS = {"example.com": 'user\n"quoted user"\njos\u00e9\n'}
LIMIT = 1 << 20


@pytest.fixture(scope="module")
def server():
    daemon = Mx20(domains=DOMAINS, recipients=USERS, conf={
        "limits": {"message_size": "1M", "errors": 1000}}).start()
    yield daemon
    daemon.close()


@pytest.fixture
def client(server):
    with Raw(server.address) as raw:
        assert raw.cmd("EHLO client.test").startswith("250-mx2.test")
        yield raw


def wrong(cases, ask):
    """The cases that were answered otherwise than expected."""
    replies = [(line, want, ask(line)) for line, want in cases]
    return [case for case in replies if not case[2].startswith(case[1])]


# -- before EHLO: RFC 5321 section 4.1.4 --------------------------------------

BEFORE_EHLO = [
    ("NOOP", "250 2"), ("NOOP with words", "250 2"), ("noop  ", "250 2"),
    ("NOOP\t", "250 2"), ("RSET \t ", "250 2"), ("RSET\t", "250 2"),
    ("\t", "500 5.5.2"), ("\tNOOP", "500 5.5.2"),
    ("RSET", "250 2"), ("RSET now", "501 5.5.4"),
    ("VRFY user", "252 2"), ("VRFY", "501 5.5.4"),
    ("HELP", "214 2"), ("HELP MAIL", "214 2"),
    ("EXPN list", "502 5.5.1"), ("AUTH PLAIN", "502 5.5.1"),
    ("MAIL FROM:<a@b.test>", "503 5.5.1"),
    ("RCPT TO:<user@example.com>", "503 5.5.1"),
    ("DATA", "503 5.5.1"), ("BDAT 0 LAST", "503 5.5.1"),
    ("STARTTLS", "503 5.5.1"), ("ETRN example.com", "503 5.5.1"),
    ("EHLO", "501 5.5.4"), ("HELO  ", "501 5.5.4"), ("EHLO a b", "501 5.5.4"),
    ("EHLO " + "x" * 256, "501 5.5.4"), ("QUIT now", "501 5.5.4"),
    ("", "500 5.5.2"), (" NOOP", "500 5.5.2"), ("FOO", "500 5.5.2"),
    ("NOOP\0", "500 5.5.2"), ("NO\rOP", "500 5.5.2"),
    ("NOOP \x01", "500 5.5.2"), ("\u00e9\u00e9", "500 5.5.2"),
]


def test_before_ehlo(server):
    with Raw(server.address) as c:
        assert wrong(BEFORE_EHLO, c.cmd) == []
        c.send(b"NOOP\n")  # section 2.3.8: no bare LF
        assert c.reply().startswith("500 5.5.2")
        assert c.cmd("NOOP").startswith("250")


@pytest.mark.parametrize("name", [
    "client.test", "[127.0.0.1]", "[IPv6:::1]", "localhost", "a_b.test",
    "  client.test  ", "x" * 255, "caf\u00e9.test", "-bad-", "dot.test.",
])
@pytest.mark.parametrize("verb", ["EHLO", "HELO", "eHlO"])
def test_names_in_hello_are_no_reason_to_refuse(server, verb, name):
    with Raw(server.address) as c:
        assert c.cmd(f"{verb} {name}").startswith(("250 mx2", "250-mx2"))


def test_helo_brings_no_extensions(server):
    with Raw(server.address) as c:
        assert c.cmd("HELO client.test") == "250 mx2.test"
        assert c.cmd("MAIL FROM:<a@b.test> SIZE=1").startswith("555 5.5.4")
        assert c.cmd("MAIL FROM:<a@b.test>").startswith("250")
        reply = c.cmd("RCPT TO:<user@example.com> NOTIFY=NEVER")
        assert reply.startswith("555 5.5.4")
        assert c.cmd("RCPT TO:<user@example.com>").startswith("250")


# -- MAIL ---------------------------------------------------------------------

OK, PATH, BAD, UNKNOWN = "250 2.1.0", "501 5.1.7", "501 5.5.4", "555 5.5.4"
LONG = ".".join(["x" * 63] * 3)
SENDERS = [
    ("FROM:<>", OK), ("FROM: <>", OK), ("from:<a@b.test>", OK),
    ("FROM:<a@b.test>  ", OK), ("FROM:<a@b>", OK),
    ("FROM:<a@[192.0.2.1]>", OK), ("FROM:<a@[IPv6:2001:db8::1]>", OK),
    ("FROM:<@x.test,@y.test:a@b.test>", OK), ('FROM:<"a b"@c.test>', OK),
    ('FROM:<"a\\"@b"@c.test>', OK), ('FROM:<""@c.test>', OK),
    ("FROM:<" + "a" * 64 + "@b.test>", OK), (f"FROM:<a@{LONG}.test>", OK),
    ("", BAD), ("FROM", BAD), ("TO:<a@b.test>", BAD), ("FROM <a@b>", BAD),
    ("FROM :<a@b.test>", BAD),
    ("FROM:", PATH), ("FROM:a@b.test>", PATH), ("FROM:<a@b.test", PATH),
    ("FROM:A B <a@b.test>", PATH), ("FROM:postmaster", PATH),
    ("FROM:<a>", PATH), ("FROM:<postmaster>", PATH), ("FROM:<@b.test>", PATH),
    ("FROM:<.@c.test>", PATH), ("FROM:<a@b.test..>", PATH),
    ("FROM:<a@b..test>", PATH), ("FROM:<a@b-.test>", PATH),
    ("FROM:<a b@c.test>", PATH), ("FROM:<a @b.test>", PATH),
    ("FROM:<<a@b.test>>", PATH), ("FROM:<a@[1.2.3.256]>", PATH),
    ("FROM:<a@[IPv6:1.2.3.4]>", PATH), ("FROM:<a@[x]>", PATH),
    (f"FROM:<a@{LONG}.{'x' * 64}>", PATH), ("FROM:<a@b.test>x", BAD),
]
PARAMETERS = [  # behind MAIL FROM:<a@b.test>
    ("body=8bitmime", OK), ("BODY=7BIT", OK), ("BODY", BAD), ("BODY=", BAD),
    ("BODY=9BIT", BAD), ("BODY=BINARYMIME", UNKNOWN),
    ("SIZE=0", OK), (f"SIZE={LIMIT}", OK), (f"SIZE={LIMIT + 1}", "552 5.3.4"),
    ("SIZE=" + "9" * 20, "552 5.3.4"), ("SIZE=" + "9" * 21, BAD),
    ("SIZE=-1", BAD), ("SIZE=1k", BAD), ("SIZE=1 SIZE=1", BAD),
    ("RET=full ENVID=a+2Bb", OK), ("RET=HDRS", OK), ("RET=ALL", BAD),
    ("RET=FULL RET=HDRS", BAD), ("ENVID=" + "x" * 100, OK),
    ("ENVID=" + "x" * 101, OK), ("ENVID=a+zz", OK), ("ENVID=a+0Ab", OK),
    ("ENVID=a=b ENVID=c", BAD), ("ENVID=a b", UNKNOWN),
    ("SMTPUTF8", OK), ("SMTPUTF8=1", BAD), ("REQUIRETLS", UNKNOWN),
    ("AUTH=<>", UNKNOWN), ("HOLDFOR=1", UNKNOWN), ("NOTIFY=NEVER", UNKNOWN),
    ("FOO=", BAD), ("=x", BAD),
]


def test_senders(client):
    def ask(rest):
        assert client.cmd("RSET").startswith("250")
        return client.cmd(f"MAIL {rest}")

    assert wrong(SENDERS, ask) == []


def test_parameters_of_mail(client):
    def ask(rest):
        assert client.cmd("RSET").startswith("250")
        return client.cmd(f"MAIL FROM:<a@b.test> {rest}")

    assert wrong(PARAMETERS, ask) == []


# -- RCPT ---------------------------------------------------------------------

RCPT, NOBODY = "250 2.1.5", "550 5.1.1"
RECIPIENTS = [  # behind RCPT TO:
    ("<user+tag@example.com>", RCPT), ('<"\\user"@example.com>', RCPT),
    ('<"Quoted\\ User"@example.com>', RCPT), ("<USER@EXAMPLE.com>", RCPT),
    ('<"postmaster"@example.com>', RCPT), ("<PostMaster>", RCPT),
    ("<user@xn--bcher-kva.example>", RCPT), ("<+tag@example.com>", NOBODY),
    ('<"a..b"@any.example>', RCPT), ("<.@any.example>", "501 5.1.3"),
    ("<@example.com:user@other.example>", "550 5.7.1"),
    ("<user@b\u00fccher.example>", "553 5.6.7"),
    ("<user@example.com>x", BAD), ("<user@example.com> SIZE=1", UNKNOWN),
    ("<user@example.com> NOTIFY=success,FAILURE,DELAY", RCPT),
    ("<user@example.com> NOTIFY=SUCCESS,", BAD),
    ("<user@example.com> NOTIFY=", BAD), ("<user@example.com> NOTIFY", BAD),
    ("<user@example.com> NOTIFY=DELAY NOTIFY=DELAY", BAD),
    ("<user@example.com> ORCPT=rfc822;u+2Bx@example.com", RCPT),
    ("<user@example.com> ORCPT=rfc822", RCPT),
    ("<user@example.com> ORCPT=;x", RCPT),
    ("<user@example.com> ORCPT=rfc822;a+zz", RCPT),
    ("<user@example.com> ORCPT=rfc822;" + "x" * 493, RCPT),
    ("<user@example.com> ORCPT=rfc822;" + "x" * 494, RCPT),
]


def test_recipients_and_their_parameters(client):
    assert client.cmd("MAIL FROM:<a@b.test>").startswith("250")
    assert wrong(RECIPIENTS, lambda rest: client.cmd(f"RCPT TO:{rest}")) == []


# -- odd, and clear -----------------------------------------------------------

ODD = [  # sender, recipient; as the primary is to get them
    ("<a..b@c.test>", "<x..y@any.example>", "a..b@c.test", "x..y@any.example"),
    ("<.a@c.test>", "<.x@any.example>", ".a@c.test", ".x@any.example"),
    ("<a.@c.test>", "<x.@any.example>", "a.@c.test", "x.@any.example"),
    ("<a@c.test.>", "<x@any.example.>", "a@c.test", "x@any.example"),
    (" < a@c.test >", " < x@any.example >", "a@c.test", "x@any.example"),
    ("a@c.test", "x@any.example", "a@c.test", "x@any.example"),
    ("\ta@c.test.  ENVID=+ RET=HDRS", "x@any.example ORCPT=?=? NOTIFY=NEVER",
     "a@c.test", "x@any.example"),
    ("<a@c.test>", "<do..t.@example.com>", "a@c.test", "do..t.@example.com"),
    ("<a@c.test>", "postmaster@example.com.", "a@c.test",
     "postmaster@example.com"),
]


def test_what_is_odd_and_clear_goes_on(mx20, primary):
    """Verbatim where the primary may care, regular where it must not."""
    p = primary().start()
    d = mx20(domains=DOMAINS.replace("=*", f"=* primary={p.route}").replace(
        "delimiter=+", f"primary={p.route}"),
        recipients={"example.com": "do..t.\n"})
    with Raw(d.address) as c:
        assert c.cmd("EHLO client.test").startswith("250")
        for sender, rcpt, _, _ in ODD:
            assert c.cmd(f"MAIL FROM:{sender}").startswith("250"), sender
            assert c.cmd(f"RCPT TO:{rcpt}").startswith("250"), rcpt
            assert c.data("Subject: x\r\n\r\n.\r\n").startswith("250")
    got = p.wait_messages(len(ODD))
    assert sorted((m.sender, *m.rcpts) for m in got) == sorted(
        (sender, rcpt) for _, _, sender, rcpt in ODD)
    assert not [m for m in got if {"ENVID", "ORCPT"} & {
        w.split("=")[0] for w in m.params + m.rcpt_params[0]}]


def test_an_odd_sender_gets_its_report(mx20, primary):
    home = primary().start()
    p = primary(on={"rcpt": "550 5.1.1 no"}).start()
    d = mx20(domains=f"example.com recipients=* primary={p.route}\n",
             conf={"bounce": {"relay": home.route}})
    with Raw(d.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("MAIL FROM:a..b.@c.test.").startswith("250")
        assert c.cmd("RCPT TO:.x.@example.com").startswith("250")
        assert c.data("Subject: x\r\n\r\n.\r\n").startswith("250")
    [got] = home.wait_messages(1)
    assert got.rcpts == ["a..b.@c.test"]
    assert "\r\nTo: <a..b.@c.test>\r\n" in got.text
    assert "\r\nFinal-Recipient: rfc822; .x.@example.com\r\n" in got.text


def test_internationalised_addresses(client):
    line = "MAIL FROM:<\u00e9@b\u00fccher.example>"
    assert client.cmd(line).startswith("553 5.6.7")
    assert client.cmd(line + " SMTPUTF8").startswith("250")
    for rcpt, want in (("<u@b\u00fccher.example>", RCPT),
                       ("<jos\u00e9@example.com>", RCPT),
                       ("<u@\udce9x.example>", "501 5.1.3"),
                       ("<user@example.com> ORCPT=utf-8;jos\u00e9@x.test",
                        RCPT)):
        assert client.cmd(f"RCPT TO:{rcpt}").startswith(want), rcpt


# -- order --------------------------------------------------------------------

def test_order_within_a_transaction(client):
    say = client.cmd
    story = [
        ("RCPT TO:<user@example.com>", "503 5.5.1"), ("DATA", "503 5.5.1"),
        ("MAIL FROM:<a@b.test>", "250"), ("MAIL FROM:<c@d.test>", "503 5.5.1"),
        ("DATA", "554 5.5.1"), ("RCPT TO:<x@y.test>", "550"),
        ("DATA", "554 5.5.1"), ("RCPT TO:<user@example.com>", "250"),
        ("NOOP", "250"), ("VRFY user", "252"), ("EHLO", "501"),
        ("ETRN example.com", "503 5.5.1"), ("DATA now", "501"),
        ("RSET", "250"), ("RCPT TO:<user@example.com>", "503 5.5.1"),
        ("MAIL FROM:<a@b.test>", "250"), ("EHLO again.test", "250-"),
        ("RCPT TO:<user@example.com>", "503 5.5.1"),
    ]
    assert wrong(story, say) == []


def test_order_of_chunks(client):
    """RFC 3030 section 2: after the first BDAT only BDAT and RSET."""
    client.cmd("MAIL FROM:<a@b.test>")
    client.cmd("RCPT TO:<user@example.com>")
    client.send(b"BDAT 5\r\nhello")
    assert client.reply().startswith("250")
    assert wrong([("DATA", "503"), ("MAIL FROM:<a@b.test>", "503"),
                  ("RCPT TO:<user@example.com>", "503"), ("NOOP", "250"),
                  ("BDAT", "501"), ("BDAT 1 FIRST", "501"),
                  ("BDAT 0", "250"), ("bdat 0 last", "250 2.6.0"),
                  ("BDAT 0 LAST", "503")], client.cmd) == []


@pytest.mark.parametrize("size, want", [(2048, "250"), (2049, "500 5.5.2"),
                                        (100_000, "500 5.5.2")])
def test_length_of_a_line(client, size, want):
    client.send("NOOP " + "x" * (size - 7) + "\r\n")
    assert client.reply().startswith(want)
    assert client.cmd("NOOP").startswith("250")


@pytest.mark.parametrize("size, want", [(LIMIT, "250 2.6.0"),
                                        (LIMIT + 1, "552 5.3.4")])
@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
def test_exact_size(client, verb, size, want):
    content = b"x" * (size - 2) + b"\r\n"
    client.cmd("MAIL FROM:<a@b.test>")
    client.cmd("RCPT TO:<user@example.com>")
    if verb == "DATA":
        assert client.cmd("DATA").startswith("354")
        client.send(content + b".\r\n")
    else:
        client.send(f"BDAT {size} LAST\r\n".encode() + content)
    assert client.reply().startswith(want)
    assert client.cmd("NOOP").startswith("250")
