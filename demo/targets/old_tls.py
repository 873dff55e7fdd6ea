"""A TLS server that nobody should run: TLS 1.0, weak suites, an expired self-signed RSA-1024 certificate.

The key in this folder was made for it and protects nothing.
"""
import pathlib
import socketserver
import ssl

HERE = pathlib.Path(__file__).parent
HANDSHAKE_SECONDS_MAX = 10
SUITES = "AES128-SHA:AES256-SHA:CAMELLIA128-SHA:ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"
PAGE = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


def context():
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # First, or the certificate is refused as too weak.
    old.set_ciphers(SUITES)
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.load_cert_chain(HERE / "expired.pem", HERE / "expired.key")
    return old


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(HANDSHAKE_SECONDS_MAX)
        try:
            with self.server.context.wrap_socket(self.request, server_side=True) as secured:
                if secured.recv(4096):
                    secured.sendall(PAGE)
        except OSError:
            pass  # What a scanner tries is refused, or it hangs up: both are why it is here.


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        self.context = context()
        super().__init__(("127.0.0.1", 0), Handler)


def server():
    return Server()
