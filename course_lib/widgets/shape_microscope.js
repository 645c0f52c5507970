/* The cells of a tensor on their way through split, attend and merge; point at one to see where it came from. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, slider, checkbox, choice, canvas, theme, written } = course;
  const [batch, time, heads, dHead] = get("sizes");
  const dModel = heads * dHead;
  const tokens = get("tokens");
  const colors = get("colors");
  const [cellWidth, cellHeight, gap, names] = [46, 28, 20, 74];
  let selected = Math.min(5, batch * time * dModel - 1);
  let numbers = "place in x";

  const stage = () => (get("wrong") ? get("wrong_steps") : get("right_steps"))[get("step")];
  const tokenOf = (place) => Math.floor(place / dModel);
  const nameOf = (token) => tokens[Math.floor(token / time)][token % time];
  function inkOn(color) {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff";
  }

  /* The index of a cell along each axis of this stage. */
  function indexOf(cell, shape) {
    const index = [];
    let rest = cell;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      index.unshift(rest % shape[axis]);
      rest = Math.floor(rest / shape[axis]);
    }
    return index;
  }
  /* Where a cell is drawn: sentences beside each other, heads below each other or side by side with a gap. */
  function corner(cell, now) {
    const index = indexOf(cell, now.shape);
    const panel = names + index[0] * (names + dModel * cellWidth + (heads - 1) * 8 + 18);
    const feature = index[index.length - 1];
    if (now.layout === "heads") {
      const [, head, row] = index;
      return [panel + feature * cellWidth, 40 + head * (time * cellHeight + gap) + row * cellHeight];
    }
    const head = index.length === 4 ? index[2] : 0;
    return [panel + (head * dHead + feature) * cellWidth + head * 8, 40 + index[1] * cellHeight];
  }
  const width = batch * (names + dModel * cellWidth + (heads - 1) * 8 + 18);
  const height = 40 + heads * (time * cellHeight + gap);
  const total = batch * time * dModel;

  function paintCell(ctx, x, y, w, h, sources) {
    let start = 0;
    for (const [place, share] of sources) {
      ctx.fillStyle = colors[tokenOf(place)];
      ctx.fillRect(x + start * w, y, share * w, h);
      start += share;
    }
    ctx.strokeStyle = theme.color("back");
    ctx.lineWidth = 2;
    ctx.strokeRect(x, y, w, h);
  }
  function frame(ctx, x, y, w, h) {
    ctx.strokeStyle = theme.color("text");
    ctx.lineWidth = 3;
    ctx.strokeRect(x + 1, y + 1, w - 2, h - 2);
  }
  function textOn(now, cell) {
    if (numbers === "value") return written(now.values[cell], 2);
    const sources = now.sources[cell];
    if (numbers === "place in x") return sources.length === 1 ? String(sources[0][0]) : "";
    return String(now.places[cell]);
  }

  const picture = canvas(width, height, (ctx) => {
    const now = stage();
    ctx.textBaseline = "middle";
    ctx.fillStyle = theme.color("soft");
    for (let sentence = 0; sentence < batch; sentence += 1) {
      const blocks = now.layout === "heads" ? heads : 1;
      const size = (batch === 1 ? 1 : sentence) * total / batch;
      const [left] = corner(batch === 1 ? 0 : size, now);
      ctx.textAlign = "left";
      ctx.fillText(`sentence ${sentence}`, left, 10);
      if (now.layout !== "heads" && now.shape.length === 4) {
        for (let head = 0; head < heads; head += 1) ctx.fillText(`head ${head}`, left + head * (dHead * cellWidth + 8), 28);
      }
      for (let block = 0; block < blocks; block += 1) {
        const top = 40 + block * (time * cellHeight + gap);
        if (now.layout === "heads") ctx.fillText(`head ${block}`, left, top - 9);
        ctx.textAlign = "right";
        for (let row = 0; row < time; row += 1) {
          ctx.fillText(course.fit(ctx, tokens[sentence][row], names - 12), left - 7, top + (row + 0.5) * cellHeight);
        }
        ctx.textAlign = "left";
      }
    }
    ctx.textAlign = "center";
    for (let cell = 0; cell < total; cell += 1) {
      const [x, y] = corner(cell, now);
      const sources = now.sources[cell];
      paintCell(ctx, x, y, cellWidth, cellHeight, sources);
      const middle = sources.length === 1 ? colors[tokenOf(sources[0][0])] : null;
      const label = textOn(now, cell);
      if (!middle && label) {
        const size = ctx.measureText(label).width + 6;
        ctx.fillStyle = theme.color("back");
        ctx.fillRect(x + (cellWidth - size) / 2, y + 6, size, cellHeight - 12);
      }
      ctx.fillStyle = middle ? inkOn(middle) : theme.color("text");
      ctx.fillText(label, x + cellWidth / 2, y + cellHeight / 2 + 1);
    }
    frame(ctx, ...corner(selected, now), cellWidth, cellHeight);
  }, "Cells of the tensor, coloured by token");

  const slot = Math.min(26, Math.floor((width - 8) / total));
  const memory = canvas(width, 48, (ctx) => {
    const now = stage();
    ctx.textAlign = "left";
    ctx.fillStyle = theme.color("soft");
    ctx.fillText("the same numbers, in the order in which they lie in memory", 4, 12);
    const at = [];
    now.places.forEach((place, cell) => { at[place] = cell; });
    at.forEach((cell, place) => paintCell(ctx, 4 + place * slot, 20, slot, 22, now.sources[cell]));
    frame(ctx, 4 + now.places[selected] * slot, 20, slot, 22);
  }, "Memory in order");

  const heading = el("p", { style: { margin: "0", whiteSpace: "pre-wrap", fontFamily: "ui-monospace, monospace" } });
  const said = el("p", { style: { margin: "0", minHeight: "4.4em" } });

  function fromWhere(place) {
    const token = tokenOf(place);
    const feature = place % dModel;
    return `sentence ${Math.floor(token / time)}, token ${token % time} (${nameOf(token)}), head ${Math.floor(feature / dHead)}, `
      + `feature ${feature % dHead}`;
  }
  function sentence() {
    const now = stage();
    const index = indexOf(selected, now.shape);
    const sum = index.map((i, axis) => `${i}·${now.strides[axis]}`).join(" + ");
    const sources = now.sources[selected];
    const made = sources.length === 1
      ? `It came in as ${fromWhere(sources[0][0])}.`
      : `It mixes ${sources.map(([place, share]) => `${written(share, 2)} of ${nameOf(tokenOf(place))} [place ${place}]`).join(" + ")}.`;
    return `Cell [${index.join(", ")}] holds ${written(now.values[selected], 2)}. Its place in memory: ${sum} = `
      + `${now.places[selected]}. ${made}`;
  }
  function update() {
    const now = stage();
    heading.textContent = `step ${get("step")}: ${now.title}   shape (${now.shape.join(", ")})   strides (${now.strides.join(", ")})`;
    said.textContent = sentence();
    picture.element.setAttribute("aria-label", `${heading.textContent}. ${said.textContent}`);
    picture.redraw();
    memory.redraw();
  }
  function select(cell, speak) {
    if (cell === selected || cell < 0 || cell >= total) return;
    selected = cell;
    update();
    if (speak) live(sentence());
  }
  picture.element.tabIndex = 0;
  picture.element.addEventListener("mousemove", (event) => {
    const now = stage();
    for (let cell = 0; cell < total; cell += 1) {
      const [x, y] = corner(cell, now);
      if (event.offsetX >= x && event.offsetX < x + cellWidth && event.offsetY >= y && event.offsetY < y + cellHeight) select(cell);
    }
  });
  picture.element.addEventListener("keydown", (event) => {
    const now = stage();
    const [x, y] = corner(selected, now);
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    let [best, least] = [-1, Infinity];
    for (let cell = 0; cell < total; cell += 1) {
      const [dx, dy] = corner(cell, now).map((value, axis) => value - [x, y][axis]);
      const ahead = dx * way[0] + dy * way[1];
      const aside = Math.abs(way[0] ? dy : dx);
      if (ahead > 0 && ahead + 4 * aside < least) [best, least] = [cell, ahead + 4 * aside];
    }
    select(best, true);
  });

  const steps = slider("step", 0, get("right_steps").length - 1, 1, get("step"), (value) => set("step", value));
  root.append(
    el("div", { class: "course-row" }, steps,
      checkbox("the wrong view", get("wrong"), (value) => set("wrong", value)),
      choice("numbers", ["place in x", "place in memory now", "value"], numbers, (value) => {
        numbers = value;
        update();
      })),
    heading,
    picture.element,
    memory.element,
    said,
    el("p", { class: "course-note" }, "Colour = the token a number came from. Arrow keys walk from cell to cell."),
  );
  for (const name of ["step", "wrong"]) on(name, () => { update(); live(heading.textContent); });
  update();
});
