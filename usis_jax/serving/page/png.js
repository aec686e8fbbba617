// PNG files of label maps, written without compression: small maps, and no pixel is read from a
// canvas, which some browsers answer with changed values.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function checksum(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

function adler(bytes) {
  let a = 1, b = 0;
  for (let start = 0; start < bytes.length; start += 3800) {
    for (const byte of bytes.subarray(start, start + 3800)) b += a += byte;
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}

function number(value) {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function chunk(kind, content) {
  const body = new Uint8Array([...kind].length + content.length);
  body.set([...kind].map((letter) => letter.charCodeAt(0)));
  body.set(content, 4);
  return [new Uint8Array(number(content.length)), body, new Uint8Array(number(checksum(body)))];
}

// zlib stream whose blocks are stored as they are
function stored(bytes) {
  const blocks = Math.max(1, Math.ceil(bytes.length / 65535));
  const out = new Uint8Array(2 + 5 * blocks + bytes.length + 4);
  out.set([0x78, 1]);
  let at = 2;
  for (let n = 0; n < blocks; n++) {
    const part = bytes.subarray(n * 65535, (n + 1) * 65535);
    const size = part.length;
    out.set([n === blocks - 1, size & 255, size >> 8, ~size & 255, (~size >> 8) & 255], at);
    out.set(part, at + 5);
    at += 5 + size;
  }
  out.set(number(adler(bytes)), at);
  return out;
}

/**
 * PNG of samples row by row: 1 a pixel (grey, 8 or 16 bits) or 3 (colour, 8 bits).
 * @returns {Blob}
 */
export function png(samples, width, height, { channels = 1, bits = 8 } = {}) {
  const bytes = bits / 8, line = width * channels * bytes;
  const rows = new Uint8Array(height * (line + 1));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width * channels; x++) {
      const at = y * (line + 1) + 1 + x * bytes, value = samples[y * width * channels + x];
      if (bits === 16) rows[at] = value >> 8;
      rows[at + bytes - 1] = value;
    }
  }
  const header = new Uint8Array([...number(width), ...number(height), bits, channels === 3 ? 2 : 0, 0, 0, 0]);
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const parts = [signature, ...chunk("IHDR", header), ...chunk("IDAT", stored(rows)), ...chunk("IEND", [])];
  return new Blob(parts, { type: "image/png" });
}

/** Base64 of a Blob. */
export function base64(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Bytes of base64 text. */
export function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
