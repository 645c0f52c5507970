/* A GPT's components as bars: formula, numbers, count, and the count of a model that Python really built. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, slider, choice, checkbox } = course;
  const whole = (value) => value.toLocaleString("en-US");
  const labels = {
    d_model: "d, d_model", n_layers: "L, n_layers", n_heads: "n_heads", vocab_size: "V, vocab_size",
    context_length: "T, context_length",
  };
  const sliders = {};
  const summary = el("p", { class: "parameters-summary" });
  const holder = el("div", {});

  // A slider runs over a list of values, so it moves by their places.
  function sizeSlider(name) {
    const values = get("ranges")[name];
    const node = slider(labels[name], 0, values.length - 1, 1, values.indexOf(get("asked")[name]),
      (place) => set("asked", { ...get("asked"), [name]: values[place] }), (place) => whole(values[place]));
    sliders[name] = (value) => node.setValue(values.indexOf(value));
    return node;
  }

  function row({ name, formula, numbers, count, built, share, out }, largest) {
    const right = count === built;
    return el("tr", {},
      el("th", { scope: "row" }, name),
      el("td", { class: "parameters-formula" }, formula,
        numbers === formula ? null : el("span", { class: "course-note" }, ` = ${numbers}`)),
      el("td", { class: "parameters-count" }, whole(count)),
      el("td", { class: "parameters-bar" },
        el("span", { style: { width: `${Math.max(1, (100 * share) / largest)}px` } }),
        el("em", {}, `${(100 * share).toFixed(1)} %`)),
      el("td", { class: right ? "parameters-right" : "parameters-wrong" }, right ? "✓" : `✗ ${whole(built)}`),
      el("td", { class: "course-note" }, out));
  }

  function update() {
    const { rows, total, built, other, problem } = get("shown");
    if (problem) {
      summary.textContent = problem;
      holder.replaceChildren();
      return problem;
    }
    const largest = Math.max(...rows.map((one) => one.share));
    const heads = ["component", "formula", "count", "share", "built", "what comes out"];
    holder.replaceChildren(el("table", { class: "course-matrix parameters" },
      el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows.map((one) => row(one, largest)))));
    const agree = total === built ? "A model built to these sizes has just as many."
      : `But the model that was built has ${whole(built)}${other ? `, ${whole(other)} of them of no known part` : ""}.`;
    const size = (bytes) => (total * bytes >= 1e9 ? `${((total * bytes) / 1e9).toFixed(1)} GB`
      : `${((total * bytes) / 1e6).toFixed(1)} MB`);
    summary.textContent = `${whole(total)} parameters: ${size(4)} in float32, ${size(2)} in bfloat16. ${agree}`;
    return summary.textContent;
  }

  const OTHER = "other sizes";
  const presets = get("presets");
  const names = [...Object.keys(presets), OTHER];
  const named = () => names.findIndex((name) => name === OTHER
    || Object.entries(presets[name]).every(([size, value]) => get("asked")[size] === value));
  const models = choice("model", names, names[named()],
    (name) => name !== OTHER && set("asked", { ...get("asked"), ...presets[name] }));
  root.append(
    el("div", { class: "course-row" },
      models,
      checkbox("read-out tied to the embedding", get("asked").tie_embeddings,
        (tied) => set("asked", { ...get("asked"), tie_embeddings: tied }))),
    el("div", { class: "course-row" }, Object.keys(labels).map(sizeSlider)),
    summary, holder);
  on("asked", () => {
    for (const [name, move] of Object.entries(sliders)) move(get("asked")[name]);
    models.querySelector("select").selectedIndex = named();
    summary.textContent = "counting…";
  });
  on("shown", () => live(update()));
  update();
});
