// A sound with its waveform, the times of its words, and a clock; shared by the views that play recordings.

const AXIS = 64, RIGHT = 12, WIDE = 960; // pixels of a canvas: room for the labels of the axis, right margin, width

/** Samples -1 to 1 of a 16-bit mono WAV file with a 44-byte header. */
function samplesOf(wav) {
  const whole = new Int16Array(wav.slice(44).buffer, 0, Math.floor((wav.length - 44) / 2));
  return Float32Array.from(whole, (value) => value / 32768);
}

/** A step of 1, 2 or 5 times a power of ten that divides `length` into at most `most` parts. */
function niceStep(length, most) {
  const raw = length / most, power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= raw);
}

/** Seconds under a plot whose data fill AXIS to WIDE - RIGHT; draws at height y. */
function drawSeconds(context, duration, y) {
  const style = getComputedStyle(context.canvas);
  context.fillStyle = style.getPropertyValue("--vgs-ink");
  context.font = "15px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "top";
  const step = niceStep(duration, 8), plot = WIDE - AXIS - RIGHT;
  for (let time = 0; time <= duration + 1e-9; time += step) {
    const x = AXIS + (time / duration) * plot;
    context.fillRect(x, y - 3, 1, 5);
    if (x < WIDE - 70) context.fillText(time.toFixed(step < 0.1 ? 2 : 1), x, y + 4);
  }
  context.textAlign = "right";
  context.fillText("time (s)", WIDE - 2, y + 4);
}

/** A line that moves with the sound over a canvas of the box's width. */
function drawCursor(context, time, duration, height) {
  const style = getComputedStyle(context.canvas);
  context.fillStyle = style.getPropertyValue("--vgs-alert");
  context.fillRect(AXIS + (Math.min(time, duration) / duration) * (WIDE - AXIS - RIGHT) - 1, 0, 3, height);
}

/**
 * A box, hidden while there is no sound: {element, show(info, wav), clear(), seek(time), time(), sound, stop()}; `info` has title, duration, words
 * ([text, start, end]) and play. `onTime(time, heard)` is called whenever the time changes; `heard` is the index of the
 * word that is heard, or -1.
 */
function soundBox({ label, onTime = () => {} }) {
  let samples = new Float32Array(0), duration = 0, list = [], url = null, timer = 0;
  const tall = 130, bottom = 26;
  const heading = h("p", { class: "vgs-sound-title" });
  const wave = h("canvas", { class: "vgs-sound-wave", width: WIDE, height: tall, role: "img" });
  const words = h("div", { class: "vgs-sound-words" });
  const sound = h("audio", { preload: "auto" });
  const play = h("button", { type: "button", class: "vgs-button vgs-sound-play", disabled: true, onclick: () => toggle() }, "▶ Play");
  const slider = h("input", { type: "range", class: "vgs-sound-time", min: 0, max: 1, step: 0.01, value: 0, disabled: true, "aria-label": `Time in ${label}, seconds`, oninput: () => seek(Number(slider.value)) });
  const clock = h("span", { class: "vgs-clock" });
  const element = h("div", { class: "vgs-sound", role: "group", "aria-label": label, hidden: true }, heading, wave, words, h("div", { class: "vgs-row" }, play, slider, clock), sound);

  const now = () => Math.min(sound.currentTime || 0, duration);

  function draw() {
    const context = wave.getContext("2d"), style = getComputedStyle(wave), time = now();
    context.clearRect(0, 0, WIDE, tall);
    const heard = list.findIndex(([, start, end]) => time >= start && time < end);
    if (duration > 0) {
      const middle = (tall - bottom) / 2, plot = WIDE - AXIS - RIGHT;
      context.fillStyle = style.getPropertyValue("--vgs-mark");
      for (const [, start, end] of list) context.fillRect(AXIS + (start / duration) * plot, 0, ((end - start) / duration) * plot, tall - bottom);
      context.fillStyle = style.getPropertyValue("--vgs-accent");
      for (let x = 0; x < plot; x++) {
        const first = Math.floor((x / plot) * samples.length), last = Math.max(first + 1, Math.floor(((x + 1) / plot) * samples.length));
        let low = 1, high = -1;
        for (let i = first; i < last; i++) {
          low = Math.min(low, samples[i]);
          high = Math.max(high, samples[i]);
        }
        if (high >= low) context.fillRect(AXIS + x, middle - high * middle, 1, Math.max(1, (high - low) * middle));
      }
      context.fillStyle = style.getPropertyValue("--vgs-ink");
      context.font = "15px system-ui, sans-serif";
      context.textAlign = "right";
      for (const [value, baseline] of [[1, "top"], [0, "middle"], [-1, "bottom"]]) {
        context.textBaseline = baseline;
        context.fillText(String(value), AXIS - 8, middle - value * middle);
      }
      drawSeconds(context, duration, tall - bottom + 2);
      drawCursor(context, time, duration, tall - bottom);
    }
    slider.value = time;
    slider.setAttribute("aria-valuetext", seconds(time));
    clock.textContent = duration ? `${seconds(time)} of ${seconds(duration)}` : "";
    [...words.children].forEach((word, index) => word.classList.toggle("vgs-heard", index === heard));
    Object.assign(element.dataset, { time: time.toFixed(3), duration: duration.toFixed(3), heard: heard < 0 ? "" : list[heard][0] });
    onTime(time, heard);
  }
  function tick() {
    draw();
    if (!sound.paused && !sound.ended) timer = requestAnimationFrame(tick);
  }
  function seek(time) {
    sound.currentTime = time;
    draw();
  }
  function start() {
    sound.play().catch((error) => {
      if (error.name !== "AbortError") heading.textContent = `The browser did not play the sound (${error.message}). Press Play.`;
    });
  }
  function toggle() {
    if (!sound.paused) return sound.pause();
    if (sound.ended || now() >= duration - 0.02) sound.currentTime = 0;
    start();
  }
  sound.addEventListener("play", () => {
    play.textContent = "❚❚ Pause";
    element.dataset.playing = "true";
    cancelAnimationFrame(timer);
    tick();
  });
  for (const event of ["pause", "ended"])
    sound.addEventListener(event, () => {
      play.textContent = "▶ Play";
      element.dataset.playing = "false";
      draw();
    });
  sound.addEventListener("seeked", () => draw());
  const scrub = (event) => {
    if (!duration || event.buttons !== 1) return;
    const box = wave.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDE;
    seek(Math.min(1, Math.max(0, (x - AXIS) / (WIDE - AXIS - RIGHT))) * duration);
  };
  wave.addEventListener("pointerdown", (event) => {
    wave.setPointerCapture(event.pointerId);
    scrub(event);
  });
  wave.addEventListener("pointermove", scrub);

  function show(info, wav) {
    clear();
    const data = bytesOf(wav);
    samples = samplesOf(data);
    duration = info.duration;
    list = info.words ?? [];
    heading.textContent = info.title ?? "";
    wave.setAttribute("aria-label", `Waveform of ${info.title || label}, ${seconds(duration)}${list.length ? `; words: ${list.map(([text, from, to]) => `${text} from ${seconds(from)} to ${seconds(to)}`).join(", ")}` : ""}`);
    const place = (time) => `${((AXIS + (time / duration) * (WIDE - AXIS - RIGHT)) / WIDE) * 100}%`;
    const width = (time) => `${(((time / duration) * (WIDE - AXIS - RIGHT)) / WIDE) * 100}%`;
    words.replaceChildren(...list.map(([text, from, to]) => h("span", { "data-start": from, "data-end": to, style: `left:${place(from)};width:${width(to - from)}`, title: `${text}: ${seconds(from)} to ${seconds(to)}` }, text)));
    words.hidden = list.length === 0;
    url = sound.src = urlOf(data, "audio/wav");
    slider.max = duration;
    element.hidden = false;
    play.disabled = slider.disabled = false;
    draw();
    if (info.play) start();
  }
  function clear() {
    sound.pause();
    sound.removeAttribute("src");
    if (url) URL.revokeObjectURL(url);
    url = null;
    samples = new Float32Array(0);
    duration = 0;
    list = [];
    heading.textContent = "";
    words.replaceChildren();
    words.hidden = true;
    play.disabled = slider.disabled = element.hidden = true;
    draw();
  }
  function stop() {
    cancelAnimationFrame(timer);
    sound.pause();
    if (url) URL.revokeObjectURL(url);
  }
  return { element, show, clear, seek, time: now, sound, stop };
}
