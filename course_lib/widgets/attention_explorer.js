/* Overview of all heads, one head at full size, the selected query's strongest links.
   Colours: √weight, from 0 to 1, the same for all heads. Numbers: float16 from Python, never read off a colour. */
export default course.widget(({ root, get, set, on, bytes, halves, live, onTheme }) => {
  const { el, svg, canvas, pixels, fit, cividis, theme, clamp, choice } = course;
  const [layers, heads, count, side] = get("shape");
  const tokens = get("tokens");
  const atlas = bytes("atlas");
  const shown = (token) => token.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");

  let matrix = halves("matrix");
  let at = get("matrix_of");
  let query = count - 1;
  let key = 0;
  let scale = "√";
  const weight = (i, j) => matrix[i * count + j];

  // ---------------------------------------------------------------- overview
  const tile = clamp(Math.floor(300 / Math.max(heads, layers)), 18, 72);
  const gap = 4;
  const margin = 22;
  const thumbnails = pixels(layers * heads * side, side, (row, column) => atlas[row * side + column] / 255);

  const overview = canvas(margin + heads * (tile + gap), margin + layers * (tile + gap), (ctx) => {
    ctx.imageSmoothingEnabled = side > tile;
    ctx.fillStyle = theme.color("soft");
    ctx.font = "11px system-ui, sans-serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (let head = 0; head < heads; head += 1) ctx.fillText(head, margin + head * (tile + gap) + tile / 2, margin / 2);
    for (let layer = 0; layer < layers; layer += 1) {
      ctx.fillText(layer, margin / 2, margin + layer * (tile + gap) + tile / 2);
      for (let head = 0; head < heads; head += 1) {
        const x = margin + head * (tile + gap);
        const y = margin + layer * (tile + gap);
        ctx.drawImage(thumbnails, 0, (layer * heads + head) * side, side, side, x, y, tile, tile);
        if (layer === at[0] && head === at[1]) {
          ctx.strokeStyle = theme.color("red");
          ctx.lineWidth = 2.5;
          ctx.strokeRect(x - 1.5, y - 1.5, tile + 3, tile + 3);
        }
      }
    }
  });

  const select = (layer, head) => set("selected", [clamp(layer, 0, layers - 1), clamp(head, 0, heads - 1)]);
  const place = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  overview.element.addEventListener("click", (event) => {
    const [x, y] = place(event);
    if (x >= margin && y >= margin) select(Math.floor((y - margin) / (tile + gap)), Math.floor((x - margin) / (tile + gap)));
  });

  // ---------------------------------------------------------------- one head
  const labelled = count <= 40;
  const cell = labelled ? clamp(Math.floor(340 / count), 1, 34) : Math.max(1, 360 / count);
  const names = labelled ? 76 : 8;
  let picture;
  function paintHead() {
    const curve = scale === "√" ? Math.sqrt : (value) => value;
    picture = pixels(count, count, (i, j) => curve(weight(i, j)));
  }
  const focus = canvas(names + count * cell + 4, names + count * cell + 4, (ctx) => {
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(picture, names, names, count * cell, count * cell);
    if (labelled) {
      ctx.font = `${clamp(cell - 3, 8, 12)}px system-ui, "Noto Sans SC", sans-serif`;
      ctx.textBaseline = "middle";
      for (let i = 0; i < count; i += 1) {
        const text = fit(ctx, shown(tokens[i]), names - 10);
        ctx.fillStyle = theme.color(i === query ? "text" : "soft");
        ctx.textAlign = "right";
        ctx.fillText(text, names - 5, names + (i + 0.5) * cell);
        ctx.save();
        ctx.fillStyle = theme.color(i === key ? "text" : "soft");
        ctx.translate(names + (i + 0.5) * cell, names - 5);
        ctx.rotate(-Math.PI / 2);
        ctx.textAlign = "left";
        ctx.fillText(text, 0, 0);
        ctx.restore();
      }
    }
    ctx.strokeStyle = theme.color("red");
    ctx.lineWidth = 2;
    ctx.strokeRect(names + key * cell, names + query * cell, Math.max(cell, 3), Math.max(cell, 3));
  });

  // ---------------------------------------------------------------- the strongest links of one query
  const mostLinks = 5;
  const links = svg("svg", { class: "explorer-links", "aria-hidden": "true" });
  // Tokens that are single characters are set as a running text, so that a reader can still read them.
  const running = tokens.join("").length < 1.5 * count;
  const words = tokens.map((token, i) => el("span", {
    class: "explorer-token",
    onClick: () => moveTo(i, key),
  }, running && token === " " ? " " : shown(token)));
  const strip = el("div", { class: running ? "explorer-strip explorer-running" : "explorer-strip" }, links, words);
  const strongest = el("p", { class: "course-note" });

  function drawLinks() {
    const order = [...tokens.keys()].filter((j) => weight(query, j) > 0)
      .sort((a, b) => weight(query, b) - weight(query, a)).slice(0, mostLinks);
    strongest.textContent = order.length === 0 ? "This query looks nowhere."
      : `strongest: ${order.map((j) => `“${shown(tokens[j])}” (${j}) ${weight(query, j).toFixed(3)}`).join(" · ")}`;
    words.forEach((word, j) => word.classList.toggle("explorer-query", j === query));
    const from = words[query];
    links.setAttribute("width", strip.scrollWidth);
    links.setAttribute("height", strip.scrollHeight);
    links.replaceChildren(...order.map((j) => {
      const x0 = from.offsetLeft + from.offsetWidth / 2;
      const x1 = words[j].offsetLeft + words[j].offsetWidth / 2;
      const [y0, y1] = [from.offsetTop, words[j].offsetTop];
      const rise = Math.min(22, 8 + Math.abs(x1 - x0) / 8);
      return svg("path", {
        d: `M ${x0} ${y0} C ${x0} ${y0 - rise}, ${x1} ${y1 - rise}, ${x1} ${y1}`,
        fill: "none", stroke: theme.color("orange"), "stroke-width": 1 + 3 * weight(query, j), "stroke-linecap": "round",
      });
    }));
  }
  new ResizeObserver(drawLinks).observe(strip); // the words have places only once the page has laid them out
  onTheme(drawLinks);

  const title = el("strong", {});
  const said = el("p", { class: "course-note explorer-said" });
  function sentence() {
    const value = weight(query, key);
    const row = matrix.subarray(query * count, (query + 1) * count);
    const rank = 1 + row.reduce((larger, other) => larger + (other > value), 0);
    const distance = query - key;
    const where = distance === 0 ? "itself" : `${Math.abs(distance)} ${distance > 0 ? "back" : "ahead"}`;
    return `“${shown(tokens[query])}” (${query}) looks at “${shown(tokens[key])}” (${key}), ${where}: `
      + `weight ${value.toFixed(4)}, rank ${rank} of ${count}`;
  }
  function update() {
    title.textContent = `Layer ${at[0]}, head ${at[1]}`;
    said.textContent = sentence();
    focus.element.setAttribute("aria-label", `Layer ${at[0]}, head ${at[1]}: ${count} queries downwards, keys across. `
      + "Arrow keys move from cell to cell.");
    paintHead();
    overview.redraw();
    focus.redraw();
    drawLinks();
  }
  function moveTo(i, j) {
    query = clamp(i, 0, count - 1);
    key = clamp(j, 0, count - 1);
    said.textContent = sentence();
    focus.redraw();
    drawLinks();
  }
  focus.element.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (x >= names && y >= names) moveTo(Math.floor((y - names) / cell), Math.floor((x - names) / cell));
  });

  const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  function keyboard(element, move) {
    element.tabIndex = 0;
    element.setAttribute("role", "application");
    element.addEventListener("keydown", (event) => {
      const step = arrows[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      move(...step);
    });
  }
  overview.element.setAttribute("aria-label", `Overview: ${layers} layers downwards, ${heads} heads across. `
    + "Arrow keys choose a head.");
  keyboard(overview.element, (down, right) => {
    select(get("selected")[0] + down, get("selected")[1] + right);
  });
  keyboard(focus.element, (down, right) => {
    moveTo(query + down, key + right);
    live(sentence());
  });

  on("matrix", () => {
    matrix = halves("matrix");
    at = get("matrix_of");
    update();
    live(`${title.textContent}. ${sentence()}`);
  });

  const bar = canvas(150, 14, (ctx, width, height) => {
    for (let x = 0; x < width; x += 1) {
      ctx.fillStyle = cividis(scale === "√" ? Math.sqrt(x / width) : x / width);
      ctx.fillRect(x, 0, 1, height);
    }
  }, "Colour bar from weight 0 to weight 1");
  const scales = choice("colour scale", ["√", "linear"], scale, (chosen) => {
    scale = chosen;
    paintHead();
    bar.redraw();
    focus.redraw();
  });
  root.append(
    el("div", { class: "explorer-columns" },
      el("div", {}, el("div", { class: "course-note" }, `${layers} layers ↓ × ${heads} heads →`), overview.element),
      el("div", {}, el("div", { class: "course-row" }, title, scales, el("span", { class: "explorer-bar" }, "0", bar.element, "1")),
        focus.element)),
    said,
    strongest,
    strip,
  );
  update();
});
