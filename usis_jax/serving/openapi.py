"""Description of the server for programs (OpenAPI 3.1)."""

import usis_jax
from usis_jax.serving import request
from usis_jax.serving.interactive import MOST_REGIONS
from usis_jax.serving.limits import CODES

_SEED = {"type": "integer", "minimum": 0, "maximum": request.MOST_SEED}
_PNG = {"schema": {"type": "string", "format": "binary", "contentMediaType": "image/png"}}
# The first bytes of every PNG, its signature and the name of its first part.
_BASE64 = {
    "type": "string",
    "contentEncoding": "base64",
    "contentMediaType": "image/png",
    "pattern": "^iVBORw0KGgoAAAANSUhEUg[A-Za-z0-9+/]+={0,2}$",
}
_GET_CODES = ("bad_request", "bad_field", "not_found", "wrong_method", "long_path", "wrong_host",
              "long_headers", "too_slow", "busy", "wrong_version")  # fmt: skip


_STATUS = {
    "type": "object",
    "required": ["programs", "waiting"],
    "properties": {
        "programs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["size", "regions", "state"],
                "properties": {
                    "size": {"type": "string"},
                    "regions": {"type": "boolean"},
                    "state": {"enum": ["ready", "compiling", "not asked"]},
                },
            },
        },
        "waiting": {"type": "integer", "minimum": 0},
    },
}


def schema(sampler):
    """OpenAPI document of the server.

    Args:
        sampler: InteractiveSampler, for the sizes and defaults.
    Returns:
        dict that JSON can hold.
    """
    sizes = [f"{height}x{width}" for height, width in sampler.sizes.values()]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "usis demo",
            "version": usis_jax.__version__,
            "description": "Images from label maps. Every error is JSON: "
            '{"error": {"code": ..., "message": ...}}.',
        },
        "paths": {
            "/api/generate": {"post": _generate(sizes)},
            "/api/label": {"post": _label(sizes)},
            "/api/spec": {"get": _get("classes, colours, sizes and limits")},
            "/api/examples": {"get": _get("label maps to begin with, train ids in base64")},
            "/api/schema": {"get": _get("this document")},
            "/api/status": {
                "get": _get(
                    "what is compiled: the first image of a size waits until its program is",
                    _STATUS,
                )
            },
        },
        "components": {
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {
                            "type": "object",
                            "required": ["code", "message"],
                            "properties": {
                                "code": {"enum": list(CODES)},
                                "message": {"type": "string"},
                            },
                        }
                    },
                }
            }
        },
    }


def _fields(sizes):
    """Schema of each field of a request to generate images."""
    return {
        "size": {
            "enum": sizes,
            "default": sizes[0],
            "description": "height x width of the image; the label map is resized to it",
        },
        "seed": {**_SEED, "default": 0, "description": "decides the noise"},
        "seed_to": {**_SEED, "description": "other end of an interpolation; default: seed"},
        "mix": {
            "type": "number", "minimum": 0, "maximum": 1, "default": 0,
            "description": "place on the way from seed to seed_to",
        },
        "samples": {
            "type": "integer", "minimum": 1, "maximum": request.MOST_SAMPLES, "default": 1,
            "description": "images, each from other noise; in a PNG they lie side by side",
        },
        "ids": {
            "enum": list(request.IDS), "default": "file",
            "description": "file: ids or colours of the data set's label files; train: 0 to K - 1",
        },
        "format": {"enum": list(request.FORMATS), "default": "png"},
        "label": {**_BASE64, "description": "the label map"},
        "regions": {
            **_BASE64,
            "description": "grey PNG: 0 for the noise of seed, n for that of region_seeds[n - 1]",
        },
        "region_seeds": {"type": "array", "maxItems": MOST_REGIONS, "items": _SEED},
    }  # fmt: skip


def _generate(sizes):
    every = _fields(sizes)
    body = {
        "type": "object",
        "required": ["label"],
        "additionalProperties": False,
        "properties": every,
        "dependentRequired": {"region_seeds": ["regions"]},
    }
    answer = {
        "type": "object",
        "properties": {
            "photos": {"type": "array", "items": _BASE64},
            "seconds": {"type": "array", "items": {"type": "number"}},
            "height": {"type": "integer"},
            "width": {"type": "integer"},
        },
    }
    return {
        "summary": "generates images from a label map",
        "description": "Fields come in the query or, with JSON, in the body, which counts where "
        "both have one.",
        "parameters": [_in_query(name, every[name]) for name in request.GENERATE_FIELDS],
        "requestBody": {
            "required": True,
            "content": {"image/png": _PNG, "application/json": {"schema": body}},
        },
        "responses": {
            "200": {
                "description": "the images; X-Seconds: seconds to generate one",
                "headers": {
                    "X-Seconds": {"schema": {"type": "number"}},
                    "X-Compiling": {
                        "description": "seconds that this request waited for compiling; only if "
                        "it did; /api/status tells while it waits",
                        "schema": {"type": "number"},
                    },
                },
                "content": {"image/png": _PNG, "application/json": {"schema": answer}},
            },
            **_errors(CODES),
        },
    }


def _label(sizes):
    names = ("size", "ids")
    return {
        "summary": "reads a label map: its train ids in base64, or why it does not fit",
        "parameters": [_in_query(name, _fields(sizes)[name]) for name in names],
        "requestBody": {"required": True, "content": {"image/png": _PNG}},
        "responses": {
            "200": {"description": "height, width and label", "content": {"application/json": {}}},
            **_errors(CODES),
        },
    }


def _get(summary, answer=None):
    content = {"application/json": {"schema": answer or {"type": "object"}}}
    return {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": content}, **_errors(_GET_CODES)},
    }


def _in_query(name, content):
    return {"name": name, "in": "query", "schema": content}


def _errors(codes):
    """Responses by status, each with the codes that it may carry."""
    found = {}
    for code in codes:
        status, meaning = CODES[code]
        found.setdefault(str(status), []).append(f"{code}: {meaning}")
    reference = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        status: {"description": "; ".join(lines), "content": reference}
        for status, lines in found.items()
    }
