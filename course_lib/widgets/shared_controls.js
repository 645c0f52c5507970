/* Sliders, selects, tables and small heatmaps, for the widgets that take one of them from `course`.

   course.slider(label, min, max, step, value, onInput)   a labelled slider that shows its value
   course.choice(label, options, value, onInput)     a labelled select
   course.checkbox(label, value, onInput)
   course.pixels(rows, columns, t)                   a small canvas, one pixel a cell, to drawImage at any size
   course.svg(tag, attributes, ...children)          an SVG element
   course.heatmap(ctx, values, rows, columns, x, y, width, height, {low, high})   coloured cells
   course.matrixTable(values, rowLabels, columnLabels, {highlight, precision, low, high, diverging, onCell, onEdit})
   course.range(values)                              their finite [low, high]; course.share(value, low, high) in 0…1
   course.written(value, precision)                  a number as text, with a true minus sign
   course.cividis(t) → "rgb(…)" for t in 0…1; course.ink(t): black or white text on it; course.diverging(t), t in −1…1
*/
Object.assign(course, (() => {
  const { el, rgb, cividisRGB, divergingRGB } = course;

  const cividis = (t) => rgb(cividisRGB(t));
  const luminance = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b) / 255;
  const inkOn = (channels) => (luminance(channels) > 0.5 ? "#000" : "#fff");
  const ink = (t) => inkOn(cividisRGB(t));
  const diverging = (t) => rgb(divergingRGB(t));

  function svg(tag, attributes = {}, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  let lastId = 0;
  const freshId = () => `course-${(lastId += 1)}-${Math.random().toString(36).slice(2, 7)}`;

  function slider(label, min, max, step, value, onInput, show = String) {
    const id = freshId();
    const shown = el("output", { for: id, class: "course-value" }, show(value));
    const input = el("input", {
      type: "range", id, min, max, step,
      onInput: () => {
        shown.textContent = show(Number(input.value));
        input.setAttribute("aria-valuetext", shown.textContent);
        onInput(Number(input.value));
      },
    });
    input.value = value;
    const node = el("div", { class: "course-control" }, el("label", { for: id }, label), input, shown);
    node.setValue = (next) => {
      input.value = next;
      shown.textContent = show(Number(input.value));
    };
    return node;
  }

  function choice(label, options, value, onInput) {
    const id = freshId();
    const select = el("select", { id, onChange: () => onInput(options[select.selectedIndex]) },
      options.map((option) => el("option", {}, option)));
    select.selectedIndex = Math.max(0, options.indexOf(value));
    return el("div", { class: "course-control" }, el("label", { for: id }, label), select);
  }

  function checkbox(label, value, onInput) {
    const input = el("input", { type: "checkbox", onChange: () => onInput(input.checked) });
    input.checked = value;
    return el("label", { class: "course-control" }, input, label);
  }

  function range(values) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return low <= high ? [low, high] : [0, 1];
  }
  const share = (value, low, high) => (high > low ? (value - low) / (high - low) : 0);

  /* A picture of rows × columns pixels, to be drawn at any size; t(row, column) is in 0…1, or NaN for grey. */
  function pixels(rows, columns, t) {
    const image = new ImageData(columns, rows);
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const level = t(row, column);
        const [r, g, b] = Number.isFinite(level) ? cividisRGB(level) : [128, 128, 128];
        const at = 4 * (row * columns + column);
        image.data[at] = r;
        image.data[at + 1] = g;
        image.data[at + 2] = b;
        image.data[at + 3] = 255;
      }
    }
    const stamp = el("canvas", { width: columns, height: rows });
    stamp.getContext("2d").putImageData(image, 0, 0);
    return stamp;
  }

  function heatmap(ctx, values, rows, columns, x, y, width, height, { low, high } = {}) {
    const [least, most] = range(values);
    const stamp = pixels(rows, columns, (row, column) => {
      const value = values[row * columns + column];
      return Number.isFinite(value) ? share(value, low ?? least, high ?? most) : NaN;
    });
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(stamp, x, y, width, height);
  }

  // ---------------------------------------------------------------- tables of numbers
  function written(value, precision) {
    if (Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
    return value.toFixed(precision).replace("-", "−");
  }

  function matrixTable(values, rowLabels, columnLabels, options = {}) {
    const { highlight = () => false, precision = 2, diverging: signed = false, onCell, onEdit, caption } = options;
    const [least, most] = range(values.flat());
    const low = options.low ?? (signed ? -Math.max(Math.abs(least), Math.abs(most)) : least);
    const high = options.high ?? (signed ? -low : most);
    const head = columnLabels && el("thead", {}, el("tr", {}, rowLabels ? el("td") : null,
      columnLabels.map((name) => el("th", { scope: "col" }, name))));
    const body = el("tbody", {}, values.map((row, i) => el("tr", {},
      rowLabels ? el("th", { scope: "row" }, rowLabels[i]) : null,
      row.map((value, j) => {
        const t = share(value, low, high);
        const channels = signed ? divergingRGB(2 * t - 1) : cividisRGB(t);
        const plain = !Number.isFinite(value);
        const props = {
          class: highlight(i, j) ? "course-cell course-highlight" : "course-cell",
          style: plain ? {} : { background: rgb(channels), color: inkOn(channels) },
          onMouseenter: onCell && (() => onCell(i, j)),
        };
        if (!onEdit) return el("td", props, written(value, precision));
        const name = `${caption ?? "value"}, ${rowLabels?.[i] ?? i}, ${columnLabels?.[j] ?? j}`;
        const input = el("input", {
          type: "number", step: 10 ** -Math.min(precision, 1), value: plain ? "" : Number(value.toFixed(precision)),
          "aria-label": name, style: { color: "inherit" },
          onChange: () => input.value !== "" && onEdit(i, j, Number(input.value)),
        });
        return el("td", props, input);
      }))));
    return el("table", { class: "course-matrix" }, caption ? el("caption", {}, caption) : null, head ?? null, body);
  }

  return { cividis, ink, diverging, svg, slider, choice, checkbox, pixels, heatmap, matrixTable, written, range, share };
})());
