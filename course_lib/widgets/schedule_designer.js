/* The learning rate of each step as the sliders draw it, and the losses of the runs that were trained with designs. */
export default course.widget(({ root, get, set, on, floats, live }) => {
  const { el, slider, button, canvas, theme } = course;
  const steps = get("steps");
  const PENS = ["blue", "orange", "green", "purple", "red"];
  const [left, right, top, bottom] = [56, 12, 22, 34];
  const places = (rate) => (rate >= 0.01 ? rate.toFixed(3) : rate.toExponential(1));

  function axes(ctx, width, height, title, low, high, show) {
    ctx.font = "11px system-ui, sans-serif";
    ctx.fillStyle = theme.color("soft");
    ctx.strokeStyle = theme.color("line");
    ctx.lineWidth = 1;
    ctx.textAlign = "left";
    ctx.fillText(title, left, 12);
    ctx.textAlign = "center";
    ctx.fillText("training step", (left + width - right) / 2, height - 5);
    for (const step of [0, Math.round(steps / 2), steps]) {
      ctx.fillText(step, Math.min(left + ((width - left - right) * step) / steps, width - right - 8), height - 19);
    }
    ctx.textAlign = "right";
    const y = (value) => height - bottom - ((height - top - bottom) * (value - low)) / (high - low || 1);
    for (const share of [0, 0.5, 1]) {
      const value = low + share * (high - low);
      ctx.fillText(show(value), left - 6, y(value) + 4);
      line(ctx, [[left, y(value)], [width - right, y(value)]]);
    }
    return { x: (step) => left + ((width - left - right) * step) / steps, y };
  }
  function line(ctx, points) {
    ctx.beginPath();
    for (const [x, y] of points) ctx.lineTo(x, y);
    ctx.stroke();
  }

  const schedule = canvas(300, 220, (ctx, width, height) => {
    const rates = floats("rates");
    const highest = Math.max(...rates);
    const at = axes(ctx, width, height, "learning rate", 0, highest, places);
    ctx.strokeStyle = theme.color("blue");
    ctx.lineWidth = 2;
    line(ctx, Array.from(rates, (rate, index) => [at.x(index + 1), at.y(rate)]));
  }, "The learning rate of each step");

  function runs() {
    const flat = floats("losses");
    return get("names").map((name, index) => ({ name, losses: flat.slice(index * steps, (index + 1) * steps) }));
  }
  const curves = canvas(430, 220, (ctx, width, height) => {
    const found = runs().flatMap(({ losses }) => Array.from(losses)).filter(Number.isFinite);
    if (!found.length) return;
    const nothing = get("know_nothing");
    const low = 0.9 * Math.min(...found);
    const high = nothing ? 1.3 * nothing : Math.max(...found);
    const at = axes(ctx, width, height, "loss (nats per token)", low, high, (value) => value.toFixed(1));
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width - left - right, height - top - bottom);
    ctx.clip(); // a run that blows up leaves the picture
    if (nothing) {
      ctx.strokeStyle = theme.color("soft");
      ctx.setLineDash([3, 3]);
      line(ctx, [[left, at.y(nothing)], [width - right, at.y(nothing)]]);
      ctx.setLineDash([]);
    }
    runs().forEach(({ losses }, run) => {
      ctx.strokeStyle = theme.color(PENS[run]);
      ctx.lineWidth = 1.5;
      line(ctx, Array.from(losses, (loss, index) => [at.x(index + 1), at.y(loss)]).filter(([, y]) => Number.isFinite(y)));
    });
    ctx.restore();
  }, "The loss of each run");

  const end = (losses) => losses.findLast(Number.isFinite);
  const written = ({ name, losses }) => (Number.isFinite(losses.at(-1))
    ? `${name}: ends at ${end(losses).toFixed(2)}` : `${name}: blew up`);
  const legend = el("ul", { class: "schedule-legend" });
  function list() {
    legend.replaceChildren(...runs().map((run, index) => el("li", {},
      el("span", { class: "schedule-pen", style: { background: theme.color(PENS[index]) } }), written(run))));
  }

  const go = button("train with this", () => {
    status.textContent = "training…";
    set("asked", get("asked") + 1);
  });
  const status = el("span", { class: "course-note", role: "status" });
  root.append(
    el("div", { class: "course-row" },
      slider("peak", -4, 0, 0.1, get("log_peak"), (value) => set("log_peak", value), (value) => places(10 ** value)),
      slider("warm-up", 0, steps, 1, get("warmup"), (value) => set("warmup", value), (value) => `${value} steps`),
      slider("end", 0, 1, 0.05, get("final"), (value) => set("final", value),
        (value) => `${Math.round(100 * value)} % of the peak`),
      go, status),
    el("div", { class: "course-row" }, schedule.element, curves.element),
    legend);
  on("rates", schedule.redraw);
  on("answered", () => {
    status.textContent = "";
    curves.redraw();
    list();
    live(written(runs().at(-1)));
  });
  list();
});
