// A folder of pictures and recordings becomes a manifest; every problem is shown with its place and what to do.

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-manifest");
  let busy = null, scanned = null; // unknown before the first message; the folder that Write would write to
  const folder = h("input", { type: "text", class: "vgs-folder", placeholder: "/path/to/folder", spellcheck: "false", oninput: () => offer() });
  const check = h("button", { type: "submit", class: "vgs-button vgs-check" }, "Check");
  const stop = h("button", { type: "button", class: "vgs-button vgs-stop", hidden: true, onclick: () => model.send({ type: "stop" }) }, "Stop");
  const bar = h("progress", { class: "vgs-progress", max: 1, value: 0, hidden: true, "aria-label": "Pairs checked" });
  const left = h("span", { class: "vgs-clock" });
  const status = h("p", { class: "vgs-status", role: "status", "aria-live": "polite" });
  const problems = h("ol", { class: "vgs-problems", "aria-label": "Problems" });
  const body = h("tbody", {});
  const table = h("table", { class: "vgs-pairs" }, h("caption", {}, "Pairs that can be used"), h("thead", {}, h("tr", {}, ...["picture", "recording", "length", "text", "speaker", "language"].map((name) => h("th", { scope: "col" }, name)))), body);
  const share = (name, value) => h("input", { type: "number", class: `vgs-${name}`, min: 0, max: 90, step: 5, value, "aria-label": `Share for ${name}, percent` });
  const validation = share("validation", 10), test = share("test", 20);
  const by = h("select", { class: "vgs-by" }, h("option", { value: "image" }, "pictures"), h("option", { value: "speaker" }, "speakers"));
  const leave = h("input", { type: "checkbox", class: "vgs-leave" });
  const write = h("button", { type: "button", class: "vgs-button vgs-write", disabled: true, onclick: () =>
    model.send({ type: "write", validation: Number(validation.value) / 100, test: Number(test.value) / 100, by: by.value, leave_out: leave.checked }) }, "Write manifest.jsonl");
  const form = h("form", { class: "vgs-row", onsubmit: (event) => {
    event.preventDefault();
    scanned = null;
    offer();
    model.send({ type: "check", folder: folder.value });
  } }, h("label", { class: "vgs-field vgs-wide" }, h("span", {}, "Folder on the machine where Python runs"), folder), check, stop);
  el.append(
    h("section", { "aria-label": "Manifest maker" },
      form,
      h("div", { class: "vgs-row" }, bar, left),
      status,
      problems,
      h("div", { class: "vgs-scroll" }, table),
      h("div", { class: "vgs-row" },
        h("span", {}, "Keep"), validation, h("span", {}, "% for validation and"), test, h("span", {}, "% for test; divide by"), by,
        h("label", {}, leave, " leave out what has problems"), write)),
  );

  /** Write is offered for the folder that stands in the field alone. */
  function offer() {
    write.disabled = scanned === null || folder.value.trim() !== scanned;
  }

  return connect(model, {
    state: (content) => {
      const begins = busy === null || (content.busy && !busy);
      if (begins && !folder.matches(":focus")) folder.value = content.folder; // what a person writes there stays
      busy = content.busy;
      check.disabled = content.busy;
      stop.hidden = bar.hidden = !content.busy;
      scanned = content.busy || content.num_pairs === 0 ? null : content.folder;
      offer();
      bar.max = Math.max(1, content.total);
      bar.value = content.done;
      left.textContent = content.busy && content.total ? `${content.done} of ${content.total}, about ${Math.ceil(content.seconds_left)} s left` : "";
      status.textContent = content.status;
      status.classList.toggle("vgs-failed", content.failed);
      problems.replaceChildren(...content.problems.map((one) => h("li", {}, h("strong", { class: "vgs-where" }, one.where), `: ${one.field}: found ${one.found}, expected ${one.expected}. `, h("em", {}, `What to do: ${one.advice}.`))));
      if (content.num_problems > content.problems.length) problems.append(h("li", {}, `and ${content.num_problems - content.problems.length} more`));
      problems.hidden = content.num_problems === 0;
      body.replaceChildren(...content.pairs.map(([image, audio, length, ...rest]) => h("tr", {}, ...[image, audio, seconds(length), ...rest].map((text) => h("td", {}, text)))));
      table.hidden = content.num_pairs === 0;
      Object.assign(el.dataset, { pairs: content.num_pairs, problems: content.num_problems, busy: content.busy, written: content.written });
    },
    broken: brokenIn(status),
  }, tearDown);
}

export default { render };
