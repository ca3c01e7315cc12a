// A data set to look through: filters, a page of things, one thing with its names, and everybody who says it.

/** The English name of a language tag, also in the form of a locale such as pt_BR or ca@valencia. */
function languageName(tag) {
  if (!tag) return "language not given";
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(tag.replace("@latin", "-Latn").replace("@", "-").replace("_", "-"));
  } catch {
    return tag;
  }
}

/** "person-fr" as people read it; a synthetic voice under its own name. */
const speakerName = (speaker) => {
  if (!speaker) return "speaker not given";
  return speaker.startsWith("person-") ? `people, ${languageName(speaker.slice(7))}` : speaker;
};

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-data");
  let state = { page: 0, pages: 1, filters: {} }, thing = null, urls = [], pictureUrl = null, spoken = null;
  let asked = null, goal = null; // the filters and the page that are on their way

  const field = (text, control) => h("label", { class: "vgs-field" }, h("span", {}, text), control);
  function changed() {
    asked = { category: category.value ? JSON.parse(category.value) : [], language: language.value, speaker: speaker.value, text: search.value };
    goal = 0;
    model.send({ type: "filter", ...asked });
  }
  // The key Enter fires "change", in Chrome also "search"; its cross in the field fires "search", and "change" later.
  const typed = () => search.value !== (asked ?? state.filters).text && changed();
  const category = h("select", { class: "vgs-category", onchange: changed });
  const language = h("select", { class: "vgs-language", onchange: changed });
  const speaker = h("select", { class: "vgs-speaker", onchange: changed });
  const search = h("input", { type: "search", class: "vgs-search", placeholder: "part of a name", onchange: typed, onsearch: typed });
  const all = h("button", { type: "button", class: "vgs-button vgs-all", onclick: () => {
    for (const control of [category, language, speaker, search]) control.value = "";
    changed();
  } }, "Show all");
  const count = h("p", { class: "vgs-count", role: "status", "aria-live": "polite" });
  const grid = h("ul", { class: "vgs-grid", "aria-label": "Things that were found" });
  const turn = (by) => () => {
    goal = Math.min(state.pages - 1, Math.max(0, (goal ?? state.page) + by));
    model.send({ type: "page", page: goal });
  };
  const back = h("button", { type: "button", class: "vgs-button vgs-back", onclick: turn(-1) }, "◀ Before");
  const next = h("button", { type: "button", class: "vgs-button vgs-next", onclick: turn(1) }, "Next ▶");
  const pages = h("span", { class: "vgs-clock" });
  const title = h("h3", { class: "vgs-thing-title" });
  const path = h("p", { class: "vgs-note" });
  const picture = h("img", { class: "vgs-thing-picture", alt: "" });
  const names = h("dl", { class: "vgs-names" });
  const more = h("details", {}, h("summary", {}), h("dl", { class: "vgs-names" }));
  const voices = h("ul", { class: "vgs-recordings", "aria-label": "Recordings" });
  const problem = h("p", { class: "vgs-status vgs-failed", role: "alert", hidden: true });
  const box = soundBox({ label: "the recording" });
  el.append(
    h("section", { "aria-label": "Explorer of the data set" },
      h("div", { class: "vgs-filters" }, field("Category", category), field("Language", language), field("Speaker", speaker), field("Name", search), all),
      h("div", { class: "vgs-two" },
        h("div", { class: "vgs-left" }, count, grid, h("div", { class: "vgs-row" }, back, pages, next)),
        h("div", { class: "vgs-right" }, title, path, h("div", { class: "vgs-thing" }, picture, h("div", {}, names, more)), h("h4", {}, "Who says it"), voices, problem, box.element))),
  );

  const option = (value, text) => h("option", { value }, text);
  function showOptions({ categories, languages, speakers }) {
    category.replaceChildren(option("", "all categories"), ...categories.map(([parts, number]) => option(JSON.stringify(parts), `${"\u00a0\u00a0".repeat(parts.length - 1)}${parts.at(-1)} (${number})`)));
    language.replaceChildren(option("", "all languages"), ...languages.map(([tag, number]) => option(tag, `${languageName(tag)} (${number})`)));
    speaker.replaceChildren(option("", "all speakers"), ...speakers.map(([split, who]) => h("optgroup", { label: split }, ...who.map(([name, number]) => option(name, `${speakerName(name)} (${number})`)))));
  }

  function mark() {
    for (const button of grid.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.id === thing?.id));
  }

  function showPage(content, buffers) {
    const typing = document.activeElement === search && search.value !== state.filters.text; // not sent yet
    state = content;
    if (content.options) showOptions(content.options);
    if (JSON.stringify(asked) === JSON.stringify(content.filters)) asked = null;
    if (goal !== null && Math.min(goal, content.pages - 1) === content.page) goal = null;
    const filters = asked ?? content.filters;
    category.value = filters.category.length ? JSON.stringify(filters.category) : "";
    language.value = filters.language;
    speaker.value = filters.speaker;
    if (!typing) search.value = filters.text;
    const old = urls;
    urls = buffers.map((buffer) => (buffer.byteLength ? urlOf(buffer, "image/jpeg") : ""));
    grid.replaceChildren(...content.items.map((item, index) =>
      h("li", {}, h("button", { type: "button", class: "vgs-thumb", "data-id": item.id, title: item.title, onclick: () => model.send({ type: "choose", id: item.id }) },
        h("img", { src: urls[index], alt: item.title, draggable: "false" })))));
    old.forEach((url) => URL.revokeObjectURL(url));
    count.textContent = content.found ? `${content.found} of ${content.total} things` : "Nothing fits all filters: show all, or take one filter off.";
    pages.textContent = `page ${content.page + 1} of ${content.pages}`;
    back.disabled = (goal ?? content.page) === 0;
    next.disabled = (goal ?? content.page) + 1 >= content.pages;
    Object.assign(el.dataset, { found: content.found, page: content.page });
    mark();
  }

  const row = (tag, text) => [h("dt", {}, languageName(tag)), h("dd", { lang: tag.replace(/[_@].*/, ""), dir: "auto" }, text)];
  function showThing(content, buffers) {
    thing = content;
    spoken = null;
    title.textContent = content.title;
    path.textContent = [...content.category, content.id.split("/").at(-1)].join(" › ");
    if (pictureUrl) URL.revokeObjectURL(pictureUrl);
    pictureUrl = buffers.length ? urlOf(buffers[0], "image/jpeg") : null;
    picture.hidden = !pictureUrl;
    if (pictureUrl) picture.src = pictureUrl;
    picture.alt = `Picture of ${content.title}`;
    const heard = new Set(content.recordings.map((one) => one.language)), tags = Object.keys(content.names);
    names.replaceChildren(...tags.filter((tag) => heard.has(tag)).flatMap((tag) => row(tag, content.names[tag])));
    const others = tags.filter((tag) => !heard.has(tag));
    more.hidden = others.length === 0;
    more.firstChild.textContent = `its name in ${others.length} other languages, written`;
    more.lastChild.replaceChildren(...others.flatMap((tag) => row(tag, content.names[tag])));
    voices.replaceChildren(...content.recordings.map((one, index) => {
      const kind = one.person ? "Recorded by a person" : "Synthetic voice";
      const who = one.speaker.startsWith("person-") ? languageName(one.language) : one.speaker || languageName(one.language);
      return h("li", {}, h("button", { type: "button", class: `vgs-button vgs-say ${one.person ? "vgs-person" : "vgs-voice"}`, "data-index": index, "aria-pressed": "false", title: `${kind}, split ${one.split}${one.text ? `: ${one.text}` : ""}`, onclick: () => model.send({ type: "play", of: content.list, index }) }, `▶ ${who}`));
    }));
    say(content.problem);
    box.clear();
    Object.assign(el.dataset, { thing: content.id, recordings: content.recordings.length, playing: "" });
    mark();
  }
  function say(sentence) {
    problem.textContent = sentence;
    problem.hidden = !sentence;
  }

  return connect(model, {
    page: showPage,
    thing: showThing,
    sound: (content, buffers) => {
      spoken = thing.recordings[content.index];
      say("");
      for (const button of voices.querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.index) === content.index));
      box.show({ ...content, title: `“${content.title}”, ${spoken.person ? "a person" : `the synthetic voice ${spoken.speaker}`}, ${languageName(spoken.language)}, split ${spoken.split}`, play: true }, buffers[0]);
      el.dataset.playing = `${spoken.speaker} ${spoken.language}`;
    },
    problem: ({ sentence }) => say(sentence),
    broken: ({ sentence }) => {
      asked = goal = null;
      state.filters = {}; // whether the kernel has the new ones is not known
      say(sentence);
    },
  }, tearDown, box.stop, () => [...urls, pictureUrl].forEach((url) => url && URL.revokeObjectURL(url)));
}

export default { render };
