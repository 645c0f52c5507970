/* What every widget of the course shares. It is put in front of each widget's own script, as one ES module.

   export default course.widget((ui) => { … })      ui holds, for one view of one widget:
     root                 the element to fill
     get(name)            a trait's value            set(name, value)     change it and tell Python
     setAll({name: value}, then)                     change several, call `then`, and tell Python of all in one message
     bytes(name)          a Bytes trait as Uint8Array; floats(name) as Float32Array; halves(name): float16 → Float32Array
     on(name, fn)         call fn when the trait changes
     live(sentence)       say it to a screen reader
     onTheme(fn)          call fn when the page turns dark or light; canvases redraw by themselves
     onResize(node, fn)   call fn when the element gets another size
     onClose(fn)          call fn when the view is closed

   course.el(tag, props, ...children)                an element; strings become text, never HTML
   course.button(label, onClick)
   course.canvas(width, height, draw, label)         {element, redraw, size, resize}; draw(ctx, width, height) in CSS
                                                     pixels; size takes effect with the next redraw, resize at once
   course.IN_MEMORY                                  how a canvas of one's own gets its context, as canvas() does
   course.fit(ctx, text, width)                      the text, cut to that many pixels
   course.theme.dark, course.theme.color(name)       names: text, soft, line, back, blue, orange, green, red, purple, sky

   Sliders, selects, tables and small heatmaps stand in shared_controls.js.
*/
const course = (() => {
  "use strict";

  // ---------------------------------------------------------------- colours
  // Ten stops of cividis, read from matplotlib, with straight lines between them.
  const CIVIDIS = [
    [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
    [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56],
  ];
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  const CIVIDIS_256 = Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (CIVIDIS.length - 1);
    const left = Math.min(CIVIDIS.length - 2, Math.floor(place));
    return CIVIDIS[left].map((a, i) => Math.round(a + (CIVIDIS[left + 1][i] - a) * (place - left)));
  });
  const cividisRGB = (t) => CIVIDIS_256[Math.round(clamp(Number.isFinite(t) ? t : 0, 0, 1) * 255)];
  const rgb = (channels) => `rgb(${channels.join(",")})`;

  // Blue below zero, white at zero, red above.
  function divergingRGB(t) {
    const end = t < 0 ? [33, 102, 172] : [178, 24, 43];
    const far = clamp(Math.abs(t), 0, 1);
    return end.map((channel) => Math.round(247 + (channel - 247) * far));
  }

  const NAMED = {
    light: { text: "#1f2328", soft: "#57606a", line: "#d0d7de", back: "#ffffff", blue: "#0072B2", orange: "#B87A00",
      green: "#00805C", red: "#C14F00", purple: "#A8508A", sky: "#2A8FC7" },
    dark: { text: "#e6edf3", soft: "#a5b1be", line: "#444c56", back: "#16191d", blue: "#56B4E9", orange: "#E69F00",
      green: "#2BC49A", red: "#F0824A", purple: "#DE9BC0", sky: "#8FD0F5" },
  };

  // ---------------------------------------------------------------- theme
  // JupyterLab and Notebook say it in a data attribute, VS Code in a class, Colab in an attribute; else the system's.
  function pageIsDark() {
    const body = document.body;
    const said = body.dataset.jpThemeLight ?? document.documentElement.dataset.jpThemeLight;
    if (said !== undefined) return said === "false";
    const kind = body.dataset.vscodeThemeKind || body.className;
    if (/vscode-(dark|high-contrast(?!-light))/.test(kind)) return true;
    if (/vscode-(light|high-contrast-light)/.test(kind)) return false;
    const colab = document.documentElement.getAttribute("theme");
    if (colab) return colab === "dark";
    return preference.matches;
  }
  const preference = matchMedia("(prefers-color-scheme: dark)");
  const listeners = new Set();
  const theme = {
    dark: false,
    color: (name) => NAMED[theme.dark ? "dark" : "light"][name] ?? name,
  };
  function readTheme() {
    const dark = pageIsDark();
    if (dark === theme.dark) return;
    theme.dark = dark;
    for (const listener of [...listeners]) listener();
  }
  theme.dark = pageIsDark();
  const observer = new MutationObserver(readTheme);
  const watched = { attributes: true, attributeFilter: ["class", "theme", "data-jp-theme-light", "data-vscode-theme-kind"] };
  // A module stays in the page for ever, so it watches only while a view is open: a closed one leaves nothing behind.
  function followTheme(listener) {
    if (listeners.size === 0) {
      readTheme();
      observer.observe(document.body, watched);
      observer.observe(document.documentElement, watched);
      preference.addEventListener("change", readTheme);
    }
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      observer.disconnect();
      preference.removeEventListener("change", readTheme);
    };
  }

  // JupyterLab keeps every ResizeObserver for ever, so that nothing of a view may hang on one.
  function followSize(element, listener) {
    const held = { listener };
    const sizes = new ResizeObserver(() => held.listener?.());
    sizes.observe(element);
    return () => {
      sizes.disconnect();
      held.listener = null;
    };
  }

  // ---------------------------------------------------------------- elements
  function el(tag, props = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props ?? {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2).toLowerCase(), value);
      else if (name === "style") Object.assign(node.style, value);
      else if (name === "class") node.className = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined).map(
      (child) => (child instanceof Node ? child : document.createTextNode(String(child))),
    ));
    return node;
  }

  const button = (label, onClick) => el("button", { type: "button", class: "course-button", onClick }, label);

  // ---------------------------------------------------------------- canvas
  // Few strokes on a small canvas: the way to a graphics processor, and its set-up, takes longer than to draw them.
  const IN_MEMORY = { willReadFrequently: true };
  function canvas(width, height, draw, label = "") {
    const element = el("canvas", { class: "course-canvas", role: "img", "aria-label": label || undefined });
    let size = [width, height];
    let drawn = false;
    function redraw() {
      drawn = true;
      const density = Math.max(1, window.devicePixelRatio || 1);
      const [w, h] = size;
      const ctx = element.getContext("2d", IN_MEMORY);
      const [width, height] = [Math.round(w * density), Math.round(h * density)];
      // A new size takes new memory, which costs more than most drawings.
      if (element.width === width && element.height === height && ctx.reset) ctx.reset();
      else Object.assign(element, { width, height });
      Object.assign(element.style, { width: `${w}px`, height: `${h}px` });
      ctx.setTransform(density, 0, 0, density, 0, 0);
      ctx.clearRect(0, 0, w, h);
      ctx.font = "12px system-ui, sans-serif";
      draw(ctx, w, h);
    }
    element.redraw = redraw;
    // The widget's data may not be there yet while its parts are being made: the first drawing waits a moment.
    queueMicrotask(() => drawn || redraw());
    return { element, redraw, size: (w, h) => { size = [w, h]; }, resize: (w, h) => { size = [w, h]; redraw(); } };
  }

  /* The text, cut to what fits into `width` pixels in the canvas's font. */
  function fit(ctx, text, width) {
    if (text.length <= 1000 && ctx.measureText(text).width <= width) return text;
    const characters = [...text.slice(0, 1000)]; // to measure a text takes as long as it is
    const cut = (count) => `${characters.slice(0, count).join("")}…`;
    let [fits, most] = [0, characters.length];
    while (fits < most) {
      const middle = Math.ceil((fits + most) / 2);
      if (ctx.measureText(cut(middle)).width <= width) fits = middle;
      else most = middle - 1;
    }
    return cut(fits);
  }

  // ---------------------------------------------------------------- numbers that came as bytes
  function asBytes(value) {
    if (!value) return new Uint8Array(0);
    if (value instanceof Uint8Array) return value;
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength); // DataView, as Jupyter sends it
  }
  // A copy, because the bytes may start anywhere in their buffer and numbers must start at a multiple of four.
  const asFloats = (value) => new Float32Array(asBytes(value).slice().buffer);

  // Browsers that do not know float16 yet get every one of its 65,536 numbers in a table, one for the whole page: each
  // widget's module stays in the page's memory for ever.
  function half(word) {
    const sign = word & 0x8000 ? -1 : 1;
    const exponent = (word >> 10) & 31;
    const fraction = word & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  function asHalves(value) {
    const { buffer } = asBytes(value).slice();
    if (globalThis.Float16Array) return new Float32Array(new globalThis.Float16Array(buffer));
    const table = (globalThis.courseHalves ??= Float32Array.from({ length: 65536 }, (_, word) => half(word)));
    return Float32Array.from(new Uint16Array(buffer), (word) => table[word]);
  }

  // ---------------------------------------------------------------- one view of one widget
  function widget(build) {
    return {
      render({ model, el: host }) {
        const undo = [];
        const voice = el("div", { class: "course-live", role: "status", "aria-live": "polite" });
        const root = el("div", { class: "course-body" });
        const frame = el("div", {
          class: "course-widget", role: "group", "aria-label": model.get("accessible_name") || undefined,
          // JupyterLab would take letters for its own shortcuts, and a slider's arrow keys for a step to the next cell.
          "data-lm-suppress-shortcuts": "true",
          onKeydown: (event) => event.ctrlKey || event.metaKey || event.stopPropagation(),
        }, root, voice);
        const paint = () => {
          frame.dataset.theme = theme.dark ? "dark" : "light";
          for (const element of frame.querySelectorAll("canvas")) element.redraw?.();
        };
        const onTheme = (listener) => { undo.push(followTheme(listener)); };
        onTheme(paint);
        paint();
        host.append(frame);
        build({
          root,
          model,
          get: (name) => model.get(name),
          set: (name, value) => {
            model.set(name, value);
            model.save_changes();
          },
          setAll: (values, then) => {
            for (const [name, value] of Object.entries(values)) model.set(name, value);
            then?.();
            model.save_changes();
          },
          bytes: (name) => asBytes(model.get(name)),
          floats: (name) => asFloats(model.get(name)),
          halves: (name) => asHalves(model.get(name)),
          on: (name, listener) => {
            model.on(`change:${name}`, listener);
            undo.push(() => model.off(`change:${name}`, listener));
          },
          live: (sentence) => { voice.textContent = sentence; },
          onTheme,
          onResize: (element, listener) => undo.push(followSize(element, listener)),
          onClose: (step) => undo.push(step),
        });
        // JupyterLab keeps a closed widget's model and view; the frame goes, and all that hangs on it.
        return () => {
          undo.forEach((step) => step());
          frame.remove();
        };
      },
    };
  }

  return {
    widget, el, button, canvas, IN_MEMORY, fit, clamp, rgb, cividisRGB, divergingRGB, theme,
    asBytes, asFloats, asHalves,
  };
})();
