"""ETRN (RFC 1985): who may ask, and the truth in the answer."""

import socket
import ssl

import pytest

from client import PATIENCE, Raw, send
from pki import Pki
from primary import Accept

STRANGER, FRIEND = "127.0.0.9", "127.0.0.8"


def client(d, source):
    """A session that comes from this address, EHLO said."""
    sock = socket.create_connection(d.address, PATIENCE, (source, 0))
    raw = Raw(None, sock=sock)
    assert "ETRN" in raw.cmd("EHLO node.test").replace("-", " ").split()
    return raw


def etrn(d, node, source=FRIEND):
    with client(d, source) as raw:
        return raw.cmd("ETRN " + node)


def busy(primary, **options):
    """A primary that wants to be left alone for 30 s, and then does not."""
    return primary(on={"greeting": ["421 4.3.2 later", Accept()]},
                   **options).start()


def waits(d, text="^state .*to=down"):
    d.wait_log(text)


def domain_line(p, name="example.com", options=""):
    return f"{name} recipients=* primary={p.route} {options}\n"


def test_mail_goes_at_once_and_is_counted(mx20, primary):
    p = busy(primary)
    d = mx20(domains=domain_line(p, options=f"etrn={FRIEND}"),
             conf={"drain": {"probe_busy": "1h"}})
    for _ in range(3):
        send(d.address)
    waits(d)
    reply = etrn(d, "example.com")
    assert reply.startswith("253 "), reply
    assert " 3 " in reply
    p.wait_messages(3)
    d.wait_empty()
    assert etrn(d, "example.com").startswith("251 ")


def test_strangers_may_not_ask(mx20, primary):
    p = busy(primary)
    d = mx20(domains=domain_line(p, options=f"etrn={FRIEND}"))
    send(d.address)
    waits(d)
    assert etrn(d, "example.com", STRANGER).startswith("459 ")
    # what is not ours is nobody's
    assert etrn(d, "example.org", FRIEND).startswith("459 ")
    assert d.status()["spool"]["messages"] == 1


def test_the_primary_itself_may_ask(mx20, primary):
    p = busy(primary)
    d = mx20(domains=domain_line(p))
    send(d.address)
    waits(d)
    reply = etrn(d, "EXAMPLE.com", "127.0.0.1")
    assert reply.startswith(("253 ", "251 ")), reply  # its call woke us, too
    p.wait_messages(1)


def test_held_mail_is_not_promised(mx20, primary):
    p = busy(primary)
    d = mx20(domains=domain_line(p, options=f"etrn={FRIEND}"))
    send(d.address)
    waits(d)
    d.ctl("hold", "--domain", "example.com", "--yes")
    assert etrn(d, "example.com").startswith("458 ")


def test_at_sign_means_subdomains_too(mx20, primary):
    p = busy(primary)
    d = mx20(domains=domain_line(p, options=f"etrn={FRIEND}")
             + domain_line(p, "*.example.com", f"etrn={FRIEND}")
             + domain_line(p, "a.notexample.com", f"etrn={FRIEND}"))
    for rcpt in ("u@example.com", "u@a.example.com", "u@b.a.example.com",
                 "u@a.notexample.com"):
        send(d.address, rcpt)
    waits(d)
    reply = etrn(d, "@example.com")
    assert reply.startswith("253 "), reply
    assert " 3 " in reply


@pytest.mark.parametrize("line, code", [
    ("ETRN", "501 "), ("ETRN a b", "501 "), ("ETRN bad..name", "501 "),
    ("ETRN #queue", "458 ")])
def test_grammar(mx20, line, code):
    with client(mx20(), FRIEND) as raw:
        assert raw.cmd(line).startswith(code)
        assert raw.cmd("NOOP").startswith("250 ")


def test_not_within_a_transaction(mx20, primary):
    """Section 4: after EHLO, before MAIL."""
    d = mx20(domains=f"example.com recipients=* etrn={FRIEND}\n")
    with client(d, FRIEND) as raw:
        raw.cmd("MAIL FROM:<a@sender.test>")
        assert raw.cmd("ETRN example.com").startswith("503 ")


@pytest.fixture
def pki():
    made = Pki()
    yield made
    made.close()


@pytest.mark.parametrize("names, signed, code", [
    (("mx10.example.com",), True, "253 "),
    (("www.example.com", "MX10.example.com"), True, "253 "),
    (("mx11.example.com",), True, "459 "),
    (("mx10.example.com",), False, "459 "),
])
def test_client_certificate_of_the_primary(mx20, primary, pki, names, signed,
                                           code):
    own = pki.cert("mx2.test")
    theirs = pki.cert(*names, self_signed=not signed)
    p = busy(primary)
    d = mx20(domains="example.com recipients=* "
             f"primary=mx10.example.com:1,{p.route}\n",
             conf={"tls": {"certificate": str(own.cert_path),
                           "key": str(own.key_path),
                           "ca_file": pki.ca_file}})
    send(d.address)
    context = ssl.create_default_context(cafile=pki.ca_file)
    context.load_cert_chain(str(theirs.cert_path), str(theirs.key_path))
    with client(d, STRANGER) as raw:
        assert raw.cmd("STARTTLS").startswith("220")
        raw.sock = context.wrap_socket(raw.sock, server_hostname="mx2.test")
        raw.cmd("EHLO node.test")
        reply = raw.cmd("ETRN example.com")
        assert reply.startswith(code), reply
