export default course.widget(({ root, get, on, floats, live }) => {
  const { el, canvas, theme } = course;
  const WIDTH = 620;
  const HEIGHT = 260;
  const PLOT = { left: 46, right: WIDTH - 12, top: 12, bottom: HEIGHT - 34 };

  const status = el("div", { class: "curve-status" }, get("status"));
  const sample = el("div", { class: "curve-sample", "aria-label": "What the model writes now" }, get("sample"));

  const pairs = (name) => {
    const flat = floats(name);
    const points = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
    return points.filter(([, loss]) => Number.isFinite(loss)); // a run that blew up still has a picture
  };

  /* 1, 2 or 5 times a power of ten, at least `least` and at least 1: the distance between two grid lines. */
  function niceStep(least) {
    const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
    return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= least);
  }

  const picture = canvas(WIDTH, HEIGHT, (ctx) => {
    const training = pairs("training");
    const validation = pairs("validation");
    const floor = get("floor");
    const most = Math.max(1, ...[...training, ...validation].map(([, loss]) => loss));
    const between = niceStep(most / 6);
    const highest = Math.ceil(most / between) * between;
    const x = (step) => PLOT.left + (step / get("steps")) * (PLOT.right - PLOT.left);
    const y = (loss) => PLOT.bottom - (loss / highest) * (PLOT.bottom - PLOT.top);

    ctx.fillStyle = theme.color("soft");
    ctx.strokeStyle = theme.color("line");
    ctx.lineWidth = 1;
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    for (let loss = 0; loss <= highest; loss += between) {
      ctx.fillText(String(loss), PLOT.left - 6, y(loss));
      stroke(ctx, [[PLOT.left, y(loss)], [PLOT.right, y(loss)]]);
    }
    ctx.textAlign = "center";
    ctx.fillText("training step", (PLOT.left + PLOT.right) / 2, HEIGHT - 8);
    for (const share of [0, 0.5, 1]) {
      const step = Math.round(share * get("steps"));
      ctx.fillText(String(step), Math.min(x(step), PLOT.right - 10), PLOT.bottom + 12);
    }
    ctx.save();
    ctx.translate(12, (PLOT.top + PLOT.bottom) / 2);
    ctx.rotate(-Math.PI / 2);
    ctx.fillText("loss (nats per token)", 0, 0);
    ctx.restore();

    const on_plot = (points) => points.map(([step, loss]) => [x(step), y(loss)]);
    ctx.strokeStyle = theme.color("sky");
    stroke(ctx, on_plot(training));
    ctx.strokeStyle = ctx.fillStyle = theme.color("blue");
    ctx.lineWidth = 2;
    stroke(ctx, on_plot(validation));
    for (const [px, py] of on_plot(validation)) {
      ctx.beginPath();
      ctx.arc(px, py, 3.5, 0, 2 * Math.PI);
      ctx.fill();
    }
    ctx.textAlign = "right";
    if (validation.length) named(ctx, "validation stories ●", 0);
    ctx.fillStyle = theme.color("sky");
    if (training.length) named(ctx, "training batch —", 1);
    if (floor !== null) {
      ctx.strokeStyle = ctx.fillStyle = theme.color("red");
      ctx.setLineDash([6, 4]);
      stroke(ctx, [[PLOT.left, y(floor)], [PLOT.right, y(floor)]]);
      ctx.setLineDash([]);
      named(ctx, `floor ${floor.toFixed(3)} - -`, 2);
    }
  }, "Loss against the training step");

  /* A line of the key, with a rim that keeps the grid lines off the letters. */
  function named(ctx, text, row) {
    const place = [PLOT.right - 4, PLOT.top + 10 + 16 * row];
    ctx.save();
    ctx.strokeStyle = theme.color("back");
    ctx.lineWidth = 5;
    ctx.strokeText(text, ...place);
    ctx.restore();
    ctx.fillText(text, ...place);
  }

  function stroke(ctx, points) {
    ctx.beginPath();
    for (const [px, py] of points) ctx.lineTo(px, py);
    ctx.stroke();
  }

  root.append(picture.element, status, sample);
  on("training", picture.redraw);
  on("status", () => { status.textContent = get("status"); });
  on("sample", () => { sample.textContent = get("sample"); });
  on("validation", () => {
    picture.redraw();
    const points = pairs("validation");
    if (points.length) {
      const [step, loss] = points.at(-1);
      live(`Step ${step}: validation loss ${loss.toFixed(3)} nats per token.`);
    }
  });
});
