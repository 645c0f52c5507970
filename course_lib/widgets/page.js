/* Stands in for the kernel in a page of its own: it holds the state. */
{
  const state = JSON.parse(document.getElementById("state").textContent);
  const packages = new Map();
  for (const element of document.querySelectorAll("script[data-trait]")) packages.set(element.dataset.trait, element);

  function unpack(element) {
    const text = element.textContent;
    element.remove();
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const characters = atob(text);
    const bytes = new Uint8Array(characters.length);
    for (let i = 0; i < bytes.length; i += 1) bytes[i] = characters.charCodeAt(i);
    return bytes;
  }
  // A large trait is decoded when it is first asked for, so that the first picture does not wait for all numbers.
  function get(name) {
    if (packages.has(name)) {
      state[name] = unpack(packages.get(name));
      packages.delete(name);
    }
    return state[name];
  }

  const events = new EventTarget();
  const wrapped = new Map();
  const model = {
    get,
    set(name, value) {
      get(name);
      state[name] = value;
      events.dispatchEvent(new Event(`change:${name}`));
    },
    save_changes() {},
    on(name, listener) {
      wrapped.set(listener, () => listener());
      events.addEventListener(name, wrapped.get(listener));
    },
    off: (name, listener) => events.removeEventListener(name, wrapped.get(listener)),
  };
  course.kernel?.(model); // a widget may bring something that answers it
  page.render({ model, el: document.getElementById("widget") });
}
