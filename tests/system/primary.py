"""A scripted primary: an SMTP server that behaves or misbehaves on purpose.

    p = primary(port=..., on={"greeting": "421 4.3.2 busy"})
    p.start()

`on` maps a stage (greeting ehlo helo starttls mail rcpt data content dot bdat
rset quit) to what happens there: a reply, one of the actions below, a list of
these (one per occurrence over the life of the server, the last one stays), or
a function of (session, argument) that returns one of these.
"""

import re
import socket
import threading
import time

from net import PATIENCE, free_port


class Drop:
    """Close the connection; with reset, by RST."""

    def __init__(self, reset=False):
        self.reset = reset


class Hang:
    """Say nothing more, keep the connection open."""


class Delay:
    """Wait, then do the action (None: the ordinary one)."""

    def __init__(self, seconds, action=None):
        self.seconds, self.action = seconds, action


class Bytes:
    """Send these bytes as they are; then go on, or drop."""

    def __init__(self, data, drop=False):
        self.data, self.drop = data, drop


class Accept:
    """The ordinary behaviour (for lists and functions)."""


class Message:
    def __init__(self, session, sender, params):
        self.session = session
        self.sender, self.params = sender, params
        self.rcpts, self.rcpt_params = [], []
        self.content = b""
        self.at = None  # monotonic, when accepted

    @property
    def text(self):
        return self.content.decode("utf-8", "replace")

    @property
    def body(self):
        """What stands behind our own Received field."""
        head, _, rest = self.content.partition(b"\r\n")
        assert head.startswith(b"Received:"), head
        while rest[:1] in b" \t" and rest:
            _, _, rest = rest.partition(b"\r\n")
        return rest


class Closed(Exception):
    pass


class Session:
    def __init__(self, server, sock, peer):
        self.server, self.sock, self.peer = server, sock, peer
        self.pending = b""
        self.transcript = []  # command lines as they came
        self.tls = None
        self.message = None
        self.started = time.monotonic()

    # -- bytes ---------------------------------------------------------------

    def fill(self):
        try:
            got = self.sock.recv(1 << 16)
        except OSError:
            got = b""
        if not got:
            raise Closed
        self.pending += got

    def line(self):
        while b"\n" not in self.pending:
            self.fill()
        raw, self.pending = self.pending.split(b"\n", 1)
        return raw.rstrip(b"\r").decode("utf-8", "surrogateescape")

    def take(self, n):
        while len(self.pending) < n:
            self.fill()
        raw, self.pending = self.pending[:n], self.pending[n:]
        return raw

    def say(self, reply):
        text = reply if reply.endswith("\r\n") else reply + "\r\n"
        try:
            self.sock.sendall(text.encode("utf-8", "surrogateescape"))
        except OSError:
            raise Closed from None

    # -- behaviour -----------------------------------------------------------

    def act(self, stage, ordinary, argument=""):
        """Do what the script says at this stage; True if it was ordinary or
        a 2yz/3yz reply."""
        return self.perform(self.server.scripted(stage, self, argument),
                            ordinary)

    def perform(self, action, ordinary):
        if action is None or isinstance(action, Accept):
            action = ordinary
        if isinstance(action, str):
            self.say(action)
            if action.startswith("421"):
                raise Closed
            return action[0] in "23"
        if action is None:  # nothing is ordinary here
            return True
        if isinstance(action, Delay):
            if self.server.stopping.wait(action.seconds):
                raise Closed
            return self.perform(action.action, ordinary)
        if isinstance(action, Bytes):
            try:
                self.sock.sendall(action.data)
            except OSError:
                raise Closed from None
            if action.drop:
                raise Closed
            return True
        if isinstance(action, Hang):
            while True:
                self.fill()
                self.pending = b""
        if action.reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 b"\1\0\0\0\0\0\0\0")
        raise Closed

    def run(self):
        try:
            if not self.act("greeting", f"220 {self.server.name} ESMTP"):
                pass
            while True:
                line = self.line()
                self.transcript.append(line)
                verb, _, rest = line.partition(" ")
                handler = getattr(self, "do_" + verb.lower(), None)
                if handler is None:
                    self.say("500 5.5.2 what?")
                    continue
                if handler(rest) == "quit":
                    break
        except (Closed, OSError):
            pass
        finally:
            try:
                self.sock.close()
            except OSError:
                pass
            self.server.session_ended(self)

    def do_ehlo(self, rest):
        words = [self.server.name] + [
            w for w in self.server.offers
            if not (w == "STARTTLS" and self.tls)]
        text = "\r\n".join(
            ("250 " if i == len(words) - 1 else "250-") + w
            for i, w in enumerate(words))
        self.message = None
        self.act("ehlo", text, rest)

    def do_helo(self, rest):
        self.act("helo", f"250 {self.server.name}", rest)

    def do_starttls(self, rest):
        if not self.act("starttls", "220 2.0.0 go ahead", rest):
            return
        try:
            self.sock = self.server.tls.wrap_socket(self.sock,
                                                    server_side=True)
            self.tls = self.sock.version()
            self.pending = b""
        except OSError as error:
            self.server.tls_errors.append(str(error))
            raise Closed from None

    def do_mail(self, rest):
        path, _, params = rest.partition(">")
        sender = path.split("<", 1)[1]
        if self.act("mail", "250 2.1.0 ok", rest):
            self.message = Message(self, sender, params.split())

    def do_rcpt(self, rest):
        path, _, params = rest.partition(">")
        address = path.split("<", 1)[1]
        if self.message is None:
            return self.say("503 5.5.1 MAIL first")
        if self.act("rcpt", "250 2.1.5 ok", address):
            self.message.rcpts.append(address)
            self.message.rcpt_params.append(params.split())

    def do_data(self, rest):
        if self.message is None or not self.message.rcpts:
            return self.say("503 5.5.1 RCPT first")
        if not self.act("data", "354 go on", rest):
            return
        self.begin_content()
        self.message.content = re.sub(rb"(\A|\r\n)\.", rb"\1",
                                      self.take_content())
        self.finish("dot")

    def take_content(self):
        """As it came, without the final dot; what is behind it is pending."""
        got, end, looked = bytearray(b"\r\n" + self.pending), -1, 0
        while end < 0:
            self.pending = b""
            end = got.find(b"\r\n.\r\n", looked)
            if end < 0:
                looked = max(0, len(got) - 4)
                self.fill()
                got += self.pending
        self.pending = bytes(got[end + 5:])
        return bytes(got[2:end + 2])

    def begin_content(self):
        """In the middle of it: some has come, and its end may be far."""
        action = self.server.scripted("content", self, "")
        if action is None or isinstance(action, Accept):
            return
        if not self.pending:
            self.fill()
        self.perform(action, None)

    def do_bdat(self, rest):
        words = rest.split()
        chunk = self.take(int(words[0]))
        if self.message is None or not self.message.rcpts:
            return self.say("503 5.5.1 RCPT first")
        self.message.content += chunk
        if len(words) > 1:
            self.finish("bdat")
        else:
            self.act("chunk", "250 2.0.0 chunk ok", rest)

    def finish(self, stage):
        message, self.message = self.message, None
        self.finishing = message
        if self.act(stage, "250 2.0.0 taken"):
            message.at = time.monotonic()
            self.server.took(message)

    def do_rset(self, rest):
        self.message = None
        self.act("rset", "250 2.0.0 ok")

    def do_noop(self, rest):
        self.act("noop", "250 2.0.0 ok")

    def do_quit(self, rest):
        self.act("quit", "221 2.0.0 bye")
        return "quit"


class Primary:
    """See the module's text.  offers: EHLO keywords."""

    def __init__(self, port=None, address="127.0.0.1", name="primary.test",
                 offers=("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE",
                         "ENHANCEDSTATUSCODES", "DSN"),
                 on=None, tls=None):
        self.address, self.name = address, name
        self.port = port or free_port(address)
        self.offers = list(offers)
        self.on = dict(on or {})
        self.tls = tls
        self.tls_errors = []
        self.messages, self.sessions, self.accepted_at = [], [], []
        self.open_sessions = 0
        self.most_sessions = 0
        self.stopping = threading.Event()
        self._change = threading.Condition()
        self._listener = None

    @property
    def route(self):
        host = f"[{self.address}]"
        return f"{host}:{self.port}"

    def start(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.address, self.port))
        listener.listen(1024)
        self.stopping.clear()
        self._listener = listener
        self.started = time.monotonic()
        threading.Thread(target=self._accept, args=(listener,),
                         daemon=True).start()
        return self

    def stop(self):
        """Stop listening and cut every session."""
        self.stopping.set()
        if self._listener is not None:
            try:
                self._listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._listener.close()
            self._listener = None
        for session in list(self.sessions):
            try:
                session.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self, listener):
        while True:
            try:
                sock, peer = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, sock, peer)
            with self._change:
                self.sessions.append(session)
                self.accepted_at.append(time.monotonic())
                self.open_sessions += 1
                self.most_sessions = max(self.most_sessions,
                                         self.open_sessions)
                self._change.notify_all()
            threading.Thread(target=session.run, daemon=True).start()

    def session_ended(self, session):
        with self._change:
            self.open_sessions -= 1
            self._change.notify_all()

    def scripted(self, stage, session, argument):
        action = self.on.get(stage)
        if isinstance(action, list):
            with self._change:
                action = action.pop(0) if len(action) > 1 else action[0]
        if callable(action):
            action = action(session, argument)
        return action

    def took(self, message):
        with self._change:
            self.messages.append(message)
            self._change.notify_all()

    def wait_messages(self, count=1, timeout=PATIENCE):
        with self._change:
            self._change.wait_for(lambda: len(self.messages) >= count,
                                  timeout)
            assert len(self.messages) >= count, \
                f"{len(self.messages)} of {count} messages arrived"
            return self.messages

    def wait_sessions(self, count=1, timeout=PATIENCE):
        with self._change:
            self._change.wait_for(lambda: len(self.sessions) >= count,
                                  timeout)
            assert len(self.sessions) >= count, \
                f"{len(self.sessions)} of {count} connections came"
            return self.sessions
