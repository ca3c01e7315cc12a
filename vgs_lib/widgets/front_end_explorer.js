// A sound as waveform, log-mel spectrogram and MFCC under one time axis, with every parameter of the front ends.

const TALL = 250, BOTTOM = 26; // pixels of a spectrogram's canvas and of its time axis

/** Paint features [rows, frames], row 0 below, frame t centred on t * hop seconds. */
function paintFeatures(context, { values, shape, range, hop, duration, colours }) {
  const [rows, frames] = shape, plot = WIDE - AXIS - RIGHT, high = TALL - BOTTOM;
  const image = new ImageData(frames, rows);
  for (let row = 0; row < rows; row++)
    for (let frame = 0; frame < frames; frame++) {
      const share = (values[row * frames + frame] - range[0]) / (range[1] - range[0]);
      const colour = 3 * Math.round(255 * Math.min(1, Math.max(0, share)));
      const at = 4 * ((rows - 1 - row) * frames + frame);
      image.data.set([colours[colour], colours[colour + 1], colours[colour + 2], 255], at);
    }
  const patch = h("canvas", { width: frames, height: rows });
  patch.getContext("2d").putImageData(image, 0, 0);
  context.save();
  context.beginPath();
  context.rect(AXIS, 0, plot, high);
  context.clip();
  context.imageSmoothingEnabled = false;
  const one = (hop / duration) * plot;
  context.drawImage(patch, AXIS - one / 2, 0, one * frames, high);
  context.restore();
}

/** Labels on the axis of the rows: [[row, text], ...], the text turned aside. */
function paintRows(context, rows, labels, name) {
  const style = getComputedStyle(context.canvas), high = TALL - BOTTOM;
  context.fillStyle = style.getPropertyValue("--vgs-ink");
  context.font = "15px system-ui, sans-serif";
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const [row, text] of labels) {
    const y = high - ((row + 0.5) / rows) * high;
    context.fillRect(AXIS - 5, y, 5, 1);
    context.fillText(text, AXIS - 8, Math.min(high - 8, Math.max(8, y)));
  }
  context.save();
  context.translate(9, high / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.fillText(name, 0, 0);
  context.restore();
}

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-front-end");
  let shown = null, listed = "", layers = [];
  const changes = inTurn(model); // of each control the newest, under its name

  const select = h("select", { class: "vgs-sounds", "aria-label": "Recording", onchange: () => changes.ask({ type: "clip", id: select.value }) });
  const reset = h("button", { type: "button", class: "vgs-button vgs-reset", onclick: defaults }, "Defaults");
  const groups = { both: h("fieldset", {}, h("legend", {}, "Both")), "log-mel": h("fieldset", {}, h("legend", {}, "Log-mel")), mfcc: h("fieldset", {}, h("legend", {}, "MFCC")) };
  const controls = new Map();
  const problem = h("p", { class: "vgs-status vgs-failed", role: "alert", hidden: true });
  const notes = h("ul", { class: "vgs-notes", "aria-live": "polite" });
  const under = h("p", { class: "vgs-readout vgs-note", "aria-live": "off" }, "Point at a place to read its value.");
  const code = h("pre", { class: "vgs-code", tabindex: 0, "aria-label": "The two front ends as Python" });
  const panel = (name) => {
    const canvas = h("canvas", { class: `vgs-features vgs-${name}`, width: WIDE, height: TALL, role: "img" });
    const bar = h("canvas", { class: "vgs-legend-bar", width: 128, height: 1, "aria-hidden": "true" });
    const low = h("span", {}), high = h("span", {}), unit = h("span", {});
    const heading = h("h4", {});
    const element = h("figure", { class: "vgs-panel" }, h("figcaption", {}, heading, h("div", { class: "vgs-legend" }, unit, low, bar, high)), canvas);
    return { canvas, bar, low, high, unit, heading, element };
  };
  const mel = panel("log-mel"), cepstra = panel("mfcc");
  const box = soundBox({ label: "the recording", onTime: (time) => drawAll(time) });
  const pictures = h("div", { class: "vgs-panels" }, box.element, mel.element, cepstra.element, under);
  el.append(
    h("section", { "aria-label": "Explorer of front ends" },
      h("div", { class: "vgs-row" }, h("label", { class: "vgs-field" }, h("span", {}, "Recording"), select), reset),
      h("div", { class: "vgs-front" }, h("div", { class: "vgs-controls" }, ...Object.values(groups)), h("div", { class: "vgs-drawn" }, problem, notes, pictures, code))),
  );

  function defaults() {
    for (const name of controls.keys()) changes.takeBack(name);
    changes.ask({ type: "reset" });
  }

  const text = (parameter, value) => {
    if (value === null) return parameter.name === "fmax" ? "half the rate" : "all";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (parameter.unit === "s") return `${(1000 * value).toFixed(0)} ms`;
    return `${value}${parameter.unit ? ` ${parameter.unit}` : ""}`;
  };
  function control(parameter) {
    const id = `vgs-${parameter.name}-${Math.random().toString(36).slice(2)}`;
    const attributes = { id, "data-name": parameter.name, title: parameter.help };
    const output = h("output", { for: id });
    const set = (value) => {
      showValue(parameter.name, value);
      changes.ask({ type: "set", name: parameter.name, value }, parameter.name);
    };
    const input = parameter.choices.length
      ? h("select", { ...attributes, onchange: () => set(parameter.choices[input.selectedIndex]) }, ...parameter.choices.map((choice) => h("option", {}, text(parameter, choice))))
      : h("input", { ...attributes, type: "range", min: parameter.low, max: parameter.high, step: parameter.step, oninput: () => set(Number(input.value)) });
    groups[parameter.group].append(h("div", { class: "vgs-control" }, h("label", { for: id, title: parameter.help }, parameter.label), input, parameter.choices.length ? null : output));
    controls.set(parameter.name, { parameter, input, output });
  }
  function showValue(name, value) {
    const { parameter, input, output } = controls.get(name);
    if (parameter.choices.length) input.selectedIndex = parameter.choices.indexOf(value);
    else {
      input.value = value;
      output.textContent = text(parameter, value);
      input.setAttribute("aria-valuetext", text(parameter, value));
    }
  }
  /** The list of recordings is built anew only where it changed: a person may have it open. */
  function showClips({ clips, clip, title }) {
    const none = clip ? [] : [title || "choose a recording"], list = JSON.stringify([none, clips]);
    const chosen = changes.awaits("clip") ? select.value : clip;
    if (list !== listed) {
      const kinds = [...new Set(clips.map(([, , kind]) => kind))];
      const options = (kind) => clips.filter((one) => one[2] === kind).map(([id, name]) => h("option", { value: id }, name));
      select.replaceChildren(...none.map((name) => h("option", { value: "" }, name)), ...kinds.map((kind) => h("optgroup", { label: kind }, ...options(kind))));
      listed = list;
    }
    select.value = chosen;
  }

  /** The panels are painted once into layers; the cursor of the sound moves over copies of them. */
  function paint(panel, features, labels, axis) {
    const layer = h("canvas", { width: WIDE, height: TALL });
    const context = layer.getContext("2d");
    paintFeatures(context, features);
    layer.paintAxes = (target) => {
      paintRows(target, features.shape[0], labels, axis);
      drawSeconds(target, features.duration, TALL - BOTTOM + 2);
    };
    const row = new ImageData(128, 1);
    for (let i = 0; i < 128; i++) row.data.set([...features.colours.subarray(6 * i, 6 * i + 3), 255], 4 * i);
    panel.bar.getContext("2d").putImageData(row, 0, 0);
    const digits = features.range[1] - features.range[0] > 9 ? 0 : 1;
    panel.low.textContent = features.range[0].toFixed(digits);
    panel.high.textContent = features.range[1].toFixed(digits);
    Object.assign(panel.canvas.dataset, { rows: features.shape[0], frames: features.shape[1], low: features.range[0], high: features.range[1] });
    return layer;
  }
  function drawAll(time) {
    if (!shown || layers.length === 0) return;
    [mel, cepstra].forEach((panel, index) => {
      const context = panel.canvas.getContext("2d");
      context.clearRect(0, 0, WIDE, TALL);
      context.drawImage(layers[index], 0, 0);
      layers[index].paintAxes(context);
      drawCursor(context, time, shown.duration, TALL - BOTTOM);
    });
  }

  function readout(panel, features, describe) {
    panel.canvas.addEventListener("pointermove", (event) => {
      const one = features();
      if (!one) return;
      const place = panel.canvas.getBoundingClientRect();
      const x = ((event.clientX - place.left) / place.width) * WIDE, y = ((event.clientY - place.top) / place.height) * TALL;
      const time = ((x - AXIS) / (WIDE - AXIS - RIGHT)) * one.duration;
      const row = Math.floor((1 - y / (TALL - BOTTOM)) * one.shape[0]), frame = Math.round(time / one.hop);
      if (time < 0 || time > one.duration || row < 0 || row >= one.shape[0] || frame >= one.shape[1]) return;
      under.textContent = `frame ${frame} (${(frame * one.hop).toFixed(3)} s), ${describe(row)}: ${one.values[row * one.shape[1] + frame].toFixed(1)} ${one.unit}`;
    });
  }
  readout(mel, () => shown?.mel, (row) => `band ${row} (centre ${shown.centres[row].toFixed(0)} Hz)`);
  readout(cepstra, () => shown?.mfcc, (row) => `row ${row}`);

  const floats = (buffer) => new Float32Array(bytesOf(buffer).slice().buffer);
  function show(content, buffers) {
    changes.answered(content);
    let rest = buffers;
    if (content.sound) {
      if (controls.size === 0) content.parameters.forEach(control);
      showClips(content);
      rest = buffers.slice(1);
    }
    for (const name of controls.keys()) if (!changes.awaits(name)) showValue(name, content.settings[name]);
    problem.textContent = content.problem;
    problem.hidden = !content.problem;
    pictures.classList.toggle("vgs-stale", Boolean(content.problem));
    Object.assign(el.dataset, { problem: content.problem, clip: content.clip, title: content.title });
    notes.replaceChildren(...(content.notes ?? []).map((note) => h("li", {}, note)));
    if (!content.problem) {
      const shared = { hop: content.hop, duration: content.duration, colours: bytesOf(rest[0]) };
      const one = { ...shared, ...content.log_mel, values: floats(rest[1]), unit: "dB relative to the loudest" };
      const two = { ...shared, ...content.mfcc, values: floats(rest[2]), unit: content.mfcc_unit };
      shown = { ...content, mel: one, mfcc: two };
      const few = (rows, label) => [...new Set([0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (rows - 1))))].map((row) => [row, label(row)]);
      const hertz = (row) => (content.centres[row] >= 1000 ? `${(content.centres[row] / 1000).toFixed(1)}k` : content.centres[row].toFixed(0));
      layers = [
        paint(mel, one, few(one.shape[0], hertz), "Hz"),
        paint(cepstra, two, few(two.shape[0], String), "row"),
      ];
      mel.heading.textContent = `Log-mel: ${one.shape[0]} bands × ${one.shape[1]} frames`;
      cepstra.heading.textContent = `MFCC: ${two.shape[0]} rows × ${two.shape[1]} frames`;
      mel.unit.textContent = "dB relative to the loudest";
      cepstra.unit.textContent = content.mfcc_unit;
      mel.canvas.setAttribute("aria-label", `Log-mel spectrogram of ${content.title}: ${one.shape[0]} mel bands from ${content.centres[0].toFixed(0)} to ${content.centres.at(-1).toFixed(0)} Hz, ${one.shape[1]} frames of ${(1000 * content.hop).toFixed(0)} ms`);
      cepstra.canvas.setAttribute("aria-label", `MFCC of ${content.title}: ${two.shape[0]} rows, ${two.shape[1]} frames`);
      code.textContent = content.code.join("\n");
    }
    if (content.sound && content.duration > 0) box.show(content, buffers[0]);
    else drawAll(box.time());
  }

  return connect(model, {
    show,
    broken: (content) => {
      brokenIn(problem)(content);
      changes.next();
    },
  }, tearDown, box.stop);
}

export default { render };
