/* Two texts with their shared phrases marked, their signatures cut into bands, and the S-curve. The kernel computes. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, slider, canvas, theme } = course;
  const found = () => get("answer");

  const area = (name, label) => {
    const box = el("textarea", { class: "copy-text", rows: "5", maxlength: "1200", "aria-label": label,
      onInput: () => set(name, box.value) });
    box.value = get(name);
    on(name, () => { if (box.value !== get(name)) box.value = get(name); });
    return box;
  };
  const shown = ["first text", "second text"].map((name) =>
    el("div", { class: "copy-words", role: "img", "aria-label": `${name}, shared phrases marked` }));
  const columns = [["first", "first text"], ["second", "second text"]].map(([name, label], place) =>
    el("div", { class: "copy-column" }, el("div", { class: "course-note" }, label), area(name, label), shown[place]));

  const status = el("p", { class: "copy-status" });

  const bands = canvas(430, 190, (ctx, width, height) => {
    const { equal, met } = found();
    const [across, down] = [width / equal.length, (height - 30) / equal[0].length];
    equal.forEach((band, b) => {
      band.forEach((same, r) => {
        ctx.fillStyle = same ? theme.color("blue") : theme.color("line");
        ctx.fillRect(b * across + 2, r * down + 4, across - 4, down - 2);
      });
      if (met[b]) {
        ctx.strokeStyle = theme.color("red");
        ctx.lineWidth = 2.5;
        ctx.strokeRect(b * across + 1.5, 2.5, across - 3, height - 30);
      }
    });
    ctx.fillStyle = theme.color("soft");
    ctx.fillText("column: a band; blue: equal entries; framed: the whole band", 2, height - 8);
  }, "the two signatures compared, band by band");

  const curve = canvas(300, 190, (ctx, width, height) => {
    const { curve: points, similarity, chance } = found();
    const [left, top, right, bottom] = [34, 8, width - 10, height - 34];
    const x = (share) => left + share * (right - left);
    const y = (share) => bottom - share * (bottom - top);
    ctx.strokeStyle = theme.color("line");
    ctx.fillStyle = theme.color("soft");
    for (const tick of [0, 0.5, 1]) {
      ctx.beginPath();
      ctx.moveTo(left, y(tick));
      ctx.lineTo(right, y(tick));
      ctx.stroke();
      ctx.textAlign = "right";
      ctx.fillText(tick.toFixed(1), left - 5, y(tick) + 4);
      ctx.textAlign = "center";
      ctx.fillText(tick.toFixed(1), x(tick), bottom + 15);
    }
    ctx.fillText("similarity → chance to share a band", (left + right) / 2, height - 4);
    ctx.strokeStyle = theme.color("blue");
    ctx.lineWidth = 2;
    ctx.beginPath();
    points.forEach((value, place) => ctx.lineTo(x(place / (points.length - 1)), y(value)));
    ctx.stroke();
    ctx.fillStyle = theme.color("red");
    ctx.beginPath();
    ctx.arc(x(similarity), y(chance), 5, 0, 7);
    ctx.fill();
    ctx.textAlign = "left";
  }, "the S-curve, with these two texts on it");

  function update() {
    const answer = found();
    shown.forEach((box, place) => box.replaceChildren(...answer.words[place].flatMap(([word, shared]) =>
      [el("span", { class: shared ? "copy-shared" : "copy-own" }, word), " "])));
    const met = answer.met.filter(Boolean).length;
    status.textContent = `Phrases: ${answer.phrases[0]} and ${answer.phrases[1]}, ${answer.shared} shared of ${answer.union} in all: `
      + `similarity ${answer.similarity.toFixed(2)}, estimated from the signatures ${answer.estimate.toFixed(2)}. `
      + `Equal bands: ${met} of ${answer.met.length}, so the two ${met ? "meet and are compared" : "never meet"}. `
      + `Pairs this alike meet with probability ${answer.chance.toFixed(2)}.`;
    bands.redraw();
    curve.redraw();
    return status.textContent;
  }

  const knobs = [
    slider("words in a phrase", 1, 8, 1, get("shingle_size"), (value) => set("shingle_size", value)),
    slider("bands", 1, 24, 1, get("n_bands"), (value) => set("n_bands", value)),
    slider("rows in a band", 1, 8, 1, get("n_rows"), (value) => set("n_rows", value)),
  ];
  if (get("n_pairs") > 1) {
    knobs.unshift(slider("pair", 0, get("n_pairs") - 1, 1, get("pair"), (value) => set("pair", value)));
  }
  root.append(
    el("div", { class: "course-row" }, knobs),
    el("div", { class: "copy-columns" }, columns),
    status,
    el("div", { class: "course-row" }, bands.element, curve.element),
  );
  on("answer", () => live(update()));
  update();
});
