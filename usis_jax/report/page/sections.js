const curve = (name, title, more = {}) => {
  const [x, y] = data.series[name] || [[], []];
  return {name: title, x, y, ...more};
};
const empty = (id, text) => { if (!at(id).childNodes.length) at(id).append(make("p", {}, text)); };
const newest = (test) => [...data.evaluations].reverse().find(test);
const row = (one, id) => one.rows.find((r) => r.id === id);

function header() {
  document.title = `${data.name} · usis report`;
  document.querySelector("h1").textContent = data.name;
  const texts = [`step ${short(data.step)} of ${short(data.steps)}`];
  if (data.best) texts.push(
    `best ${data.best.measure} ${short(data.best.value)} at step ${short(data.best.step)}`);
  const count = (status) => data.diagnostics.filter((one) => one.status === status).length;
  texts.push(`diagnostics: ${count("fine")} fine, ${count("look at it")} to look at, ` +
    `${count("bad")} bad`);
  texts.push(`written ${when(data.made)} by usis_jax ${data.version}`);
  at("summary").textContent = texts.join(" · ");
  for (const note of data.notes) at("notes").append(make("p", {class: "note"}, note));
}

function diagnostics() {
  for (const one of data.diagnostics) {
    const kind = {fine: "fine", "look at it": "look", bad: "bad"}[one.status] || "unknown";
    const card = make("div", {class: `diagnostic ${kind}`},
      make("b", {}, one.name, make("span", {class: "status"}, one.status)),
      make("p", {class: "value"}, one.value), make("p", {}, one.meaning),
      make("p", {}, `Rule of thumb: ${one.rule}.`));
    if (kind === "look" || kind === "bad") card.append(make("p", {}, `Try: ${one.advice}`));
    at("diagnostic-cards").append(card);
  }
  const charts = at("diagnostic-charts"), share = (v) => `${Math.round(100 * v)}%`;
  chart(charts, [curve("diagnostics/score_real", "real images"),
    curve("diagnostics/score_fake", "generated images")],
    {title: "D's mean score in training", x: "step", y: "score (logit)", smooth: true});
  chart(charts, [curve("diagnostics/right_real", "real images"),
    curve("diagnostics/right_fake", "generated images")],
    {title: "Share that D gets right", x: "step", y: "share", tick: share, smooth: true});
  chart(charts, [curve("diagnostics/score_training", "training images"),
    curve("diagnostics/score_validation", "held-out images"),
    curve("diagnostics/score_generated", "generated images")],
    {title: "D's mean score at evaluations", x: "step", y: "score (logit)"});
  chart(charts, [curve("diagnostics/overfitting", "D overfits (0 to 1)")],
    {title: "Does D overfit?", x: "step", y: "r_v", zero: true});
  chart(charts, [curve("diagnostics/class_accuracy", "mean over classes"),
    curve("diagnostics/pixel_accuracy", "all pixels")],
    {title: "What S segments right in generated images", x: "step", y: "share", tick: share,
      zero: true, smooth: true});
  chart(charts, [curve("diagnostics/high_frequencies_db", "generated against real images")],
    {title: "High frequencies", x: "step", y: "decibels"});
  chart(charts, [curve("diagnostics/spread", "generated against real images")],
    {title: "How far images differ from each other", x: "step", y: "ratio", zero: true});
  chart(charts, [curve("diagnostics/noise_difference", "two noises, one label map")],
    {title: "What the noise changes", x: "step", y: "grey levels of 255", zero: true});
}

function samples() {
  const frames = data.frames, slider = at("slider"), image = at("grid");
  if (!frames.length) return at("player").replaceWith(make("p", {}, "No sample grid yet."));
  let timer = null;
  const show = (i) => {
    slider.value = i;
    image.src = frames[i].source;
    image.width = frames[i].width;
    at("shown-step").textContent = short(frames[i].step);
    slider.setAttribute("aria-valuetext", `step ${frames[i].step}`);
  };
  const stop = () => { clearInterval(timer); timer = null; at("play").textContent = "Play"; };
  slider.max = frames.length - 1;
  slider.oninput = () => { stop(); show(+slider.value); };
  at("play").onclick = () => {
    if (timer) return stop();
    let i = +slider.value >= frames.length - 1 ? 0 : +slider.value;
    show(i);
    at("play").textContent = "Stop";
    timer = setInterval(() => { if (++i >= frames.length) stop(); else show(i); }, 500);
  };
  show(frames.length - 1);
}

/* One entry for each measure and protocol, the newest of each. */
function measures() {
  const found = new Map();
  for (const one of data.evaluations) for (const r of one.rows)
    found.set(`${r.id}: ${r.protocol}`, {...r, step: one.step});
  const rows = [...found.values()];
  const names = [...new Set(rows.flatMap((r) => Object.keys(r.controls || {})))];
  if (rows.length) at("table").append(table(
    ["measure", "step", "generated images", "real images", ...names, "better", "how it was measured"],
    rows.map((r) => [r.measure, short(r.step), short(r.value), short(r.real),
      ...names.map((name) => short((r.controls || {})[name])), r.better,
      make("span", {}, r.protocol, r.warning ? make("small", {}, `Note: ${r.warning}`) : "")]),
    [1, 2, 3, ...names.map((_, i) => 4 + i)]));
  const logged = Object.keys(data.series).filter((name) => name.startsWith("evaluation/") &&
    !name.endsWith("_real") && !/_\d+$/.test(name));
  const key = (r) => `evaluation/${r.id}`;
  const all = new Set([...logged, ...rows.map(key)]);
  for (const name of all) {
    const same = rows.find((r) => key(r) === name);
    const title = same ? same.measure : name.split("/")[1].replaceAll("_", " ");
    const later = data.evaluations.filter((one) => one.command === "evaluate")
      .flatMap((one) => one.rows.filter((r) => key(r) === name)
        .map((r) => ({...r, step: one.step})));
    const [generated, real] = [{colour: COLOURS[0]}, {colour: COLOURS[1]}];
    const curves = [curve(name, "generated images", generated),
      curve(`${name}_real`, "real images", {...real, dashed: true})];
    const bound = later.filter((r) => r.real !== null);
    curves.push({name: "generated, usis evaluate", points: true, x: later.map((r) => r.step),
      y: later.map((r) => r.value), ...generated});
    curves.push({name: "real, usis evaluate", points: true, x: bound.map((r) => r.step),
      y: bound.map((r) => r.real), ...real});
    // What was measured at one step stands in the table.
    if (rows.length && new Set(curves.flatMap((c) => c.x)).size < 2) continue;
    chart(at("measure-charts"), curves, {title: title + (same ? ` (${same.better} is better)` : ""),
      x: "step", y: title});
  }
  if (!all.size) empty("table", "Nothing was measured yet.");
}

function classes() {
  for (const [id, who] of [["consistency_miou", "S, the run's own segmenter"],
    ["miou", "the evaluator, trained on real images"]]) {
    const one = newest((e) => e.classes.length && (row(e, id)?.details.iou || []).length);
    if (!one) continue;
    const {iou, iou_of_real: real, recall = [], shares = []} = row(one, id).details;
    const bounds = Array.isArray(real) ? real : [];
    at("bars").append(make("h3", {}, `IoU of each class by ${who}, step ${short(one.step)}`));
    if (bounds.length) at("bars").append(make("p", {}, "The dark mark is the same on real images."));
    const order = iou.map((_, i) => i).filter((i) => iou[i] !== null)
      .sort((a, b) => (shares[b] || 0) - (shares[a] || 0));
    for (const i of order) {
      const fill = make("div", {class: "fill"}), track = make("div", {class: "track"}, fill);
      fill.style.width = `${100 * iou[i]}%`;
      fill.style.background = `rgb(${(one.classes[i]?.colour || [90, 120, 150]).map(Number)})`;
      if (typeof bounds[i] === "number") {
        const mark = make("div", {class: "real"});
        mark.style.left = `${100 * bounds[i]}%`;
        track.append(mark);
      }
      const texts = [`IoU ${percent(iou[i])}`];
      if (typeof recall[i] === "number") texts.push(`recall ${percent(recall[i])}`);
      if (typeof shares[i] === "number") texts.push(`share of pixels ${percent(shares[i])}`);
      // As rules.ignored_classes: not those that a segmenter cannot find in real images either.
      const missed = iou[i] < 0.02 && !(bounds[i] < 0.04) && !(shares[i] < 1e-4);
      at("bars").append(make("div", {class: `class ${missed ? "missed" : ""}`},
        make("span", {}, one.classes[i]?.name ?? `class ${i}`), track,
        make("span", {}, texts.join(" · "))));
    }
  }
  empty("bars", "No evaluation with classes yet.");
}

function spectra() {
  const one = newest((e) => row(e, "spectral_distance")?.details.spectra);
  if (!one) return empty("spectrum-charts", "No evaluation with spectra yet.");
  const details = row(one, "spectral_distance").details, own = details.spectra;
  const titles = {generated: "generated", validation: "real, held out", training: "real, training"};
  chart(at("spectrum-charts"), Object.keys(titles).filter((k) => own[k]).map((k) =>
    ({name: titles[k], x: own.frequencies, y: own[k], dashed: k !== "generated"})),
    {title: `Power by frequency, step ${short(one.step)}`, x: "cycles per pixel", y: "power",
      log: true});
  const ratio = own.frequencies.map((_, i) =>
    10 * Math.log10(own.generated[i] / own.validation[i]));
  chart(at("spectrum-charts"), [{name: "generated / real", x: own.frequencies, y: ratio}],
    {title: "Too much (+) or too little (-) power", x: "cycles per pixel", y: "decibels"});
  const bands = Object.entries(details.bands || {});
  if (bands.length) at("spectrum-charts").append(make("figure", {},
    make("figcaption", {}, "Edges in Haar sub-bands, generated against real images (level 1 is the finest)"),
    table(["level", "horizontal", "vertical", "diagonal"],
      [...new Set(bands.map(([name]) => name.split("/")[0]))].map((level) => [level,
        ...["LH", "HL", "HH"].map((b) => {
          const db = details.bands[`${level}/${b}`];
          return `${db > 0 ? "+" : ""}${db.toFixed(1)} dB`;
        })]), [1, 2, 3])));
}

function curves() {
  const losses = at("loss-charts");
  for (const one of data.charts)
    chart(losses, one.curves.map(([name, title]) => curve(name, title)),
      {title: one.title, x: "step", y: one.y, zero: true, smooth: true});
  empty("loss-charts", "Nothing was logged yet.");
  chart(at("speed-charts"), [curve("speed/images_per_second", "images per second")],
    {title: "Throughput", x: "step", y: "images per second", zero: true});
  chart(at("speed-charts"), [curve("speed/memory_gib", "process"),
    curve("speed/device_memory_gib", "fullest device")],
    {title: "Memory", x: "step", y: "GiB", zero: true});
  empty("speed-charts", "Nothing was logged yet.");
}

function setup() {
  const changed = data.config.filter(([, own, base]) => own !== base);
  at("config").append(changed.length ? table(["field", "here", "base"], changed) :
    make("p", {}, "None: all fields are as in base."),
  make("details", {}, make("summary", {}, `All ${data.config.length} fields`),
    table(["field", "value"], data.config.map((c) => c.slice(0, 2)))));
  const last = data.starts.at(-1);
  if (last) {
    const packages = Object.entries(last.packages || {}).map((pair) => pair.join(" ")).join(", ");
    at("environment").append(table(["", "last start"], [["command", make("code", {}, last.command)],
      ["devices", last.devices], ["processes", last.processes], ["processors", last.processors],
      ["system", `${last.system}, Python ${last.python}`], ["packages", packages]]),
    make("h3", {}, "Starts"), table(["time", "at step", "devices"],
      data.starts.map((s) => [when(s.time), short(s.step), s.devices]), [1]));
  }
  empty("environment", "Not recorded.");
  if (data.checkpoints.length) at("checkpoints").append(table(
    ["step", "written", "size", "measured"], data.checkpoints.map((c) => [short(c.step),
      when(c.time), `${(c.bytes / 2 ** 20).toFixed(1)} MiB`,
      Object.entries(c.metrics).map(([k, v]) => `${k} ${short(v)}`).join(", ") || "-"]), [0, 2]));
  empty("checkpoints", "None yet.");
}

for (const part of [header, diagnostics, samples, measures, classes, spectra, curves, setup]) part();
at("smooth").oninput = () => {
  at("smooth-value").textContent = at("smooth").value;
  redraws.forEach((draw) => draw());
};
at("smooth-value").textContent = at("smooth").value;
