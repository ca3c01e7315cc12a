// Training runs: choices, buttons, progress, figures, and one chart with the curves of all runs.

const WIDE = 1040, TALL = 340; // pixels of the chart
const EDGE = { left: 64, right: 16, top: 14, bottom: 44 };
const DASHES = [[], [8, 5], [2, 4]];
const WORKING = ["filling", "training", "paused", "stopping"];

/** A number as people read it: 3 digits that count, no long tails. */
function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString("en");
  return size < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

/** Seconds as "12 s" or "3 min 05 s". */
function duration(value) {
  if (value === null || value === undefined) return "";
  const whole = Math.max(0, Math.round(value));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** Steps of 1, 2 or 5 times a power of ten that cut 0 to most into about five. */
function ticks(low, high) {
  const raw = (high - low) / 5 || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((n) => n * power >= raw) * power;
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-6; n++) found.push(n * step);
  return found;
}

/** The curves of a message: for each run a map from figure to {x, y}. */
function decodeCurves(runs, buffers) {
  return runs.map((run, index) => {
    const bytes = bytesOf(buffers[index]);
    const all = new Float32Array(bytes.slice().buffer);
    const curves = {};
    let at = 0;
    for (const [name, count] of run.curves) {
      curves[name] = { x: all.subarray(at, at + count), y: all.subarray(at + count, at + 2 * count) };
      at += 2 * count;
    }
    return curves;
  });
}

/** Draw the chosen figure of the shown runs; returns how many points were drawn. */
function paintChart(canvas, runs, curves, shown, figure, label) {
  const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
  const ink = style.getPropertyValue("--vgs-ink"), line = style.getPropertyValue("--vgs-line");
  context.clearRect(0, 0, WIDE, TALL);
  context.font = `13px ${style.fontFamily}`;
  const drawn = runs.map((run, i) => ({ run, curve: curves[i][figure] })).filter(({ run, curve }) => curve && shown.has(run.name));
  const points = drawn.reduce((sum, { curve }) => sum + curve.x.length, 0);
  const chance = drawn.map(({ run }) => run.chance[figure]).find((value) => value !== undefined);
  const values = drawn.flatMap(({ curve }) => [...curve.y]);
  let high = Math.max(...values, chance ?? -Infinity), low = Math.min(0, ...values);
  if (!Number.isFinite(high) || high <= low) high = low + 1;
  high += 0.05 * (high - low);
  const last = Math.max(1, ...drawn.map(({ run }) => run.steps));
  const x = (step) => EDGE.left + (step / last) * (WIDE - EDGE.left - EDGE.right);
  const y = (value) => TALL - EDGE.bottom - ((value - low) / (high - low)) * (TALL - EDGE.top - EDGE.bottom);
  context.fillStyle = ink;
  context.strokeStyle = line;
  context.lineWidth = 1;
  const lineAt = (value) => {
    context.beginPath();
    context.moveTo(EDGE.left, y(value));
    context.lineTo(WIDE - EDGE.right, y(value));
    context.stroke();
  };
  for (const value of ticks(low, high)) {
    lineAt(value);
    context.textAlign = "right";
    context.textBaseline = "middle";
    context.fillText(short(value), EDGE.left - 8, y(value));
  }
  for (const step of ticks(0, last)) {
    context.textAlign = "center";
    context.textBaseline = "top";
    context.fillText(short(step), x(step), TALL - EDGE.bottom + 7);
  }
  context.fillText("step", (EDGE.left + WIDE - EDGE.right) / 2, TALL - 17);
  context.save();
  context.translate(11, TALL / 2 - 10);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.fillText(label.replace(/ \(.*/, ""), 0, 0);
  context.restore();
  if (chance !== undefined) {
    context.setLineDash([3, 4]);
    context.strokeStyle = ink;
    lineAt(chance);
    context.textAlign = "right";
    context.textBaseline = "bottom";
    context.fillText(`chance ${short(chance)}`, WIDE - EDGE.right, y(chance) - 3);
  }
  context.lineWidth = 2.5;
  for (const { run, curve } of drawn) {
    context.setLineDash(DASHES[run.dash % DASHES.length]);
    context.strokeStyle = context.fillStyle = run.colour;
    context.beginPath();
    curve.x.forEach((step, i) => context.lineTo(x(step), y(curve.y[i])));
    context.stroke();
    if (curve.x.length < 40)
      curve.x.forEach((step, i) => {
        context.beginPath();
        context.arc(x(step), y(curve.y[i]), 4, 0, 2 * Math.PI);
        context.fill();
      });
  }
  context.setLineDash([]);
  if (!points) {
    context.fillStyle = style.getPropertyValue("--vgs-soft");
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(drawn.length || runs.length ? "No value of this figure yet." : "Curves appear here once a run has begun.", WIDE / 2, TALL / 2);
  }
  return points;
}

const LISTS = { image: "Picture encoder", audio: "Speech encoder", similarity: "Similarity", loss: "Loss" };
const NUMBERS = { batch_size: "Batch size (pairs)", learning_rate: "Learning rate", steps: "Steps", name: "Name (optional)" };

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-dashboard");
  let now = null, curves = [], filled = false, figure = "speech_to_image_r10";
  const send = (type, more = {}) => model.send({ type, ...more });

  const fields = {};
  for (const [key, label] of Object.entries(LISTS)) fields[key] = h("select", { name: key, "aria-label": label });
  for (const [key, label] of Object.entries(NUMBERS))
    fields[key] = h("input", { name: key, type: "text", "aria-label": label, inputmode: key === "name" ? "text" : "decimal", spellcheck: "false" });
  const labelled = Object.entries({ ...LISTS, ...NUMBERS }).map(([key, text]) => h("label", {}, text, fields[key]));
  const choices = () => Object.fromEntries(Object.entries(fields).map(([key, field]) => [key, field.value]));
  const button = (name, text, onclick, extra = "") => h("button", { type: "button", class: `vgs-button vgs-${name} ${extra}`, disabled: true, onclick }, text);
  const start = button("start", "Start", () => send("start", { choices: choices() }), "vgs-main-button");
  const pause = button("pause", "Pause", () => send(now?.state === "paused" ? "proceed" : "pause"));
  const stop = button("stop", "Stop", () => send("stop"));
  const status = h("p", { class: "vgs-status", role: "status", "aria-live": "polite" }, "Connecting to the kernel.");
  const done = h("div", { class: "vgs-bar-done" });
  const bar = h("div", { class: "vgs-bar", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 }, done);
  const doing = h("span", {}), left = h("span", { class: "vgs-left" });
  const tiles = h("div", { class: "vgs-tiles" });
  const metric = h("select", { class: "vgs-metric", "aria-label": "Figure to draw", onchange: () => { figure = metric.value; draw(); } });
  const canvas = h("canvas", { class: "vgs-chart", role: "img", width: WIDE, height: TALL, "aria-label": "No curves yet" });
  const rows = h("tbody", {});
  const rowOf = new Map(); // by the name of the run; a row stays, since a press that it does not outlive is no click
  const ticking = new Map(); // from name to on: ticks that Python has not answered
  const table = h("table", { class: "vgs-runs" },
    h("caption", {}, "Runs: tick those to draw. A run that was stopped, by you or by the end of its kernel, can be resumed."),
    h("thead", {}, h("tr", {}, ...["Run", "What it is", "Steps", "Loss", "R@10", ""].map((text) => h("th", { scope: "col" }, text)))), rows);
  el.append(
    h("section", { "aria-label": "Choices" }, h("h3", {}, "1. Choose"), h("div", { class: "vgs-fields" }, ...labelled)),
    h("section", { "aria-label": "The run" }, h("h3", {}, "2. Train"), h("div", { class: "vgs-row" }, start, pause, stop), status, bar,
      h("div", { class: "vgs-under-bar" }, doing, left), tiles),
    h("section", { "aria-label": "Curves" }, h("h3", {}, "3. Compare"), h("label", {}, "Figure: ", metric), canvas, table),
  );

  function fillChoices({ options, choices: chosen }) {
    if (filled) return;
    filled = true;
    for (const key of Object.keys(LISTS)) fields[key].replaceChildren(...options[key].map((text) => h("option", { value: text }, text)));
    for (const [key, field] of Object.entries(fields)) field.value = chosen[key];
  }

  function showTiles(run) {
    const step = run?.last ?? {}, judged = run?.evaluation ?? {}, chance = run?.chance?.speech_to_image_r10;
    const r10 = judged.speech_to_image_r10;
    const over = r10 !== undefined && chance ? `${short(r10 / chance)} times chance (${short(chance)})` : chance ? `chance ${short(chance)}` : "";
    const shown = [
      ["Step", run ? `${run.step} of ${run.steps}` : "–", ""],
      ["Loss", short(step.loss), "training batch"],
      ["R@10", short(r10), over],
      ["R@1", short(judged.speech_to_image_r1), judged.step === undefined ? "validation" : `validation, step ${judged.step}`],
      ["Temperature", short(step.temperature), "1 / scale of the scores"],
      ["Examples", short(step.examples_per_second), "per second"],
      ["Gradient norm", short(step.gradient_norm), "before clipping"],
      ["Learning rate", short(step.learning_rate), ""],
    ];
    tiles.replaceChildren(...shown.map(([name, value, note]) => h("div", {}, h("span", { class: "vgs-tile-name" }, name), h("strong", {}, value), h("small", {}, note))));
  }

  function showProgress({ progress, state }) {
    const share = progress.total ? progress.done / progress.total : 0;
    done.style.width = `${100 * share}%`;
    bar.setAttribute("aria-valuenow", Math.round(100 * share));
    const what = progress.name === "training" ? "Training" : progress.name ? `Features of frozen encoders: ${progress.name}` : "";
    doing.textContent = what && `${what}, ${progress.done} of ${progress.total}`;
    left.textContent = ["filling", "training"].includes(state) && progress.seconds_left != null ? `${duration(progress.seconds_left)} left` : "";
  }

  function newRow(run) {
    const { name } = run;
    const swatch = h("span", { class: "vgs-swatch", style: `border-color:${run.colour};border-top-style:${["solid", "dashed", "dotted"][run.dash % 3]}` });
    const box = h("input", { type: "checkbox", onchange: () => {
      ticking.set(name, box.checked);
      send("show", { name, on: box.checked });
      draw();
    } });
    const resume = h("button", { type: "button", class: "vgs-button vgs-resume", "data-run": name, onclick: () => send("resume", { name }), "aria-label": `Resume ${name}` }, "Resume");
    const made = h("td", {}), numbers = [0, 1, 2].map(() => h("td", { class: "vgs-number" })), end = h("td", {});
    const element = h("tr", { "data-run": name }, h("td", {}, h("label", {}, box, swatch, name)), made, ...numbers, end);
    rows.append(element);
    return { element, box, resume, made, numbers, end };
  }

  /** The names of the runs that are drawn, with the ticks that Python has not answered. */
  const shownRuns = () => now.runs.map(({ name }) => name).filter((name) => ticking.get(name) ?? now.shown.includes(name));

  function showRuns({ runs, shown, state, current }) {
    for (const [name, on] of ticking) if (shown.includes(name) === on) ticking.delete(name);
    const ticked = new Set(shownRuns()), working = WORKING.includes(state);
    for (const run of runs) {
      if (!rowOf.has(run.name)) rowOf.set(run.name, newRow(run));
      const row = rowOf.get(run.name);
      row.box.checked = ticked.has(run.name);
      row.resume.disabled = working;
      row.made.textContent = run.choices;
      const figures = [`${run.step} / ${run.steps}`, short(run.last.loss), short(run.evaluation.speech_to_image_r10)];
      figures.forEach((text, place) => (row.numbers[place].textContent = text));
      const over = run.finished ? "done" : working && run.name === current ? "running" : row.resume;
      if (over !== row.over) row.end.replaceChildren((row.over = over)); // a button that is pressed stays where it is
      Object.assign(row.element.dataset, { step: run.step, finished: run.finished });
    }
  }

  function showFigures() {
    const there = new Set(now.runs.flatMap((run) => run.curves.map(([name]) => name)));
    const known = Object.keys(now.labels).filter((name) => there.has(name));
    const names = [...known, ...[...there].filter((name) => !known.includes(name))];
    if (names.join() !== [...metric.options].map((option) => option.value).join())
      metric.replaceChildren(...names.map((name) => h("option", { value: name }, now.labels[name] ?? name)));
    if (names.length) metric.value = there.has(figure) ? figure : names[0]; // the wanted one as soon as it has a value
  }

  function draw() {
    if (!now) return;
    const drawn = metric.value || figure, label = now.labels[drawn] ?? drawn;
    const shown = new Set(shownRuns());
    const points = paintChart(canvas, now.runs, curves, shown, drawn, label);
    const said = now.runs.filter((run) => shown.has(run.name)).map((run) => {
      const curve = curves[now.runs.indexOf(run)][drawn];
      return `${run.name}: ${curve?.y.length ? short(curve.y[curve.y.length - 1]) : "no value"}`;
    });
    canvas.setAttribute("aria-label", `Chart of ${label} over steps. Last values: ${said.join("; ") || "none"}.`);
    Object.assign(canvas.dataset, { figure: drawn, points, runs: [...shown].join(" ") });
  }

  function show(content, buffers) {
    now = content;
    curves = decodeCurves(content.runs, buffers);
    fillChoices(content);
    const { state } = content, working = WORKING.includes(state);
    const run = content.runs.find((one) => one.name === content.current);
    status.textContent = content.status;
    status.classList.toggle("vgs-failed", content.failed);
    start.disabled = working;
    pause.disabled = !["training", "paused"].includes(state);
    pause.textContent = state === "paused" ? "Continue" : "Pause";
    pause.setAttribute("aria-pressed", String(state === "paused"));
    stop.disabled = !working || state === "stopping";
    showProgress(content);
    showTiles(run);
    showRuns(content);
    showFigures();
    draw();
    Object.assign(el.dataset, { state, run: content.current, step: run?.step ?? 0, steps: run?.steps ?? 0, r10: run?.evaluation.speech_to_image_r10 ?? "", progress: content.progress.name ?? "" });
  }

  const broken = (content) => {
    ticking.clear(); // an answer may never come
    brokenIn(status)(content);
  };
  return connect(model, { training: show, broken }, tearDown);
}

export default { render };
