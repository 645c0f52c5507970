/* A text, knobs, and a table of the likeliest next tokens, each with two bars. Python computes; the page asks. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, slider, button } = course;
  let seq = get("wish").seq ?? 0;
  const ask = (wish) => set("wish", { ...wish, seq: (seq += 1) });
  const off = (value, none) => (value === none ? "off" : String(value));

  const text = el("p", { class: "sampler-text", "aria-label": "The text so far" });
  const note = el("p", { class: "sampler-note", role: "status" });
  const sum = el("p", { class: "course-note" });
  const holder = el("div", {});
  const prompt = el("input", { type: "text", class: "sampler-prompt", "aria-label": "A text to begin with" });
  prompt.value = get("shown").prompt;
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter") ask({ text: prompt.value });
  });

  function bar(value, kind) {
    return el("td", { class: "sampler-cell" },
      el("span", { class: `sampler-bar ${kind}`, style: { width: `${(110 * value).toFixed(1)}px` } }),
      el("span", { class: "sampler-number" }, value > 0 && value < 0.001 ? "<.001" : value.toFixed(3)));
  }

  function row([token, written, model, drawn]) {
    const take = button(written, () => ask({ take: token }));
    take.setAttribute("aria-label", `take ${written}, the model says ${model.toFixed(3)}, drawn with ${drawn.toFixed(3)}`);
    take.classList.add("sampler-take");
    return el("tr", { class: drawn > 0 ? "" : "sampler-cut" },
      el("th", { scope: "row", class: "sampler-token" }, take), bar(model, "sampler-model"), bar(drawn, "sampler-drawn"));
  }

  function update() {
    const { pieces, prompt: given, rows, kept, of, rest, entropy, model_entropy: before, note: said } = get("shown");
    const focused = holder.contains(document.activeElement)
      ? [...holder.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    text.replaceChildren(
      el("span", { class: "sampler-given" }, given || "(a new text)"),
      ...pieces.map(([, written]) => el("span", { class: "sampler-piece" }, written)));
    holder.replaceChildren(el("table", { class: "course-matrix" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "take"), el("th", { scope: "col" }, "the model says"),
        el("th", { scope: "col" }, "drawn with"))),
      el("tbody", {}, rows.map(row))));
    if (focused >= 0) holder.querySelectorAll("button")[focused]?.focus();
    sum.textContent = `${kept} of ${of} tokens can be drawn; those not in the table have ${rest.toFixed(3)} together. `
      + `Entropy ${before.toFixed(2)} → ${entropy.toFixed(2)} nats.`;
    note.textContent = said;
    return `${pieces.length} tokens added. Likeliest next: ${rows[0][1]}, ${rows[0][3].toFixed(2)}. ${said}`;
  }

  root.append(
    el("div", { class: "course-row" }, prompt, button("begin", () => ask({ text: prompt.value }))),
    text,
    el("div", { class: "course-row" },
      slider("temperature", 0, 3, 0.05, get("temperature"), (value) => set("temperature", value)),
      slider("top-k", 0, 50, 1, get("top_k"), (value) => set("top_k", value), (value) => off(value, 0)),
      slider("top-p", 0.05, 1, 0.05, get("top_p"), (value) => set("top_p", value), (value) => off(value, 1)),
      slider("min-p", 0, 1, 0.01, get("min_p"), (value) => set("min_p", value), (value) => off(value, 0)),
      slider("repetition penalty", 0.5, 3, 0.05, get("repetition_penalty"),
        (value) => set("repetition_penalty", value), (value) => off(value, 1))),
    el("div", { class: "course-row" },
      button("draw one", () => ask({ draw: 1 })), button("draw ten", () => {
        note.textContent = "drawing…";
        ask({ draw: 10 });
      }),
      button("undo", () => ask({ undo: true }))),
    holder, sum, note);
  on("shown", () => live(update()));
  update();
});
