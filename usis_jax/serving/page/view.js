// The two pictures: drawing them, laying them out, and turning pointers and keys into strokes.

const GAP = 12, CAPTION = 30;

export class View {
  /**
   * @param spec the server's description
   * @param hand {begin(place, event), move(from, to), end(), hover(place), diameter()}
   */
  constructor(spec, hand) {
    this.colours = spec.classes.map(({ colour }) => colour);
    this.hand = hand;
    this.map = document.getElementById("map");
    this.marks = document.getElementById("marks");
    this.stage = document.getElementById("stage");
    this.places = [...document.querySelectorAll(".picture")];
    this.cursors = this.places.map((place) => place.querySelector(".cursor"));
    this.places.forEach((place) => this.#listen(place));
    this.map.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.layout()).observe(this.stage);
    addEventListener("resize", () => this.layout());
  }

  setSize(width, height) {
    if (width === this.width && height === this.height) return;
    Object.assign(this, { width, height, at: { x: width / 2, y: height / 2 } });
    for (const canvas of [this.map, this.marks]) Object.assign(canvas, { width, height });
    this.image = new ImageData(width, height);
    document.body.style.setProperty("--ratio", width / height);
    this.layout();
  }

  /** The arrangement, beside or below each other, in which the pictures are largest. */
  layout() {
    if (!this.width) return;
    const ratio = this.width / this.height, style = getComputedStyle(this.stage);
    const small = matchMedia("(max-width: 820px), (max-height: 500px)").matches;
    const across = this.stage.clientWidth - parseFloat(style.paddingLeft) * 2;
    const down = small ? innerHeight * 0.56 : this.stage.clientHeight - parseFloat(style.paddingTop) * 2;
    const below = Math.min(across, ((down - GAP - 2 * CAPTION) / 2) * ratio);
    const beside = Math.min((across - GAP) / 2, (down - CAPTION) * ratio);
    const panel = Math.floor(Math.max(below, beside, 120));
    this.stage.style.setProperty("--panel", `${panel}px`);
    this.stage.style.flexDirection = below >= beside ? "column" : "row";
  }

  drawMap(labels) {
    const data = this.image.data;
    for (let i = 0; i < labels.length; i++) {
      const [red, green, blue] = this.colours[labels[i]];
      data[4 * i] = red;
      data[4 * i + 1] = green;
      data[4 * i + 2] = blue;
      data[4 * i + 3] = 255;
    }
    this.map.getContext("2d").putImageData(this.image, 0, 0);
  }

  /** Stripes over pixels whose number in `regions` is not 0; none for null. */
  drawMarks(regions) {
    this.marks.hidden = !regions;
    if (!regions) return;
    const image = new ImageData(this.width, this.height);
    const step = Math.max(2, Math.round(this.width / 64));
    regions.forEach((region, i) => {
      const dark = ((i % this.width) + ((i / this.width) | 0)) % (2 * step) < step;
      if (region) image.data.set(dark ? [0, 0, 0, 120] : [255, 255, 255, 120], 4 * i);
    });
    this.marks.getContext("2d").putImageData(image, 0, 0);
  }

  #place(place, event) {
    const box = place.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * this.width,
      y: ((event.clientY - box.top) / box.height) * this.height,
    };
  }

  #listen(place) {
    let last = null;
    place.addEventListener("pointerdown", (event) => {
      if (last || event.button === 1) return;
      event.preventDefault();
      place.setPointerCapture(event.pointerId);
      last = this.#place(place, event);
      this.#show(last, event.pointerType !== "touch");
      if (!this.hand.begin(last, event)) last = null;
    });
    place.addEventListener("pointermove", (event) => {
      const events = event.getCoalescedEvents?.() ?? [];
      const to = this.#place(place, event);
      this.#show(to, event.pointerType !== "touch");
      this.hand.hover(to);
      if (!last) return;
      for (const each of events.length ? events : [event]) {
        const next = this.#place(place, each);
        this.hand.move(last, next);
        last = next;
      }
    });
    const end = () => {
      if (last) this.hand.end();
      last = null;
    };
    place.addEventListener("pointerup", end);
    place.addEventListener("pointercancel", end);
    place.addEventListener("pointerleave", () => last || this.#hide());
    place.addEventListener("contextmenu", (event) => event.preventDefault());
    place.addEventListener("dragstart", (event) => event.preventDefault());
  }

  /** A ring of the brush's size on both pictures. */
  #show({ x, y }, visible) {
    this.at = { x, y };
    const wide = (100 * Math.max(1, this.hand.diameter())) / this.width;
    for (const cursor of this.cursors) {
      cursor.hidden = !visible;
      cursor.style.cssText = `left:${(100 * x) / this.width}%;top:${(100 * y) / this.height}%;width:max(9px,${wide}%);aspect-ratio:1`;
    }
  }

  #hide() {
    for (const cursor of this.cursors) cursor.hidden = true;
    this.hand.hover(null);
  }

  #key(event) {
    const step = Math.max(1, Math.round(this.hand.diameter() / 2));
    const [dx, dy] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key] ?? [0, 0];
    if (dx || dy) {
      const x = Math.min(this.width - 0.5, Math.max(0.5, Math.floor(this.at.x + dx) + 0.5));
      const y = Math.min(this.height - 0.5, Math.max(0.5, Math.floor(this.at.y + dy) + 0.5));
      this.#show({ x, y }, true);
      this.hand.hover(this.at);
    } else if (event.key === " ") {
      if (this.hand.begin(this.at, event)) this.hand.end();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
