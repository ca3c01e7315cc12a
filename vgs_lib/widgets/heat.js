// Heat of a matchmap: decoded from a message of the kernel, taken at a moment or over a word, painted. No controls here.
// Shapes: T frames, h w grid; heat is 0-1, times are in seconds.

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
  scene.whole = Float32Array.from(bytesOf(buffers[3]), (value) => value / 255);
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
  const position = Math.min(frames - 1, Math.max(0, frameOf(scene.prompt.clock, time) - 0.5));
  const first = Math.floor(position), second = Math.min(frames - 1, first + 1), part = position - first;
  const heat = new Float32Array(size);
  for (let i = 0; i < size; i++)
    heat[i] = (scene.heat[first * size + i] * (1 - part) + scene.heat[second * size + i] * part) / 255;
  return heat;
}

/** Heat [h, w] in 0-1 of a word: of each place the strongest heat of the frames whose middle lies in from..to. */
function heatOver(scene, from, to) {
  const { shape: [frames, height, width], clock } = scene.prompt;
  const size = height * width, heat = new Float32Array(size);
  const short = Math.floor(frameOf(clock, (from + to) / 2)); // the frame of a word shorter than one
  for (let t = 0; t < frames; t++) {
    const middle = secondsOf(clock, t + 0.5), inside = middle >= from && middle < to;
    if (!inside && !(from < to && short === t)) continue;
    for (let i = 0; i < size; i++) heat[i] = Math.max(heat[i], scene.heat[t * size + i] / 255);
  }
  return heat;
}

/** How strongly heat covers the picture: cold places are dimmed, the named place is lit and stays visible. */
const cover = (value) => 0.7 - 0.3 * value;

/** Paint heat over what is on the canvas; places under cut (0-1) are not lit. Returns the peak and the share that is lit. */
function paintHeat(context, patch, scene, heat, { opacity, cut }) {
  const [, height, width] = scene.prompt.shape;
  const image = new ImageData(FINE, FINE);
  let lit = 0;
  for (let row = 0; row < FINE; row++)
    for (let column = 0; column < FINE; column++) {
      const x = ((column + 0.5) * width) / FINE - 0.5, y = ((row + 0.5) * height) / FINE - 0.5;
      const found = Math.min(1, Math.max(0, bilinear(heat, height, width, x, y)));
      const value = found >= cut ? found : 0;
      lit += found >= cut;
      const colour = 3 * Math.round(255 * value), at = 4 * (row * FINE + column);
      image.data.set(scene.colours.subarray(colour, colour + 3), at);
      image.data[at + 3] = 255 * opacity * cover(value);
    }
  patch.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(patch, 0, 0, context.canvas.width, context.canvas.height);
  const best = heat.reduce((found, value, index) => (value > heat[found] ? index : found), 0);
  return { x: ((best % width) + 0.5) / width, y: (Math.floor(best / width) + 0.5) / height, value: heat[best], lit: lit / FINE ** 2 };
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

/** The waveform as bars, under it a strip in the colours of the strongest heat of each frame; one span is marked. */
function paintWave(canvas, scene, time, { span = scene?.prompt?.span, cut = 0 } = {}) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  if (!scene?.prompt) return;
  const { duration, clock } = scene.prompt;
  const at = (moment) => (Math.min(Math.max(moment, 0), duration) / duration) * width;
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
    const colour = 3 * Math.round(255 * (value >= cut ? value : 0));
    context.fillStyle = `rgb(${scene.colours.subarray(colour, colour + 3).join()})`;
    const from = frame ? at(secondsOf(clock, frame)) : 0, to = at(frame + 1 < scene.strength.length ? secondsOf(clock, frame + 1) : duration);
    context.fillRect(from, height - strip, to - from + 0.5, strip);
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
