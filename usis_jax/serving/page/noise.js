// Which noise an image is generated from: one for all, others for classes and for drawn regions.

import { stretch } from "./map.js";

export class Noise {
  constructor(width, height, mostRegions) {
    this.width = width;
    this.height = height;
    this.most = mostRegions;
    this.seed = 0;
    this.seedTo = 1;
    this.mix = 0;
    // Number of the region of each pixel (0: none) and the seed of each region from 1 on.
    this.regions = new Uint8Array(width * height);
    this.regionSeeds = new Map();
    this.classSeeds = new Map();
  }

  copy() {
    const other = new Noise(this.width, this.height, this.most);
    Object.assign(other, this);
    other.regions = this.regions.slice();
    other.regionSeeds = new Map(this.regionSeeds);
    other.classSeeds = new Map(this.classSeeds);
    return other;
  }

  resized(width, height) {
    const other = this.copy();
    Object.assign(other, { width, height, regions: stretch(this.regions, this, width, height) });
    return other;
  }

  /** Gives pixels a noise of their own; false if there are too many such regions. */
  renewPixels(pixels, seed) {
    const before = this.regions.slice();
    for (const i of pixels) this.regions[i] = 0;
    this.#forget();
    const number = this.#free();
    if (!number) {
      this.regions = before;
      return false;
    }
    for (const i of pixels) this.regions[i] = number;
    this.regionSeeds.set(number, seed);
    return true;
  }

  /** Gives a class a noise of its own, wherever it is and will be; false if there are too many. */
  renewClass(number, labels, seed) {
    if (!this.classSeeds.has(number) && this.parts >= this.most) return false;
    labels.forEach((label, i) => {
      if (label === number) this.regions[i] = 0;
    });
    this.#forget();
    this.classSeeds.set(number, seed);
    return true;
  }

  same() {
    this.regions = new Uint8Array(this.width * this.height);
    this.regionSeeds = new Map();
    this.classSeeds = new Map();
  }

  /** How many regions and classes have a noise of their own. */
  get parts() {
    return this.regionSeeds.size + this.classSeeds.size;
  }

  /** What the server takes: regions numbered from 1 and the seed of each. */
  now(labels) {
    const seeds = [...this.regionSeeds.values(), ...this.classSeeds.values()];
    const byRegion = new Uint8Array(256), byClass = new Uint8Array(256);
    [...this.regionSeeds.keys()].forEach((key, n) => (byRegion[key] = n + 1));
    [...this.classSeeds.keys()].forEach((key, n) => (byClass[key] = this.regionSeeds.size + n + 1));
    const regions = this.regions.map((region, i) => byRegion[region] || byClass[labels[i]]);
    return { seed: this.seed, seedTo: this.seedTo, mix: this.mix, regions, seeds };
  }

  #forget() {
    const used = new Set(this.regions);
    for (const number of this.regionSeeds.keys()) {
      if (!used.has(number)) this.regionSeeds.delete(number);
    }
  }

  #free() {
    if (this.parts >= this.most) return 0;
    for (let number = 1; ; number++) if (!this.regionSeeds.has(number)) return number;
  }
}
