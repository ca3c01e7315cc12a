// A waveform on which a span is selected: drag, click a word, press arrow keys or type seconds; the span can be played.

const NEAR = 8; // pixels from an edge within which it is taken
const STILL = 4; // pixels that a click may move

/** The waveform as bars, those in the span strong, with the span's edges as handles and the place that sounds now. */
function paint(canvas, sound, span, now) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  if (!sound) return;
  const style = getComputedStyle(canvas), colour = (name) => style.getPropertyValue(name);
  const at = (moment) => (moment / sound.duration) * width;
  context.fillStyle = colour("--vgs-mark");
  context.fillRect(at(span[0]), 0, at(span[1]) - at(span[0]), height);
  sound.bars.forEach((tall, index) => {
    const x = (index / sound.bars.length) * width, moment = ((index + 0.5) / sound.bars.length) * sound.duration;
    context.fillStyle = colour(moment >= span[0] && moment < span[1] ? "--vgs-accent" : "--vgs-soft");
    const size = Math.max(2, tall * (height - 20));
    context.fillRect(x + 1, (height - size) / 2, width / sound.bars.length - 2, size);
  });
  context.fillStyle = colour("--vgs-accent");
  for (const moment of span) {
    const x = Math.min(width - 4, Math.max(0, at(moment) - 2));
    context.fillRect(x, 0, 4, height);
    context.fillRect(x - 5, height / 2 - 18, 14, 36);
  }
  if (now === null) return;
  context.fillStyle = colour("--vgs-alert");
  context.fillRect(at(now) - 2, 0, 4, height);
}

/** The loudest sample of each of `count` equal parts, 0-1 of the loudest of all. */
function barsOf(samples, count) {
  const bars = new Float32Array(count);
  samples.forEach((value, i) => {
    const bar = Math.floor((i * count) / samples.length);
    bars[bar] = Math.max(bars[bar], Math.abs(value));
  });
  const most = bars.reduce((a, b) => Math.max(a, b), 1e-6);
  return bars.map((value) => value / most);
}

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-span");
  let sound = null, span = [0, 0], drag = null;
  let context = null, source = null, begun = 0, timer = 0;

  let spans = inTurn(model);
  const heading = h("h3", {});
  const wave = h("canvas", { class: "vgs-wave", width: 960, height: 192, tabindex: 0, role: "group", "aria-label": "Waveform" });
  const words = h("div", { class: "vgs-words", role: "group", "aria-label": "Words" });
  const number = (label, edge) =>
    h("input", { type: "number", class: `vgs-seconds vgs-${label}`, min: 0, step: 0.01, disabled: true, "aria-label": `Span ${label}, seconds`, onchange: (event) => typed(edge, event.target) });
  const from = number("from", 0), to = number("to", 1);
  const play = h("button", { type: "button", class: "vgs-button vgs-play-span", disabled: true, onclick: () => toggle() }, "▶ Play span");
  const length = h("span", { class: "vgs-clock" }, "");
  const hint = h("p", { class: "vgs-note" }, "Drag over the sound or click a word. Keys on the waveform: ← → move the start, with Shift the end; Space plays.");
  const status = h("p", { class: "vgs-status vgs-failed", role: "status", "aria-live": "polite", hidden: true });
  el.append(
    h("section", { "aria-label": "Span of the sound" }, heading, wave, words,
      h("div", { class: "vgs-row" }, play, h("label", {}, "from", from, "s"), h("label", {}, "to", to, "s"), length), hint, status),
  );

  const playing = () => source !== null;
  const now = () => (playing() ? Math.min(span[1], source.first + context.currentTime - begun) : null);

  function draw() {
    paint(wave, sound, span, now());
    if (!sound) return;
    for (const [input, value] of [[from, span[0]], [to, span[1]]])
      if (document.activeElement !== input) input.value = value.toFixed(2);
    length.textContent = `${seconds(span[1] - span[0])} of ${seconds(sound.duration)}`;
    for (const button of words.children) {
      const [start, end] = [Number(button.dataset.start), Number(button.dataset.end)];
      const shared = Math.min(end, span[1]) - Math.max(start, span[0]);
      button.setAttribute("aria-pressed", String(shared > (end - start) / 2));
    }
    wave.setAttribute("aria-label", `Waveform of ${sound.title || "the sound"}, ${seconds(sound.duration)}. Selected: ${seconds(span[0])} to ${seconds(span[1])}`);
    Object.assign(wave.dataset, { start: span[0].toFixed(3), end: span[1].toFixed(3), duration: sound.duration.toFixed(3), title: sound.title, playing: String(playing()) });
    if (playing()) wave.dataset.time = now().toFixed(3);
  }

  /** Select a span here and in the kernel, which hears of the newest one only while it is busy. */
  function select(start, end) {
    const least = Math.min(sound.least, sound.duration);
    start = Math.min(Math.max(0, start), sound.duration - least);
    span = [start, Math.min(sound.duration, Math.max(start + least, end))];
    stop();
    draw();
    tell();
  }
  const tell = () => spans.ask({ type: "span", sound: sound.number, start: span[0], end: span[1] });

  function typed(edge, input) {
    const value = input.valueAsNumber;
    if (Number.isFinite(value)) select(...(edge === 0 ? [value, Math.max(span[1], value)] : [Math.min(span[0], value), value]));
    input.value = span[edge].toFixed(2);
  }

  function move(edge, by) {
    const { least, duration } = sound;
    if (edge === 0) select(Math.min(span[0] + by, span[1] - least), span[1]);
    else select(span[0], Math.max(Math.min(duration, span[1] + by), span[0] + least));
  }
  wave.addEventListener("keydown", (event) => {
    if (!sound || event.ctrlKey || event.metaKey || event.altKey) return;
    const edge = event.shiftKey ? 1 : 0;
    const keys = { ArrowLeft: () => move(edge, -sound.step), ArrowRight: () => move(edge, sound.step), Home: () => move(0, -sound.duration), End: () => move(1, sound.duration), " ": () => toggle() };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  const momentOf = (event) => {
    const box = wave.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * sound.duration;
  };
  const nearEdge = (event) => {
    const scale = wave.getBoundingClientRect().width / sound.duration, moment = momentOf(event);
    const far = span.map((edge) => Math.abs(edge - moment) * scale);
    const edge = far[0] < far[1] ? 0 : 1;
    return far[edge] <= NEAR ? edge : null;
  };
  wave.addEventListener("pointerdown", (event) => {
    if (!sound || event.button !== 0) return;
    wave.setPointerCapture(event.pointerId);
    const edge = nearEdge(event);
    drag = { x: event.clientX, moved: edge !== null, anchor: edge === null ? momentOf(event) : span[1 - edge] };
  });
  wave.addEventListener("pointermove", (event) => {
    if (!sound) return;
    if (!drag) return (wave.dataset.near = nearEdge(event) === null ? "" : "edge");
    drag.moved ||= Math.abs(event.clientX - drag.x) >= STILL;
    if (!drag.moved) return;
    const moment = momentOf(event);
    select(Math.min(drag.anchor, moment), Math.max(drag.anchor, moment));
  });
  const release = (event) => {
    if (!drag) return;
    const { moved } = drag;
    drag = null;
    if (moved || event.type !== "pointerup") return;
    const moment = momentOf(event), word = sound.words.find(([, start, end]) => moment >= start && moment < end);
    if (word) select(word[1], word[2]);
  };
  wave.addEventListener("pointerup", release);
  wave.addEventListener("pointercancel", release);

  function stop() {
    cancelAnimationFrame(timer);
    const was = source;
    source = null;
    if (was?.started) {
      was.onended = null;
      was.stop();
    }
    play.textContent = "▶ Play span";
    draw();
  }
  function tick() {
    draw();
    if (playing()) timer = requestAnimationFrame(tick);
  }
  async function toggle() {
    if (!sound || playing()) return stop();
    context ??= new AudioContext();
    const buffer = context.createBuffer(1, sound.samples.length, sound.rate);
    buffer.copyToChannel(sound.samples, 0);
    const next = context.createBufferSource();
    next.buffer = buffer;
    next.first = span[0];
    next.connect(context.destination);
    next.onended = () => stop();
    source = next;
    try {
      await context.resume();
    } catch (error) {
      source = null;
      return say(`The browser did not play the sound (${error.message}). Press Play span.`);
    }
    if (source !== next) return;
    begun = context.currentTime;
    next.start(0, span[0], span[1] - span[0]);
    next.started = true;
    play.textContent = "■ Stop";
    tick();
  }

  function say(sentence) {
    status.textContent = sentence;
    status.hidden = !sentence;
  }
  function show(content, buffers) {
    const ahead = (drag || spans.awaits("span")) && sound?.number === content.sound; // of the same sound, a newer span
    stop();
    say("");
    const { duration, rate, step, least, title } = content;
    const whole = new Int16Array(bytesOf(buffers[0]).slice().buffer);
    const samples = Float32Array.from(whole, (value) => value / 32768);
    sound = samples.length ? { number: content.sound, duration, rate, step, least, title, samples, bars: barsOf(samples, 160), words: content.words } : null;
    if (ahead) {
      if (!spans.awaits("span")) tell();
    } else {
      span = content.span;
      spans = inTurn(model); // what waits is of another sound
      drag = null;
    }
    const place = (time) => `${Math.min(100, Math.max(0, (100 * time) / duration))}%`;
    words.replaceChildren(
      ...content.words.map(([text, start, end]) =>
        h("button", { type: "button", "data-start": start, "data-end": end, style: `left:${place(start)};width:${place(end - start)}`, title: `Select “${text}”: ${seconds(start)} to ${seconds(end)}`, onclick: () => select(start, end) }, text)),
    );
    words.hidden = content.words.length === 0;
    for (const control of [from, to, play]) control.disabled = !sound;
    from.max = to.max = duration.toFixed(2);
    draw();
    if (content.play) toggle();
  }

  const stopTraits = follow(model, ["title"], () => {
    heading.textContent = model.get("title");
    heading.hidden = !model.get("title");
  });
  return connect(model, {
    show,
    span: (content) => {
      if (!spans.answered(content) || drag || !sound) return;
      const same = content.span.every((value, edge) => Math.abs(value - span[edge]) < 1e-6);
      span = content.span;
      if (!same) stop();
      draw();
    },
    broken: ({ sentence }) => {
      say(sentence);
      spans.next();
    },
  }, stop, () => context?.close(), stopTraits, tearDown);
}

export default { render };
