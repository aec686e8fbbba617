// Files that come and go: label maps and generated images.

import { readLabel } from "./api.js";
import { png } from "./png.js";

/** Opens a label map's file in the studio; says why not, if it does not fit. */
export async function load(file, studio, tell) {
  if (!file) return;
  try {
    studio.open(await readLabel(file, `${studio.map.height}x${studio.map.width}`));
    tell(`${file.name || "label map"} loaded`);
  } catch (error) {
    tell(error.message, true);
  }
}

/** Saves the label map as ids of the data set's files, which load here and in usis sample. */
export function saveIds({ map, spec }, tell) {
  const ids = spec.classes.map(({ file_id }) => file_id);
  const missing = spec.classes.find(({ file_id }, k) => file_id === null && map.labels.includes(k));
  if (missing) return tell(`${missing.name} has no id in files; download the colours`, true);
  const bits = Math.max(...ids.map((id) => id ?? 0)) > 255 ? 16 : 8;
  const values = Uint16Array.from(map.labels, (k) => ids[k]);
  save(png(values, map.width, map.height, { bits }), "label_map.png");
}

/** Saves the label map in the colours of its classes. */
export function saveColours({ map, spec }) {
  const colours = new Uint8Array(3 * map.labels.length);
  map.labels.forEach((k, i) => colours.set(spec.classes[k].colour, 3 * i));
  save(png(colours, map.width, map.height, { channels: 3 }), "label_map_colours.png");
}

/** Offers a Blob as a file. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
