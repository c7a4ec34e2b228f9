"""SMTP clients: a raw one that sends what it is told, and a polite one."""

import smtplib
import socket

from net import PATIENCE


class Raw:
    """A connection that sends bytes as they are and reads whole replies."""

    def __init__(self, address, greet=True, timeout=PATIENCE, sock=None):
        self.sock = sock or socket.create_connection(address, timeout)
        self.sock.settimeout(timeout)
        self.pending = b""
        self.greeting = self.reply() if greet else None

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        self.sock.sendall(data)

    def line(self):
        """One line without its CRLF; "" at the end of the connection."""
        while b"\r\n" not in self.pending:
            try:
                got = self.sock.recv(65536)
            except ConnectionResetError:
                got = b""
            if not got:
                rest, self.pending = self.pending, b""
                return rest.decode("utf-8", "replace")
            self.pending += got
        raw, self.pending = self.pending.split(b"\r\n", 1)
        return raw.decode("utf-8", "replace")

    def reply(self):
        """A whole reply, lines joined by newline; "" when closed."""
        lines = []
        while True:
            lines.append(self.line())
            if len(lines[-1]) < 4 or lines[-1][3] != "-":
                return "\n".join(lines)

    def cmd(self, line):
        """Send a line, return the reply."""
        self.send(line + "\r\n")
        return self.reply()

    def closed(self):
        """Has the server closed?  Waits for it."""
        return self.line() == ""

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def envelope(self, sender="a@sender.test", rcpts=("u@example.com",)):
        assert self.cmd("EHLO client.test").startswith("250")
        assert self.cmd(f"MAIL FROM:<{sender}>").startswith("250")
        for rcpt in rcpts:
            reply = self.cmd(f"RCPT TO:<{rcpt}>")
            assert reply.startswith("250"), reply

    def data(self, content):
        """DATA with content as it goes over the wire, dot included."""
        assert self.cmd("DATA").startswith("354")
        self.send(content)
        return self.reply()


def message(subject="test", body="hello\r\n", headers=""):
    return (f"From: a@sender.test\r\nTo: u@example.com\r\n"
            f"Subject: {subject}\r\n{headers}\r\n{body}")


def send(address, rcpts=("u@example.com",), content=None,
         sender="a@sender.test", mail_options=(), rcpt_options=()):
    """Send one message with smtplib; returns the queue id from the reply."""
    if isinstance(rcpts, str):
        rcpts = (rcpts,)
    with smtplib.SMTP(*address, local_hostname="client.test",
                      timeout=PATIENCE) as smtp:
        smtp.ehlo()
        code, text = smtp.mail(sender, mail_options)
        assert code == 250, (code, text)
        for rcpt in rcpts:
            code, text = smtp.rcpt(rcpt, rcpt_options)
            assert code == 250, (code, text)
        code, text = smtp.data(content or message())
        assert code == 250, (code, text)
        return text.decode().split()[-1]
