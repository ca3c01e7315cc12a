// A picture with the heat of a spoken prompt over it, in step with its sound. The audio element is the clock.

const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const DRAWN = ["peakX", "peakY", "peakValue", "frame", "time", "mode", "answers", "lit", "threshold", "word"];

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-player");
  let scene = null, image = null, soundUrl = null, timer = 0, shown = 0;
  let mode = "whole"; // what is lit: "whole" prompt, the moment of "time", or the chosen "word"
  let chosen = -1; // which word

  const button = (name, text, onclick, rest = {}) => h("button", { type: "button", class: `vgs-button ${name}`, disabled: true, onclick, ...rest }, text);
  const canvas = h("canvas", { class: "vgs-picture", role: "img", width: SIDE, height: SIDE, "aria-label": "No picture yet" });
  const patch = h("canvas", { width: FINE, height: FINE });
  const stage = h("div", { class: "vgs-stage", tabindex: 0, role: "group", "aria-label": "Picture with heat. Space plays and pauses, the arrow keys move by one frame, Home and End jump." }, canvas);
  const wave = h("canvas", { class: "vgs-wave", width: 960, height: 140, "aria-hidden": "true" });
  const words = h("div", { class: "vgs-words", role: "group", "aria-label": "Words: choose one to see its heat" });
  const sound = h("audio", { preload: "auto" });
  const play = button("vgs-play", "▶ Play", () => togglePlay());
  const all = button("vgs-whole", "Whole prompt", () => showWhole(), { "aria-pressed": "true" });
  const loop = button("vgs-loop", "Loop", () => toggleLoop(), { "aria-pressed": "false", title: "Repeat the chosen word, or everything" });
  const speed = h("select", { class: "vgs-speed", "aria-label": "Speed of the sound, the pitch stays", onchange: () => setSpeed() }, ...SPEEDS.map((value) => h("option", { value, selected: value === 1 }, `${value}×`)));
  const clock = h("span", { class: "vgs-clock" }, "");
  const slider = h("input", { type: "range", class: "vgs-time", min: 0, max: 1, step: 0.01, value: 0, disabled: true, "aria-label": "Time in the prompt, seconds", oninput: () => seek(Number(slider.value)) });
  const opacity = h("input", { type: "range", class: "vgs-opacity", min: 0, max: 100, value: 80, "aria-label": "Strength of the heatmap, percent", oninput: () => draw() });
  const threshold = h("input", { type: "range", class: "vgs-threshold", min: 0, max: 1, step: 0.01, value: 0, disabled: true, "aria-label": "Least similarity that is lit", oninput: () => draw() });
  const least = h("output", { class: "vgs-least" }, "");
  const legendBar = h("canvas", { class: "vgs-legend-bar", width: 128, height: 1, "aria-hidden": "true" });
  const low = h("span", {}), high = h("span", {});
  const legend = h("div", { class: "vgs-legend", hidden: true }, h("span", { class: "vgs-legend-name" }, "similarity"), low, legendBar, high);
  const status = h("p", { class: "vgs-answer", role: "status", "aria-live": "polite" });
  el.append(
    h("section", { "aria-label": "Picture and heatmap" },
      stage,
      h("div", { class: "vgs-under" },
        legend,
        h("label", { class: "vgs-opacity-label" }, "heat", opacity),
        h("label", { class: "vgs-threshold-label" }, "threshold", threshold, least)),
      status,
      h("div", { class: "vgs-timeline" }, wave, words, slider),
      h("div", { class: "vgs-row" }, play, all, loop, h("label", { class: "vgs-speed-label" }, "speed", speed), clock),
      sound),
  );

  const now = () => Math.min(sound.currentTime || 0, scene?.prompt?.duration ?? 0);
  const looping = () => loop.getAttribute("aria-pressed") === "true";
  /** The chosen word as [text, start, end], or everything. */
  const part = () => scene.prompt.words[chosen] ?? ["", 0, scene.prompt.duration];

  function draw() {
    const context = canvas.getContext("2d"), data = canvas.dataset;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (image) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    if (!scene?.prompt || !image) {
      for (const name of DRAWN) delete data[name];
      paintWave(wave, scene, 0);
      return;
    }
    const time = now(), { prompt } = scene, cut = Number(threshold.value), word = prompt.words[chosen];
    const heat = { whole: () => scene.whole, word: () => heatOver(scene, ...word.slice(1, 3)), time: () => heatAt(scene, time) }[mode]();
    const peak = paintHeat(context, patch, scene, heat, { opacity: opacity.value / 100, cut });
    if (peak.value > 0.5 && peak.value >= cut && opacity.value > 0) paintPeak(context, peak);
    paintWave(wave, scene, mode === "whole" ? -1 : time, { span: word?.slice(1, 3), cut });
    showTime(time);
    showThreshold(cut);
    all.setAttribute("aria-pressed", String(mode === "whole"));
    for (const [index, label] of [...words.children].entries()) {
      label.classList.toggle("vgs-heard", mode !== "whole" && time >= label.dataset.start && time < label.dataset.end);
      label.setAttribute("aria-pressed", String(index === chosen));
    }
    Object.assign(data, {
      mode,
      time: time.toFixed(3),
      frame: Math.min(prompt.shape[0] - 1, Math.floor(frameOf(prompt.clock, time))),
      peakX: peak.x.toFixed(4),
      peakY: peak.y.toFixed(4),
      peakValue: peak.value.toFixed(3),
      lit: peak.lit.toFixed(4),
      word: word?.[0] ?? "",
      answers: JSON.stringify(prompt.best),
    });
  }

  function showTime(time) {
    slider.value = time;
    slider.setAttribute("aria-valuetext", seconds(time));
    clock.textContent = `${seconds(time)} of ${seconds(scene.prompt.duration)}`;
  }

  /** The threshold in units of similarity; in the legend, what is under it loses its colour too. */
  function showThreshold(cut) {
    const [from, to] = scene.prompt.range;
    const value = (from + cut * (to - from)).toFixed(2);
    least.textContent = cut > 0 ? `≥ ${value}` : "off";
    threshold.setAttribute("aria-valuetext", cut > 0 ? `similarity of at least ${value}` : "off");
    canvas.dataset.threshold = cut > 0 ? value : "";
    const row = new ImageData(128, 1);
    for (let i = 0; i < 128; i++) {
      const colour = i / 127 >= cut ? 6 * i : 0;
      row.data.set([...scene.colours.subarray(colour, colour + 3), 255], 4 * i);
    }
    legendBar.getContext("2d").putImageData(row, 0, 0);
  }

  function tick() {
    const [, start, end] = part();
    if (looping() && now() >= end) sound.currentTime = start;
    draw();
    if (!sound.paused && !sound.ended) timer = requestAnimationFrame(tick);
  }
  function seek(time) {
    mode = "time";
    if (chosen >= 0 && !looping()) {
      chosen = -1;
      status.textContent = scene.description;
    }
    sound.currentTime = Math.min(scene.prompt.duration, Math.max(0, time));
    draw();
  }
  function showWhole() {
    sound.pause();
    [mode, chosen] = ["whole", -1];
    status.textContent = scene.description;
    draw();
  }
  function start() {
    mode = "time";
    sound.play().catch((error) => {
      if (error.name !== "AbortError") status.textContent = `The browser did not play the sound (${error.message}). Press Play.`;
    });
  }
  function togglePlay() {
    if (!sound.paused) return sound.pause();
    const [, from, to] = part();
    if (sound.ended || now() >= scene.prompt.duration - 0.02) sound.currentTime = from;
    if (looping() && (now() < from || now() >= to)) sound.currentTime = from;
    start();
  }
  function toggleLoop() {
    loop.setAttribute("aria-pressed", String(!looping()));
    canvas.dataset.loop = String(looping());
  }
  function setSpeed() {
    sound.preservesPitch = true;
    sound.defaultPlaybackRate = sound.playbackRate = Number(speed.value);
    canvas.dataset.speed = speed.value;
  }
  /** Show the heat of a word and go to its start; a second click shows the whole prompt again. */
  function choose(index) {
    if (index === chosen) return showWhole();
    sound.pause();
    [mode, chosen] = ["word", index];
    sound.currentTime = Math.min(scene.prompt.duration, part()[1]);
    status.textContent = scene.prompt.notes[index];
    draw();
    if (looping()) start();
  }
  sound.addEventListener("play", () => {
    play.textContent = "❚❚ Pause";
    canvas.dataset.playing = "true";
    cancelAnimationFrame(timer);
    tick();
  });
  sound.addEventListener("ended", () => {
    if (!looping()) return;
    sound.currentTime = part()[1];
    start();
  });
  for (const event of ["pause", "ended"])
    sound.addEventListener(event, () => {
      if (sound.ended && looping()) return; // it goes on from the start
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

  function press(event) {
    const tag = event.target.tagName, { key } = event;
    if (!scene?.prompt || event.ctrlKey || event.metaKey || event.altKey || tag === "SELECT") return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key] * scene.prompt.clock.seconds_per_frame;
    if (key === " " && tag !== "BUTTON") togglePlay();
    else if (tag === "INPUT") return; // sliders have their own keys
    else if (step) seek(now() + step);
    else if (key === "Home" || key === "End") seek(key === "Home" ? 0 : scene.prompt.duration);
    else return;
    event.preventDefault();
  }
  el.addEventListener("keydown", press);

  function showWords(prompt) {
    const place = (time) => `${Math.min(100, Math.max(0, (100 * time) / prompt.duration))}%`;
    const label = ([text, from, to], index) => {
      const times = `${text}: ${seconds(from)} to ${seconds(to)}`;
      return h("button", { type: "button", class: "vgs-word", "data-start": from, "data-end": to, style: `left:${place(from)};width:${place(to - from)}`, title: times, "aria-label": times, onclick: () => choose(index) }, text);
    };
    words.replaceChildren(...(prompt?.words ?? []).map(label));
    words.hidden = !words.children.length;
  }

  function showLegend(prompt) {
    legend.hidden = !prompt;
    if (!prompt) return;
    low.textContent = prompt.range[0].toFixed(2);
    high.textContent = prompt.range[1].toFixed(2);
    legend.title = "Similarity of a place in the picture to a moment of the sound (no unit)";
  }

  /** What the notebook asked for at the start; later it is the person who sets it. */
  function applySettings(settings, [from, to]) {
    if (settings.threshold !== null) threshold.value = (settings.threshold - from) / (to - from);
    speed.value = settings.speed;
    settings.applied = true;
  }

  /** Whether a message shows what is shown, such as the tour's after it has seen all pictures: a person listens on. */
  const goesOn = ({ picture, prompt }) =>
    Boolean(scene?.prompt && prompt && prompt.sound !== toPlay && picture.id === scene.picture?.id && prompt.sound === scene.prompt.sound);

  let asked = null;
  let toPlay = null; // the sound that is to start; the message that asked for it may have been overtaken by a newer one
  async function show(content, buffers) {
    const number = ++shown;
    const next = decode(content, buffers);
    if (next.prompt?.play) toPlay = next.prompt.sound;
    const bitmap = next.picture && (await createImageBitmap(new Blob([bytesOf(buffers[0])], { type: "image/jpeg" })));
    if (number !== shown) return; // a newer message came meanwhile
    if (goesOn(next)) {
      scene = Object.assign(next, { loudness: scene.loudness });
      showLegend(scene.prompt);
      if (mode !== "word") status.textContent = scene.description;
      canvas.setAttribute("aria-label", `Picture of ${scene.picture.title}. ${scene.description}`);
      canvas.dataset.shown = number;
      return draw();
    }
    sound.pause();
    cancelAnimationFrame(timer);
    scene = next;
    image = bitmap;
    asked ??= content.settings;
    const { prompt, picture } = scene;
    const plays = prompt && prompt.sound === toPlay;
    toPlay = null;
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
      if (!asked.applied) applySettings(asked, prompt.range);
      setSpeed();
    } else clock.textContent = least.textContent = "";
    for (const control of [play, all, loop, slider, threshold]) control.disabled = !prompt;
    [mode, chosen] = ["whole", -1];
    showWords(prompt);
    showLegend(prompt);
    status.textContent = scene.description;
    canvas.setAttribute("aria-label", picture ? `Picture of ${picture.title}. ${scene.description}` : "No picture yet");
    Object.assign(canvas.dataset, { picture: picture?.id ?? "", title: prompt?.title ?? "", shown: number, playing: "false" });
    draw();
    if (plays) start();
  }

  return connect(model, { show, broken: ({ sentence }) => (status.textContent = sentence) }, tearDown, () => {
    shown++;
    cancelAnimationFrame(timer);
    sound.pause();
    if (soundUrl) URL.revokeObjectURL(soundUrl);
    el.removeEventListener("keydown", press);
  });
}

export default { render };
