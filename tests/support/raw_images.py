"""Image files of kinds that PIL reads and does not write: PNG and TIFF of any depth, by hand."""

import struct
import zlib

import numpy as np

_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png(path, array, depth, colour, chunks=()):
    """Writes a PNG.

    Args:
      path: file to write.
      array: whole numbers [H, W] or [H, W, C], the samples.
      depth: bits a sample.
      colour: PNG's colour type.
      chunks: further (kind, content), before the pixels.
    """
    height, width = array.shape[:2]
    samples = np.asarray(array).reshape(height, width * _SAMPLES[colour])
    if depth < 8:
        bits = samples[..., None] >> np.arange(depth - 1, -1, -1) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        rows = samples.astype(f">u{depth // 8}").view(np.uint8)
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = [(b"PLTE", bytes(range(3 * 16)))] if colour == 3 else []
    pixels = (b"IDAT", zlib.compress(content))
    parts = [(b"IHDR", header), *palette, *chunks, pixels, (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        )
    )
    return path


def tiff(path, array, photometric=1, bits=None, width=None, extra=()):
    """Writes a TIFF of one strip, little endian or big as the array is.

    Args:
      path: file to write.
      array: [H, W] or [H, W, C] of the type that the file is to have.
      photometric: 0 for 0 being white, 1 for black, 2 for RGB.
      bits: a sample, where they are not those of the type.
      width: columns, where several samples share a byte.
      extra: further (tag, value).
    """
    order = ">" if array.dtype.byteorder == ">" else "<"
    bits = bits or 8 * array.dtype.itemsize
    channels = array.shape[2] if array.ndim == 3 else 1
    form = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    tags = {
        256: width or array.shape[1],
        257: array.shape[0],
        259: 1,
        262: photometric,
        277: channels,
        278: array.shape[0],
        279: array.nbytes,
        339: form,
    } | dict(extra)
    end = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags[273] = end + 2 * channels
    entries = [(tag, struct.pack(f"{order}HHII", tag, 4, 1, value)) for tag, value in tags.items()]
    value = struct.pack(f"{order}HH", bits, bits) if channels < 3 else struct.pack(f"{order}I", end)
    entries.append((258, struct.pack(f"{order}HHI", 258, 3, channels) + value))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    body = head + b"".join(entry for _, entry in sorted(entries)) + bytes(4)
    path.write_bytes(body + struct.pack(f"{order}H", bits) * channels + array.tobytes())
    return path
