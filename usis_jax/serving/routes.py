"""What each path of the server answers."""

import asyncio
import base64
import concurrent.futures
import io
import json
import threading

import numpy as np
from PIL import Image
from starlette.routing import Route

from usis_jax.serving import guard, limits, openapi, request
from usis_jax.serving.interactive import MOST_REGIONS
from usis_jax.serving.limits import Refusal
from usis_jax.serving.responses import JSON, PNG, Answer


class Answers:
    """What the paths under /api/ answer; `routes` has them for Starlette.

    Args:
        sampler: InteractiveSampler.
        examples: list of (name, label map).
        rate: Rate of each client.
        turns: Turns at the sampler.
    """

    def __init__(self, sampler, examples, rate, turns):
        self.sampler, self.rate, self.turns = sampler, rate, turns
        # One file is decoded at a time, so that large ones together need no more memory than one.
        self._reading = threading.Lock()
        self.spec = sampler.generator.spec
        # A thread for every connection, so that nobody waits because others do.
        self._threads = concurrent.futures.ThreadPoolExecutor(limits.MOST_CONNECTIONS)
        self.routes = [
            _described("/api/spec", _fixed(self._spec())),
            _described("/api/schema", _fixed(openapi.schema(sampler))),
            _described("/api/examples", _fixed(_examples(examples))),
            _described("/api/status", self._status),
            self._from_map("/api/generate", self._generate),
            self._from_map("/api/label", self._label),
        ]

    def close(self):
        """Waits for the threads: the compiler must not run while Python ends."""
        self._threads.shutdown()

    def _from_map(self, path, answer):
        """Route of what takes a label map and time: a thread does it."""

        async def endpoint(asked):
            try:
                body = await guard.body(asked)
                kind = asked.headers.get("Content-Type", "text/plain").partition(";")[0]
                client = asked.client.host if asked.client else ""
                arguments = _query(asked), body, kind.strip().lower(), client
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._threads, answer, *arguments)
            except asyncio.CancelledError:
                raise Refusal("busy", "the server is stopping", 5.0) from None

        return Route(path, endpoint, methods=["POST"])

    def _status(self):
        """Which programs are compiled, are compiling, or will be when they are asked for."""
        content = {"programs": self.sampler.states(), "waiting": self.turns.waiting}
        return json.dumps(content).encode()

    def _generate(self, query, body, kind, client):
        if kind != JSON:
            _check_png_type(kind, f"{PNG} or {JSON}")
        found = request.typed(request.query_fields(query, request.GENERATE_FIELDS))
        if kind == JSON:
            found, body = found | request.json_fields(body), None
        asked = self._asked(found, body, client)
        # Not in turn: while one size is compiled, images of others are generated.
        compiling = self.sampler.wait_for(asked.label.shape, asked.noise)
        done = []
        for sample in range(asked.samples):
            with self.turns.turn():
                done.append(self.sampler(asked.label, asked.noise, sample))
        images, seconds = [image for image, _ in done], [round(took, 4) for _, took in done]
        headers = {"X-Seconds": f"{sum(seconds) / len(seconds):.4f}"}
        if compiling:
            headers["X-Compiling"] = f"{compiling:.1f}"
        if asked.format == "png":
            return Answer(PNG, _png(np.concatenate(images, axis=1)), headers)
        height, width = asked.label.shape
        content = {
            "photos": [base64.b64encode(_png(image)).decode() for image in images],
            "seconds": seconds,
            "height": height,
            "width": width,
        }
        return Answer(JSON, json.dumps(content).encode(), headers)

    def _label(self, query, body, kind, client):
        _check_png_type(kind, PNG)
        asked = self._asked(request.query_fields(query, ("size", "ids")), body, client)
        return Answer(JSON, json.dumps(_map(asked.label)).encode())

    def _asked(self, found, body, client):
        """What the fields ask, if this client may ask for so many images now."""
        self.rate.take(client, request.samples_of(found))
        with self._reading:
            return request.asked(found, body, self.sampler.sizes, self.spec)

    def _spec(self):
        """What the page must know of the generator."""
        settings, spec = self.sampler.generator.settings, self.spec
        ids = [[a for a, b in spec.file_ids if b == k and a >= 0] for k in range(spec.num_classes)]
        return {
            "name": spec.name,
            "step": int(self.sampler.generator.step),
            "classes": [
                {"name": name, "colour": colour, "file_id": min(own, default=None)}
                for name, colour, own in zip(spec.classes, spec.colours.tolist(), ids, strict=True)
            ],
            "void": spec.void,
            "sizes": [
                {"name": name, "height": height, "width": width}
                for name, (height, width) in self.sampler.sizes.items()
            ],
            "stride": settings.generator.stride,
            "noise": settings.generator.noise,
            "limits": {
                "samples": request.MOST_SAMPLES,
                "regions": MOST_REGIONS,
                "seed": request.MOST_SEED,
                "side": request.MOST_SIDE,
            },
        }


def page(path, kind, content):
    """Route of a file of the page; `content` is its bytes, `kind` its Content-Type."""

    async def endpoint(asked):
        await guard.body(asked)
        return Answer(kind, content)

    return Route(path, endpoint)


def _described(path, answer):
    """Route of what is known at once; `answer()` is its JSON as bytes."""

    async def endpoint(asked):
        await guard.body(asked)
        request.query_fields(_query(asked), ())
        return Answer(JSON, answer())

    return Route(path, endpoint)


def _fixed(content):
    """An answer that is always the same."""
    body = json.dumps(content).encode()
    return lambda: body


def _query(asked):
    """Text after the question mark, not decoded."""
    return asked.scope["query_string"].decode()


def _check_png_type(kind, allowed):
    if kind != PNG:
        raise Refusal("wrong_type", f"Content-Type is {kind[:40]}; it must be {allowed}")


def _examples(examples):
    return {"examples": [{"name": name, **_map(label)} for name, label in examples]}


def _map(label):
    """Train ids [H, W] for JSON, a byte a pixel."""
    height, width = label.shape
    content = base64.b64encode(label.astype(np.uint8).tobytes()).decode()
    return {"height": height, "width": width, "label": content}


def _png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()
