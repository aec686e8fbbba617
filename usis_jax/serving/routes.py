"""What each path of the server answers."""

import base64
import io
import json
import threading

import numpy as np
from PIL import Image

from usis_jax.serving import openapi, request
from usis_jax.serving.interactive import MOST_REGIONS
from usis_jax.serving.limits import Refusal

_JSON = "application/json"
_PNG = "image/png"


class Answers:
    """Called with a request, gives its answer.

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
        self._paths = {
            "/api/spec": ("GET", self._fixed(self._spec())),
            "/api/schema": ("GET", self._fixed(openapi.schema(sampler))),
            "/api/examples": ("GET", self._fixed(_examples(examples))),
            "/api/status": ("GET", self._status),
            "/api/generate": ("POST", self._generate),
            "/api/label": ("POST", self._label),
        }

    def __call__(self, method, path, query, body, kind, client):
        """Answers one request.

        Args:
            method: "GET" (for HEAD, too), "POST" or another one.
            path, query: of its target.
            body: bytes.
            kind: its Content-Type without parameters.
            client: address of who asks.
        Returns:
            (Content-Type, bytes, dict of headers).
        Raises:
            Refusal: with a code of `limits.CODES`.
        """
        self.check(method, path)
        return self._paths[path][1](query, body, kind, client)

    def check(self, method, path):
        """Whether there is something at a path for a method.

        Raises:
            Refusal: not_found or wrong_method, with the methods for `Allow` behind "is".
        """
        if path not in self._paths:
            raise Refusal("not_found", "there is nothing at this path; /api/schema lists them")
        if method != (known := self._paths[path][0]):
            raise wrong_method(path, known)

    def _fixed(self, content):
        """An answer that is always the same."""
        body = json.dumps(content).encode()

        def answer(query, *_):
            request.query_fields(query, ())
            return _JSON, body, {}

        return answer

    def _status(self, query, *_):
        """Which programs are compiled, are compiling, or will be when they are asked for."""
        request.query_fields(query, ())
        content = {"programs": self.sampler.states(), "waiting": self.turns.waiting}
        return _JSON, json.dumps(content).encode(), {}

    def _generate(self, query, body, kind, client):
        if kind != _JSON:
            _check_png_type(kind, f"{_PNG} or {_JSON}")
        found = request.typed(request.query_fields(query, request.GENERATE_FIELDS))
        if kind == _JSON:
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
            return _PNG, _png(np.concatenate(images, axis=1)), headers
        height, width = asked.label.shape
        content = {
            "photos": [base64.b64encode(_png(image)).decode() for image in images],
            "seconds": seconds,
            "height": height,
            "width": width,
        }
        return _JSON, json.dumps(content).encode(), headers

    def _label(self, query, body, kind, client):
        _check_png_type(kind, _PNG)
        asked = self._asked(request.query_fields(query, ("size", "ids")), body, client)
        return _JSON, json.dumps(_map(asked.label)).encode(), {}

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


def wrong_method(path, known):
    """The Refusal of a method that a path does not have; `known` is the one that it has."""
    return Refusal("wrong_method", f"the method for {path} is {known}")


def _check_png_type(kind, allowed):
    if kind != _PNG:
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
