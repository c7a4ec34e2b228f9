"""A policy host for MTA-STS: HTTPS on loopback, one policy a domain."""

from https import HttpsHost


def policy(mode="enforce", mx=("mx.test",), max_age=86400, eol="\r\n"):
    lines = ["version: STSv1", f"mode: {mode}"]
    lines += [f"mx: {m}" for m in mx]
    lines += [f"max_age: {max_age}", ""]
    return eol.join(lines)


class PolicyHost(HttpsHost):
    """policies: {"mta-sts.example.test": text}; hits: paths asked for, with
    their host.  status, type, location: for misbehaviour."""

    def __init__(self, cert, address="127.0.0.1"):
        self.policies = {}
        self.hits = []
        self.status, self.type = 200, "text/plain"
        self.location = None
        super().__init__(cert, address)

    def answer(self, request):
        host = request.headers.get("Host", "").split(":")[0]
        self.hits.append((host, request.path))
        text = self.policies.get(host)
        right = request.path == "/.well-known/mta-sts.txt"
        if text is None or not right:
            request.send_response(404)
            request.end_headers()
            return
        request.send_response(self.status)
        if self.type:
            request.send_header("Content-Type", self.type)
        if self.location:
            request.send_header("Location", self.location)
        body = text.encode()
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
