// Pictures to choose from: thumbnails as buttons, each with an optional score and a button for its spoken caption.

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-gallery");
  const heading = h("h3", {});
  const list = h("ul", { class: "vgs-thumbs" });
  const note = h("p", { class: "vgs-empty" }, "Pictures appear here.");
  const section = h("section", {}, heading, list, note);
  el.append(section);
  const urls = [];
  const forget = () => urls.splice(0).forEach((url) => URL.revokeObjectURL(url));

  const select = (id) => {
    for (const button of list.querySelectorAll(".vgs-thumb"))
      button.setAttribute("aria-pressed", String(button.dataset.id === id));
    list.dataset.selected = id;
  };

  const thumb = (item, buffer) => {
    const url = urlOf(buffer, "image/jpeg");
    urls.push(url);
    const choose = () => {
      note.hidden = true;
      select(item.id);
      model.send({ type: "choose", id: item.id });
    };
    const button = h(
      "button",
      { type: "button", class: "vgs-thumb", "data-id": item.id, title: item.title, onclick: choose },
      h("img", { src: url, alt: item.title, draggable: "false" }),
    );
    const label = h("span", { class: "vgs-thumb-title" }, item.title);
    const detail = item.detail ? h("span", { class: "vgs-score" }, item.detail) : null;
    const speak = h(
      "button",
      {
        type: "button",
        class: "vgs-caption-button",
        "aria-label": `Play the spoken caption of: ${item.title}`,
        title: "Play its spoken caption",
        onclick: () => {
          note.hidden = true;
          select(item.id);
          model.send({ type: "caption", id: item.id });
        },
      },
      "▶",
    );
    return h("li", { "data-id": item.id }, button, item.caption && !model.get("compact") ? speak : null, h("div", { class: "vgs-thumb-text" }, detail, label));
  };

  const stopSelected = follow(model, ["selected"], () => select(model.get("selected")));
  const stopTraits = follow(model, ["title", "compact"], () => {
    heading.textContent = model.get("title");
    heading.hidden = !model.get("title");
    section.setAttribute("aria-label", model.get("title") || "Pictures");
    el.classList.toggle("vgs-compact", model.get("compact"));
  });
  return connect(model, {
    items: ({ items }, buffers) => {
      const focused = document.activeElement?.closest?.("li")?.dataset.id;
      const same = [...list.children].map((li) => li.dataset.id).join() === items.map((i) => i.id).join();
      if (!same || items.some((item) => item.detail)) {
        const old = urls.splice(0);
        list.replaceChildren(...items.map((item, index) => thumb(item, buffers[index])));
        old.forEach((url) => URL.revokeObjectURL(url));
        if (focused && el.contains(list)) list.querySelector(`li[data-id="${CSS.escape(focused)}"] .vgs-thumb`)?.focus({ preventScroll: true });
      }
      note.hidden = items.length > 0;
      select(model.get("selected"));
    },
    broken: ({ sentence }) => {
      note.hidden = false;
      note.textContent = sentence;
    },
  }, tearDown, stopTraits, stopSelected, forget);
}

export default { render };
