/* In the measured page. A time ends after the frame in which a change is painted, not when a script has asked for it. */
window.bench = (() => {
  const frame = () => new Promise(requestAnimationFrame);
  /* Within a frame: a message sent now is heard when the frame is painted. */
  const heard = () => new Promise((done) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => done(performance.now());
    channel.port2.postMessage(0);
  });
  const afterPaint = () => frame().then(heard);

  /* The end of the first frame that has it drawn. */
  async function painted(drawn) {
    const start = performance.now();
    do {
      if (performance.now() - start > 120000) throw new Error("nothing was drawn in two minutes");
      await frame();
    } while (!drawn());
    return heard();
  }

  /* A cell's output as HTML with scripts in it, put in as a notebook puts it in. */
  async function openHtml(address, drawn) {
    const start = performance.now();
    const text = await (await fetch(address)).text();
    document.body.append(document.createRange().createContextualFragment(text));
    return (await painted(drawn)) - start;
  }

  /* A widget: its module and traits in one JSON message with binary buffers behind it, as Jupyter sends them. */
  async function openWidget(address, drawn) {
    const start = performance.now();
    const buffer = await (await fetch(address)).arrayBuffer();
    const length = new DataView(buffer).getUint32(0, true);
    const { state, sizes } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    let place = 4 + length;
    for (const [name, size] of Object.entries(sizes)) {
      state[name] = new DataView(buffer, place, size);
      place += size;
    }
    const listeners = {};
    const model = {
      get: (name) => state[name],
      set: (name, value) => {
        state[name] = value;
        (listeners[`change:${name}`] ?? []).forEach((listener) => listener());
      },
      save_changes() {},
      on: (name, listener) => (listeners[name] ??= []).push(listener),
      off: (name, listener) => { listeners[name] = (listeners[name] ?? []).filter((other) => other !== listener); },
      send() {},
    };
    const style = document.createElement("style");
    style.textContent = state._css;
    const root = document.createElement("div");
    document.body.append(style, root);
    const module = await import(URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" })));
    await module.default.render({ model, el: root });
    return (await painted(drawn)) - start;
  }

  /* From the moment at which an event reaches the page until the frame that shows its effect is painted. */
  const times = [];
  function watch(type, change = () => () => true) {
    addEventListener(type, () => {
      const start = performance.now();
      painted(change()).then((end) => times.push(end - start));
    }, { capture: true });
  }

  const canvasOf = (role) => {
    const element = document.querySelector(`[data-role="${role}"]`);
    return element?.tagName === "CANVAS" ? element : element?.querySelector("canvas");
  };
  function pixel(role, x, y) {
    const canvas = canvasOf(role);
    if (!canvas?.width) return [0, 0, 0, 0];
    return [...canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data];
  }
  const drawn = {
    ours: () => pixel("atlas", 0.5, 0.5)[3] > 0 && pixel("focus", 0.6, 0.6)[3] > 0,
    bertviz: () => document.querySelector("#vis svg line") !== null,
    inspectus: () => document.querySelector(".attention-visualization .value") !== null,
  };
  /* The picture of the head at full size is another than now. */
  const spot = () => pixel("focus", 0.35, 0.7).join();
  function anotherHead() {
    const before = spot();
    return () => spot() !== before;
  }
  return { anotherHead, openHtml, openWidget, watch, times, drawn, pixel, painted, afterPaint };
})();
