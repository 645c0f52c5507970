/* A column for each step of a beam search, a box for each continuation; Python searches, the page draws and asks. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, slider, button, svg } = course;
  const [COLUMN, ROW, LEFT, TOP] = [64, 40, 44, 8];
  let seq = get("wish").seq ?? 0;
  let chosen = 0; // which of the finished hypotheses is marked
  const search = (name, value) => {
    chosen = 0;
    note.textContent = "searching…";
    set(name, value);
  };
  const ask = (text) => search("wish", { text, seq: (seq += 1) });
  const number = (value) => value.toFixed(2).replace("-", "−");

  const input = el("input", { type: "text", class: "beam-text", "aria-label": "A text to translate" });
  input.value = get("shown").text;
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") ask(input.value);
  });
  const tree = el("div", { class: "beam-scroll", tabindex: "0", role: "img" });
  const table = el("div", {});
  const note = el("p", { class: "beam-note", role: "status" });

  const x = (step) => LEFT + step * COLUMN;
  const y = (row) => TOP + row * ROW + ROW / 2;

  function box([, token, total, fate], column, row, marked) {
    const label = svg("text", { x: x(column), y: y(row) - 3, class: "beam-token" });
    label.textContent = token;
    const sum = svg("text", { x: x(column), y: y(row) + 12, class: "beam-sum" });
    sum.textContent = number(total);
    const title = svg("title");
    title.textContent = `${token}: log-probability so far ${total.toFixed(3)}, ${fate}`;
    return svg("g", { class: `beam-box beam-${fate.replace(" ", "-")}${marked ? " beam-marked" : ""}` }, title,
      svg("rect", { x: x(column) - 25, y: y(row) - 17, width: 50, height: 34, rx: 4 }), label, sum);
  }

  function draw() {
    const { steps, found } = get("shown");
    const path = found[chosen]?.path ?? [];
    const rows = Math.max(...steps.map((step) => step.length));
    const width = x(steps.length) + COLUMN / 2;
    const lines = svg("g");
    const boxes = svg("g");
    let before = [0];
    let from = 0; // the row that the marked path comes from
    steps.forEach((step, index) => {
      step.forEach((one, row) => {
        const marked = path[index] === row;
        const start = index === 0 ? 14 : x(index) + 25;
        lines.append(svg("line", {
          x1: start, y1: y(before[one[0]]), x2: x(index + 1) - 25, y2: y(row),
          class: `beam-line beam-${one[3].replace(" ", "-")}${marked && before[one[0]] === from ? " beam-marked" : ""}`,
        }));
        boxes.append(box(one, index + 1, row, marked));
      });
      from = path[index];
      before = step.flatMap((one, row) => (one[3] === "goes on" ? [row] : []));
    });
    const height = TOP + rows * ROW + 4;
    tree.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, lines, boxes));
    tree.setAttribute("aria-label", `${steps.length} steps, at most ${rows} continuations each; the marked one: `
      + `${found[chosen]?.text ?? "none"}`);
  }

  function row(one, place) {
    const face = button(one.text, () => { chosen = place; update(); });
    face.classList.add("beam-found");
    face.setAttribute("aria-pressed", String(place === chosen));
    return el("tr", {}, el("th", { scope: "row", class: "beam-name" }, face), el("td", {}, number(one.log_probability)),
      el("td", {}, String(one.length)), el("td", {}, number(one.score)));
  }

  function update() {
    const { found, note: said } = get("shown");
    chosen = Math.min(chosen, found.length - 1);
    const focused = [...table.querySelectorAll("button")].indexOf(document.activeElement);
    draw();
    table.replaceChildren(el("table", { class: "course-matrix" },
      el("thead", {}, el("tr", {}, ["finished, best first", "log p", "tokens", `log p / tokens^${get("length_penalty")}`]
        .map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, found.map(row))));
    table.querySelectorAll("button")[focused]?.focus();
    note.textContent = said;
    return `${found.length} finished. Best: ${found[0].text}, score ${number(found[0].score)}. ${said}`;
  }

  root.append(
    el("div", { class: "course-row" }, input, button("translate", () => ask(input.value))),
    el("div", { class: "course-row" },
      slider("beams", 1, 6, 1, get("beams"), (value) => search("beams", value)),
      slider("length penalty a", 0, 2, 0.1, get("length_penalty"), (value) => search("length_penalty", value))),
    tree,
    el("p", { class: "course-note" },
      "Each box: a token and the log-probability so far. Thick: leads to the hypothesis chosen below. Dashed: finished. "
      + "Faint: dropped."),
    table, note);
  on("shown", () => { chosen = 0; live(update()); });
  update();
});
