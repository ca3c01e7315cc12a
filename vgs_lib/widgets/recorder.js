// Speech from the browser's microphone, the kernel's microphone, a sound file or a list of clips.
// What is recorded is resampled here to 16 kHz mono and sent as the bytes of a WAV file.

const RATE = 16000;
const CHUNK = 1 << 20;
const WORKLET = `registerProcessor("vgs-tap", class extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0][0]) this.port.postMessage(inputs[0][0].slice());
    return true;
  }
});`;

/** Why the microphone cannot be used, in a sentence. */
function whyNot(error) {
  const instead = "You can open a sound file or choose a clip instead.";
  if (!window.isSecureContext || !navigator.mediaDevices)
    return `The browser gives the microphone only to pages opened from localhost or over https. ${instead}`;
  if (error?.name === "NotAllowedError" || error?.name === "SecurityError")
    return `The browser was not allowed to use the microphone: allow it in the address bar and try again. ${instead}`;
  if (error?.name === "NotFoundError") return `The browser finds no microphone. ${instead}`;
  if (error?.name === "NotReadableError")
    return `The microphone is in use by another program or switched off. ${instead}`;
  return `The microphone does not work (${error?.message ?? error}). ${instead}`;
}

/** Start to record; returns {stop() -> {samples, rate}}; onSamples gets each block of samples. */
async function openMicrophone(onSamples) {
  if (!navigator.mediaDevices?.getUserMedia) throw new Error("no microphone access");
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true },
  });
  let context = null;
  const close = async () => {
    stream.getTracks().forEach((track) => track.stop());
    await context?.close().catch(() => {}); // what it fails with says nothing to a person
  };
  try {
    context = new AudioContext();
    return await tapOf(stream, context, onSamples, close);
  } catch (error) {
    await close();
    throw error;
  }
}

/** The samples of a stream that is open: see openMicrophone. */
async function tapOf(stream, context, onSamples, close) {
  await context.resume();
  const blocks = [];
  let open = true;
  const take = (block) => {
    if (!open) return;
    blocks.push(block);
    onSamples(block, context.sampleRate);
  };
  const source = context.createMediaStreamSource(stream);
  let tap;
  if (context.audioWorklet) {
    const url = URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" }));
    await context.audioWorklet.addModule(url);
    URL.revokeObjectURL(url);
    tap = new AudioWorkletNode(context, "vgs-tap", { numberOfOutputs: 1 });
    tap.port.onmessage = (event) => take(event.data);
  } else {
    tap = context.createScriptProcessor(4096, 1, 1);
    tap.onaudioprocess = (event) => take(event.inputBuffer.getChannelData(0).slice());
  }
  source.connect(tap).connect(context.destination); // the tap's output is silence
  return {
    async stop() {
      open = false;
      source.disconnect();
      tap.disconnect();
      await close();
      const samples = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
      let at = 0;
      for (const block of blocks) {
        samples.set(block, at);
        at += block.length;
      }
      return { samples, rate: context.sampleRate };
    },
  };
}

/** Samples at any rate as samples at 16 kHz. */
async function resample(samples, rate) {
  if (rate === RATE || samples.length === 0) return samples;
  const offline = new OfflineAudioContext(1, Math.ceil((samples.length * RATE) / rate), RATE);
  const buffer = offline.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = offline.createBufferSource();
  source.buffer = buffer;
  source.connect(offline.destination);
  source.start();
  return (await offline.startRendering()).getChannelData(0);
}

/** Samples at 16 kHz as the bytes of a 16-bit mono WAV file. */
function wavOf(samples) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, value) => [...value].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((s, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, s)) * 32767, true));
  return view.buffer;
}

/** Length of a sound file in seconds as the browser sees it, or null. */
function durationOf(file) {
  return new Promise((resolve) => {
    const url = URL.createObjectURL(file);
    const sound = new Audio();
    const done = (value) => {
      clearTimeout(timer);
      URL.revokeObjectURL(url);
      resolve(Number.isFinite(value) ? value : null);
    };
    const timer = setTimeout(() => done(null), 2000);
    sound.preload = "metadata";
    sound.onloadedmetadata = () => done(sound.duration);
    sound.onerror = () => done(null);
    sound.src = url;
  });
}

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-recorder");
  let limits = { max_seconds: 30, max_bytes: 1 << 25 };
  let recording = null;
  let starting = false, closed = false;
  let heard = 0;
  let uploads = Promise.resolve(); // one file after another: pieces of two would be mixed

  const dot = h("span", { class: "vgs-dot", "aria-hidden": "true" });
  const label = h("span", {}, "Record");
  const record = h("button", { type: "button", class: "vgs-record", onclick: () => toggle() }, dot, label);
  const bar = h("div", { class: "vgs-level-bar" });
  const level = h("div", { class: "vgs-level", role: "meter", "aria-label": "Level of the microphone", "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": "0" }, bar);
  const clock = h("span", { class: "vgs-clock" }, "");
  const input = h("input", { type: "file", hidden: true, accept: "audio/*,.wav,.flac,.ogg,.mp3", "aria-label": "Sound file", onchange: () => take(input.files[0]) });
  const open = h("button", { type: "button", class: "vgs-button vgs-open", onclick: () => input.click() }, "Open a sound file");
  const local = h("button", { type: "button", class: "vgs-button vgs-local", disabled: true, onclick: () => model.send({ type: "local" }) }, "Kernel's microphone");
  const localNote = h("p", { class: "vgs-note", hidden: true });
  const select = h("select", { class: "vgs-clips", "aria-label": "Clip to prompt with", onchange: () => useClip() });
  const use = h("button", { type: "button", class: "vgs-button vgs-use", "aria-label": "Play the clip and prompt with it", onclick: () => useClip() }, "▶ Play");
  const clipRow = h("div", { class: "vgs-row vgs-clip-row" }, select, use);
  const status = h("p", { class: "vgs-status", role: "status", "aria-live": "polite" });
  el.append(
    h(
      "section",
      { "aria-label": "Speak" },
      h("h3", {}, model.get("heading")),
      h("div", { class: "vgs-row" }, record, level, clock),
      h("div", { class: "vgs-row" }, open, input, local),
      clipRow,
      localNote,
      status,
    ),
  );

  const say = (sentence, failed = false) => {
    status.textContent = sentence;
    status.classList.toggle("vgs-failed", failed);
  };
  const problem = (sentence) => {
    say(sentence, true);
    model.send({ type: "problem", sentence });
  };
  const useClip = () => {
    if (!select.value) return;
    say("Listening…");
    model.send({ type: "clip", id: select.value });
  };
  const showLevel = (value) => {
    const percent = Math.round(100 * Math.min(1, Math.max(0, 1 + Math.log10(Math.max(value, 1e-3)) / 2.5)));
    bar.style.width = `${percent}%`;
    level.setAttribute("aria-valuenow", String(percent));
  };
  const onSamples = (block, rate) => {
    let sum = 0;
    for (const sample of block) sum += sample * sample;
    showLevel(Math.sqrt(sum / block.length));
    heard += block.length / rate;
    clock.textContent = `${heard.toFixed(1)} / ${limits.max_seconds} s`;
    if (heard >= limits.max_seconds - 0.1) toggle();
  };
  const showRecording = (on) => {
    record.classList.toggle("vgs-on", on);
    record.setAttribute("aria-pressed", String(on));
    label.textContent = on ? "Stop" : "Record";
    el.dataset.recording = String(on);
    if (!on) showLevel(0);
  };

  async function toggle() {
    if (starting) return;
    if (recording) {
      const current = recording;
      recording = null;
      showRecording(false);
      const { samples, rate } = await current.stop();
      if (samples.length === 0) return problem("The recording is empty: hold on a little longer before you stop.");
      const wav = wavOf(await resample(samples, rate));
      say("Listening…");
      return model.send({ type: "recording" }, undefined, [wav]);
    }
    starting = true;
    heard = 0;
    try {
      recording = await openMicrophone(onSamples);
      if (closed) return void (await recording.stop()); // while the browser asked for permission
      showRecording(true);
      say("Recording: name something in the picture, then press Stop.");
    } catch (error) {
      problem(whyNot(error));
    } finally {
      starting = false;
    }
  }

  function take(file) {
    if (file) uploads = uploads.then(() => upload(file)).catch((error) => problem(`${file.name} cannot be read (${error.message}).`));
    input.value = "";
  }
  async function upload(file) {
    const { max_seconds: most, max_bytes: size } = limits;
    const length = await durationOf(file);
    if (length !== null && length > most)
      return problem(`${file.name}: ${Math.round(length)} s long; at most ${most} s can be used. Cut it first.`);
    if (file.size > size)
      return problem(`${file.name}: ${Math.round(file.size / 1e6)} MB is too much; open a recording of at most ${most} s.`);
    say(`Reading ${file.name}…`);
    const total = Math.max(1, Math.ceil(file.size / CHUNK));
    for (let index = 0; index < total; index++) {
      const piece = await file.slice(index * CHUNK, (index + 1) * CHUNK).arrayBuffer();
      model.send({ type: "chunk", name: file.name, index, total }, undefined, [piece]);
    }
  }

  el.addEventListener("dragover", (event) => {
    event.preventDefault();
    el.classList.add("vgs-drop");
  });
  el.addEventListener("dragleave", () => el.classList.remove("vgs-drop"));
  el.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    el.classList.remove("vgs-drop");
    take(event.dataTransfer.files[0]);
  });

  const stopTraits = follow(model, ["status", "failed", "busy"], () => {
    const busy = model.get("busy");
    if (!busy && !recording) say(model.get("status"), model.get("failed")); // else it is of what was before
    el.setAttribute("aria-busy", String(busy));
    local.disabled = busy || !limits.local;
  });
  showRecording(false);
  return connect(model, {
    sources: (content) => {
      limits = content;
      local.disabled = model.get("busy") || !content.local;
      local.title = content.local_reason || "Records 3 s on the machine where Python runs";
      localNote.textContent = content.local_reason;
      localNote.hidden = !content.local_reason;
      const groups = Object.entries(content.groups);
      clipRow.hidden = groups.length === 0;
      select.replaceChildren(
        h("option", { value: "" }, "…or choose a clip"),
        ...groups.map(([name, clips]) =>
          h("optgroup", { label: name }, ...clips.map(([id, title]) => h("option", { value: id }, title))),
        ),
      );
    },
    broken: ({ sentence }) => say(sentence, true),
  }, () => (closed = true), () => recording?.stop(), tearDown, stopTraits);
}

export default { render };
