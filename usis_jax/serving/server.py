"""The server: page and images over HTTP, for people on this machine and their scripts."""

import contextlib
import http
import http.server
import importlib.resources
import ipaddress
import json
import socket
import socketserver
import sys
import threading
import time
import traceback
import urllib.parse

from usis_jax.errors import UserError
from usis_jax.serving import routes
from usis_jax.serving.limits import CODES, Rate, Refusal, Turns

MOST_BODY = 8 * 2**20
_MOST_CONNECTIONS = 64
_SILENCE, _BODY_TIME, _LINGER = 30.0, 20.0, 2.0
_PAGE = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(
        (
            "page.js",
            "studio.js",
            "map.js",
            "noise.js",
            "view.js",
            "images.js",
            "files.js",
            "api.js",
            "png.js",
        ),
        "text/javascript; charset=utf-8",
    ),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# Faults that Python's server finds by itself, by their HTTP status.
_PROTOCOL = {400: "bad_request", 408: "too_slow", 414: "long_path", 431: "long_headers",
             505: "wrong_version"}  # fmt: skip

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Content-Length: 63\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
    b'{"error": {"code": "busy", "message": "too many connections"}}\n'
)


class Server(http.server.ThreadingHTTPServer):
    """Listens as soon as it is made; `serve_forever` answers.

    Args:
        sampler: InteractiveSampler.
        examples: list of (name, label map).
        host: address to listen at.
        port: 0 for any that is free; `url` tells which one it is.
        allowed_hosts: names under which a proxy hands requests on, beside localhost and numbers.
        rate, burst: images a second and at once that a client may ask for.
        most_waiting: requests that may wait while another is answered.
    Raises:
        UserError: the address is in use or not of this machine.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, sampler, examples, host="127.0.0.1", port=0, allowed_hosts=(), rate=20.0,
                 burst=40, most_waiting=16):  # fmt: skip
        self.answers = routes.Answers(sampler, examples, Rate(rate, burst), Turns(most_waiting))
        self.page = _page()
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        self.names = {"localhost", host.lower(), *(name.lower() for name in allowed_hosts)}
        self._room = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"cannot listen at --host {host}, --port {port} ({reason}); choose another --port, "
                "or --port=0 for any that is free"
            ) from None

    @property
    def url(self):
        """Address of the page for this machine's own browser."""
        host, port = self.server_address[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{port}/"

    def server_bind(self):
        """Binds without asking a name server for this machine's name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        """Answers in a thread of its own; beyond so many connections, that it is busy."""
        if not self._room.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.settimeout(1)
                request.sendall(_FULL)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        """Gives the connection's place free at the end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request, client_address):
        """Says nothing of clients that went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def knows(self, header):
        """Whether a Host header names this server: a name of its own, or an address in numbers.

        A page of another site that points its own name at this address is refused so.
        """
        try:
            parts = urllib.parse.urlsplit(f"//{header}")
            name = parts.hostname or ""
            if parts.username is not None or parts.path or parts.query or parts.fragment:
                return False
            _ = parts.port
        except ValueError:
            return False
        if name in self.names:
            return True
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return False


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection; requests come one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = _SILENCE
    server_version, sys_version = "usis-demo", ""
    disable_nagle_algorithm = True
    _refused = False

    def do_GET(self):
        """Answers pages and descriptions."""
        self._answer("GET")

    def do_HEAD(self):
        """As GET, without the body."""
        self._answer("GET")

    def do_POST(self):
        """Answers label maps."""
        self._answer("POST")

    def __getattr__(self, name):
        """Every other method, known or not, is answered too: that the path does not have it."""
        if name.startswith("do_"):
            return lambda: self._answer(self.command)
        raise AttributeError(name)

    def _answer(self, method):
        """Checks and answers one request; every fault becomes a documented error."""
        try:
            path, query = self._target()
            self._check_sender()
            if path not in self.server.page:
                self.server.answers.check(method, path)
            elif method != "GET":
                raise routes.wrong_method(path, "GET")
            body = self._body(method)
            if path in self.server.page:
                self._send(200, *self.server.page[path])
                return
            kind = self.headers.get_content_type()
            client = self.client_address[0]
            self._send(200, *self.server.answers(method, path, query, body, kind, client))
        except Refusal as refusal:
            self._refuse(refusal)
        except OSError:
            self.close_connection = True
        except Exception:
            traceback.print_exc()
            self._refuse(Refusal("internal", "a fault of the program; see the server's output"))

    def _target(self):
        """(path, query) of the request's target."""
        try:
            parts = urllib.parse.urlsplit(self.path)
        except ValueError:
            raise Refusal("bad_request", "the path is malformed") from None
        return parts.path, parts.query

    def _check_sender(self):
        """Refuses what another site's page sends through the browser of somebody here."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not self.server.knows(hosts[0]):
            raise Refusal(
                "wrong_host",
                "the Host header is not this server's; a proxy's name goes to --allow_host",
            )
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() not in (
            f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}",
        ):  # fmt: skip
            raise Refusal("cross_site", "a page of another site sent this")
        if self.headers.get("Sec-Fetch-Site") == "cross-site" and self.command == "POST":
            raise Refusal("cross_site", "a page of another site sent this")

    def _body(self, method):
        """The request's body, b"" where there is none."""
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or (method == "POST" and not lengths):
            raise Refusal("no_length", "a body must come with Content-Length, not in chunks")
        if not lengths:
            return b""
        if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            raise Refusal("bad_request", "Content-Length must be one whole number")
        length = int(lengths[0][:12])
        if length > MOST_BODY:
            raise Refusal("too_large", f"the body must have at most {MOST_BODY} bytes")
        return self._read(length)

    def _read(self, length):
        end, parts, left = time.monotonic() + _BODY_TIME, [], length
        try:
            while left:
                part = self.rfile.read1(min(left, 2**16))
                if not part:
                    raise Refusal("bad_request", "the body ended before its Content-Length")
                if time.monotonic() > end:
                    raise TimeoutError
                parts.append(part)
                left -= len(part)
        except TimeoutError:
            raise Refusal("too_slow", "the body did not arrive in time") from None
        return b"".join(parts)

    def finish(self):
        """After a refusal, lets the client send the rest, so that it comes to read the answer."""
        super().finish()
        if not self._refused:
            return
        end, left = time.monotonic() + _LINGER, 4 * MOST_BODY
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER)
            while left > 0 and time.monotonic() < end:
                part = self.connection.recv(2**16)
                left -= len(part)
                if not part:
                    break

    def _refuse(self, refusal):
        self.close_connection = self._refused = True
        headers = {"Connection": "close"}
        if refusal.wait:
            headers["Retry-After"] = str(max(1, round(refusal.wait + 0.5)))
        if refusal.code == "wrong_method":
            known = refusal.message.rpartition(" ")[2]
            headers["Allow"] = "GET, HEAD" if known == "GET" else known
        content = {"error": {"code": refusal.code, "message": refusal.message}}
        with contextlib.suppress(OSError):
            self._send(refusal.status, "application/json", json.dumps(content).encode(), headers)

    def _send(self, status, kind, body, headers=()):
        self.send_response(status)
        everything = _HEADERS | {"Content-Type": kind, "Content-Length": len(body)} | dict(headers)
        for name, value in everything.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code, message=None, explain=None):
        """Faults that Python's server finds become documented errors too."""
        name = _PROTOCOL.get(int(code), "bad_request")
        text = message or http.HTTPStatus(code).phrase
        if not getattr(self, "request_version", "").startswith("HTTP/1"):
            self.request_version = "HTTP/1.1"
        self.command = getattr(self, "command", None)
        self._refuse(Refusal(name, f"{CODES[name][1]} ({text[:80]})"))

    def log_message(self, format, *args):
        """Says nothing: a stroke is many requests."""


def _page():
    """Files of the page by their path, read once, so that a path never reaches the disk."""
    folder = importlib.resources.files("usis_jax.serving") / "page"
    files = {f"/{name}": (kind, (folder / name).read_bytes()) for name, kind in _PAGE.items()}
    return {"/": files["/index.html"], "/favicon.ico": files["/icon.svg"], **files}
