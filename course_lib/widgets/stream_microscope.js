/* The stream of a GPT at one step: a bar for each position, and a table of all steps at one position.
   The kernel reads the stream when a switch is moved; steps and positions are looked up here. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, slider, choice, checkbox, canvas, theme, cividis, ink } = course;
  const LEFT = 44, TOP = 22, FLOOR = 190;
  const norms = { pre: "before each sublayer", post: "after each addition", none: "nowhere" };
  const byName = Object.fromEntries(Object.entries(norms).map(([key, name]) => [name, key]));
  const status = el("p", { class: "stream-status" });
  const holder = el("div", { class: "stream-table" });
  const number = (value) => (Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.005)
    ? value.toExponential(1) : value.toFixed(2)).replace("-", "−");

  function draw(ctx, width) {
    const { tokens, before, written, after } = get("shown");
    const step = get("step");
    const place = (width - LEFT - 8) / tokens.length;
    const most = Math.max(...before[step], ...written[step], ...after[step]) || 1;
    const y = (value) => FLOOR - (value / most) * (FLOOR - TOP);
    ctx.strokeStyle = theme.color("line");
    ctx.fillStyle = theme.color("soft");
    ctx.textAlign = "right";
    for (const share of [0, 0.5, 1]) {
      ctx.beginPath();
      ctx.moveTo(LEFT, y(share * most));
      ctx.lineTo(width - 8, y(share * most));
      ctx.stroke();
      ctx.fillText(number(share * most), LEFT - 4, y(share * most) + 4);
    }
    tokens.forEach((token, i) => {
      const x = LEFT + i * place;
      if (i === get("position")) {
        ctx.strokeStyle = theme.color("text");
        ctx.strokeRect(x + 0.5, TOP - 4, place - 1, FLOOR - TOP + 24);
      }
      [["soft", before], ["orange", written], ["blue", after]].forEach(([color, rows], k) => {
        const wide = (place - 3) / 3;
        ctx.fillStyle = theme.color(color);
        ctx.fillRect(x + 1.5 + k * wide, y(rows[step][i]), Math.max(1, wide - 0.5), FLOOR - y(rows[step][i]));
      });
      ctx.fillStyle = theme.color("text");
      ctx.textAlign = "center";
      ctx.fillText(token === "end" ? "⊣" : token, x + place / 2, FLOOR + 15);
    });
    ctx.textAlign = "left";
    let x = LEFT;
    for (const [color, label] of [["soft", "stream before"], ["orange", "written"], ["blue", "stream after"]]) {
      ctx.fillStyle = theme.color(color);
      ctx.fillRect(x, 4, 10, 10);
      ctx.fillStyle = theme.color("text");
      ctx.fillText(label, x + 14, 13);
      x += 28 + ctx.measureText(label).width;
    }
  }
  const picture = canvas(800, 216, draw, "Size of the stream before, of what is written, and of the stream after, at each position");
  picture.element.addEventListener("click", (event) => {
    const place = (800 - LEFT - 8) / get("shown").tokens.length;
    const i = Math.floor((event.offsetX - LEFT) / place);
    if (i >= 0 && i < get("shown").tokens.length) set("position", i);
  });

  function row(name, step) {
    const { before, written, after, cosine, guess, chance } = get("shown");
    const at = get("position");
    const sure = chance[step][at];
    return el("tr", { class: step === get("step") ? "stream-chosen" : "", onClick: () => set("step", step) },
      el("th", { scope: "row" }, name),
      [before, written, after].map((rows) => el("td", {}, number(rows[step][at]))),
      el("td", {}, step === 0 ? "–" : number(cosine[step][at])),
      el("td", {}, `“${guess[step][at]}”`),
      el("td", { style: { background: cividis(sure), color: ink(sure) } }, sure.toFixed(2)));
  }

  function update() {
    const { tokens, names, loss, before, written, after } = get("shown");
    const [step, at] = [get("step"), get("position")];
    status.textContent = `${names[step]}, at “${tokens[at]}” (position ${at}): stream ${number(before[step][at])}, written `
      + `${number(written[step][at])}, stream after ${number(after[step][at])}. Loss of this wiring on the text: `
      + `${loss.toFixed(2)} nats a character.`;
    const heads = ["before", "written", "after", "cosine", "guess", "chance"];
    holder.replaceChildren(el("table", { class: "course-matrix" },
      el("caption", {}, `All steps at “${tokens[at]}”, position ${at}; guess: the next character, if the stream were read here`),
      el("thead", {}, el("tr", {}, el("td"), heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, names.map(row))));
    picture.redraw();
    return status.textContent;
  }

  const { names, tokens } = get("shown");
  const steps = slider("sublayer", 0, names.length - 1, 1, get("step"), (value) => set("step", value), (value) => names[value]);
  const places = slider("position", 0, tokens.length - 1, 1, get("position"), (value) => set("position", value));
  root.append(
    el("div", { class: "course-row" }, steps, places),
    el("div", { class: "course-row" },
      choice("norm", Object.values(norms), norms[get("norm_position")], (name) => set("norm_position", byName[name])),
      checkbox("residual path", get("residual"), (value) => set("residual", value))),
    picture.element, status, holder);
  on("shown", () => live(update()));
  on("step", () => { steps.setValue(get("step")); live(update()); });
  on("position", () => { places.setValue(get("position")); live(update()); });
  update();
});
