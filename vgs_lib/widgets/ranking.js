// Results in order, best first: pictures as thumbnails, captions as lines with their transcript. A click chooses one.

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-ranking");
  const heading = h("h3", {});
  const list = h("ol", { class: "vgs-results" });
  const status = h("p", { class: "vgs-note vgs-ranking-status", role: "status", "aria-live": "polite" }, "Nothing ranked yet.");
  el.append(h("section", { "aria-label": "Results" }, heading, status, list));
  const urls = [];
  let shown = "";

  const mark = (right) => (right === null ? null : h("span", { class: right ? "vgs-right" : "vgs-wrong" }, right ? "✓ right" : ""));
  const choose = (id) => model.send({ type: "choose", id });

  function result(item, url) {
    const place = h("span", { class: "vgs-place" }, `${item.place}`);
    const score = h("span", { class: "vgs-score", title: "similarity (no unit)" }, item.score.toFixed(2));
    const said = h("span", { class: "vgs-said" }, url ? item.title : `“${item.title}”`);
    const name = `Place ${item.place}${item.right ? ", right" : ""}: ${item.title}`;
    const attributes = { type: "button", class: "vgs-result", "aria-label": url ? name : `Play. ${name}`, onclick: () => choose(item.id) };
    const heard = h("span", { class: "vgs-transcript" }, h("i", {}, "Whisper hears: "), "");
    const inside = url
      ? [h("img", { src: url, alt: item.title, draggable: "false" }), h("span", { class: "vgs-line" }, place, score, mark(item.right)), said]
      : [h("span", { class: "vgs-line" }, place, h("span", { class: "vgs-speaker", "aria-hidden": "true" }, "▶"), said, mark(item.right), score), heard];
    return h("li", { "data-id": item.id, "data-place": item.place, "data-right": String(item.right) }, h("button", attributes, ...inside));
  }

  function hear(li, { heard, note }) {
    li.dataset.heard = heard;
    const line = li.querySelector(".vgs-transcript");
    if (!line) return;
    line.hidden = !heard;
    line.lastChild.data = note ? `${heard} (${note})` : heard;
  }

  function rebuild(items, buffers) {
    const focused = document.activeElement?.closest?.("li")?.dataset.id;
    const old = urls.splice(0);
    let next = 0;
    list.replaceChildren(
      ...items.map((item) => {
        const url = item.picture ? urlOf(buffers[next++], "image/jpeg") : null;
        if (url) urls.push(url);
        return result(item, url);
      }),
    );
    old.forEach((url) => URL.revokeObjectURL(url));
    list.classList.toggle("vgs-tiles", items.some((item) => item.picture));
    if (focused) list.querySelector(`li[data-id="${CSS.escape(focused)}"] button`)?.focus({ preventScroll: true });
  }

  function show({ items, sentence, selected }, buffers) {
    const now = JSON.stringify(items.map(({ heard, note, ...rest }) => rest));
    // a transcript goes into the lines that are there: a press that a line does not outlive is no click
    if (now !== shown || items.some((item) => item.picture)) rebuild(items, buffers);
    shown = now;
    [...list.children].forEach((li, place) => {
      hear(li, items[place]);
      li.firstChild.setAttribute("aria-pressed", String(li.dataset.id === selected));
    });
    status.textContent = sentence || "Nothing ranked yet.";
    Object.assign(list.dataset, { count: items.length, selected });
  }

  const stopTitle = follow(model, ["title"], () => (heading.textContent = model.get("title")));
  const forget = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  return connect(model, { ranking: show, broken: ({ sentence }) => (status.textContent = sentence) }, stopTitle, forget, tearDown);
}

export default { render };
