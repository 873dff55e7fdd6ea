"""A name server for `shop.test` and for some names that look like it, over UDP and TCP on one port."""
import socket
import socketserver
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "SRV": 33}
NO_ERROR, NO_SUCH_NAME = 0, 3
HEAD_BYTES = 12
SECONDS = 300
READ_SECONDS_MAX = 10

ZONE = """
shop.test SOA ns1.shop.test
shop.test NS ns1.shop.test
shop.test NS ns2.shop.test
shop.test A 127.0.0.10
shop.test MX mail.shop.test
shop.test TXT v=spf1 +all
ns1.shop.test A 127.0.0.2
ns2.shop.test A 127.0.0.3
mail.shop.test A 127.0.0.11
www.shop.test CNAME shop.test
dc1.shop.test A 127.0.0.22
_ldap._tcp.shop.test SRV dc1.shop.test
sh0p.test A 127.0.0.66
sh0p.test MX mail.sh0p.test
mail.sh0p.test A 127.0.0.66
shopp.test A 127.0.0.67
shops.test A 127.0.0.71
test SOA ns1.shop.test
"""


def encoded(name):
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def data(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "TXT":
        return bytes([len(value)]) + value.encode()
    if kind == "MX":
        return struct.pack("!H", 10) + encoded(value)
    if kind == "SRV":
        return struct.pack("!HHH", 0, 100, 389) + encoded(value)
    if kind == "SOA":
        return encoded(value) + encoded("hostmaster.shop.test") + struct.pack("!IIIII", 1, 3600, 600, 86400, 60)
    return encoded(value)


def record(name, kind, value):
    body = data(kind, value)
    return encoded(name) + struct.pack("!HHIH", TYPES[kind], 1, SECONDS, len(body)) + body


RECORDS = {}
for line in ZONE.split("\n"):
    if line:
        owner, of_kind, rest = line.split(" ", 2)
        RECORDS.setdefault(owner, []).append((of_kind, rest))


def found(name, wanted):
    """The records for the answer; a name that is another one's is followed."""
    records = []
    for kind, value in RECORDS.get(name, []):
        if kind == "CNAME":
            records += [record(name, kind, value), *found(value, wanted)]
        elif TYPES[kind] == wanted:
            records.append(record(name, kind, value))
    return records


def answer(question):
    """The answer to one message; None to what is no question."""
    at, labels = HEAD_BYTES, []
    while at < len(question) and question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode("latin-1").lower())
        at += 1 + question[at]
    end = at + 5
    if len(question) < end or question[2] & 0x80:
        return None
    name, wanted = ".".join(labels), struct.unpack_from("!H", question, at + 1)[0]
    records = found(name, wanted)
    authority = []
    if not records:
        zone = "shop.test" if name.endswith("shop.test") else "test"
        authority = [record(zone, "SOA", "ns1.shop.test")]
    code = NO_ERROR if name in RECORDS else NO_SUCH_NAME
    head = question[:2] + struct.pack("!BBHHHH", 0x85, 0x80 | code, 1, len(records), len(authority), 0)
    return head + question[HEAD_BYTES:end] + b"".join(records + authority)


class OverUdp(socketserver.BaseRequestHandler):
    def handle(self):
        question, sender = self.request
        said = answer(question)
        if said:
            sender.sendto(said, self.client_address)


class OverTcp(socketserver.StreamRequestHandler):
    timeout = READ_SECONDS_MAX

    def handle(self):
        while len(length := self.rfile.read(2)) == 2:
            said = answer(self.rfile.read(struct.unpack("!H", length)[0]))
            if not said:
                return
            self.wfile.write(struct.pack("!H", len(said)) + said)


class TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # A scanner that hangs up is no news.


class UdpServer(socketserver.UDPServer):
    max_packet_size = 65535

    def handle_error(self, *_):
        pass


PORTS_TRIED_MAX = 20


def server():
    """Serves over UDP; its twin over TCP runs beside it on the same port."""
    for _ in range(PORTS_TRIED_MAX):
        datagrams = UdpServer(("127.0.0.1", 0), OverUdp)
        try:
            streams = TcpServer(datagrams.server_address, OverTcp)
        except OSError:
            datagrams.server_close()
            continue
        threading.Thread(target=streams.serve_forever, daemon=True).start()
        return datagrams
    raise SystemExit("no port is free for UDP and TCP")
