// What is being drawn: label map, noise, tool, and undo; nothing here touches the page.

import { History, LabelMap } from "./map.js";
import { Noise } from "./noise.js";
import { bytes } from "./png.js";

const MOST_RANDOM = 100000;

/** A seed to try. */
export function anySeed() {
  return Math.floor(Math.random() * MOST_RANDOM);
}

export class Studio {
  tool = "brush";
  chosen = 0;
  // Place of the brush's slider, 0 (one pixel) to 1 (half of the map).
  brush = 0.5;
  #history = new History();
  #before = null;

  /**
   * @param spec the server's description
   * @param show {changed(): draw the map and generate anew; stroked(region): a stroke goes on, over
   *   the pixels of `region` for the noise brush; full(): too many parts have noise of their own}
   */
  constructor(spec, example, show) {
    this.spec = spec;
    this.show = show;
    const { height, width } = spec.sizes[0];
    this.noise = new Noise(width, height, spec.limits.regions);
    this.map = fresh(example, width, height);
  }

  get diameter() {
    const most = Math.max(this.map.width, this.map.height) / 2;
    return Math.max(1, Math.round(most ** this.brush));
  }

  /** Whether the tool draws as wide as the brush. */
  get sized() {
    return ["brush", "eraser", "noise-brush"].includes(this.tool);
  }

  get drawing() {
    return this.#before !== null;
  }

  get canUndo() {
    return this.#history.canUndo;
  }

  get canRedo() {
    return this.#history.canRedo;
  }

  /** What the server needs for an image. */
  scene(changes = {}) {
    const { width, height, labels } = this.map;
    return { width, height, labels: labels.slice(), noise: { ...this.noise.now(labels), ...changes } };
  }

  /** Does something that can be undone; an act that answers false could not be done. */
  change(act) {
    const kept = this.#state();
    if (act() === false) return this.show.full();
    this.#history.keep(kept);
    this.show.changed();
  }

  /** Keeps the state before something that goes on for a while, like a slider. */
  keep() {
    this.#history.keep(this.#state());
  }

  undo() {
    this.#restore(this.#history.undo(this.#state()));
  }

  redo() {
    this.#restore(this.#history.redo(this.#state()));
  }

  // --- strokes; places are in pixels of the map

  /** Begins a stroke, or does at once what needs none: then it answers false. */
  begin(place) {
    const { map, tool } = this;
    if (place.x < 0 || place.y < 0 || place.x >= map.width || place.y >= map.height) return false;
    if (tool === "fill") {
      this.change(() => map.area(place.x, place.y).forEach((i) => (map.labels[i] = this.chosen)));
    } else if (tool === "noise-area") {
      this.change(() => this.noise.renewPixels(map.area(place.x, place.y), anySeed()));
    }
    if (!this.sized) return false;
    this.#before = this.#state();
    this.region = new Uint8Array(map.labels.length);
    this.move(place, place);
    return true;
  }

  move(from, to) {
    const { labels, base } = this.map;
    for (const i of this.map.along(from, to, this.diameter)) {
      if (this.tool === "brush") labels[i] = this.chosen;
      else if (this.tool === "eraser") labels[i] = base[i];
      else this.region[i] = 1;
    }
    this.show.stroked(this.tool === "noise-brush" ? this.region : null);
  }

  end() {
    const kept = this.#before;
    this.#before = null;
    if (this.tool === "noise-brush") {
      const pixels = [...this.region.keys()].filter((i) => this.region[i]);
      this.change(() => this.noise.renewPixels(pixels, anySeed()));
      return;
    }
    this.#history.keep(kept);
    this.show.changed();
  }

  // --- noise

  newSeed(seed = anySeed()) {
    this.change(() => void Object.assign(this.noise, { seed, mix: 0 }));
  }

  renewClass() {
    this.change(() => this.noise.renewClass(this.chosen, this.map.labels, anySeed()));
  }

  sameNoise() {
    this.change(() => this.noise.same());
  }

  // --- maps

  /** Takes another map, {width, height, label: base64 of a class number a pixel}. */
  open(content) {
    this.change(() => {
      this.map = fresh(content, this.map.width, this.map.height);
      this.noise.same();
    });
  }

  clear() {
    this.change(() => {
      this.map.labels.fill(this.chosen);
      this.map.base = this.map.labels.slice();
    });
  }

  resize(width, height) {
    this.change(() => {
      this.map = this.map.resized(width, height);
      this.noise = this.noise.resized(width, height);
    });
  }

  #state() {
    return { map: this.map.copy(), noise: this.noise.copy() };
  }

  #restore(kept) {
    Object.assign(this, kept);
    this.show.changed();
  }
}

function fresh(content, width, height) {
  const map = new LabelMap(content.width, content.height, bytes(content.label));
  return map.width === width && map.height === height ? map : map.resized(width, height);
}
