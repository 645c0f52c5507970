/* Clocks of one position, its dot product with all others, and a query and a key that turn together. */
export default course.widget(({ root, get, set, on, floats, live }) => {
  const { el, slider, canvas, theme, written, range, share } = course;
  const [length, pairs] = get("shape");

  function arrow(ctx, x, y, dx, dy, color) {
    const angle = Math.atan2(dy, dx);
    ctx.strokeStyle = color;
    ctx.fillStyle = color;
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x + dx, y + dy);
    ctx.stroke();
    ctx.beginPath();
    ctx.moveTo(x + dx, y + dy);
    ctx.lineTo(x + dx - 8 * Math.cos(angle - 0.4), y + dy - 8 * Math.sin(angle - 0.4));
    ctx.lineTo(x + dx - 8 * Math.cos(angle + 0.4), y + dy - 8 * Math.sin(angle + 0.4));
    ctx.fill();
  }
  function circle(ctx, x, y, radius) {
    ctx.strokeStyle = theme.color("line");
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.arc(x, y, radius, 0, 2 * Math.PI);
    ctx.stroke();
  }

  // ---------------------------------------------------------------- one clock for each pair
  const dial = 78;
  const clocks = canvas(pairs * dial, 138, (ctx) => {
    const hands = floats("hands");
    const speeds = floats("speeds");
    ctx.textAlign = "center";
    ctx.font = "11px system-ui, sans-serif";
    for (let pair = 0; pair < pairs; pair += 1) {
      const x = (pair + 0.5) * dial;
      const sine = hands[2 * pair];
      const cosine = hands[2 * pair + 1];
      ctx.fillStyle = theme.color(pair === get("pair") ? "green" : "soft");
      ctx.fillText(`pair ${pair}`, x, 12);
      circle(ctx, x, 52, 32);
      arrow(ctx, x, 52, 31 * cosine, -31 * sine, theme.color(pair === get("pair") ? "green" : "blue"));
      ctx.fillStyle = theme.color("text");
      ctx.fillText(`sin ${written(sine, 2)}`, x, 101);
      ctx.fillText(`cos ${written(cosine, 2)}`, x, 115);
      ctx.fillStyle = theme.color("soft");
      ctx.fillText(`${speeds[pair] >= 0.1 ? speeds[pair].toFixed(2) : speeds[pair].toExponential(0)} rad`, x, 130);
    }
  });

  // ---------------------------------------------------------------- dot product with every other position
  const [left, right, top, bottom] = [40, 10, 22, 30];
  const curve = canvas(430, 200, (ctx, width, height) => {
    const values = floats("similarity");
    const [least, most] = range(values);
    const low = Math.min(0, least);
    const x = (index) => left + ((width - left - right) * index) / Math.max(1, length - 1);
    const y = (value) => height - bottom - (height - top - bottom) * share(value, low, most);
    ctx.font = "11px system-ui, sans-serif";
    ctx.fillStyle = theme.color("soft");
    ctx.textAlign = "left";
    ctx.fillText(`dot product with position ${get("position")}`, left, 12);
    ctx.textAlign = "center";
    ctx.fillText("other position", (left + width - right) / 2, height - 4);
    for (const index of [0, Math.round((length - 1) / 2), length - 1]) ctx.fillText(index, x(index), height - 17);
    ctx.textAlign = "right";
    for (const value of [...new Set([low, 0, most])]) ctx.fillText(written(value, 1), left - 5, y(value) + 4);
    ctx.strokeStyle = theme.color("line");
    ctx.beginPath();
    ctx.moveTo(left, y(0));
    ctx.lineTo(width - right, y(0));
    ctx.stroke();
    ctx.strokeStyle = theme.color("orange");
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    ctx.moveTo(x(get("position")), top);
    ctx.lineTo(x(get("position")), height - bottom);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.strokeStyle = theme.color("blue");
    ctx.lineWidth = 2;
    ctx.beginPath();
    values.forEach((value, index) => ctx.lineTo(x(index), y(value)));
    ctx.stroke();
  });

  // ---------------------------------------------------------------- a query and a key, turned
  const rotary = canvas(230, 200, (ctx, width, height) => {
    const [qx, qy, kx, ky] = floats("turned");
    const [x, y, unit] = [width / 2, height / 2, 62];
    circle(ctx, x, y, unit);
    ctx.textAlign = "center";
    ctx.font = "12px system-ui, sans-serif";
    for (const [dx, dy, name, color] of [[qx, qy, "query", "blue"], [kx, ky, "key", "red"]]) {
      arrow(ctx, x, y, unit * dx, -unit * dy, theme.color(color));
      const size = Math.hypot(dx, dy) || 1;
      ctx.fillText(name, x + unit * dx + (18 * dx) / size, y - unit * dy - (14 * dy) / size + 4);
    }
  });
  const said = el("p", { class: "course-note" });

  function sentence() {
    const dot = floats("turned")[4];
    const place = get("position");
    const omega = floats("speeds")[get("pair")];
    return `Query at ${place}, turned by ${written(omega * place, 2)} rad; key at ${place - get("distance")}, turned by `
      + `${written(omega * (place - get("distance")), 2)} rad. Dot product ${written(dot, 3)}.`;
  }
  function update() {
    clocks.redraw();
    curve.redraw();
    rotary.redraw();
    said.textContent = sentence();
    clocks.element.setAttribute("aria-label", `${pairs} clocks at position ${get("position")}`);
    curve.element.setAttribute("aria-label", `Dot product of position ${get("position")} with ${length} positions`);
    rotary.element.setAttribute("aria-label", sentence());
  }

  root.append(
    el("div", { class: "course-row" },
      slider("position", 0, length - 1, 1, get("position"), (value) => set("position", value)),
      slider("base", 0.5, 6, 0.1, get("log_base"), (value) => set("log_base", value),
        (value) => String(Number((10 ** value).toPrecision(2))))),
    clocks.element,
    el("div", { class: "course-row" },
      slider("key before query", 0, 16, 1, get("distance"), (value) => set("distance", value)),
      slider("pair that turns them", 0, pairs - 1, 1, get("pair"), (value) => set("pair", value))),
    el("div", { class: "course-row" }, curve.element, rotary.element),
    said,
  );
  for (const name of ["position", "distance", "pair", "log_base", "hands", "similarity", "turned"]) on(name, update);
  on("turned", () => live(sentence()));
  update();
});
