// A picture with the heat of a span of speech, the region above a threshold outlined, and its overlap with a mask.
// The outline is drawn here at once; the scores come from the kernel. Shapes: h w grid, Y X pixels of the mask.

const SIDE = 480; // pixels of the canvas's longer side
const MEASURES = [
  ["iou", "IoU", "intersection over union: what the region and the thing share, of the area of both together"],
  ["iod", "IoD", "intersection over detection: share of the marked region that is the thing"],
  ["iot", "IoT", "intersection over target: share of the thing that is marked"],
  ["pointing", "Pointing", "1 where the hottest place is on the thing, else 0"],
  ["average_precision", "Average precision", "pixels ranked by heat, at every threshold"],
  ["chance", "Chance", "the thing's share of the picture: IoU of marking it all, pointing of a random place"],
];

/** Heat [h, w] at the centres of Y x X pixels, bilinear between the centres of the cells, edges held. */
function finer(heat, [height, width], [rows, columns]) {
  const axis = (count, cells) => {
    const low = new Int32Array(count), high = new Int32Array(count), part = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const at = Math.min(cells - 1, Math.max(0, ((i + 0.5) * cells) / count - 0.5));
      low[i] = Math.floor(at);
      high[i] = Math.min(cells - 1, low[i] + 1);
      part[i] = at - low[i];
    }
    return { low, high, part };
  };
  const y = axis(rows, height), x = axis(columns, width), field = new Float32Array(rows * columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const above = y.low[r] * width, below = y.high[r] * width, fx = x.part[c];
      const top = heat[above + x.low[c]] * (1 - fx) + heat[above + x.high[c]] * fx;
      const bottom = heat[below + x.low[c]] * (1 - fx) + heat[below + x.high[c]] * fx;
      field[r * columns + c] = top * (1 - y.part[r]) + bottom * y.part[r];
    }
  return field;
}

/**
 * The borders of a region as two paths on a canvas of that size: all of them, and those of every other `dash` pixels.
 * inside(row, column) is false outside of the picture.
 */
function outline(inside, [rows, columns], { width, height }, dash) {
  const all = new Path2D(), dashed = new Path2D(), sx = width / columns, sy = height / rows;
  const line = (place, x0, y0, x1, y1) => {
    for (const path of Math.floor(place / dash) % 2 ? [all] : [all, dashed]) {
      path.moveTo(x0 * sx, y0 * sy);
      path.lineTo(x1 * sx, y1 * sy);
    }
  };
  for (let r = 0; r <= rows; r++)
    for (let c = 0; c <= columns; c++) {
      const here = inside(r, c);
      if (here !== inside(r - 1, c)) line(c, c, r, c + 1, r);
      if (here !== inside(r, c - 1)) line(r, c, r, c, r + 1);
    }
  return { all, dashed };
}

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-region");
  let scene = null, image = null, colours = null, field = null, patch = null, thing = null, newest = 0;

  const thresholds = inTurn(model);
  const canvas = h("canvas", { class: "vgs-picture", role: "img", width: SIDE, height: SIDE, "aria-label": "No picture yet" });
  const bar = h("canvas", { class: "vgs-scale-bar", width: 256, height: 1, "aria-hidden": "true" });
  const low = h("span", {}), high = h("span", {}), value = h("output", {});
  const slider = h("input", { type: "range", class: "vgs-threshold", step: 0.005, disabled: true, "aria-label": "Threshold of the heat, cosine", oninput: () => moved() });
  const opacity = h("input", { type: "range", class: "vgs-opacity", min: 0, max: 100, value: 80, "aria-label": "Strength of the heatmap, percent", oninput: () => draw() });
  const things = h("select", { class: "vgs-things", "aria-label": "Compare with the mask of", disabled: true, onchange: () => model.send({ type: "target", name: things.value }) });
  const status = h("p", { class: "vgs-answer", role: "status", "aria-live": "polite" });
  const cells = {};
  const rows = MEASURES.map(([name, title, meaning]) => {
    cells[name] = h("td", { class: "vgs-value", "data-measure": name }, "–");
    return h("tr", {}, h("th", { scope: "row" }, title), cells[name], h("td", { class: "vgs-meaning" }, meaning));
  });
  el.append(
    h("section", { "aria-label": "Region and its scores" },
      h("h3", {}, "4. Move the threshold"),
      h("div", { class: "vgs-stage" }, canvas),
      h("div", { class: "vgs-scale" },
        h("label", {}, "marked is what is at least as hot as ", value, " (cosine, no unit)"),
        low, bar, high, slider),
      h("div", { class: "vgs-key" }, h("span", {}, "marked region"), h("span", { class: "vgs-key-thing" }, "the thing's mask"), h("label", {}, "heat", opacity)),
      status,
      h("div", { class: "vgs-row" }, h("label", {}, "compare with ", things)),
      h("table", { "aria-label": "Scores, shares from 0 to 1" }, h("tbody", {}, ...rows))),
  );

  const hot = (at) => field[at] >= scene.threshold;
  const within = ([rows, columns], test) => (r, c) => r >= 0 && c >= 0 && r < rows && c < columns && test(r * columns + c);

  /** The heat in colours, at the size of the mask: made once for each heat and strength. */
  function paintHeat() {
    const [rows, columns] = scene.size, [least, most] = scene.range;
    const pixels = new ImageData(columns, rows);
    for (let i = 0; i < field.length; i++) {
      const share = Math.min(1, Math.max(0, (field[i] - least) / (most - least))), colour = 3 * Math.round(255 * share);
      pixels.data[4 * i] = colours[colour];
      pixels.data[4 * i + 1] = colours[colour + 1];
      pixels.data[4 * i + 2] = colours[colour + 2];
      pixels.data[4 * i + 3] = 2.55 * opacity.value * (0.7 - 0.3 * share); // what is hot stays visible
    }
    patch = h("canvas", { width: columns, height: rows });
    patch.getContext("2d").putImageData(pixels, 0, 0);
    patch.strength = opacity.value;
  }

  function strokes(context, { all, dashed }, colour) {
    context.lineCap = "square";
    for (const [path, width, style] of [[all, 5, "#10161f"], [dashed, 2.5, colour]]) {
      context.lineWidth = width;
      context.strokeStyle = style;
      context.stroke(path);
    }
  }

  function peakOf() {
    const best = field.reduce((found, next, index) => (next > field[found] ? index : found), 0);
    const [rows, columns] = scene.size;
    return { x: ((best % columns) + 0.5) / columns, y: (Math.floor(best / columns) + 0.5) / rows };
  }

  function draw() {
    const context = canvas.getContext("2d"), data = canvas.dataset;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (image) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    if (!scene || !field || !image) {
      for (const name of ["peakX", "peakY", "region", "threshold", "target"]) delete data[name];
      return;
    }
    if (!patch || patch.strength !== opacity.value) paintHeat();
    context.drawImage(patch, 0, 0, canvas.width, canvas.height);
    if (thing) strokes(context, thing, "#fff");
    strokes(context, outline(within(scene.size, hot), scene.size, canvas, Infinity), "#ff8c1a");
    const peak = peakOf();
    context.beginPath();
    context.arc(peak.x * canvas.width, peak.y * canvas.height, 6, 0, 2 * Math.PI);
    context.fillStyle = "#fff";
    context.fill();
    context.lineWidth = 3;
    context.strokeStyle = "#10161f";
    context.stroke();
    let marked = 0;
    for (let i = 0; i < field.length; i++) marked += hot(i);
    Object.assign(data, {
      peakX: peak.x.toFixed(4), peakY: peak.y.toFixed(4), threshold: scene.threshold.toFixed(4),
      region: (marked / field.length).toFixed(5), target: scene.target ?? "",
    });
  }

  function answer() {
    const { scores, target } = scene;
    for (const [name] of MEASURES) cells[name].textContent = name in scores ? scores[name].toFixed(2) : "–";
    Object.assign(canvas.dataset, Object.fromEntries(MEASURES.map(([name]) => [name.replace("_p", "P"), name in scores ? scores[name].toFixed(4) : ""])));
    status.textContent = scene.description;
    status.classList.remove("vgs-failed");
    value.textContent = scene.threshold.toFixed(3);
    slider.value = scene.threshold;
    slider.setAttribute("aria-valuetext", `${scene.threshold.toFixed(3)} cosine${target && scores.iou !== undefined ? `, IoU ${scores.iou.toFixed(2)}` : ""}`);
    canvas.setAttribute("aria-label", canvas.dataset.title ? `Picture of ${canvas.dataset.title}. ${scene.description}` : "No picture yet");
  }

  function moved() {
    if (!scene) return;
    scene.threshold = Number(slider.value);
    value.textContent = scene.threshold.toFixed(3);
    draw();
    thresholds.ask({ type: "threshold", value: scene.threshold });
  }

  function showHeat(content, buffers) {
    const kept = thresholds.awaits("threshold") ? scene?.threshold : undefined; // the slider is ahead of the kernel
    scene = { ...content, ...(kept === undefined ? {} : { threshold: kept }) };
    const heat = new Float32Array(bytesOf(buffers[0]).slice().buffer), bits = bytesOf(buffers[1]);
    field = heat.length ? finer(heat, content.shape, content.size) : null;
    patch = null;
    const inMask = (at) => ((bits[at >> 3] >> (7 - (at & 7))) & 1) === 1;
    thing = content.masked ? outline(within(content.size, inMask), content.size, canvas, content.size[1] / 48) : null;
    const names = [...things.options].map((option) => option.value).filter(Boolean);
    if (names.length) things.options[0].textContent = content.near ? `the nearest word (${content.near})` : "the nearest word (none has a mask)";
    things.value = content.chosen ?? "";
    slider.disabled = !field;
    answer();
    draw();
  }

  async function show(content, buffers) {
    const number = ++newest;
    const bitmap = content.picture ? await createImageBitmap(new Blob([bytesOf(buffers[1])], { type: "image/jpeg" })) : null;
    if (number !== newest) return; // a newer picture came meanwhile
    image = bitmap;
    colours = bytesOf(buffers[0]);
    if (image) {
      const scale = SIDE / Math.max(image.width, image.height);
      canvas.width = Math.round(image.width * scale);
      canvas.height = Math.round(image.height * scale);
    }
    const [least, most] = content.range;
    [low.textContent, high.textContent, slider.min, slider.max] = [least.toFixed(2), most.toFixed(2), least, most];
    const row = new ImageData(256, 1);
    for (let i = 0; i < 256; i++) row.data.set([...colours.subarray(3 * i, 3 * i + 3), 255], 4 * i);
    bar.getContext("2d").putImageData(row, 0, 0);
    things.disabled = !content.things?.length;
    things.replaceChildren(h("option", { value: "" }, "the nearest word"), ...(content.things ?? []).map((name) => h("option", { value: name }, name)));
    Object.assign(canvas.dataset, { picture: content.picture?.id ?? "", title: content.picture?.title ?? "", shown: number });
    showHeat(content, buffers.slice(2));
  }

  let order = Promise.resolve(); // messages are shown in the order they came, though a picture takes time to decode
  const later = (handler) => (content, buffers) => (order = order.then(() => handler(content, buffers)).catch((error) => fail(`The picture cannot be drawn (${error.message}).`)));
  function fail(sentence) {
    status.textContent = sentence;
    status.classList.add("vgs-failed");
  }
  return connect(model, {
    show: later(show),
    heat: later(showHeat),
    scores: later((content) => {
      if (!thresholds.answered(content)) return;
      Object.assign(scene, content);
      answer();
      draw();
    }),
    broken: ({ sentence }) => {
      fail(sentence);
      thresholds.next();
    },
  }, tearDown, () => newest++);
}

export default { render };
