// Pictures with the outlines of what is in them and a spoken caption: the word that is heard lights its outline.

function render({ model, el }) {
  const tearDown = setUp(el, "vgs-scenes");
  const SIDE = 640;
  let scene = null, image = null, number = 0, heardWord = -1;
  let goal = null, answered = null; // the group and index that were asked for last, and those of the last answer
  const turns = inTurn(model);
  const hidden = new Set();

  function choose(name, index) {
    const count = scene.groups[name];
    goal = { group: name, index: (index + count) % count };
    turns.ask({ type: "choose", ...goal });
  }
  const turn = (by) => () => scene && choose(goal.group, goal.index + by);
  const group = h("select", { class: "vgs-group", onchange: () => choose(group.value, 0) });
  const back = h("button", { type: "button", class: "vgs-button vgs-back", onclick: turn(-1) }, "◀ Before");
  const next = h("button", { type: "button", class: "vgs-button vgs-next", onclick: turn(1) }, "Next ▶");
  const place = h("span", { class: "vgs-clock" });
  const note = h("p", { class: "vgs-note" });
  const canvas = h("canvas", { class: "vgs-scene-picture", width: SIDE, height: SIDE, role: "img" });
  const things = h("ul", { class: "vgs-objects", "aria-label": "What is in the picture" });
  const problem = h("p", { class: "vgs-status vgs-failed", role: "alert", hidden: true });
  const box = soundBox({ label: "the caption", onTime: (time, heard) => {
    if (heard !== heardWord) {
      heardWord = heard;
      draw();
    }
  } });
  el.append(
    h("section", { "aria-label": "Explorer of scenes" },
      h("div", { class: "vgs-row" }, h("label", { class: "vgs-field" }, h("span", {}, "Split"), group), back, place, next),
      note,
      h("div", { class: "vgs-two" },
        h("div", { class: "vgs-left" }, h("div", { class: "vgs-stage" }, canvas)),
        h("div", { class: "vgs-right" }, h("h4", {}, "Outlined"), things, problem, box.element))),
  );

  const heardName = () => (heardWord >= 0 ? scene?.caption?.words[heardWord]?.[0] : "");

  /** The outlines of an object as one path on the canvas. */
  function trace(context, lines) {
    context.beginPath();
    for (const line of lines) {
      for (let i = 0; i < line.length; i += 2) context[i ? "lineTo" : "moveTo"](line[i] * canvas.width, line[i + 1] * canvas.height);
      context.closePath();
    }
  }

  function draw() {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!image) return;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const heard = heardName();
    scene.objects.forEach((object, index) => {
      if (hidden.has(object.name)) return;
      const strong = object.name === heard, thick = strong ? 7 : 3.5;
      trace(context, object.lines);
      context.lineJoin = "round";
      context.setLineDash([]);
      context.lineWidth = thick + 3;
      context.strokeStyle = "rgba(255, 255, 255, 0.9)";
      context.stroke();
      context.lineWidth = thick;
      context.strokeStyle = object.colour;
      context.setLineDash(index % 2 ? [14, 7] : []);
      context.stroke();
      context.setLineDash([]);
    });
    for (const object of scene.objects) {
      if (hidden.has(object.name) || !object.lines.length) continue;
      const [line] = object.lines;
      let left = 1, top = 1;
      for (const points of object.lines) for (let i = 0; i < points.length; i += 2) {
        left = Math.min(left, points[i]);
        top = Math.min(top, points[i + 1]);
      }
      context.font = `${object.name === heard ? "700" : "600"} 19px system-ui, sans-serif`;
      const wide = context.measureText(object.name).width + 12;
      const x = Math.min(canvas.width - wide, Math.max(0, left * canvas.width)), y = Math.max(0, top * canvas.height - 28);
      context.fillStyle = "rgba(255, 255, 255, 0.92)";
      context.fillRect(x, y, wide, 26);
      context.fillStyle = object.colour;
      context.fillRect(x, y + 23, wide, 4);
      context.fillStyle = "#10161f";
      context.textBaseline = "top";
      context.fillText(object.name, x + 6, y + 2);
    }
    canvas.dataset.heard = heard ?? "";
    canvas.dataset.outlined = scene.objects.filter((object) => !hidden.has(object.name)).length;
  }

  async function show(content, buffers) {
    const mine = ++number;
    answered = { group: content.group, index: content.index };
    if (turns.answered(content)) goal = answered;
    const bitmap = await createImageBitmap(new Blob([bytesOf(buffers[0])], { type: "image/jpeg" }));
    if (mine !== number) return;
    scene = content;
    image = bitmap;
    heardWord = -1;
    hidden.clear();
    let at = 1;
    for (const object of content.objects) {
      object.lines = buffers.slice(at, at + object.outlines).map((buffer) => new Float32Array(bytesOf(buffer).slice().buffer));
      at += object.outlines;
    }
    const scale = SIDE / Math.max(image.width, image.height);
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    if (!group.length) group.append(...Object.keys(content.groups).map((name) => h("option", { value: name }, name)));
    group.value = goal.group;
    place.textContent = `${content.index + 1} of ${content.groups[content.group]}`;
    note.textContent = content.note;
    things.replaceChildren(...content.objects.map((object) => {
      const tick = h("input", { type: "checkbox", checked: true, onchange: () => {
        hidden[tick.checked ? "delete" : "add"](object.name);
        draw();
      } });
      const when = content.caption?.words.find(([text]) => text === object.name);
      const hear = when ? h("button", { type: "button", class: "vgs-button vgs-hear", onclick: () => box.seek(when[1] + 0.01) }, `${seconds(when[1])} to ${seconds(when[2])}`) : h("span", { class: "vgs-note" }, "not named");
      return h("li", {}, h("label", {}, tick, h("span", { class: "vgs-swatch", style: `background:${object.colour}` }), `${object.name} (${(100 * object.share).toFixed(0)} % of the picture)`), hear);
    }));
    problem.textContent = content.problem;
    problem.hidden = !content.problem;
    canvas.setAttribute("aria-label", `Picture of ${content.title}, each thing outlined and named`);
    Object.assign(canvas.dataset, { picture: content.id, group: content.group, index: content.index, objects: content.objects.length });
    if (content.caption) box.show({ ...content.caption, title: `“${content.caption.title}”` }, buffers.at(-1));
    else box.clear();
    draw();
  }

  return connect(model, {
    scene: show,
    broken: (content) => {
      brokenIn(problem)(content);
      turns.next();
      if (!answered || turns.awaits("choose")) return;
      goal = answered;
      group.value = goal.group;
    },
  }, tearDown, box.stop, () => ++number); // a picture that is still being decoded is not shown
}

export default { render };
