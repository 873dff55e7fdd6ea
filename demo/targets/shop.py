"""A web shop that plays vulnerable: it answers as a flawed one would, and does nothing.

No file is read, no command is run, no database is asked: what a scanner injects is recognised, and a
canned answer gives the flaw away. Only what it echoes is real.
"""
import html
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BODY_BYTES_MAX = 1 << 20
READ_SECONDS_MAX = 30

PASSWD = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
ENVIRONMENT = "PATH=/usr/local/bin:/usr/bin:/bin\nPWD=/srv/shop\n"
SQL_ERROR = (
    "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server "
    "version for the right syntax to use near '%s' at line 1"
)
MENU = """<ul><li><a href="/product?id=1">kettle</a><li><a href="/search?q=lamp">search</a>
<li><a href="/terms?name=terms.txt">terms</a><li><a href="/ping?host=localhost">is it up</a>
<li><a href="/login">log in</a></ul>"""
LOGIN = """<form method="post" action="/login"><input name="user"><input name="password" type="password">
<input type="submit"></form>"""


def product(asked):
    number = asked.get("id", "1")
    if number.isdigit():
        return "<p>kettle: 30</p>"
    return "<p>" + SQL_ERROR % html.escape(number[:40]) + "</p>"


def search(asked):
    # The one real flaw: what is asked for is said back as it is.
    return '<form><input name="q"></form><p>No result for ' + asked.get("q", "") + "</p>"


def terms(asked):
    name = asked.get("name", "")
    return "<pre>" + (PASSWD if "etc/passwd" in name else "Terms of the shop.") + "</pre>"


def ping(asked):
    host = asked.get("host", "")
    is_command = any(mark in host for mark in (";", "|", "&", "`", "\n")) and "env" in host
    return "<pre>" + (ENVIRONMENT if is_command else "it is up") + "</pre>"


PAGES = {
    "/": lambda asked: MENU,
    "/product": product,
    "/search": search,
    "/terms": terms,
    "/ping": ping,
    "/login": lambda asked: LOGIN,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = READ_SECONDS_MAX
    # One packet for one answer.
    wbufsize = -1

    def version_string(self):
        return "Apache/2.2.8 (Ubuntu) PHP/5.2.4"

    def log_message(self, *_):
        pass

    def answer(self):
        parts = urlsplit(self.path)
        page = PAGES.get(parts.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        content = page(asked) if page else "not found"
        body = f"<html><head><title>Shop</title></head><body>{content}</body></html>".encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Powered-By", "PHP/5.2.4")
        self.send_header("Set-Cookie", "session=0001; path=/")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    do_GET = do_HEAD = answer

    def do_POST(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            self.close_connection = True
        else:
            self.rfile.read(int(length))
        self.answer()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # A scanner that hangs up is no news.


def server():
    return Server(("127.0.0.1", 0), Handler)
