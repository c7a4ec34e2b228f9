"""A web server over TLS on loopback, for those that answer with something."""

import http.server
import ssl
import threading


class HttpsHost:
    """Whoever has it as a base answers requests: answer(request), in a thread
    of its own.  context is looked at for each connection."""

    def __init__(self, cert, address="127.0.0.1", port=0):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert.cert_path, cert.key_path)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, client):
                try:
                    with outer.context.wrap_socket(
                            request, server_side=True) as tls:
                        Handler(tls, client, self)
                except OSError:
                    pass

            def handle_error(self, request, client):
                pass

        self.server = Server((address, port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever,
                         kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, request):
        raise NotImplementedError

    def close(self):
        self.server.shutdown()
        self.server.server_close()
