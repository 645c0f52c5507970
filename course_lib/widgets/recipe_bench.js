/* Switches for the pieces of a GPT; what they cost, what each alone brought, and the runs that were trained here. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, choice, button, canvas, theme } = course;
  const whole = (value) => Math.round(value).toLocaleString("en-US");
  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
  const baseline = Object.fromEntries(Object.entries(get("switches")).map(([name, positions]) => [name, positions[0]]));
  const selects = {};

  const table = el("div", {});
  const verdict = el("p", { class: "course-note" });
  const status = el("span", { class: "course-note", role: "status" });
  const list = el("ol", { class: "bench-runs" });

  // What each piece alone brought: a dot with its interval; those that are switched on are drawn in colour.
  const effects = get("effects");
  const [left, right, top, step] = [76, 104, 22, 20];
  const low = Math.min(-0.01, ...effects.map(({ mean, half }) => mean - half));
  const high = Math.max(0.01, ...effects.map(({ mean, half }) => mean + half));
  const forest = canvas(390, top + step * effects.length + 34, (ctx, width, height) => {
    const x = (value) => left + ((width - left - right) * (value - low)) / (high - low);
    const chosen = new Set(get("shown").on ?? []);
    ctx.font = "11px system-ui, sans-serif";
    ctx.strokeStyle = theme.color("line");
    ctx.lineWidth = 1;
    ctx.fillStyle = theme.color("soft");
    ctx.textAlign = "center";
    ctx.fillText("each piece alone, stored: nats per character", (left + width - right) / 2, 12);
    for (const value of [low, low / 2, 0]) {
      ctx.beginPath();
      ctx.moveTo(x(value), top);
      ctx.lineTo(x(value), height - 30);
      ctx.stroke();
      ctx.fillText(value === 0 ? "0" : signed(value), x(value), height - 17);
    }
    ctx.textAlign = "left";
    ctx.fillText("← better", left, height - 3);
    effects.forEach(({ name, mean, half }, index) => {
      const y = top + step * (index + 0.5);
      const sure = Math.abs(mean) > half;
      ctx.strokeStyle = ctx.fillStyle = theme.color(!chosen.has(name) ? "soft" : mean < 0 || !sure ? "blue" : "red");
      ctx.lineWidth = chosen.has(name) ? 2.5 : 1.2;
      ctx.beginPath();
      ctx.moveTo(x(mean - half), y);
      ctx.lineTo(x(mean + half), y);
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(x(mean), y, 3.5, 0, 7);
      if (sure) ctx.fill();
      else ctx.stroke();
      ctx.fillStyle = theme.color(chosen.has(name) ? "text" : "soft");
      ctx.textAlign = "right";
      ctx.fillText(name, left - 8, y + 4);
      ctx.textAlign = "left";
      ctx.fillText(`${signed(mean)} ± ${half.toFixed(3)}`, width - right + 8, y + 4);
    });
  }, "What each piece alone brought, with its interval");

  function update() {
    const { costs, on: pieces, sum } = get("shown");
    table.replaceChildren(el("table", { class: "course-matrix bench" },
      el("thead", {}, el("tr", {}, ["", "GPT-2's block", "yours", "÷"].map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, costs.map(({ name, base, own }) => el("tr", {},
        el("th", { scope: "row" }, name), el("td", {}, whole(base)), el("td", {}, whole(own)),
        el("td", { class: own === base ? "" : "bench-moved" }, (own / base).toFixed(2)))))));
    const together = pieces.length === Object.keys(baseline).length && get("together");
    verdict.textContent = !pieces.length ? "Switch a piece on."
      : `If effects added up: ${signed(sum)} nats per character.${together
        ? ` Measured, all together: ${signed(together)}.` : " Whether they do, only a run can tell."}`;
    forest.redraw();
    return `${costs[0].name} ${whole(costs[0].own)}. ${verdict.textContent}`;
  }
  function listRuns() {
    const runs = get("runs");
    list.replaceChildren(...runs.map(({ name, distance }, index) => el("li", {},
      el("strong", {}, distance.toFixed(3)), ` ${name}`,
      index ? el("span", { class: "course-note" }, ` (${signed(distance - runs[0].distance)} against the first)`) : null)));
  }

  const go = button("train this here", () => {
    status.textContent = "training…";
    set("asked", get("asked") + 1);
  });
  const everything = button("all modern", () => change(Object.fromEntries(
    Object.entries(get("switches")).map(([name, positions]) => [name, positions[1]]))));
  const nothing = button("GPT-2's", () => change(baseline));
  function change(chosen) {
    for (const [name, node] of Object.entries(selects)) {
      node.querySelector("select").selectedIndex = get("switches")[name].indexOf(chosen[name]);
    }
    set("chosen", chosen);
  }
  for (const [name, positions] of Object.entries(get("switches"))) {
    selects[name] = choice(name, positions, get("chosen")[name],
      (position) => set("chosen", { ...get("chosen"), [name]: position }));
  }
  root.append(
    el("div", { class: "course-row" }, Object.values(selects), everything, nothing),
    el("div", { class: "course-row" },
      el("div", {}, choice("costs of", get("sizes"), get("size"), (size) => set("size", size)), table, verdict),
      forest.element),
    el("div", { class: "course-row" }, go, status), list);
  on("shown", () => live(update()));
  on("answered", () => {
    status.textContent = "";
    listRuns();
    const last = get("runs").at(-1);
    live(`${last.name}: ${last.distance.toFixed(3)} above the floor`);
  });
  update();
  listRuns();
});
