// A picture with the heat of a spoken prompt over it, in step with its sound. The audio element is the clock.

const SIDE = 480; // pixels of the canvas's longer side
const FINE = 96; // heat is interpolated to this many points a side before it is coloured

/** Heat [h, w] in 0-1 at (x, y) in grid units, cells centred, edges held. */
function bilinear(heat, height, width, x, y) {
  const clamp = (value, most) => Math.min(most, Math.max(0, value));
  const x0 = clamp(Math.floor(x), width - 1), x1 = clamp(x0 + 1, width - 1);
  const y0 = clamp(Math.floor(y), height - 1), y1 = clamp(y0 + 1, height - 1);
  const fx = clamp(x - x0, 1), fy = clamp(y - y0, 1);
  const top = heat[y0 * width + x0] * (1 - fx) + heat[y0 * width + x1] * fx;
  const bottom = heat[y1 * width + x0] * (1 - fx) + heat[y1 * width + x1] * fx;
  return top * (1 - fy) + bottom * fy;
}

/** Everything the view draws, decoded from a message of the kernel. */
function decode({ picture, prompt, description }, buffers) {
  const scene = { picture, prompt, description };
  if (!prompt) return scene;
  const [frames, height, width] = prompt.shape;
  scene.colours = bytesOf(buffers[1]);
  scene.heat = bytesOf(buffers[2]);
  scene.whole = bytesOf(buffers[3]);
  scene.wav = bytesOf(buffers[4]);
  scene.strength = new Float32Array(frames);
  for (let t = 0; t < frames; t++)
    for (let i = 0; i < height * width; i++)
      scene.strength[t] = Math.max(scene.strength[t], scene.heat[t * height * width + i] / 255);
  return scene;
}

/** Heat [h, w] in 0-1 of a moment: linear between the centres of its two nearest frames. */
function heatAt(scene, time) {
  const [frames, height, width] = scene.prompt.shape;
  const size = height * width;
  const position = Math.min(frames - 1, Math.max(0, time / scene.prompt.seconds_per_frame - 0.5));
  const first = Math.floor(position), second = Math.min(frames - 1, first + 1), part = position - first;
  const heat = new Float32Array(size);
  for (let i = 0; i < size; i++)
    heat[i] = (scene.heat[first * size + i] * (1 - part) + scene.heat[second * size + i] * part) / 255;
  return heat;
}

/** How strongly heat covers the picture: cold places are dimmed, the named place is lit and stays visible. */
const cover = (value) => 0.7 - 0.3 * value;

/** Paint heat over what is on the canvas. Returns the peak. */
function paintHeat(context, patch, scene, heat, opacity) {
  const [, height, width] = scene.prompt.shape;
  const image = new ImageData(FINE, FINE);
  for (let row = 0; row < FINE; row++)
    for (let column = 0; column < FINE; column++) {
      const x = ((column + 0.5) * width) / FINE - 0.5, y = ((row + 0.5) * height) / FINE - 0.5;
      const value = Math.min(1, Math.max(0, bilinear(heat, height, width, x, y)));
      const colour = 3 * Math.round(255 * value), at = 4 * (row * FINE + column);
      image.data.set(scene.colours.subarray(colour, colour + 3), at);
      image.data[at + 3] = 255 * opacity * cover(value);
    }
  patch.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(patch, 0, 0, context.canvas.width, context.canvas.height);
  const best = heat.reduce((found, value, index) => (value > heat[found] ? index : found), 0);
  return { x: ((best % width) + 0.5) / width, y: (Math.floor(best / width) + 0.5) / height, value: heat[best] };
}

/** A ring around the hottest place. */
function paintPeak(context, peak) {
  const { width, height } = context.canvas;
  for (const [line, colour] of [[5, "rgba(0, 0, 0, 0.55)"], [2.5, "#fff"]]) {
    context.beginPath();
    context.arc(peak.x * width, peak.y * height, 13, 0, 2 * Math.PI);
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.stroke();
  }
}

/** The waveform as bars, under it a strip in the colours of the strongest heat of each frame; the best span is marked. */
function paintWave(canvas, scene, time) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  if (!scene?.prompt) return;
  const { span, duration, seconds_per_frame: step } = scene.prompt;
  const at = (moment) => (Math.min(moment, duration) / duration) * width;
  const strip = 22, tallest = height - strip - 14, style = getComputedStyle(canvas);
  context.fillStyle = style.getPropertyValue("--vgs-mark");
  context.fillRect(at(span[0]), 0, at(span[1]) - at(span[0]), height - strip);
  const bar = 6, bars = Math.floor(width / bar);
  for (let index = 0; index < bars; index++) {
    const moment = ((index + 0.5) / bars) * duration;
    const tall = Math.max(2, scene.loudness(moment, duration / bars) * tallest);
    context.fillStyle = style.getPropertyValue(moment <= time ? "--vgs-accent" : "--vgs-soft");
    context.fillRect(index * bar + 1, (height - strip - tall) / 2, bar - 2, tall);
  }
  scene.strength.forEach((value, frame) => {
    const colour = 3 * Math.round(255 * value);
    context.fillStyle = `rgb(${scene.colours.subarray(colour, colour + 3).join()})`;
    context.fillRect(at(frame * step), height - strip, at((frame + 1) * step) - at(frame * step) + 0.5, strip);
  });
  if (time < 0) return;
  context.fillStyle = style.getPropertyValue("--vgs-alert");
  context.fillRect(Math.min(width - 4, at(time)), 0, 4, height);
}

/** A function (moment, length) -> loudness 0-1 of a WAV file with a 44-byte header and 16-bit samples. */
function loudnessOf(wav) {
  const samples = new Int16Array(wav.slice(44).buffer, 0, Math.floor((wav.length - 44) / 2));
  const loudest = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  return (moment, length) => {
    let most = 0;
    const first = Math.max(0, Math.floor((moment - length / 2) * 16000));
    const last = Math.min(samples.length, Math.ceil((moment + length / 2) * 16000));
    for (let i = first; i < last; i++) most = Math.max(most, Math.abs(samples[i]));
    return most / loudest;
  };
}

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-player");
  let scene = null, image = null, soundUrl = null, whole = true, timer = 0, shown = 0;

  const canvas = h("canvas", { class: "vgs-picture", role: "img", width: SIDE, height: SIDE, "aria-label": "No picture yet" });
  const patch = h("canvas", { width: FINE, height: FINE });
  const wave = h("canvas", { class: "vgs-wave", width: 960, height: 140, "aria-hidden": "true" });
  const words = h("div", { class: "vgs-words", "aria-hidden": "true" });
  const sound = h("audio", { preload: "auto" });
  const play = h("button", { type: "button", class: "vgs-button vgs-play", disabled: true, onclick: () => togglePlay() }, "▶ Play");
  const all = h("button", { type: "button", class: "vgs-button vgs-whole", disabled: true, "aria-pressed": "true", onclick: () => showWhole() }, "Whole prompt");
  const clock = h("span", { class: "vgs-clock" }, "");
  const slider = h("input", { type: "range", class: "vgs-time", min: 0, max: 1, step: 0.01, value: 0, disabled: true, "aria-label": "Time in the prompt, seconds", oninput: () => seek(Number(slider.value)) });
  const opacity = h("input", { type: "range", class: "vgs-opacity", min: 0, max: 100, value: 80, "aria-label": "Strength of the heatmap, percent", oninput: () => draw() });
  const legendBar = h("canvas", { class: "vgs-legend-bar", width: 128, height: 1, "aria-hidden": "true" });
  const low = h("span", {}), high = h("span", {});
  const legend = h("div", { class: "vgs-legend", hidden: true }, h("span", { class: "vgs-legend-name" }, "similarity"), low, legendBar, high);
  const status = h("p", { class: "vgs-answer", role: "status", "aria-live": "polite" });
  el.append(
    h("section", { "aria-label": "Picture and heatmap" },
      h("div", { class: "vgs-stage" }, canvas),
      h("div", { class: "vgs-under" }, legend, h("label", { class: "vgs-opacity-label" }, "heat", opacity)),
      status,
      h("div", { class: "vgs-timeline" }, wave, words, slider),
      h("div", { class: "vgs-row" }, play, all, clock),
      sound),
  );

  const now = () => Math.min(sound.currentTime || 0, scene?.prompt?.duration ?? 0);

  function draw() {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (image) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const data = canvas.dataset;
    if (!scene?.prompt || !image) {
      for (const name of ["peakX", "peakY", "peakValue", "frame", "time", "mode", "answers"]) delete data[name];
      paintWave(wave, scene, 0);
      return;
    }
    const time = now(), { prompt } = scene;
    const heat = whole ? Float32Array.from(scene.whole, (value) => value / 255) : heatAt(scene, time);
    const peak = paintHeat(context, patch, scene, heat, opacity.value / 100);
    if (peak.value > 0.5 && opacity.value > 0) paintPeak(context, peak);
    paintWave(wave, scene, whole ? -1 : time);
    slider.value = time;
    slider.setAttribute("aria-valuetext", seconds(time));
    clock.textContent = `${seconds(time)} of ${seconds(prompt.duration)}`;
    all.setAttribute("aria-pressed", String(whole));
    for (const word of words.children)
      word.classList.toggle("vgs-heard", !whole && time >= word.dataset.start && time < word.dataset.end);
    Object.assign(data, {
      mode: whole ? "whole" : "time",
      time: time.toFixed(3),
      frame: Math.min(prompt.shape[0] - 1, Math.floor(time / prompt.seconds_per_frame)),
      peakX: peak.x.toFixed(4),
      peakY: peak.y.toFixed(4),
      peakValue: peak.value.toFixed(3),
      answers: JSON.stringify(prompt.best),
    });
  }

  function tick() {
    draw();
    if (!sound.paused && !sound.ended) timer = requestAnimationFrame(tick);
  }
  function seek(time) {
    whole = false;
    sound.currentTime = time;
    draw();
  }
  function showWhole() {
    sound.pause();
    whole = true;
    draw();
  }
  function start() {
    whole = false;
    sound.play().catch((error) => {
      if (error.name !== "AbortError") status.textContent = `The browser did not play the sound (${error.message}). Press Play.`;
    });
  }
  function togglePlay() {
    if (!sound.paused) return sound.pause();
    if (sound.ended || now() >= scene.prompt.duration - 0.02) sound.currentTime = 0;
    start();
  }
  sound.addEventListener("play", () => {
    play.textContent = "❚❚ Pause";
    canvas.dataset.playing = "true";
    cancelAnimationFrame(timer);
    tick();
  });
  for (const event of ["pause", "ended"])
    sound.addEventListener(event, () => {
      play.textContent = "▶ Play";
      canvas.dataset.playing = "false";
      draw();
    });
  sound.addEventListener("seeked", () => draw());

  const scrub = (event) => {
    if (!scene?.prompt || event.buttons !== 1) return;
    const box = wave.getBoundingClientRect();
    seek(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * scene.prompt.duration);
  };
  wave.addEventListener("pointerdown", (event) => {
    wave.setPointerCapture(event.pointerId);
    scrub(event);
  });
  wave.addEventListener("pointermove", scrub);

  function showWords(prompt) {
    const place = (time) => `${Math.min(100, Math.max(0, (100 * time) / prompt.duration))}%`;
    const shownWords = prompt?.words ?? [];
    words.replaceChildren(
      ...shownWords.map(([text, from, to]) =>
        h("span", { "data-start": from, "data-end": to, style: `left:${place(from)};width:${place(to - from)}`, title: `${text}: ${seconds(from)} to ${seconds(to)}` }, text)),
    );
    words.hidden = shownWords.length === 0;
  }

  function showLegend(prompt) {
    legend.hidden = !prompt;
    if (!prompt) return;
    low.textContent = prompt.range[0].toFixed(2);
    high.textContent = prompt.range[1].toFixed(2);
    legend.title = "Similarity of a place in the picture to a moment of the sound (no unit); the range is the same for all prompts";
    const row = new ImageData(128, 1);
    for (let i = 0; i < 128; i++) row.data.set([...scene.colours.subarray(6 * i, 6 * i + 3), 255], 4 * i);
    legendBar.getContext("2d").putImageData(row, 0, 0);
  }

  async function show(content, buffers) {
    const number = ++shown;
    const next = decode(content, buffers);
    const bitmap = next.picture && (await createImageBitmap(new Blob([bytesOf(buffers[0])], { type: "image/jpeg" })));
    if (number !== shown) return; // a newer message came meanwhile
    sound.pause();
    scene = next;
    image = bitmap;
    const { prompt, picture } = scene;
    if (image) {
      const scale = SIDE / Math.max(image.width, image.height);
      canvas.width = Math.round(image.width * scale);
      canvas.height = Math.round(image.height * scale);
    }
    if (soundUrl) URL.revokeObjectURL(soundUrl);
    soundUrl = null;
    sound.removeAttribute("src");
    if (prompt) {
      scene.loudness = loudnessOf(scene.wav);
      soundUrl = sound.src = urlOf(scene.wav, "audio/wav");
      slider.max = prompt.duration;
    } else clock.textContent = "";
    for (const control of [play, all, slider]) control.disabled = !prompt;
    whole = true;
    showWords(prompt);
    showLegend(prompt);
    status.textContent = scene.description;
    canvas.setAttribute("aria-label", picture ? `Picture of ${picture.title}. ${scene.description}` : "No picture yet");
    Object.assign(canvas.dataset, { picture: picture?.id ?? "", title: prompt?.title ?? "", shown: number, playing: "false" });
    draw();
    if (prompt?.play) start();
  }

  const stopMessages = listen(model, {
    show,
    broken: ({ sentence }) => (status.textContent = sentence),
  });
  model.send({ type: "ready" });
  return () => {
    cancelAnimationFrame(timer);
    sound.pause();
    if (soundUrl) URL.revokeObjectURL(soundUrl);
    stopMessages();
    tearDown();
  };
}

export default { render };
