// Scores of captions (rows) with pictures (columns). The mouse or the arrow keys choose a cell; Enter or a click plays it.

const LONGEST = 560; // pixels of the matrix's longer side
const FRAMED = 5; // cells of at least so many pixels have room for a mark inside

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-matrix");
  let matrix = null, cell = 4, row = 0, column = 0, byPlace = false;

  const canvas = h("canvas", {
    class: "vgs-matrix-canvas", tabindex: 0, role: "application", "aria-roledescription": "score matrix",
    "aria-label": "Scores of captions and pictures. Arrow keys move, Enter plays the caption in the picture.",
  });
  const toggle = h("button", { type: "button", class: "vgs-button vgs-by-place", "aria-pressed": "false", onclick: () => setMode(!byPlace) }, "Colour by place in the row");
  const own = h("button", { type: "button", class: "vgs-button vgs-own", onclick: () => toRight() }, "To its true picture");
  const top = h("button", { type: "button", class: "vgs-button vgs-top", onclick: () => toBest() }, "To the first place");
  const bar = h("canvas", { class: "vgs-legend-bar", width: 128, height: 1, "aria-hidden": "true" });
  const name = h("span", { class: "vgs-legend-name" }), low = h("span", {}), high = h("span", {});
  const status = h("p", { class: "vgs-status vgs-matrix-status", role: "status", "aria-live": "polite" }, "Waiting for the scores.");
  const hover = h("p", { class: "vgs-note vgs-matrix-hover", "aria-hidden": "true" }, " ");
  const across = h("div", { class: "vgs-axis", "aria-hidden": "true" }), down = h("div", { class: "vgs-axis vgs-axis-down", "aria-hidden": "true" });
  const legend = h("div", { class: "vgs-legend" }, name, low, bar, high);
  el.append(
    h("section", { "aria-label": "Score matrix" },
      h("h3", {}, "Every caption with every picture"),
      h("div", { class: "vgs-matrix-grid" }, h("span", {}), across, down, canvas),
      h("div", { class: "vgs-under" }, legend,
        h("span", {}, h("span", { class: "vgs-key vgs-key-right" }), " true pair  ", h("span", { class: "vgs-key vgs-key-cell" }), " chosen cell")),
      hover, status,
      h("div", { class: "vgs-row" }, toggle, own, top)),
  );

  const score = (r, c) => matrix.scores[r * matrix.shape[1] + c];
  const place = (r, c) => {
    let higher = 0, ties = -1;
    const value = score(r, c);
    for (let other = 0; other < matrix.shape[1]; other++) {
      if (score(r, other) > value) higher++;
      if (score(r, other) === value) ties++;
    }
    return 1 + higher + ties / 2;
  };
  const isRight = (r, c) => matrix.right.has(r * matrix.shape[1] + c);
  const sentence = (r, c) =>
    `Caption ${r + 1} “${matrix.captions[r]}” with picture ${c + 1} (${matrix.pictures[c]}): similarity ` +
    `${score(r, c).toFixed(2)}, place ${place(r, c)} of ${matrix.shape[1]}${isRight(r, c) ? ". They belong together." : "."}`;

  /** Cells are coloured once; marks and the chosen cell are drawn over them each time. */
  function colour() {
    const [rows, columns] = matrix.shape;
    const [least, most] = matrix.range, span = most - least || 1;
    const image = new ImageData(columns, rows);
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++) {
        const part = byPlace ? 1 - (matrix.places[r * columns + c] - 1) / Math.max(1, columns - 1) : (score(r, c) - least) / span;
        const from = 3 * Math.round(255 * part);
        image.data.set([...matrix.colours.subarray(from, from + 3), 255], 4 * (r * columns + c));
      }
    matrix.image = h("canvas", { width: columns, height: rows });
    matrix.image.getContext("2d").putImageData(image, 0, 0);
  }

  function frame(context, r, c, lines) {
    for (const [width, colour] of lines) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(c * cell + 0.5, r * cell + 0.5, cell - 1, cell - 1);
    }
  }

  function draw() {
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(matrix.image, 0, 0, canvas.width, canvas.height);
    for (const index of matrix.right) {
      const r = Math.floor(index / matrix.shape[1]), c = index % matrix.shape[1];
      if (cell >= FRAMED) frame(context, r, c, [[3, "#fff"], [1.5, "#d1495b"]]);
      else {
        context.fillStyle = "#d1495b";
        context.fillRect(c * cell, r * cell, cell, cell);
      }
    }
    frame(context, row, column, [[7, "#fff"], [4, "#111"]]);
    Object.assign(canvas.dataset, {
      rows: matrix.shape[0], columns: matrix.shape[1], cell, row, column, mode: byPlace ? "place" : "similarity",
      score: score(row, column).toFixed(4), place: place(row, column), right: isRight(row, column), trueCells: matrix.right.size,
    });
  }

  function showLegend() {
    const strip = new ImageData(128, 1);
    for (let i = 0; i < 128; i++) strip.data.set([...matrix.colours.subarray(6 * i, 6 * i + 3), 255], 4 * i);
    bar.getContext("2d").putImageData(strip, 0, 0);
    name.textContent = byPlace ? "place in its row" : "similarity (no unit)";
    low.textContent = byPlace ? matrix.shape[1] : matrix.range[0].toFixed(1);
    high.textContent = byPlace ? 1 : matrix.range[1].toFixed(1);
  }

  function setMode(places) {
    if (!matrix) return;
    byPlace = places;
    toggle.setAttribute("aria-pressed", String(places));
    colour();
    showLegend();
    draw();
  }

  function moveTo(r, c) {
    const clamp = (value, size) => Math.min(size - 1, Math.max(0, value));
    row = clamp(r, matrix.shape[0]);
    column = clamp(c, matrix.shape[1]);
    status.classList.remove("vgs-failed");
    status.textContent = sentence(row, column);
    draw();
  }

  const columnsOf = () => Array.from({ length: matrix.shape[1] }, (_, c) => c);
  function toRight() {
    const found = matrix ? columnsOf().filter((c) => isRight(row, c)) : [];
    if (found.length) moveTo(row, found[0]);
  }
  function toBest() {
    if (matrix) moveTo(row, columnsOf().reduce((best, c) => (score(row, c) > score(row, best) ? c : best), 0));
  }
  function choose() {
    canvas.dataset.asked = `${row},${column}`;
    model.send({ type: "choose", row, column });
  }

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const inside = (part, size) => Math.min(size - 1, Math.max(0, Math.floor(part * size)));
    return [inside((event.clientY - box.top) / box.height, matrix.shape[0]), inside((event.clientX - box.left) / box.width, matrix.shape[1])];
  };
  canvas.addEventListener("pointermove", (event) => matrix && (hover.textContent = sentence(...at(event))));
  canvas.addEventListener("pointerleave", () => (hover.textContent = " "));
  canvas.addEventListener("click", (event) => {
    if (!matrix) return;
    moveTo(...at(event));
    choose();
  });
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-10, 0], PageDown: [10, 0] };
  canvas.addEventListener("keydown", (event) => {
    if (!matrix || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = steps[event.key];
    if (step) moveTo(row + step[0], column + step[1]);
    else if (event.key === "Home") toRight();
    else if (event.key === "End") toBest();
    else if (event.key === "Enter" || event.key === " ") choose();
    else return;
    event.preventDefault();
  });

  function show(content, buffers) {
    const bytes = bytesOf(buffers[0]);
    const scores = new Float32Array(bytes.slice().buffer);
    const [rows, columns] = content.shape;
    matrix = { ...content, scores, colours: bytesOf(buffers[1]), right: new Set(content.right.map(([r, c]) => r * columns + c)) };
    matrix.places = Float32Array.from(scores, (_, index) => place(Math.floor(index / columns), index % columns));
    cell = Math.max(2, Math.floor(LONGEST / Math.max(rows, columns)));
    canvas.width = cell * columns;
    canvas.height = cell * rows;
    across.textContent = `pictures 1 to ${columns} →`;
    down.textContent = `captions 1 to ${rows} ↓`;
    if (content.chosen) [row, column] = content.chosen;
    setMode(byPlace);
    moveTo(row, column);
    if (content.chosen) canvas.dataset.chosen = content.chosen.join();
  }

  return connect(model, {
    matrix: show,
    chosen: (content) => (canvas.dataset.chosen = `${content.row},${content.column}`),
    broken: brokenIn(status),
  }, tearDown);
}

export default { render };
