"""The server: page and images over HTTP, for people on this machine and their scripts."""

import importlib.resources
import os
import socket
import threading
import traceback

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from usis_jax.errors import UserError
from usis_jax.serving import limits, protocol, routes
from usis_jax.serving.guard import Guard
from usis_jax.serving.limits import Rate, Refusal, Turns
from usis_jax.serving.responses import Refused

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


class Server:
    """Listens as soon as it is made; `start` answers.

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

    def __init__(self, sampler, examples, host="127.0.0.1", port=0, allowed_hosts=(), rate=20.0,
                 burst=40, most_waiting=16):  # fmt: skip
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        self._socket = _listening(host, port)
        self.address = self._socket.getsockname()[:2]
        self.answers = routes.Answers(sampler, examples, Rate(rate, burst), Turns(most_waiting))
        self.page = _page()
        application = _application(self.answers, self.page, (host, *allowed_hosts))
        self._server = uvicorn.Server(_configuration(application))
        self._thread = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        """Address of the page for this machine's own browser."""
        host, port = self.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def start(self):
        """Answers from now on, in a thread of its own."""
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()

    def stop(self):
        """Ends: images that are being generated are sent, requests that wait are sent away."""
        self.answers.turns.close()
        self._server.should_exit = True
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self.answers.close()
        self._socket.close()


def _listening(host, port):
    """A socket that listens, without asking a name server for this machine's name."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        listening.close()
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot listen at --host {host}, --port {port} ({reason}); choose another --port, "
            "or --port=0 for any that is free"
        ) from None
    return listening


def _application(answers, page, names):
    """ASGI application: the page and the API behind the guard, every fault documented."""
    files = [routes.page(path, *file) for path, file in page.items()]
    application = Starlette(
        routes=[*files, *answers.routes],
        middleware=[Middleware(Guard, names)],
        exception_handlers={
            Refusal: _refused,
            HTTPException: _no_route,
            Exception: _fault,
        },
    )
    application.router.redirect_slashes = False
    return application


def _configuration(application):
    """How uvicorn serves: no WebSockets, no proxy's word for who asks, no log.

    `_fault` shows faults of the program; uvicorn would show them again, and a line for each request
    that is no HTTP.
    """
    return uvicorn.Config(
        application, http=protocol.Protocol, loop="asyncio", ws="none", lifespan="off",
        log_config=None, log_level="critical", access_log=False, proxy_headers=False,
        server_header=False, headers=[("Server", "usis-demo")], backlog=128,
        timeout_keep_alive=limits.SILENCE, timeout_graceful_shutdown=limits.LINGER,
        h11_max_incomplete_event_size=limits.MOST_HEAD,
    )  # fmt: skip


async def _refused(request, refusal):
    return Refused(refusal)


async def _no_route(request, error):
    """What Starlette's router finds: no such path, or a method that a path does not have."""
    if error.status_code != 405:
        message = "there is nothing at this path; /api/schema lists them"
        return Refused(Refusal("not_found", message))
    methods = sorted(error.headers["Allow"].split(", "))
    message = f"the method for {request.scope['path']} is {methods[0]}"
    return Refused(Refusal("wrong_method", message), {"Allow": ", ".join(methods)})


async def _fault(request, error):
    traceback.print_exception(error)
    return Refused(Refusal("internal", "a fault of the program; see the server's output"))


def _page():
    """Files of the page by their path, read once, so that a path never reaches the disk."""
    folder = importlib.resources.files("usis_jax.serving") / "page"
    files = {f"/{name}": (kind, (folder / name).read_bytes()) for name, kind in _PAGE.items()}
    return {"/": files["/index.html"], "/favicon.ico": files["/icon.svg"], **files}
