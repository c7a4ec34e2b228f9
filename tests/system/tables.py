"""A host that serves tables of recipients: HTTPS on loopback."""

import threading

from https import HttpsHost


class TableHost(HttpsHost):
    """tables: {"/path": text}.  For misbehaviour, by path: status {path:
    code}, type {path: text}, location {path: url}, cut {path: octets that
    come}, drip {path: Event, until which nothing comes behind the first
    octet}, user (name, password) that is asked for.  asked: a list of (path,
    {header: value}, status)."""

    def __init__(self, cert, address="127.0.0.1", port=0):
        self.tables, self.status, self.type = {}, {}, {}
        self.location, self.cut, self.drip = {}, {}, {}
        self.authorization = None
        self.asked = []
        self.heard = threading.Condition()
        super().__init__(cert, address, port)

    def url(self, path="/users", user=""):
        return f"https://{user}localhost:{self.port}{path}"

    @staticmethod
    def etag(text):
        return f'"{hash(text) & 0xffffffff:x}"'

    def answer(self, request):
        path, headers = request.path, request.headers
        text = self.tables.get(path)
        status = self.status.get(path, 200 if text is not None else 404)
        if (self.authorization is not None and
                headers.get("Authorization") != self.authorization):
            status = 401
        if (status == 200 and path not in self.location and
                headers.get("If-None-Match") == self.etag(text)):
            status = 304
        if path in self.location:
            status = 302
        with self.heard:
            self.asked.append((path, dict(headers), status))
            self.heard.notify_all()
        request.send_response(status)
        if path in self.location:
            request.send_header("Location", self.location[path])
        if status != 200:
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        body = text.encode() if isinstance(text, str) else text
        request.send_header("Content-Type",
                            self.type.get(path, "text/plain"))
        request.send_header("Content-Length", str(len(body)))
        request.send_header("ETag", self.etag(text))
        request.end_headers()
        if path in self.drip:
            request.wfile.write(body[:1])
            request.wfile.flush()
            self.drip[path].wait(60)
            body = body[1:]
        request.wfile.write(body[:self.cut.get(path, len(body))])

    def wait_asked(self, count, timeout=60):
        """Until so many requests have come; all of them."""
        with self.heard:
            assert self.heard.wait_for(lambda: len(self.asked) >= count,
                                       timeout), self.asked
            return list(self.asked)

    def close(self):
        for event in self.drip.values():
            event.set()
        super().close()
