// Wires the page: controls, keys, and what they show.

import { get } from "./api.js";
import { load, save, saveColours, saveIds } from "./files.js";
import { Images } from "./images.js";
import { Studio } from "./studio.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const MOST_WITHOUT_FILTER = 20, FIRST_CLASSES = ["road", "skin"], BRUSH_STEP = 0.05;

const spec = await get("api/spec");
const { examples } = await get("api/examples");
const studio = new Studio(spec, examples[0], {
  changed: () => (show(), images.ask()),
  stroked(region) {
    if (region) return view.drawMarks(region);
    view.drawMap(studio.map.labels);
    images.ask();
  },
  full: () => tell(`${spec.limits.regions} parts have noise of their own; press Reset first`),
});
const view = new View(spec, {
  begin(place, event) {
    const picks = studio.tool === "pick" || event.button === 2 || event.altKey;
    if (picks) choose(studio.map.at(place.x, place.y));
    return !picks && studio.begin(place);
  },
  move: (from, to) => studio.move(from, to),
  end: () => studio.end(),
  hover(place) {
    $("under").textContent = place ? spec.classes[studio.map.at(place.x, place.y)].name : "";
  },
  diameter: () => (studio.sized ? studio.diameter : 1),
});
const images = new Images(studio, tell);
let example = 0, playing = 0, quiet = 0;

function show() {
  const { map, noise, chosen } = studio;
  view.setSize(map.width, map.height);
  view.drawMap(map.labels);
  view.drawMarks(studio.tool.startsWith("noise") ? noise.now(map.labels).regions : null);
  const present = new Set(map.labels);
  document.querySelectorAll("#palette label").forEach((label, k) => {
    label.classList.toggle("absent", !present.has(k));
    label.firstChild.checked = k === chosen;
  });
  document.querySelector(`#tool-list [value=${studio.tool}]`).checked = true;
  $("undo").disabled = !studio.canUndo;
  $("redo").disabled = !studio.canRedo;
  $("size").value = `${map.height}x${map.width}`;
  $("brush").value = studio.brush;
  $("brush-size").textContent = `${studio.diameter} px`;
  $("seed").value = noise.seed;
  $("seed-to").value = noise.seedTo;
  $("mix").value = noise.mix;
  $("mix-value").textContent = `${Math.round(100 * noise.mix)} %`;
  $("class-noise").textContent = `All ${spec.classes[chosen].name}`;
  $("same-noise").disabled = !noise.parts;
  const have = noise.parts === 1 ? "part has noise of its" : "parts have noise of their";
  $("parts").textContent = noise.parts
    ? `${noise.parts} ${have} own.`
    : "The noise brush and noise area give new noise where you draw or click.";
  $("samples").classList.add("stale");
}

function tell(text, bad = false) {
  $("message").textContent = text;
  $("message").hidden = false;
  $("message").classList.toggle("bad", bad);
  clearTimeout(quiet);
  quiet = setTimeout(() => ($("message").hidden = true), bad ? 12000 : 4000);
}

function choose(k) {
  studio.chosen = k;
  setTool(["brush", "fill"].includes(studio.tool) ? studio.tool : "brush");
}

function setTool(name) {
  studio.tool = name;
  show();
}

function setBrush(value) {
  studio.brush = Math.min(1, Math.max(0, value));
  show();
}

function nextExample() {
  example = (example + 1) % examples.length;
  studio.open(examples[example]);
}

function several() {
  images.several(Number($("number").value));
}

function saveImage() {
  if (images.blob) save(images.blob, `image_seed_${studio.noise.seed}.png`);
}

/** Goes from one seed to the other and back until it is pressed again. */
function play() {
  $("play").textContent = playing ? "Play" : "Stop";
  if (playing) {
    cancelAnimationFrame(playing);
    playing = 0;
    return;
  }
  studio.keep();
  const start = performance.now(), shift = Math.acos(1 - 2 * studio.noise.mix);
  const step = (now) => {
    studio.noise.mix = Math.round(50 - 50 * Math.cos(shift + (now - start) / 1500)) / 100;
    studio.show.changed();
    playing = requestAnimationFrame(step);
  };
  playing = requestAnimationFrame(step);
}

function buildPalette() {
  spec.classes.forEach(({ name, colour }, k) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "class", value: k });
    input.addEventListener("change", () => choose(k));
    const patch = document.createElement("i");
    patch.style.background = `rgb(${colour})`;
    label.append(input, patch, name);
    if (k < 9) label.appendChild(document.createElement("kbd")).textContent = k + 1;
    $("palette").appendChild(label);
  });
  $("filter").hidden = spec.classes.length <= MOST_WITHOUT_FILTER;
  $("filter").addEventListener("input", () => {
    const text = $("filter").value.toLowerCase();
    document.querySelectorAll("#palette label").forEach((label, k) => {
      label.hidden = !spec.classes[k].name.toLowerCase().includes(text);
    });
  });
}

const KEYS = {
  b: () => setTool("brush"), f: () => setTool("fill"), e: () => setTool("eraser"),
  i: () => setTool("pick"), n: () => setTool("noise-brush"), a: () => setTool("noise-area"),
  "[": () => setBrush(studio.brush - BRUSH_STEP), "]": () => setBrush(studio.brush + BRUSH_STEP),
  r: () => studio.newSeed(), c: () => studio.renewClass(), s: several, x: nextExample,
  l: () => $("file").click(), d: saveImage, "?": () => $("hints").showModal(),
};

function key(event) {
  const typed = event.target.matches?.("input[type=number], input[type=search], select");
  if ($("hints").open || typed || event.altKey || studio.drawing) return;
  const name = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (name === "y" || (name === "z" && event.shiftKey)) studio.canRedo && studio.redo();
    else if (name === "z") studio.canUndo && studio.undo();
    else return;
  } else if (/^[1-9]$/.test(name) && name <= spec.classes.length) choose(name - 1);
  else if (KEYS[name]) KEYS[name]();
  else return;
  event.preventDefault();
}

function wireButtons() {
  const clicks = {
    undo: () => studio.undo(), redo: () => studio.redo(), example: nextExample,
    clear: () => studio.clear(), load: () => $("file").click(), help: () => $("hints").showModal(),
    "new-seed": () => studio.newSeed(), "class-noise": () => studio.renewClass(),
    "same-noise": () => studio.sameNoise(), play, others: several, "save-image": saveImage,
    "save-ids": () => saveIds(studio, tell), "save-colours": () => saveColours(studio),
  };
  for (const [id, act] of Object.entries(clicks)) $(id).addEventListener("click", act);
  addEventListener("click", ({ target }) => {
    if (!$("downloads").contains(target) || target.tagName === "BUTTON") $("downloads").open = false;
  });
}

function wireFields() {
  for (const input of document.querySelectorAll("#tool-list input")) {
    input.addEventListener("change", () => setTool(input.value));
  }
  $("size").addEventListener("change", () => {
    const [height, width] = $("size").value.split("x").map(Number);
    studio.resize(width, height);
  });
  $("brush").addEventListener("input", () => setBrush(Number($("brush").value)));
  $("mix").addEventListener("pointerdown", () => studio.keep());
  $("mix").addEventListener("input", () => {
    studio.noise.mix = Number($("mix").value);
    studio.show.changed();
  });
  for (const [id, name] of [["seed", "seed"], ["seed-to", "seedTo"]]) {
    $(id).max = spec.limits.seed;
    $(id).addEventListener("change", () => {
      const value = Math.floor(Number($(id).value) || 0);
      studio.change(() => void (studio.noise[name] = Math.min(spec.limits.seed, Math.max(0, value))));
    });
  }
}

function wireFiles() {
  $("file").addEventListener("change", () => {
    load($("file").files[0], studio, tell);
    $("file").value = "";
  });
  addEventListener("paste", (event) => load(event.clipboardData.files[0], studio, tell));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      event.preventDefault();
      document.body.classList.toggle("drop", kind === "dragover");
      if (kind === "drop") load(event.dataTransfer.files[0], studio, tell);
    });
  }
}

function start() {
  $("about").textContent = `${spec.name}, step ${spec.step}`;
  $("address").textContent = location.href;
  for (const { name, height, width } of spec.sizes) {
    $("size").append(new Option(`${width} × ${height} ${name}`, `${height}x${width}`));
  }
  buildPalette();
  wireButtons();
  wireFields();
  wireFiles();
  addEventListener("keydown", key);
  const named = FIRST_CLASSES.map((name) => spec.classes.findIndex((each) => each.name === name));
  studio.chosen = Math.max(0, ...named);
  studio.show.changed();
}

start();
