// CAM inspector: choose a picture, a word, a method and layers; see the map over the picture and over the spectrogram.

const SIDE = 440; // pixels of the picture canvas's longer side
const floatsOf = (buffer) => new Float32Array(bytesOf(buffer).slice().buffer);
const most = (values) => values.reduce((found, value) => Math.max(found, value), 0);
const short = (value) => (value === 0 ? "0" : Math.abs(value) >= 0.01 && Math.abs(value) < 1000 ? value.toFixed(2) : value.toExponential(1));

/** A small canvas of values [rows, columns], 0 to top, in the 256 colours; alpha(value 0-1) is the opacity. */
function painted(values, rows, columns, top, colours, alpha) {
  const canvas = h("canvas", { width: columns, height: rows });
  const image = new ImageData(columns, rows);
  values.forEach((value, index) => {
    const level = Math.min(1, Math.max(0, top > 0 ? value / top : 0));
    const colour = 3 * Math.round(255 * level);
    image.data.set(colours.subarray(colour, colour + 3), 4 * index);
    image.data[4 * index + 3] = 255 * alpha(level);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Rows of values [rows, columns] upside down: mel band 0 belongs at the bottom. */
function flipped(values, rows, columns) {
  const result = new values.constructor(values.length);
  for (let row = 0; row < rows; row++) result.set(values.subarray(row * columns, (row + 1) * columns), (rows - 1 - row) * columns);
  return result;
}

function legendOf(name) {
  const bar = h("canvas", { class: "vgs-legend-bar", width: 128, height: 1, "aria-hidden": "true" });
  const high = h("span", { class: "vgs-high" });
  const element = h("div", { class: "vgs-legend", hidden: true }, h("span", {}, name), h("span", {}, "0"), bar, high);
  const update = (top, colours, title) => {
    element.hidden = false;
    element.title = title;
    high.textContent = short(top);
    const row = new ImageData(128, 1);
    for (let i = 0; i < 128; i++) row.data.set([...colours.subarray(6 * i, 6 * i + 3), 255], 4 * i);
    bar.getContext("2d").putImageData(row, 0, 0);
  };
  return { element, update };
}

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-cam");
  const urls = [], held = { picture: null, sound: null };
  let options = null, scene = null, shown = 0, chosen = "";

  const thumbs = h("ul", { class: "vgs-thumbs", "aria-label": "Pictures" });
  const id = `vgs-cam-${Math.random().toString(36).slice(2)}`;
  const select = (name, text, onchange = () => {}) => {
    const element = h("select", { id: `${id}-${name}`, class: `vgs-cam-${name}`, onchange });
    return { element, label: h("label", { for: `${id}-${name}` }, text) };
  };
  const word = select("word", "Query"), method = select("method", "Method", () => tellMethod());
  const layer = select("layer", "Layer, picture"), soundLayer = select("sound-layer", "Layer, sound");
  const against = select("against", "Target");
  const about = h("p", { class: "vgs-cam-about" });
  const explain = h("button", { type: "button", class: "vgs-button vgs-explain", disabled: true, onclick: () => ask() }, "Explain");
  const stop = h("button", { type: "button", class: "vgs-button vgs-stop", disabled: true, onclick: () => model.send({ type: "stop" }) }, "Stop");
  const bar = h("progress", { class: "vgs-cam-bar", max: 1, value: 0, "aria-label": "Progress" });
  const left = h("span", { class: "vgs-clock" });
  const status = h("p", { class: "vgs-status", role: "status", "aria-live": "polite" }, "The pictures come.");
  const canvas = h("canvas", { class: "vgs-picture", role: "img", width: SIDE, height: SIDE, "aria-label": "No map yet" });
  const opacity = h("input", { type: "range", class: "vgs-opacity", min: 0, max: 100, value: 80, "aria-label": "Strength of the maps, percent", oninput: () => draw() });
  const hold = h("input", { type: "checkbox", class: "vgs-hold", onchange: () => keepRange() });
  const pictureLegend = legendOf("relevance"), soundLegend = legendOf("relevance in the sound");
  const spectrogram = h("canvas", { class: "vgs-cam-spectrogram", role: "img", width: 1040, height: 170, "aria-label": "No spectrogram yet" });
  const words = h("div", { class: "vgs-words", "aria-hidden": "true" });
  const note = h("p", { class: "vgs-note" });
  el.append(
    h("section", { "aria-label": "Inspector of what the score depends on" },
      h("div", { class: "vgs-cam-main" },
        h("div", {},
          h("h3", {}, "Choose a picture and a word of its caption"),
          thumbs,
          h("div", { class: "vgs-cam-choices" },
            word.label, word.element, against.label, against.element, method.label, method.element, about,
            layer.label, layer.element, soundLayer.label, soundLayer.element),
          h("div", { class: "vgs-row" }, explain, stop, bar, left),
          status),
        h("div", {},
          h("div", { class: "vgs-stage" }, canvas),
          h("div", { class: "vgs-under" }, pictureLegend.element, h("label", { class: "vgs-opacity-label" }, "map", opacity)),
          h("label", { class: "vgs-note vgs-cam-hold", title: "Every map has its own range, so colours of two maps cannot be compared; this keeps the range of the one shown now, for the same method and layer" }, hold, "Keep this colour range"))),
      h("div", { class: "vgs-cam-sound" },
        spectrogram, words,
        h("div", { class: "vgs-under" }, soundLegend.element, note))),
  );

  const fill = (element, pairs, value) => {
    element.replaceChildren(...pairs.map(([key, text]) => h("option", { value: key }, text)));
    element.value = value;
  };
  const tellMethod = () => (about.textContent = options.methods.find(([name]) => name === method.element.value)?.[1] ?? "");
  const ask = () =>
    model.send({
      type: "explain",
      choice: {
        picture: chosen, word: Number(word.element.value), method: method.element.value, layer: layer.element.value,
        sound_layer: soundLayer.element.value, against: against.element.value,
      },
    });

  function choosePicture(picture, number) {
    chosen = picture;
    const item = options.pictures.find((one) => one.id === picture);
    const pairs = item.words.map(([text, from, to], index) => [index, `${text} (${seconds(from)} to ${seconds(to)})`]);
    fill(word.element, [...pairs, [-1, `the whole caption: ${item.caption}`]], number ?? pairs[0]?.[0] ?? -1);
    for (const button of thumbs.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.id === picture));
  }

  function showOptions(content, buffers) {
    options = content;
    urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
    thumbs.replaceChildren(...content.pictures.map((item, index) => {
      urls.push(urlOf(buffers[index], "image/jpeg"));
      return h("li", {}, h("button", { type: "button", class: "vgs-thumb", "data-id": item.id, title: item.title, onclick: () => choosePicture(item.id) },
        h("img", { src: urls[index], alt: item.title, draggable: "false" })));
    }));
    fill(method.element, content.methods.map(([name]) => [name, name]), content.choice.method);
    fill(layer.element, content.layers, content.choice.layer);
    fill(soundLayer.element, content.sound_layers, content.choice.sound_layer);
    fill(against.element, content.against, content.choice.against);
    choosePicture(content.choice.picture, content.choice.word);
    tellMethod();
    explain.disabled = false;
  }

  function showProgress({ state, sentence, done, total, left: remaining }) {
    const running = state === "running";
    el.dataset.state = state;
    stop.disabled = !running;
    bar.value = total ? done / total : 0;
    left.textContent = running && remaining > 0.5 ? `about ${Math.ceil(remaining)} s left` : "";
    status.textContent = sentence;
    status.classList.toggle("vgs-failed", state === "failed");
  }

  /** What a range is good for: one method at one layer with one target. */
  const kinds = () => ({ picture: [scene.choice.method, scene.choice.layer].join(), sound: [scene.choice.method, scene.choice.sound_layer].join() });
  function keepRange() {
    const { picture, sound } = scene ? kinds() : {};
    held.picture = hold.checked && scene ? { kind: picture, top: most(scene.map) } : null;
    held.sound = hold.checked && scene ? { kind: sound, top: most(scene.sound) } : null;
    draw();
  }
  const topOf = (name, values) => (held[name]?.kind === kinds()[name] ? held[name].top : most(values));

  function draw() {
    if (!scene) return;
    const context = canvas.getContext("2d"), strength = opacity.value / 100;
    const [rows, columns] = scene.shape, top = topOf("picture", scene.map);
    context.drawImage(scene.image, 0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "saturation"; // the picture in grey: all colour is the map's
    context.fillStyle = `rgb(0 0 0 / ${strength})`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.globalCompositeOperation = "source-over";
    context.imageSmoothingQuality = "high";
    context.drawImage(painted(scene.map, rows, columns, top, scene.colours, () => 0.7 * strength), 0, 0, canvas.width, canvas.height);
    pictureLegend.update(top, scene.colours, "What raises the score, in the unit of the method; dark blue places do not");
    const best = scene.map.reduce((found, value, index) => (value > scene.map[found] ? index : found), 0);
    Object.assign(canvas.dataset, {
      picture: scene.picture.id, query: scene.query, method: scene.choice.method, layer: scene.choice.layer,
      against: scene.choice.against, top: top.toPrecision(4), greatest: most(scene.map).toPrecision(4),
      peakX: (((best % columns) + 0.5) / columns).toFixed(4), peakY: ((Math.floor(best / columns) + 0.5) / rows).toFixed(4),
      score: scene.score.toFixed(4), shown,
    });
    drawSound(strength);
  }

  function drawSound(strength) {
    const context = spectrogram.getContext("2d"), { width, height } = spectrogram, strip = 26;
    const [bands, frames] = scene.mel, [soundBands, soundFrames] = scene.soundShape ?? [1, 1];
    const top = topOf("sound", scene.sound), has = Boolean(scene.soundShape);
    context.clearRect(0, 0, width, height);
    const grey = Uint8Array.from({ length: 768 }, (_, index) => 255 - 0.85 * Math.floor(index / 3));
    const quiet = painted(flipped(scene.spectrogram, bands, frames), bands, frames, 255, grey, () => 1);
    context.drawImage(quiet, 0, 0, width, height - strip - 2);
    if (soundBands > 1) context.drawImage(painted(flipped(scene.sound, soundBands, soundFrames), soundBands, soundFrames, top, scene.colours, (level) => strength * Math.min(1, 3 * level)), 0, 0, width, height - strip - 2);
    const overTime = new Float32Array(soundFrames);
    scene.sound.forEach((value, index) => (overTime[index % soundFrames] = Math.max(overTime[index % soundFrames], value)));
    if (has) {
      context.imageSmoothingEnabled = false;
      const colours = painted(overTime, 1, soundFrames, most(overTime) && top, scene.colours, () => 1);
      const lag = (scene.sound_clock.frame_lag / scene.duration) * width;
      context.drawImage(colours, lag < 0 ? 0 : soundFrames - 1, 0, 1, 1, 0, height - strip, width, strip); // from beginning to end
      context.drawImage(colours, -lag, height - strip, width, strip);
      context.imageSmoothingEnabled = true;
      soundLegend.update(top, scene.colours, "What raises the score, in the unit of the method; the strip shows the greatest value of each moment");
    }
    soundLegend.element.hidden = !has;
    context.fillStyle = "#e07b39";
    for (const moment of scene.span) context.fillRect(Math.min(width - 3, (moment / scene.duration) * width), 0, 3, height);
    const best = overTime.reduce((found, value, index) => (value > overTime[found] ? index : found), 0);
    if (has) Object.assign(spectrogram.dataset, { layer: scene.choice.sound_layer, peakTime: secondsOf(scene.sound_clock, best + 0.5).toFixed(3), shape: scene.soundShape.join("x") });
    else for (const name of ["layer", "peakTime", "shape"]) delete spectrogram.dataset[name];
  }

  function showWords() {
    const place = (time) => `${(100 * time) / scene.duration}%`;
    words.replaceChildren(...scene.words.map(([text, from, to], index) =>
      h("span", { class: index === scene.choice.word ? "vgs-chosen" : "", style: `left:${place(from)};width:${place(to - from)}`, title: text }, text)));
  }

  async function show(content, buffers) {
    if (!content.picture) return;
    const number = ++shown;
    const image = await createImageBitmap(new Blob([bytesOf(buffers[0])], { type: "image/jpeg" }));
    if (number !== shown) return; // a newer message came meanwhile
    scene = { ...content, soundShape: content.sound, image, colours: bytesOf(buffers[1]), map: floatsOf(buffers[2]), sound: floatsOf(buffers[3]), spectrogram: bytesOf(buffers[4]) };
    const scale = SIDE / Math.max(image.width, image.height);
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    note.textContent = content.note;
    canvas.setAttribute("aria-label", `Picture of ${content.picture.title}. ${content.description}`);
    spectrogram.setAttribute("aria-label", `Spectrogram of the caption, ${seconds(content.duration)}, ${content.query} is said from ${seconds(content.span[0])} to ${seconds(content.span[1])}`);
    showWords();
    draw();
  }

  return connect(model, {
    options: showOptions,
    shown: show,
    progress: showProgress,
    broken: ({ sentence }) => showProgress({ state: "failed", sentence, done: 0, total: 0, left: 0 }),
  }, tearDown, () => urls.forEach((url) => URL.revokeObjectURL(url)));
}

export default { render };
