// Helpers shared by the views; put in front of each view's module. No build step, no network.

/** An element: h("button", {class: "x", onclick: f, "aria-label": "y"}, child, "text", ...). */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The bytes of a message's buffer (a DataView) as a Uint8Array. */
function bytesOf(buffer) {
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** An object URL for bytes; call URL.revokeObjectURL when it is no longer shown. */
function urlOf(buffer, type) {
  return URL.createObjectURL(new Blob([bytesOf(buffer)], { type }));
}

/**
 * Call handlers[content.type](content, buffers) for each message from the kernel, and ask it for what is to be shown.
 * Returns the function that ends the view: it stops this and calls ends.
 */
function connect(model, handlers, ...ends) {
  const receive = (content, buffers) => handlers[content.type]?.(content, buffers ?? []);
  model.on("msg:custom", receive);
  model.send({ type: "ready" });
  return () => {
    model.off("msg:custom", receive);
    ends.forEach((end) => end());
  };
}

/**
 * Requests to the kernel, one on its way at a time. Of those made meanwhile the newest of each key waits, in the order
 * of their first change. answers(message, request) tells an answer from what a cell caused; without it all are answers.
 */
function inTurn(model, answers = () => true) {
  const waiting = new Map();
  let going = null; // [key, request]
  function next() {
    [going = null] = waiting; // the first of them
    if (!going) return;
    waiting.delete(going[0]);
    model.send(going[1]);
  }
  return {
    /** Also what equals the request on its way: something else may change the kernel between the two. */
    ask(request, key = request.type) {
      waiting.set(key, request);
      if (!going) next();
    },
    /** Take a message; an answer sends the next request. Returns whether everything is answered now. */
    answered(message) {
      if (going && answers(message, going[1])) next();
      return !going;
    },
    /** Go on: what is on its way has failed. */
    next,
    awaits: (key) => going?.[0] === key || waiting.has(key),
    takeBack: (key) => waiting.delete(key),
  };
}

/** The handler of the message "broken": the element shows its sentence as a failure. */
const brokenIn = (element) => ({ sentence }) => {
  element.textContent = sentence;
  element.hidden = false;
  element.classList.add("vgs-failed");
};

/** Call update now and whenever one of the traits changes; returns the function that stops. */
function follow(model, traits, update) {
  for (const trait of traits) model.on(`change:${trait}`, update);
  update();
  return () => traits.forEach((trait) => model.off(`change:${trait}`, update));
}

const seconds = (value) => `${value.toFixed(2)} s`;

/** The frame of an audio map that is heard at a time in seconds, with the part of it that is over: Clock.frame of vgs_lib/clock.py. */
const frameOf = (clock, time) => (time + clock.frame_lag) / clock.seconds_per_frame;

/** The second at which a frame begins, + 0.5: its middle; below 0 where the frame begins before the sound: Clock.seconds. */
const secondsOf = (clock, frame) => frame * clock.seconds_per_frame - clock.frame_lag;

/**
 * Mark the root of a view. Plain keys stay with its buttons and sliders; Ctrl, Alt and Cmd ones reach Jupyter.
 * JupyterLab sees a key after the view. Notebook 7 sees it before the view: the attribute on what has the focus stops it.
 */
function setUp(el, name) {
  el.classList.add("vgs", name);
  const isPlain = (event) => !(event.ctrlKey || event.metaKey || event.altKey);
  const keep = (event) => isPlain(event) && event.stopPropagation();
  const mark = (event) => el.contains(event.target) && event.target.toggleAttribute("data-lm-suppress-shortcuts", isPlain(event));
  el.addEventListener("keydown", keep);
  window.addEventListener("keydown", mark, true);
  return () => {
    el.removeEventListener("keydown", keep);
    window.removeEventListener("keydown", mark, true);
  };
}
