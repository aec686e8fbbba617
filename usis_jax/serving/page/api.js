// Requests to the server.

import { base64, png } from "./png.js";

const PATIENCE = 12;

/** An error that the server explained. */
export class Refused extends Error {}

async function ask(path, options = {}) {
  for (let attempt = 1; ; attempt++) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Refused("the server does not answer; is usis demo still running?");
    }
    if (answer.ok) return answer;
    const wait = Number(answer.headers.get("Retry-After"));
    if (!wait || attempt === PATIENCE) {
      const content = await answer.json().catch(() => null);
      throw new Refused(content?.error?.message ?? `error ${answer.status}`);
    }
    await new Promise((done) => setTimeout(done, 1000 * wait * (0.5 + Math.random() / 2)));
  }
}

/** JSON of a path. */
export async function get(path) {
  return (await ask(path)).json();
}

/** A label map file as {height, width, label}, label in base64; Refused with the reason. */
export async function readLabel(file, size) {
  const options = { method: "POST", body: file, headers: { "Content-Type": "image/png" } };
  return (await ask(`api/label?size=${size}`, options)).json();
}

/**
 * Generates an image.
 * @param scene {width, height, labels, noise: {seed, seedTo, mix, regions, seeds}} of `Noise.now`
 * @returns {{blob: Blob, seconds: number}}
 */
export async function generate(scene, signal) {
  const { width, height, labels, noise } = scene;
  const body = {
    size: `${height}x${width}`,
    ids: "train",
    label: await base64(png(labels, width, height)),
    seed: noise.seed,
    seed_to: noise.seedTo,
    mix: noise.mix,
  };
  if (noise.seeds.length) {
    body.regions = await base64(png(noise.regions, width, height));
    body.region_seeds = noise.seeds;
  }
  const answer = await ask("api/generate", {
    method: "POST",
    body: JSON.stringify(body),
    headers: { "Content-Type": "application/json" },
    signal,
  });
  return { blob: await answer.blob(), seconds: Number(answer.headers.get("X-Seconds")) };
}

/** Whether the server still compiles the program for a scene, which its first image waits for. */
export async function compiling(scene) {
  const { programs } = await get("api/status");
  const size = `${scene.height}x${scene.width}`, regions = scene.noise.seeds.length > 0;
  return programs.some((one) => one.size === size && one.regions === regions && one.state !== "ready");
}

/** Does one thing at a time and forgets what was asked in between, except the latest. */
export class Latest {
  #work;
  #next = null;
  #running = false;

  constructor(work) {
    this.#work = work;
  }

  async ask(what) {
    this.#next = { what };
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#next) {
        const { what } = this.#next;
        this.#next = null;
        await this.#work(what);
      }
    } finally {
      this.#running = false;
    }
  }
}
