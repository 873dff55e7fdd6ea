"""What `make demo` scans over the network: a shop, an old TLS server and a name server, on 127.0.0.1.

Prints one line, `web PORT tls PORT dns PORT`, and serves until standard input ends, so that it never
outlives whoever started it. Needs nothing but Python.
"""
import sys
import threading

import names
import old_tls
import shop


def main() -> None:
    servers = {"web": shop.server(), "tls": old_tls.server(), "dns": names.server()}
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(*(f"{name} {server.server_address[1]}" for name, server in servers.items()), flush=True)
    sys.stdin.read()


main()
