// Ranks of every query under two systems as points, and the queries that only one of them finds, to look at and hear.

const SIDE = 480, EDGE = 46; // pixels of the plot, and of the margin with its scale
const FIRST = "#0072b2", SECOND = "#d55e00", REST = "#8a929c"; // told apart by the colour-blind, too

/** Whether a message from the kernel has all that was asked for. */
const hasAll = (message, { type, ...asked }) => Object.entries(asked).every(([name, value]) => message[name] === value);

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-systems");
  let shown = null, ranks = [[], []], chosen = null;
  const urls = { thumbnails: [], query: [] };

  const list = (name, label) => h("select", { class: `vgs-${name}`, "aria-label": label, onchange: () => ask() });
  const first = list("first", "First system"), second = list("second", "Second system"), way = list("way", "Direction");
  const canvas = h("canvas", {
    class: "vgs-systems-canvas", width: SIDE, height: SIDE, tabindex: 0, role: "application",
    "aria-roledescription": "scatter plot", "aria-label": "Ranks of each query under both systems. Left and right arrow choose a query.",
  });
  const status = h("p", { class: "vgs-status vgs-systems-status", role: "status", "aria-live": "polite" }, "Waiting for the records.");
  const hover = h("p", { class: "vgs-note" }, " ");
  const legend = h("p", { class: "vgs-note vgs-systems-legend" });
  const picture = h("img", { hidden: true, draggable: "false" }), sound = h("audio", { controls: true, hidden: true });
  const words = h("p", { class: "vgs-query-words" }), places = h("p", { class: "vgs-note vgs-query-places" }, "Choose a query: a point, or one of the lists.");
  const alone = [0, 1].map(() => ({ head: h("h4", {}), items: h("ol", {}) }));
  const main = h("div", { class: "vgs-systems-main", hidden: true },
    h("div", { class: "vgs-systems-plot" }, canvas, legend, hover),
    h("div", { class: "vgs-query", role: "group", "aria-label": "Chosen query" }, picture, sound, words, places));
  const choice = (text, select) => h("label", {}, text, select);
  el.append(
    h("section", { "aria-label": "Two systems query by query" },
      h("h3", {}, "Two systems on the same queries"),
      h("div", { class: "vgs-choices" }, choice("First system", first), choice("Second system", second), choice("Direction", way)),
      status,
      main,
      h("div", { class: "vgs-alone" }, ...alone.map(({ head, items }) => h("div", {}, head, items)))),
  );

  const comparisons = inTurn(model, hasAll), choices = inTurn(model, hasAll);
  const ask = () => comparisons.ask({ type: "compare", first: first.value, second: second.value, way: way.value });
  function choose(query) {
    if (query === chosen && choices.awaits("choose")) return; // the second click of a double one
    chosen = query; // at once: an arrow key goes on from here
    mark();
    choices.ask({ type: "choose", query });
  }

  const most = () => Math.max(shown.k, ...ranks[0], ...ranks[1]);
  const along = (rank) => EDGE + ((SIDE - EDGE - 12) * Math.log(rank)) / Math.log(most() || 2);
  const point = (query) => [along(ranks[0][query]), SIDE - along(ranks[1][query])];
  const colourOf = (query) => {
    const found = [ranks[0][query] <= shown.k, ranks[1][query] <= shown.k];
    return found[0] === found[1] ? REST : found[0] ? FIRST : SECOND;
  };

  function draw() {
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    if (!ranks[0].length) return;
    const line = along(shown.k + 0.5); // found is left of it, or under it
    context.globalAlpha = 0.1;
    context.fillStyle = FIRST;
    context.fillRect(EDGE, 0, line - EDGE, SIDE - line);
    context.fillStyle = SECOND;
    context.fillRect(line, SIDE - line, SIDE - line, line - EDGE);
    context.globalAlpha = 1;
    context.strokeStyle = context.fillStyle = "#333";
    context.font = "12px sans-serif";
    context.strokeRect(EDGE, 0, SIDE - EDGE, SIDE - EDGE);
    for (let tick = 1; tick <= most(); tick *= 10) {
      context.textAlign = "center";
      context.fillText(tick, along(tick), SIDE - EDGE + 16);
      context.textAlign = "right";
      context.fillText(tick, EDGE - 6, SIDE - along(tick) + 4);
    }
    context.textAlign = "center";
    context.fillText(`rank by ${shown.first}`, (SIDE + EDGE) / 2, SIDE - 8);
    context.save();
    context.rotate(-Math.PI / 2);
    context.fillText(`rank by ${shown.second}`, -(SIDE - EDGE) / 2, 13);
    context.restore();
    ranks[0].forEach((_, query) => dot(context, query, 3));
    if (chosen !== null) {
      dot(context, chosen, 6);
      context.lineWidth = 2;
      context.strokeStyle = "#111";
      context.stroke();
      context.lineWidth = 1;
    }
  }

  function dot(context, query, radius) {
    const colour = colourOf(query), [x, y] = point(query);
    context.globalAlpha = colour === REST && radius < 4 ? 0.35 : 0.85;
    context.fillStyle = colour;
    context.beginPath();
    if (colour === SECOND) context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
    else context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
  }

  function nearest(event) {
    const box = canvas.getBoundingClientRect(), scale = SIDE / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    const distance = (query) => Math.hypot(point(query)[0] - x, point(query)[1] - y);
    return ranks[0].reduce((best, _, query) => (best === null || distance(query) < distance(best) ? query : best), null);
  }
  canvas.addEventListener("click", (event) => ranks[0].length && choose(nearest(event)));
  canvas.addEventListener("pointermove", (event) => {
    const query = ranks[0].length ? nearest(event) : null;
    hover.textContent = query === null ? " " : `Nearest: query ${query}, rank ${ranks[0][query]} and ${ranks[1][query]}`;
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !ranks[0].length || event.ctrlKey || event.metaKey || event.altKey) return;
    const query = Math.min(ranks[0].length - 1, Math.max(0, chosen === null ? 0 : chosen + step));
    if (query !== chosen) choose(query); // at an end a held key does not begin its sound again and again
    event.preventDefault();
  });

  const placesOf = ({ first: a, second: b }) => `rank ${a} by ${shown.first}, ${b} by ${shown.second}`;

  function show(content, buffers) {
    const isFirst = shown === null, isNewest = comparisons.answered(content);
    shown = content;
    ranks = [0, 1].map((side) => Array.from(new Float32Array(bytesOf(buffers[side]).slice().buffer)));
    for (const [select, value, options] of [
      [first, content.first, content.names.map((name) => [name, name])],
      [second, content.second, content.names.map((name) => [name, name])],
      [way, content.way, Object.entries(content.ways)],
    ]) {
      if (isFirst) select.replaceChildren(...options.map(([id, text]) => h("option", { value: id }, text)));
      if (isNewest) select.value = value; // else somebody has chosen on, and this is not yet the answer
      select.disabled = !content.names.length;
    }
    status.classList.remove("vgs-failed");
    status.textContent = content.sentence;
    const key = (colour, sign, text) => [h("span", { style: `color: ${colour}` }, sign), ` ${text}   `];
    legend.replaceChildren(
      ...key(FIRST, "●", `only ${content.first} finds it`), ...key(SECOND, "■", `only ${content.second} finds it`), ...key(REST, "●", "both, or neither"));
    urls.thumbnails.splice(0).forEach((url) => URL.revokeObjectURL(url));
    main.hidden = !content.names.length;
    let next = 2;
    content.listed.forEach((items, side) => {
      const name = [content.first, content.second][side];
      const listed = items.length < content.counts[side] ? `; the ${items.length} that the other misses worst` : "";
      alone[side].head.textContent = name ? `${content.counts[side]} queries that only ${name} finds${listed}` : "";
      alone[side].items.replaceChildren(...items.map((item) => entry(item, buffers[next++])));
    });
    if (!choices.awaits("choose")) chosen = content.chosen;
    mark();
    Object.assign(canvas.dataset, {
      first: content.first, second: content.second, way: content.way, queries: ranks[0].length,
      firstOnly: content.counts[0], secondOnly: content.counts[1],
    });
  }

  function entry(item, bytes) {
    const url = urlOf(bytes, "image/jpeg");
    urls.thumbnails.push(url);
    const text = h("span", {}, `“${item.title}”`, h("span", { class: "vgs-note" }, placesOf(item)));
    const attributes = { type: "button", class: "vgs-alone-query", "data-query": item.query, "aria-label": `Play query ${item.query}: ${item.title}; ${placesOf(item)}`, onclick: () => choose(item.query) };
    return h("li", {}, h("button", attributes, h("img", { src: url, alt: "" }), text));
  }

  /** Show which query is chosen in the plot and in the lists. */
  function mark() {
    for (const button of el.querySelectorAll(".vgs-alone-query"))
      button.setAttribute("aria-pressed", String(Number(button.dataset.query) === chosen));
    draw();
  }

  function showQuery(content, buffers) {
    if (!choices.answered(content)) return;
    chosen = content.query;
    urls.query.splice(0).forEach((url) => URL.revokeObjectURL(url));
    urls.query.push(urlOf(buffers[0], "image/jpeg"), urlOf(buffers[1], "audio/wav"));
    Object.assign(picture, { src: urls.query[0], alt: `Picture of query ${content.query}: ${content.title}`, hidden: false });
    Object.assign(sound, { src: urls.query[1], hidden: false });
    words.replaceChildren(...content.words.flatMap((word) => [h("span", { "data-start": word.start, "data-end": word.end }, word.text), " "]));
    places.textContent = `Query ${content.query}: ${placesOf(content)}.`;
    Object.assign(canvas.dataset, { chosen, title: content.title });
    mark();
    sound.play().catch(() => {}); // a browser may want a click on the player first
  }
  sound.addEventListener("timeupdate", () => {
    for (const word of words.children)
      word.classList.toggle("vgs-heard", sound.currentTime >= word.dataset.start && sound.currentTime < word.dataset.end);
  });

  const forget = () => Object.values(urls).forEach((all) => all.splice(0).forEach((url) => URL.revokeObjectURL(url)));
  const broken = (content) => {
    brokenIn(status)(content);
    comparisons.next();
    choices.next();
  };
  return connect(model, { systems: show, query: showQuery, broken }, () => sound.pause(), forget, tearDown);
}

export default { render };
