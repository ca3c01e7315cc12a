// Results in order, best first: pictures as thumbnails, captions as lines with their transcript. A click chooses one.

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-ranking");
  const heading = h("h3", {});
  const list = h("ol", { class: "vgs-results" });
  const status = h("p", { class: "vgs-note vgs-ranking-status", role: "status", "aria-live": "polite" }, "Nothing ranked yet.");
  el.append(h("section", { "aria-label": "Results" }, heading, status, list));
  const urls = [];

  const mark = (right) => (right === null ? null : h("span", { class: right ? "vgs-right" : "vgs-wrong" }, right ? "✓ right" : ""));
  const choose = (id) => model.send({ type: "choose", id });

  function result(item, url) {
    const place = h("span", { class: "vgs-place" }, `${item.place}`);
    const score = h("span", { class: "vgs-score", title: "similarity (no unit)" }, item.score.toFixed(2));
    const said = h("span", { class: "vgs-said" }, url ? item.title : `“${item.title}”`);
    const name = `Place ${item.place}${item.right ? ", right" : ""}: ${item.title}`;
    const attributes = { type: "button", class: "vgs-result", "aria-label": url ? name : `Play. ${name}`, onclick: () => choose(item.id) };
    const heard = item.heard ? h("span", { class: "vgs-transcript" }, h("i", {}, "Whisper hears: "), item.heard, item.note ? ` (${item.note})` : "") : null;
    const inside = url
      ? [h("img", { src: url, alt: item.title, draggable: "false" }), h("span", { class: "vgs-line" }, place, score, mark(item.right)), said]
      : [h("span", { class: "vgs-line" }, place, h("span", { class: "vgs-speaker", "aria-hidden": "true" }, "▶"), said, mark(item.right), score), heard];
    const data = { "data-id": item.id, "data-place": item.place, "data-right": String(item.right), "data-heard": item.heard };
    return h("li", data, h("button", attributes, ...inside));
  }

  function show({ items, sentence, selected }, buffers) {
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
    for (const li of list.children) li.firstChild.setAttribute("aria-pressed", String(li.dataset.id === selected));
    list.classList.toggle("vgs-tiles", items.some((item) => item.picture));
    if (focused) list.querySelector(`li[data-id="${CSS.escape(focused)}"] button`)?.focus({ preventScroll: true });
    status.textContent = sentence || "Nothing ranked yet.";
    Object.assign(list.dataset, { count: items.length, selected });
  }

  const stopTitle = follow(model, ["title"], () => (heading.textContent = model.get("title")));
  const forget = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));
  return connect(model, { ranking: show, broken: ({ sentence }) => (status.textContent = sentence) }, stopTitle, forget, tearDown);
}

export default { render };
