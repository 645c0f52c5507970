/* A batch of two prompts with its padding and positions, how it is set up, and each prompt's answers alone and in it. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, button, choice } = course;
  let seq = get("wish").seq ?? 0;
  const ask = (wish) => set("wish", { ...wish, seq: (seq += 1) });

  const NAMES = { model: "model", side: "padding on the", mask: "attention mask", positions: "positions",
    read: "answer read at" };
  const { options, chosen, prompts } = get("shown");
  const knobs = Object.entries(NAMES).map(([name, label]) =>
    choice(label, options[name], chosen[name], (value) => ask({ [name]: value })));

  const inputs = ["first prompt", "second prompt"].map((label, row) => {
    const input = el("input", { type: "text", class: "bench-text", "aria-label": label });
    input.value = prompts[row];
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") read();
    });
    return input;
  });
  const read = () => ask({ prompts: inputs.map((input) => input.value) });
  const note = el("p", { class: "bench-note", role: "status" });
  const batch = el("div", { class: "bench-batch" });
  const answers = el("div", { class: "course-row bench-answers" });

  const cell = ({ tokens, real, positions, column }, i) => {
    const kind = `${real[i] ? "bench-real" : "bench-pad"}${i === column ? " bench-read" : ""}`;
    const said = `${real[i] ? tokens[i] : "padding"}, position ${positions[i]}${i === column ? ", the answer is read here" : ""}`;
    return el("td", { class: kind, title: said, "aria-label": said },
      el("div", { class: "bench-token" }, real[i] ? tokens[i] : "PAD"),
      el("div", { class: "bench-place" }, positions[i]));
  };

  const bar = (kind, chance) => el("div", { class: "bench-line" },
    el("span", { class: `bench-bar bench-${kind}`, style: { width: `${(85 * chance).toFixed(1)}px` } }),
    el("span", { class: "bench-number" }, chance.toFixed(3)));

  function answer({ answers: list, distance }, name) {
    const same = distance < get("shown").same;
    const verdict = same ? "✓ the same as alone" : `✗ distance from alone ${distance.toFixed(3)}`;
    return el("div", {},
      el("p", { class: same ? "bench-verdict" : "bench-verdict bench-wrong" }, `${name}: ${verdict}`),
      el("table", { class: "course-matrix" },
        el("thead", {}, el("tr", {}, ["next token", "alone", "in the batch"].map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, list.map(([token, alone, company]) => el("tr", {},
          el("th", { scope: "row", class: "bench-answer" }, JSON.stringify(token)),
          el("td", {}, bar("alone", alone)), el("td", {}, bar("company", company)))))));
  }

  function update() {
    const { rows, note: said } = get("shown");
    batch.replaceChildren(el("table", { class: "bench-table", "aria-label": "the batch" },
      el("tbody", {}, rows.map((row) => el("tr", {}, row.tokens.map((_, i) => cell(row, i)))))));
    answers.replaceChildren(...rows.map((row, i) => answer(row, ["First prompt", "Second prompt"][i])));
    note.textContent = said;
    const words = rows.map(({ distance }) => (distance < get("shown").same ? "as alone" : `off by ${distance.toFixed(2)}`));
    return `First prompt ${words[0]}, second prompt ${words[1]}. ${said}`;
  }

  root.append(
    el("div", { class: "course-row" }, knobs),
    el("div", { class: "course-row" }, inputs, button("read these", read)),
    note, batch,
    el("p", { class: "course-note" }, "Under each token its position; framed: where the answer is read."),
    answers);
  on("shown", () => live(update()));
  update();
});
