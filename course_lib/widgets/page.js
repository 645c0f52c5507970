/* Stands in for the kernel in a page of its own: holds the state, and cuts the selected head out of all of them. */
{
  const { values, binary } = JSON.parse(document.getElementById("state").textContent);
  const state = { ...values };
  for (const [name, text] of Object.entries(binary)) {
    state[name] = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  }
  const events = new EventTarget();
  const wrapped = new Map();
  const change = (name, value) => {
    state[name] = value;
    events.dispatchEvent(new Event(`change:${name}`));
  };
  const model = {
    get: (name) => state[name],
    set(name, value) {
      change(name, value);
      if (name !== "selected" || !state.all_matrices) return;
      const [, heads, tokens] = state.shape;
      const size = 2 * tokens * tokens;
      const start = (value[0] * heads + value[1]) * size;
      state.matrix_of = value;
      change("matrix", state.all_matrices.subarray(start, start + size));
    },
    save_changes() {},
    on(name, listener) {
      wrapped.set(listener, () => listener());
      events.addEventListener(name, wrapped.get(listener));
    },
    off: (name, listener) => events.removeEventListener(name, wrapped.get(listener)),
  };
  page.render({ model, el: document.getElementById("widget") });
}
