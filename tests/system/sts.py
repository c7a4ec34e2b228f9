"""A policy host for MTA-STS: HTTPS on loopback, one policy a domain."""

import http.server
import ssl
import threading


def policy(mode="enforce", mx=("mx.test",), max_age=86400, eol="\r\n"):
    lines = ["version: STSv1", f"mode: {mode}"]
    lines += [f"mx: {m}" for m in mx]
    lines += [f"max_age: {max_age}", ""]
    return eol.join(lines)


class PolicyHost:
    """policies: {"mta-sts.example.test": text}; hits: paths asked for, with
    their host.  status, type, location, body: for misbehaviour."""

    def __init__(self, cert, address="127.0.0.1"):
        self.policies = {}
        self.hits = []
        self.status, self.type = 200, "text/plain"
        self.location = None
        self.hang = threading.Event()
        self.hang.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert.cert_path, cert.key_path)
        outer.context = context

        class Server(http.server.ThreadingHTTPServer):
            def finish_request(self, request, client):
                outer.hang.wait(90)  # before TLS: a host that hangs
                try:
                    with outer.context.wrap_socket(
                            request, server_side=True) as tls:
                        Handler(tls, client, self)
                except OSError:
                    pass

            def handle_error(self, request, client):
                pass

        self.server = Server((address, 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       daemon=True)
        self.thread.start()

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

    def close(self):
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()
