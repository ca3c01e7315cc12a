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

/** Call handlers[content.type](content, buffers) for each message from the kernel; returns the function that stops. */
function listen(model, handlers) {
  const receive = (content, buffers) => handlers[content.type]?.(content, buffers ?? []);
  model.on("msg:custom", receive);
  return () => model.off("msg:custom", receive);
}

/** Call update now and whenever one of the traits changes; returns the function that stops. */
function follow(model, traits, update) {
  for (const trait of traits) model.on(`change:${trait}`, update);
  update();
  return () => traits.forEach((trait) => model.off(`change:${trait}`, update));
}

const seconds = (value) => `${value.toFixed(2)} s`;

/** Mark the root of a view. Plain keys stay with its buttons and sliders; Ctrl, Alt and Cmd ones reach JupyterLab. */
function setUp(el, name) {
  el.classList.add("vgs", name);
  const keep = (event) => event.ctrlKey || event.metaKey || event.altKey || event.stopPropagation();
  el.addEventListener("keydown", keep);
  return () => el.removeEventListener("keydown", keep);
}
