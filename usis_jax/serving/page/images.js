// Generated images: the large one, which follows every change, and several of one map.

import { compiling, generate, Latest, Refused } from "./api.js";
import { base64 } from "./png.js";
import { anySeed } from "./studio.js";

// Images that take longer are generated when a stroke ends, not while it goes on.
const LIVE_SECONDS = 0.4, LEAST_MILLISECONDS = 50, SLOW_MILLISECONDS = 400;
const STATUS_MILLISECONDS = 500;

const $ = (id) => document.getElementById(id);

export class Images {
  blob = null;
  #seconds = 0;
  #latest = new Latest((scene) => this.#generate(scene));
  #others = [];
  #refresh = 0;

  /** @param tell shows a message: tell(text, bad) */
  constructor(studio, tell) {
    this.studio = studio;
    this.tell = tell;
  }

  /** Generates the large image anew; while a stroke goes on, only if that is quick. */
  ask() {
    if (this.studio.drawing && this.#seconds > LIVE_SECONDS) return;
    this.#latest.ask(this.studio.scene());
  }

  /** Generates several images from other seeds. */
  several(number) {
    return this.#generateOthers(Array.from({ length: number }, anySeed));
  }

  async #generate(scene) {
    let waiting = true;
    const slow = setTimeout(() => this.#wait(scene, () => waiting), SLOW_MILLISECONDS);
    try {
      const { blob, seconds } = await generate(scene);
      this.blob = blob;
      this.#seconds = seconds;
      await this.#show(scene, blob, seconds);
      if (seconds < LIVE_SECONDS / 2 && this.#others.length && !this.studio.drawing) {
        clearTimeout(this.#refresh);
        this.#refresh = setTimeout(() => this.#generateOthers(this.#others.map(({ seed }) => seed)), 400);
      }
      await new Promise((next) => setTimeout(next, LEAST_MILLISECONDS - 1000 * seconds));
    } catch (error) {
      this.tell(error instanceof Refused ? error.message : `the page failed: ${error.message}`, true);
    } finally {
      waiting = false;
      clearTimeout(slow);
      $("waiting").hidden = true;
    }
  }

  /** Says what an image waits for: its own generation, or the compilation of its size. */
  async #wait(scene, waiting) {
    const place = $("waiting"), { width, height } = scene;
    place.textContent = "generating…";
    place.hidden = false;
    while (waiting()) {
      const still = await compiling(scene).catch(() => false);
      if (!waiting()) return;
      place.textContent = still ? `compiling for ${width} × ${height}…` : "generating…";
      await new Promise((next) => setTimeout(next, STATUS_MILLISECONDS));
    }
  }

  async #show(scene, blob, seconds) {
    const image = $("image"), old = image.src;
    image.src = URL.createObjectURL(blob);
    await image.decode().catch(() => {});
    if (old) URL.revokeObjectURL(old);
    const time = seconds < 1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(1)} s`;
    $("facts").textContent = `${time} · ${scene.width} × ${scene.height} · seed ${scene.noise.seed}`;
    image.dataset.count = Number(image.dataset.count ?? 0) + 1;
  }

  async #generateOthers(seeds) {
    const old = new Map(this.#others.map(({ seed, picture }) => [seed, picture.src]));
    const others = seeds.map((seed) => this.#tile(seed, old.get(seed)));
    this.#others = others;
    $("samples").replaceChildren(...others.map(({ button }) => button));
    $("samples").classList.add("stale");
    const scenes = seeds.map((seed) => this.studio.scene({ seed, mix: 0 }));
    try {
      for (const [n, scene] of scenes.entries()) {
        const { blob } = await generate(scene);
        if (this.#others !== others) return;
        others[n].picture.src = `data:image/png;base64,${await base64(blob)}`;
      }
      $("samples").classList.remove("stale");
    } catch (error) {
      this.tell(error.message, true);
    }
  }

  #tile(seed, source) {
    const button = document.createElement("button");
    button.title = "Go on with this one";
    const picture = button.appendChild(new Image());
    picture.alt = `Image from seed ${seed}`;
    if (source) picture.src = source;
    button.appendChild(document.createElement("span")).textContent = `seed ${seed}`;
    button.addEventListener("click", () => this.studio.newSeed(seed));
    return { seed, button, picture };
  }
}
