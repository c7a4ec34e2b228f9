"""TLS in: STARTTLS, TLS from the first byte, behind a proxy."""

import concurrent.futures
import datetime
import smtplib
import socket
import ssl

import pytest

from client import PATIENCE, Raw, message
from daemon import BUILD
from net import free_port

# A sanitizer's memory says nothing about ours.
PLAIN = not any(word in str(BUILD) for word in ("address", "thread"))


def make_certificate(folder, name="mx2.test"):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]),
                       False).sign(key, hashes.SHA256()))
    (folder / "cert.pem").write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    return {"certificate": str(folder / "cert.pem"),
            "key": str(folder / "key.pem")}


@pytest.fixture(autouse=True, params=["1", "8"], ids=["loop", "threads"])
def processors(request, monkeypatch):
    """All of it where the loop has the sockets and where threads have them."""
    monkeypatch.setenv("MX20_PROCESSORS", request.param)


@pytest.fixture
def tls(tmp_path):
    return make_certificate(tmp_path)


@pytest.fixture
def context(tls):
    made = ssl.create_default_context(cafile=tls["certificate"])
    made.check_hostname = False
    return made


def test_starttls(mx20, tls, context):
    daemon = mx20(conf={"tls": tls})
    with smtplib.SMTP(*daemon.address, timeout=PATIENCE) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("starttls")
        smtp.starttls(context=context)
        smtp.ehlo()
        assert not smtp.has_extn("starttls")
        assert smtp.has_extn("requiretls")
        assert smtp.docmd("STARTTLS")[0] == 503
        smtp.sendmail("a@sender.test", ["u@example.com"], message())
    daemon.wait_log(r"^accepted .* tls=\"?TLSv1\.3")


def test_everything_is_forgotten(mx20, tls, context):
    daemon = mx20(conf={"tls": tls})
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        assert c.cmd("STARTTLS").startswith("220")
        c.sock = context.wrap_socket(c.sock)
        assert c.cmd("MAIL FROM:<a@sender.test>").startswith("503 5.5.1")
        assert c.cmd("EHLO client.test").startswith("250")
        assert c.cmd("MAIL FROM:<a@sender.test>").startswith("250")


def test_commands_behind_starttls_are_thrown_away(mx20, tls):
    daemon = mx20(conf={"tls": tls})
    with Raw(daemon.address) as c:
        c.cmd("EHLO client.test")
        c.send("STARTTLS\r\nEHLO x\r\nMAIL FROM:<a@sender.test>\r\n")
        reply = c.reply()
        assert reply.startswith("503") or reply == ""
        assert c.closed()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_versions(mx20, tls, context, version):
    daemon = mx20(conf={"tls": tls})
    context.minimum_version = context.maximum_version = getattr(
        ssl.TLSVersion, version)
    with smtplib.SMTP(*daemon.address, timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        assert smtp.sock.version() == version.replace("_", ".")
        smtp.sendmail("a@sender.test", ["u@example.com"], message())


def test_broken_handshakes_harm_nobody(mx20, tls, context):
    daemon = mx20(conf={"tls": tls})
    for junk in (b"EHLO x\r\n", b"\x16\x03\x01\xff\xff", b""):
        c = Raw(daemon.address)
        c.cmd("EHLO client.test")
        assert c.cmd("STARTTLS").startswith("220")
        c.send(junk)
        c.close()
    send_by_tls(daemon, context)


def half_open(daemon, context, behind):
    """A client that says no more once it has our ServerHello."""
    c = Raw(daemon.address)
    c.cmd("EHLO client.test")
    assert c.cmd("STARTTLS").startswith("220")
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(to_client, to_server)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            c.sock.sendall(to_server.read())
            to_client.write(c.sock.recv(16384))
    c.sock.sendall(to_server.read()[:behind])
    return c


def test_many_half_open_handshakes(mx20, tls, context):
    """They say nothing more, or too little of it."""
    count = 400
    daemon = mx20(conf={"tls": tls,
                        "limits": {"connections_per_client": 1000}})
    send_by_tls(daemon, context)
    before = daemon.rss_kib()
    held = [half_open(daemon, context, (0, 3, 6, 30)[n % 4])
            for n in range(count)]
    send_by_tls(daemon, context)
    each = (daemon.rss_kib() - before) / count
    assert each < 25 or not PLAIN, each
    for c in held:
        c.close()


def send_by_tls(daemon, context):
    with smtplib.SMTP(*daemon.address, timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        smtp.sendmail("a@sender.test", ["u@example.com"], message())


def test_implicit_tls(mx20, tls, context):
    port = free_port()
    daemon = mx20(start=False, conf={"tls": tls})
    daemon.conf["listen"].append({"address": "127.0.0.1", "port": port,
                                  "implicit_tls": True})
    daemon.write_files()
    daemon.start()
    sock = context.wrap_socket(socket.create_connection(
        ("127.0.0.1", port), PATIENCE))
    with Raw(None, sock=sock) as c:
        assert c.greeting.startswith("220 mx2.test")
        assert "STARTTLS" not in c.cmd("EHLO client.test")
        c.envelope()
        assert c.data(message() + ".\r\n").startswith("250")


def test_implicit_tls_behind_a_proxy(mx20, tls, context):
    port = free_port()
    daemon = mx20(start=False, conf={"tls": tls})
    daemon.conf["listen"].append({"address": "127.0.0.1", "port": port,
                                  "implicit_tls": True, "proxy": True})
    daemon.write_files()
    daemon.start()
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.sendall(b"PROXY TCP4 192.0.2.9 192.0.2.1 1234 25\r\n")
    with Raw(None, sock=context.wrap_socket(sock)) as c:
        assert c.greeting.startswith("220 mx2.test")
        c.envelope()
        assert c.data(message() + ".\r\n").startswith("250")
    daemon.wait_log(r"^accepted .* client=192\.0\.2\.9 .*tls=")


def test_content_larger_than_any_window(mx20, tls, context):
    daemon = mx20(conf={"tls": tls})
    body = "".join(f"{n:07d} {'x' * 60}\r\n" for n in range(40000))
    with smtplib.SMTP(*daemon.address, timeout=PATIENCE) as smtp:
        smtp.starttls(context=context)
        for _ in range(3):
            smtp.sendmail("a@sender.test", ["u@example.com"],
                          "Subject: large\r\n\r\n" + body)
    daemon.wait_log(r"^accepted .* size=2[78]\d{5}", count=3)


def test_many_at_once(mx20, tls, context):
    daemon = mx20(conf={"tls": tls})
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        for sent in [pool.submit(send_by_tls, daemon, context)
                     for _ in range(60)]:
            sent.result()
    daemon.wait_log("^accepted ", count=60)


def proxy_v2(source, command=1):
    address = (socket.inet_aton(source) + socket.inet_aton("192.0.2.1") +
               (1234).to_bytes(2, "big") + (25).to_bytes(2, "big"))
    return (b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, 0x11]) +
            len(address).to_bytes(2, "big") + address)


@pytest.fixture
def proxied(mx20):
    """A daemon and the address of its listener for proxies."""
    port = free_port()
    daemon = mx20(start=False, conf={"limits": {"connections_per_client": 1}})
    daemon.conf["listen"].append({"address": "127.0.0.1", "port": port,
                                  "proxy": True})
    daemon.write_files()
    daemon.start()
    return daemon, ("127.0.0.1", port)


@pytest.mark.parametrize("header, client", [
    (b"PROXY TCP4 192.0.2.9 192.0.2.1 1234 25\r\n", r"192\.0\.2\.9"),
    (b"PROXY TCP6 2001:db8::9 2001:db8::1 1234 25\r\n", "2001:db8::9"),
    (b"PROXY UNKNOWN\r\n", r"127\.0\.0\.1"),
    (proxy_v2("192.0.2.9"), r"192\.0\.2\.9"),
    (proxy_v2("192.0.2.9", command=0), r"127\.0\.0\.1"),
])
def test_proxy_header(proxied, header, client):
    daemon, address = proxied
    with Raw(address, greet=False) as c:
        c.send(header)
        assert c.reply().startswith("220")
        c.envelope()
        assert c.data(message() + ".\r\n").startswith("250")
    daemon.wait_log(rf"^accepted .* client={client} ")


def test_proxied_clients_are_counted_for_themselves(proxied):
    _, address = proxied
    held = []
    for n in range(3):
        c = Raw(address, greet=False)
        c.send(f"PROXY TCP4 192.0.2.{n} 192.0.2.1 1 25\r\n")
        assert c.reply().startswith("220")
        held.append(c)
    with Raw(address, greet=False) as c:
        c.send("PROXY TCP4 192.0.2.1 192.0.2.1 1 25\r\n")
        assert c.reply().startswith("421 4.7.0")
        assert c.closed()
    for c in held:
        c.close()


@pytest.mark.parametrize("header", [
    b"EHLO client.test\r\n", b"PROXY TCP4 nonsense\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0", b"PROXY " + b"x" * 200,
])
def test_without_a_header_no_service(proxied, header):
    daemon, address = proxied
    since = daemon.mark()
    with Raw(address, greet=False) as c:
        c.send(header)
        assert c.closed()
    daemon.wait_log(r'^connect .* client=127\.0\.0\.1 '
                    r'error="no valid PROXY header"', since=since)


def test_only_proxies_may_say_who_the_client_is(mx20):
    port = free_port()
    daemon = mx20(start=False)
    daemon.conf["listen"].append({"address": "127.0.0.1", "port": port,
                                  "proxy": True,
                                  "networks": ["192.0.2.0/24"]})
    daemon.write_files()
    daemon.start()
    with Raw(("127.0.0.1", port), greet=False) as c:
        assert c.closed()
    daemon.wait_log(r"^rejected stage=connect client=127\.0\.0\.1 .*"
                    r"reason=not_a_proxy")
