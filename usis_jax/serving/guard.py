"""What is checked before a request is answered: its head, who sends it, and its body."""

import asyncio
import contextlib
import ipaddress
import urllib.parse

from starlette import datastructures, requests

from usis_jax.serving import limits
from usis_jax.serving.limits import Refusal
from usis_jax.serving.responses import Refused


class Guard:
    """Hands on to an application what comes from this server's own page or from a script.

    Args:
        app: ASGI application.
        names: names of this server, beside localhost and addresses in numbers.
    """

    def __init__(self, app, names):
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope, receive, send):
        """Answers a request or hands it on, its path as it was sent."""
        try:
            path, query = _target(scope)
            self._check_sender(scope["method"], datastructures.Headers(scope=scope))
        except Refusal as refusal:
            await Refused(refusal)(scope, receive, send)
        else:
            await self._app({**scope, "path": path, "query_string": query}, receive, send)

    def _check_sender(self, method, headers):
        """Refuses what another site's page sends through the browser of somebody here."""
        hosts = headers.getlist("Host")
        if len(hosts) != 1 or not self.knows(hosts[0]):
            raise Refusal(
                "wrong_host",
                "the Host header is not this server's; a proxy's name goes to --allow_host",
            )
        origin = headers.get("Origin")
        if origin is not None and origin.lower() not in (
            f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}",
        ):  # fmt: skip
            raise Refusal("cross_site", "a page of another site sent this")
        if headers.get("Sec-Fetch-Site") == "cross-site" and method == "POST":
            raise Refusal("cross_site", "a page of another site sent this")

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
        if name in self._names:
            return True
        with contextlib.suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return False


async def body(request):
    """The request's body, b"" where there is none.

    Args:
        request: starlette.requests.Request.
    Returns:
        bytes, at most MOST_BODY.
    Raises:
        Refusal: no_length, too_large, too_slow or bad_request.
    """
    length = request.headers.get("Content-Length")
    if "Transfer-Encoding" in request.headers or (request.method == "POST" and length is None):
        raise Refusal("no_length", "a body must come with Content-Length, not in chunks")
    if int(length or 0) > limits.MOST_BODY:
        raise Refusal("too_large", f"the body must have at most {limits.MOST_BODY} bytes")
    try:
        async with asyncio.timeout(limits.BODY_TIME):
            content = await request.body()
    except TimeoutError:
        raise Refusal("too_slow", "the body did not arrive in time") from None
    except requests.ClientDisconnect:
        raise Refusal("bad_request", "the body ended before its Content-Length") from None
    request.state.has_body = True
    return content


def _target(scope):
    """(path, query) of the request's target, neither of them decoded."""
    if not scope["http_version"].startswith("1."):
        raise Refusal("wrong_version", f"{limits.CODES['wrong_version'][1]}; it must be 1.1")
    if len(scope["headers"]) > limits.MOST_HEADERS:
        raise Refusal("long_headers", f"there are more than {limits.MOST_HEADERS} headers")
    target = b"?".join([scope["raw_path"], scope["query_string"]])
    if len(target) > limits.MOST_TARGET:
        raise Refusal("long_path", f"the path has more than {limits.MOST_TARGET} bytes")
    try:
        parts = urllib.parse.urlsplit(target.decode("ascii"))
    except ValueError:
        raise Refusal("bad_request", "the path is malformed") from None
    return parts.path, parts.query.encode()
