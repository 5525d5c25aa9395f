"""The page over HTTP, for this computer alone: files, answers as JSON, streams of answers."""

import functools
import json
import re
import secrets
import socket
import threading
import webbrowser
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server

import bottle

from scratchnet.errors import UserError
from scratchnet.fast.blas import blas_threads, openblas

from . import ask_all  # noqa: F401 - what can be asked
from .answers import LARGEST, parts
from .book import Book
from .runs import Runs

HERE = Path(__file__).resolve().parent
AT_WORK = 64  # requests that wait or are answered; more are told to come again
# for these the token of the address is needed; each waits for a process of its own
RUNS_CODE = {"run_cell", "end_session", "check_exercise"}
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
          "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def application(runs, port, token):
    """The WSGI application. One answer, or part of a stream, is computed at a time."""
    app, turn, room = bottle.Bottle(), threading.Lock(), threading.BoundedSemaphore(AT_WORK)
    hosts = {host + f":{port}" * (port != 80) for host in ("127.0.0.1", "localhost")}

    @app.hook("before_request")
    def refuse():
        origin = bottle.request.environ.get("HTTP_ORIGIN")
        if bottle.request.environ.get("HTTP_HOST") not in hosts:
            raise refused(403, "this page is served to this computer alone, as 127.0.0.1")
        if origin is not None and origin.partition("://")[2] not in hosts:
            raise refused(403, "another page must not ask this one")

    @app.hook("after_request")
    def headers():
        bottle.response.headers.update({
            "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})

    add_pages(app)

    def worked(name, request):
        """The parts of the answer, in turn with those of others, and room for others after it."""
        if not room.acquire(blocking=False):
            yield {"error": "too many requests at once; try again"}
            return
        answered = parts(runs, name, request)
        try:
            while True:
                with nullcontext() if name in RUNS_CODE else turn:
                    part = next(answered, None)
                if part is None:
                    return
                yield part
        finally:  # also when the tab was closed
            answered.close()
            room.release()

    @app.post("/ask/<name>")
    def ask(name):
        found = list(worked(name, request_of(name, token)))[-1]
        bottle.response.content_type = "application/json"
        bottle.response.status = 400 if "error" in found else 200
        return json.dumps(found)

    @app.post("/stream/<name>")
    def stream(name):
        request = request_of(name, token)
        bottle.response.content_type = "text/event-stream"
        for part in worked(name, request):
            yield f"data: {json.dumps(part)}\n\n"

    def nothing(error):
        bottle.response.content_type = "application/json"
        return json.dumps({"error": f"there is nothing at {bottle.request.path[:80]}"
                           if error.status_code in (404, 405) else error.status_line})

    app.default_error_handler = nothing
    return app


def add_pages(app):
    """The page itself and the book, as files."""
    book = Book()

    @app.get("/")
    @app.get("/index.html")
    def page():
        return (HERE / "page" / "index.html").read_text(encoding="utf-8").replace(
            'data-engine=""', 'data-engine="http"')

    @app.get("/page/<name>")
    def file(name):
        return bottle.static_file(name, root=HERE / "page")

    @app.get("/book/<address:path>")
    def book_page(address):
        if address not in book.pages:
            raise bottle.HTTPError(404)
        try:
            found = rendered(address)
        except UserError as error:
            raise bottle.HTTPResponse(str(error), 501, {"Content-Type": "text/plain"}) from None
        if isinstance(found, bytes):
            bottle.response.content_type = "image/png"
            return found
        return found.replace('data-engine=""', 'data-engine="http"')

    @functools.cache
    def rendered(address):
        return book.page(address)


def request_of(name, token):
    """What is asked, from JSON. Raises the refusal of a request that is none, is too long, or would
    run code without the token."""
    if name in RUNS_CODE and not secrets.compare_digest(
            bottle.request.environ.get("HTTP_X_TOKEN", "").encode(), token.encode()):
        raise refused(403, "to run code the address must be the one that explore.py printed")
    length = bottle.request.environ.get("CONTENT_LENGTH") or "0"
    if not re.fullmatch(r"\d{1,18}", length) or bottle.request.chunked:
        raise refused(411, "a request says how many bytes it has, by Content-Length")
    length = int(length)
    if length > LARGEST:  # who still sends would not read the refusal
        bottle.request.environ["wsgi.input"].read(min(length, 8 * LARGEST))
        raise refused(413, f"a request has at most {LARGEST:,} bytes")
    try:
        return json.loads(bottle.request.body.read(LARGEST) or b"{}")
    except (ValueError, RecursionError):
        raise refused(400, "a request is JSON") from None


def refused(status, why):
    return bottle.HTTPResponse(json.dumps({"error": why}), status, {
        "Content-Type": "application/json", "Content-Security-Policy": POLICY})


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A tab that was closed is no error."""


class Reply(ServerHandler):
    http_version = "1.1"

    def cleanup_headers(self):
        """An answer to a question, which was read to its end, leaves the connection open for the
        next. All else closes it: what was not read of a request would be taken for another one."""
        super().cleanup_headers()
        if not (self.environ["REQUEST_METHOD"] == "POST" and self.status.startswith("200")
                and "Content-Length" in self.headers):
            self.request_handler.close_connection = True
        if self.request_handler.close_connection:
            self.headers["Connection"] = "close"


class Connection(WSGIRequestHandler):
    """One request after another, whose answers leave at once and in one piece."""

    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds in which nobody sends, or reads what is sent
    disable_nagle_algorithm, wbufsize = True, -1
    handle = BaseHTTPRequestHandler.handle  # wsgiref's own is for one request

    def do_POST(self):
        reply = Reply(self.rfile, self.wfile, self.get_stderr(), self.get_environ())
        reply.request_handler = self
        reply.run(self.server.get_app())

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST

    def log_message(self, *args):
        pass


def listening(runs, first=8000, token=None):
    """(the server, its address with the token), not yet at work."""
    token = token or secrets.token_urlsafe(12)
    last = min(first + 49, 65535)
    for port in range(first, last + 1):
        with socket.socket() as free:
            if free.connect_ex(("127.0.0.1", port)) == 0:
                continue  # somebody answers there
        try:
            server = make_server("127.0.0.1", port, None, Server, Connection)
        except OSError:
            continue
        server.set_app(application(runs, port, token))
        return server, f"http://127.0.0.1:{port}/?token={token}"
    raise UserError(f"--port: none of {first} to {last} is free; name another")


def serve(folders, port, browser, places=()):
    """Answer until Ctrl-C. places: where more runs may begin meanwhile."""
    if openblas():
        blas_threads(1)  # more take the cores that the browser draws with, and wait for each other
    server, address = listening(Runs(folders, places=places), port)
    print(f"{len(folders)} run{'s' * (len(folders) != 1)} at {address}\nCtrl-C ends it.",
          flush=True)
    if browser:
        # beside: a browser in the terminal holds up who opens it
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    with server:
        server.serve_forever()
