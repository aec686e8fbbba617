// The label map as bytes, one class number a pixel; nothing here knows of the page.

export class LabelMap {
  constructor(width, height, labels) {
    this.width = width;
    this.height = height;
    this.labels = labels;
    // What the eraser brings back.
    this.base = labels.slice();
  }

  /** The same map at another size, nearest neighbour. */
  resized(width, height) {
    const other = new LabelMap(width, height, stretch(this.labels, this, width, height));
    other.base = stretch(this.base, this, width, height);
    return other;
  }

  copy() {
    const other = new LabelMap(this.width, this.height, this.labels.slice());
    other.base = this.base;
    return other;
  }

  at(x, y) {
    return this.labels[clamp(y, this.height) * this.width + clamp(x, this.width)];
  }

  /** Numbers of the pixels within `diameter` / 2 of the way from one place to another. */
  *along(from, to, diameter) {
    const radius = Math.max(diameter / 2, 0.5);
    const [left, right] = [Math.min(from.x, to.x) - radius, Math.max(from.x, to.x) + radius];
    const [top, bottom] = [Math.min(from.y, to.y) - radius, Math.max(from.y, to.y) + radius];
    const dx = to.x - from.x, dy = to.y - from.y, length = dx * dx + dy * dy;
    for (let y = Math.max(0, Math.floor(top)); y < Math.min(this.height, bottom); y++) {
      for (let x = Math.max(0, Math.floor(left)); x < Math.min(this.width, right); x++) {
        const px = x + 0.5 - from.x, py = y + 0.5 - from.y;
        const share = length ? Math.min(1, Math.max(0, (px * dx + py * dy) / length)) : 0;
        const away = Math.hypot(px - share * dx, py - share * dy);
        // A brush of one pixel takes the pixel that it is in.
        const inside = diameter <= 1.5
          ? Math.max(Math.abs(px - share * dx), Math.abs(py - share * dy)) <= 0.5
          : away <= radius;
        if (inside) yield y * this.width + x;
      }
    }
  }

  /** Numbers of the pixels of one class that hang together with a place. */
  area(x, y) {
    const { width, height, labels } = this;
    const start = clamp(y, height) * width + clamp(x, width);
    const wanted = labels[start], seen = new Uint8Array(width * height);
    const found = [start];
    seen[start] = 1;
    for (let n = 0; n < found.length; n++) {
      const i = found[n], column = i % width;
      const beside = [i - width, i + width];
      if (column) beside.push(i - 1);
      if (column < width - 1) beside.push(i + 1);
      for (const j of beside) {
        if (j >= 0 && j < seen.length && !seen[j] && labels[j] === wanted) {
          seen[j] = 1;
          found.push(j);
        }
      }
    }
    return found;
  }
}

/** Bytes of a map at another size, nearest neighbour as the server does it. */
export function stretch(source, size, width, height) {
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) * size.height) / height) * size.width;
    for (let x = 0; x < width; x++) {
      out[y * width + x] = source[row + Math.floor(((x + 0.5) * size.width) / width)];
    }
  }
  return out;
}

/** States to go back to and forward again. */
export class History {
  #past = [];
  #future = [];
  #most;

  constructor(most = 60) {
    this.#most = most;
  }

  /** Keeps the state as it was before a change. */
  keep(state) {
    this.#past.push(state);
    if (this.#past.length > this.#most) this.#past.shift();
    this.#future = [];
  }

  undo(now) {
    return this.#move(this.#past, this.#future, now);
  }

  redo(now) {
    return this.#move(this.#future, this.#past, now);
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  #move(from, to, now) {
    if (!from.length) return now;
    to.push(now);
    return from.pop();
  }
}

function clamp(value, size) {
  return Math.min(size - 1, Math.max(0, Math.floor(value)));
}
