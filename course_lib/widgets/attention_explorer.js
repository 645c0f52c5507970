/* Overview of all heads, one head at full size, the selected query's strongest links.
   Colours: √weight, from 0 to 1, the same for all heads. Numbers: float16 from Python, never read off a colour. */
export default course.widget(({ root, get, set, on, bytes, halves, live }) => {
  const { el, canvas, cividis, cividisRGB, theme, clamp, choice } = course;
  const [layers, heads, count, side] = get("shape");
  const tokens = get("tokens");
  const atlas = bytes("atlas");
  const shown = (token) => token.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
  const short = (token, most) => (shown(token).length > most ? `${shown(token).slice(0, most - 1)}…` : shown(token));

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
  const tiles = new ImageData(side, side);
  const stamp = el("canvas", { width: side, height: side });

  const overview = canvas(margin + heads * (tile + gap), margin + layers * (tile + gap), (ctx) => {
    const paint = stamp.getContext("2d");
    ctx.imageSmoothingEnabled = side > tile;
    ctx.fillStyle = theme.color("soft");
    ctx.font = "11px system-ui, sans-serif";
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    for (let head = 0; head < heads; head += 1) ctx.fillText(head, margin + head * (tile + gap) + tile / 2, margin / 2);
    for (let layer = 0; layer < layers; layer += 1) {
      ctx.fillStyle = theme.color("soft");
      ctx.fillText(layer, margin / 2, margin + layer * (tile + gap) + tile / 2);
      for (let head = 0; head < heads; head += 1) {
        const start = (layer * heads + head) * side * side;
        for (let cell = 0; cell < side * side; cell += 1) {
          tiles.data.set([...cividisRGB(atlas[start + cell] / 255), 255], 4 * cell);
        }
        paint.putImageData(tiles, 0, 0);
        const x = margin + head * (tile + gap);
        const y = margin + layer * (tile + gap);
        ctx.drawImage(stamp, x, y, tile, tile);
        if (layer === at[0] && head === at[1]) {
          ctx.strokeStyle = theme.color("red");
          ctx.lineWidth = 2.5;
          ctx.strokeRect(x - 1.5, y - 1.5, tile + 3, tile + 3);
        }
      }
    }
  }, `Overview: ${layers} layers downwards, ${heads} heads across. Arrow keys choose a head.`);

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
  const cell = clamp(Math.floor(340 / count), 1, 34);
  const names = labelled ? 62 : 8;
  const focus = canvas(names + count * cell + 4, names + count * cell + 4, (ctx) => {
    const curve = scale === "√" ? Math.sqrt : (value) => value;
    for (let i = 0; i < count; i += 1) {
      for (let j = 0; j < count; j += 1) {
        ctx.fillStyle = cividis(curve(weight(i, j)));
        ctx.fillRect(names + j * cell, names + i * cell, cell, cell);
      }
    }
    if (labelled) {
      ctx.font = `${clamp(cell - 3, 8, 12)}px system-ui, "Noto Sans SC", sans-serif`;
      ctx.textBaseline = "middle";
      for (let i = 0; i < count; i += 1) {
        ctx.fillStyle = theme.color(i === query ? "text" : "soft");
        ctx.textAlign = "right";
        ctx.fillText(short(tokens[i], 9), names - 5, names + (i + 0.5) * cell);
        ctx.save();
        ctx.fillStyle = theme.color(i === key ? "text" : "soft");
        ctx.translate(names + (i + 0.5) * cell, names - 5);
        ctx.rotate(-Math.PI / 2);
        ctx.textAlign = "left";
        ctx.fillText(short(tokens[i], 9), 0, 0);
        ctx.restore();
      }
    }
    ctx.strokeStyle = theme.color("red");
    ctx.lineWidth = 2;
    ctx.strokeRect(names + key * cell, names + query * cell, Math.max(cell, 3), Math.max(cell, 3));
  });

  // ---------------------------------------------------------------- the strongest links of one query
  const top = 5;
  const strip = el("div", { class: "explorer-strip" });
  function drawStrip() {
    const order = [...tokens.keys()].sort((a, b) => weight(query, b) - weight(query, a)).slice(0, top);
    const strong = new Set(order.filter((j) => weight(query, j) > 0));
    strip.replaceChildren(...tokens.map((token, j) => el("span", {
      class: `explorer-token${j === query ? " explorer-query" : ""}`,
      style: strong.has(j) ? { borderBottomColor: theme.color("orange"), borderBottomWidth: `${1 + 7 * weight(query, j)}px` } : {},
    }, shown(token))));
  }

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
    focus.element.setAttribute("aria-label", `Layer ${at[0]}, head ${at[1]}: ${count} queries downwards, keys across.`);
    overview.redraw();
    focus.redraw();
    drawStrip();
  }
  function moveTo(i, j) {
    query = clamp(i, 0, count - 1);
    key = clamp(j, 0, count - 1);
    said.textContent = sentence();
    focus.redraw();
    drawStrip();
  }
  focus.element.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (x >= names && y >= names) moveTo(Math.floor((y - names) / cell), Math.floor((x - names) / cell));
  });

  const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  function keyboard(element, move) {
    element.tabIndex = 0;
    element.addEventListener("keydown", (event) => {
      const step = arrows[event.key];
      if (!step) return;
      event.preventDefault();
      event.stopPropagation();
      move(...step);
    });
  }
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
    bar.redraw();
    focus.redraw();
  });
  root.append(
    el("div", { class: "explorer-columns" },
      el("div", {}, el("div", { class: "course-note" }, `${layers} layers ↓ × ${heads} heads →`), overview.element),
      el("div", {}, el("div", { class: "course-row" }, title, scales, el("span", { class: "explorer-bar" }, "0", bar.element, "1")),
        focus.element)),
    said,
    strip,
  );
  update();
});
