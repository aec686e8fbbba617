"""Answers as Starlette sends them, with the headers that all of them have."""

import asyncio
import contextlib
import json

from starlette import responses

from usis_jax.serving import limits

JSON, PNG = "application/json", "image/png"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Answer(responses.Response):
    """An answer whose body is known.

    Args:
        kind: its Content-Type.
        body: bytes.
        headers: dict of further headers.
        status: of HTTP.
    """

    def __init__(self, kind, body, headers=(), status=200):
        everything = _HEADERS | {"Content-Type": kind} | dict(headers)
        super().__init__(body, status, everything)


class Refused(Answer):
    """A refusal as one line of JSON, after which the connection is closed.

    Args:
        refusal: limits.Refusal.
        headers: dict of further headers.
    """

    def __init__(self, refusal, headers=()):
        everything = {"Connection": "close", **dict(headers)}
        if refusal.wait:
            everything["Retry-After"] = str(max(1, round(refusal.wait + 0.5)))
        content = {"error": {"code": refusal.code, "message": refusal.message}}
        super().__init__(JSON, json.dumps(content).encode(), everything, refusal.status)

    async def __call__(self, scope, receive, send):
        """Sends it, and takes what is left of the body, so that the client comes to read it."""
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if not scope["state"].get("has_body"):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.LINGER):
                    await _discard(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive):
    left = 4 * limits.MOST_BODY
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body"):
            return
