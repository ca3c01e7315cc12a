// A text said by a synthetic voice, to hear and to save; voices whose program is missing say what to install.

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-caption-speaker");
  let first = true, heard = 0;
  const text = h("textarea", { class: "vgs-text", rows: 2, maxlength: 600 });
  const voice = h("select", { class: "vgs-voice" });
  const speak = h("button", { type: "submit", class: "vgs-button vgs-speak" }, "Speak");
  const status = h("p", { class: "vgs-status", role: "status", "aria-live": "polite" });
  const missing = h("ul", { class: "vgs-notes" });
  const name = h("input", { type: "text", class: "vgs-file", placeholder: "cat.wav", spellcheck: "false" });
  const save = h("button", { type: "submit", class: "vgs-button vgs-save", disabled: true }, "Save");
  const where = h("span", { class: "vgs-note" });
  const box = soundBox({ label: "the spoken caption" });
  const form = (send, ...children) => h("form", { class: "vgs-row", onsubmit: (event) => {
    event.preventDefault();
    send();
  } }, ...children);
  el.append(
    h("section", { "aria-label": "Caption speaker" },
      form(() => model.send({ type: "speak", text: text.value, voice: voice.value }),
        h("label", { class: "vgs-field vgs-wide" }, h("span", {}, "Caption, in English"), text),
        h("label", { class: "vgs-field" }, h("span", {}, "Voice"), voice), speak),
      status, missing, box.element,
      form(() => model.send({ type: "save", name: name.value }), h("label", { class: "vgs-field" }, h("span", {}, "File"), name), save, where)),
  );
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      speak.click();
    }
  });

  return connect(model, {
    state: (content, buffers) => {
      if (first) {
        text.value = content.text;
        const groups = [...new Set(content.voices.map(([, , split]) => split))];
        voice.replaceChildren(...groups.map((split) => h("optgroup", { label: `voices of the split ${split}` }, ...content.voices.filter((one) => one[2] === split).map(([id, , , reason]) => h("option", { value: id, disabled: Boolean(reason), title: reason }, reason ? `${id} (not installed)` : id)))));
        voice.value = content.voice;
        missing.replaceChildren(...content.missing.map((sentence) => h("li", {}, sentence)));
        where.textContent = content.folder ? `in ${content.folder}` : "with its full path";
      }
      speak.disabled = content.busy || !content.voices.some(([, , , reason]) => !reason);
      save.disabled = content.busy || content.number === 0;
      status.textContent = content.status;
      status.classList.toggle("vgs-failed", content.failed);
      if (content.number !== heard) box.show({ title: `“${content.title}”`, duration: content.duration, words: [], play: !first }, buffers[0]);
      heard = content.number;
      first = false;
      Object.assign(el.dataset, { number: content.number, busy: content.busy, saved: content.saved, duration: content.duration.toFixed(3) });
    },
    broken: brokenIn(status),
  }, tearDown, box.stop);
}

export default { render };
