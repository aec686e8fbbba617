"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#1f77d0", "#e0701a", "#2a9d55", "#c8384a", "#8558c9", "#8a6250", "#d15bb0",
  "#7a858f", "#a9a11c", "#14a3b8"];
const at = (id) => document.getElementById(id);
const short = (x) => x === null || x === undefined || Number.isNaN(x) ? "-" :
  Number.isInteger(x) ? x.toLocaleString("en") :
  Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : String(+x.toPrecision(4));
const percent = (x) => x === null || x === undefined ? "-" : `${(100 * x).toFixed(1)}%`;
const when = (text) => String(text || "").replace("T", " ").replace("+00:00", " UTC");

function make(name, parts = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "text", "circle", "rect"].includes(name);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) :
    document.createElement(name);
  for (const [key, value] of Object.entries(parts)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function table(head, rows, numbers = []) {
  const kind = (i) => numbers.includes(i) ? {class: "number"} : {};
  const body = rows.map((row) => make("tr", {}, ...row.map((cell, i) =>
    make("td", kind(i), cell instanceof Node ? cell : String(cell)))));
  return make("div", {class: "scroll"}, make("table", {},
    make("tr", {}, ...head.map((text, i) => make("th", kind(i), text))), ...body));
}

/* Round numbers between two values, about `count` of them. */
function ticks(low, high, count) {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((x) => x * power).find((x) => x >= raw);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++)
    found.push(+(i * step).toPrecision(12));
  return found;
}

function decades(low, high) {
  const found = [];
  for (let i = Math.ceil(Math.log10(low) - 1e-9); 10 ** i <= high * 1.0001; i++) found.push(10 ** i);
  return found.length > 1 ? found : [low, high];
}

function smoothed(values, share) {
  let mean = 0, weight = 0;
  return values.map((x) => {
    mean = share * mean + (1 - share) * x;
    weight = share * weight + 1 - share;
    return mean / weight;
  });
}

/* A line chart. curves: [{name, x, y, colour, dashed, points}]; options: title, x, y, log, zero, smooth. */
function chart(target, curves, options) {
  curves = curves.filter((curve) => curve.x.length);
  if (!curves.length) return;
  curves.forEach((curve, i) => { curve.colour ||= COLOURS[i % COLOURS.length]; curve.on = true; });
  const legend = make("div", {class: "legend"}), holder = make("div");
  const figure = make("figure", {}, make("figcaption", {}, options.title), holder, legend);
  const draw = () => holder.replaceChildren(drawing(curves.filter((c) => c.on), options));
  for (const curve of curves) {
    const mark = make("i", {class: curve.dashed ? "dashed" : curve.points ? "points" : ""});
    mark.style.background = mark.style.borderColor = curve.colour;
    const button = make("button", {type: "button", "aria-pressed": "true"}, mark, curve.name);
    button.onclick = () => {
      curve.on = !curve.on;
      button.setAttribute("aria-pressed", curve.on);
      draw();
    };
    legend.append(button);
  }
  draw();
  if (options.smooth) redraws.push(draw);
  target.append(figure);
}
const redraws = [];

function drawing(curves, options) {
  const W = 420, H = 240, left = 58, right = 22, top = 10, bottom = 40;
  const share = options.smooth ? +at("smooth").value : 0;
  const lines = curves.map((c) => ({...c, raw: c.y,
    y: share && c.x.length >= 15 ? smoothed(c.y, share) : c.y}));
  const xs = lines.flatMap((c) => c.x), ys = lines.flatMap((c) => [...c.y, ...c.raw])
    .filter((y) => !options.log || y > 0);
  const svg = make("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": options.title});
  if (!ys.length) return svg;
  let [x0, x1] = [Math.min(...xs), Math.max(...xs)], [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  if (options.zero) y0 = Math.min(0, y0);
  if (x0 === x1 && !options.log) { x0 -= 1; x1 += 1; }
  if (y0 === y1) { const around = Math.abs(y0) * 0.1 || 1; y0 -= around; y1 += around; }
  else if (!options.log) { const room = (y1 - y0) * 0.05; y1 += room; if (!options.zero) y0 -= room; }
  const scale = options.log ? Math.log10 : (v) => v;
  const px = (x) => left + (scale(x) - scale(x0)) / (scale(x1) - scale(x0)) * (W - left - right);
  const py = (y) => H - bottom - (scale(y) - scale(y0)) / (scale(y1) - scale(y0)) *
    (H - top - bottom);
  const label = (v) => options.log && v >= 1e5 ? v.toExponential(0).replace("+", "") :
    Math.abs(v) >= 1000 && !options.log ? `${+(v / 1000).toPrecision(6)}k` : short(v);
  for (const y of options.log ? decades(y0, y1) : ticks(y0, y1, 5)) {
    svg.append(make("line", {class: "gridline", x1: left, x2: W - right, y1: py(y), y2: py(y)}),
      make("text", {x: left - 6, y: py(y) + 4, "text-anchor": "end"},
        (options.tick || label)(y)));
  }
  for (const x of options.log ? decades(x0, x1) : ticks(x0, x1, 4)) {
    svg.append(make("line", {class: "gridline", x1: px(x), x2: px(x), y1: top, y2: H - bottom}),
      make("text", {x: px(x), y: H - bottom + 15, "text-anchor": "middle"}, label(x)));
  }
  svg.append(make("line", {class: "axis", x1: left, x2: W - right, y1: H - bottom, y2: H - bottom}),
    make("text", {x: (left + W - right) / 2, y: H - 6, "text-anchor": "middle"}, options.x),
    make("text", {x: 12, y: (H - bottom + top) / 2, "text-anchor": "middle",
      transform: `rotate(-90 12 ${(H - bottom + top) / 2})`}, options.y));
  const path = (c, y) => c.x.map((x, i) => options.log && y[i] <= 0 ? "" :
    `${px(x).toFixed(1)} ${py(y[i]).toFixed(1)}`).filter(Boolean);
  for (const c of lines) {
    const line = (y, more) => svg.append(make("path", {d: `M${path(c, y).join("L")}`, fill: "none",
      stroke: c.colour, "stroke-width": 1.8, ...(c.dashed ? {"stroke-dasharray": "5 4"} : {}),
      ...more}));
    if (share) line(c.raw, {opacity: 0.22, "stroke-width": 1});
    if (!c.points) line(c.y, {});
    if (c.points || c.x.length < 15) c.x.forEach((x, i) => svg.append(
      make("circle", {cx: px(x), cy: py(c.y[i]), r: c.points ? 4 : 2.5, fill: c.colour})));
  }
  hover(svg, lines, {px, W, H, top, bottom, left, right, options});
  return svg;
}

/* A line under the pointer and the values of all curves there. */
function hover(svg, lines, {px, W, H, top, bottom, left, right, options}) {
  const mark = make("line", {class: "axis", y1: top, y2: H - bottom, visibility: "hidden"});
  svg.append(mark);
  svg.onpointermove = (event) => {
    const box = svg.getBoundingClientRect(), place = (event.clientX - box.left) / box.width * W;
    if (place < left - 4 || place > W - right + 4) return svg.onpointerleave();
    let nearest = null;
    for (const c of lines) for (const x of c.x)
      if (nearest === null || Math.abs(px(x) - place) < Math.abs(px(nearest) - place)) nearest = x;
    if (nearest === null) return;
    mark.setAttribute("x1", px(nearest)); mark.setAttribute("x2", px(nearest));
    mark.setAttribute("visibility", "visible");
    const texts = lines.map((c) => {
      const i = c.x.reduce((best, x, j) =>
        Math.abs(x - nearest) < Math.abs(c.x[best] - nearest) ? j : best, 0);
      const other = c.x[i] === nearest || options.log ? "" : ` (${options.x} ${short(c.x[i])})`;
      return `${c.name}: ${short(c.raw[i])}${other}`;
    });
    tip(`${options.x} ${short(nearest)}\n${texts.join("\n")}`, event);
  };
  svg.onpointerleave = () => { mark.setAttribute("visibility", "hidden"); tip("", null); };
}

function tip(text, event) {
  const node = at("tip");
  node.textContent = text;
  node.style.display = text ? "block" : "none";
  if (!text) return;
  const {width, height} = node.getBoundingClientRect();
  node.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
  node.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - height - 8))}px`;
}
