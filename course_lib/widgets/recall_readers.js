/* A sequence as a row of tokens, and a table of what each model answers. Nothing is computed here. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, slider, button, cividis, ink } = course;
  const strip = el("div", { class: "readers-strip", role: "list", "aria-label": "The sequence" });
  const question = el("p", { class: "readers-question" });
  const looked = el("p", { class: "course-note" });
  const holder = el("div", {});

  function token(text, place) {
    const { asked, tokens, weights } = get("shown");
    const weight = weights[place];
    const kind = place === asked ? " readers-asked" : place === tokens.length - 1 ? " readers-last" : "";
    const said = weight === undefined ? text : `${text}, attention weight ${weight.toFixed(3)}`;
    return el("span", { class: `readers-token${kind}`, role: "listitem", title: said, "aria-label": said },
      el("span", {}, text),
      el("span", {
        class: "readers-bar",
        style: weight === undefined ? {} : { height: `${2 + 16 * weight}px` },
      }),
      el("span", { class: "readers-weight" }, weight >= 0.005 ? weight.toFixed(2).replace("0.", ".") : "\u00a0"));
  }

  function row({ model, chances, answer, right, share }) {
    const truth = get("shown").answer;
    return el("tr", {},
      el("th", { scope: "row" }, model),
      el("td", { class: right ? "readers-right" : "readers-wrong" }, `${answer} ${right ? "✓ right" : "✗ wrong"}`),
      chances.map((chance, value) => el("td", {
        class: value === truth ? "course-highlight" : "",
        style: { background: cividis(chance), color: ink(chance) },
      }, chance.toFixed(2))),
      el("td", {}, `${(100 * share).toFixed(0)} %`));
  }

  function update() {
    const { tokens, asked, answer, weights, rows } = get("shown");
    strip.replaceChildren(...tokens.map(token));
    question.textContent = `“${tokens.at(-1)}” asks about “${tokens[asked]}”, ${get("distance")} `
      + `${get("distance") === 1 ? "step" : "steps"} back: the right answer is ${answer}.`;
    looked.textContent = weights.length
      ? `Bars: attention weights. On “${tokens[asked]}” ${weights[asked].toFixed(3)}, on all other tokens together `
        + `${Math.max(0, 1 - weights[asked]).toFixed(3)}.`
      : "";
    const values = rows[0].chances.map((_, value) => el("th", { scope: "col" }, `p(${value})`));
    holder.replaceChildren(el("table", { class: "course-matrix" },
      el("thead", {}, el("tr", {}, el("td"), el("th", { scope: "col" }, "answer"), values,
        el("th", { scope: "col" }, "right on 200 others"))),
      el("tbody", {}, rows.map(row))));
    return `${question.textContent} ${rows.map((one) => `${one.model}: ${one.right ? "right" : "wrong"}`).join(", ")}.`;
  }

  root.append(
    el("div", { class: "course-row" },
      slider("distance", 1, get("longest"), 1, get("distance"), (value) => set("distance", value)),
      button("another sequence", () => set("sequence", get("sequence") + 1))),
    strip, question, looked, holder);
  on("shown", () => live(update()));
  update();
});
