/* Words as buttons: press one to mask it. A table of answers for one mask, and bars for the attention that it pays. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, button, choice } = course;
  let seq = get("wish").seq ?? 0;
  let head = -1; // -1: the mean of all heads
  const ask = (wish) => set("wish", { ...wish, seq: (seq += 1) });

  const words = el("div", { class: "mask-words", role: "group", "aria-label": "The text: press a word to mask it" });
  const table = el("div", { class: "mask-answers" });
  const sum = el("p", { class: "course-note" });
  const note = el("p", { class: "mask-note", role: "status" });
  const input = el("input", { type: "text", class: "mask-text", "aria-label": "Another text to read" });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") ask({ text: input.value });
  });

  const [layers, heads] = get("shown").heads;
  const names = ["mean of all heads"];
  for (let l = 0; l < layers; l += 1) for (let h = 0; h < heads; h += 1) names.push(`layer ${l}, head ${h}`);

  // Left and right go from word to word, as in a toolbar.
  words.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...words.querySelectorAll("button.mask-word")];
    all[all.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  });

  function weights() {
    const { attention, tokens } = get("shown");
    if (!attention.length) return tokens.map(() => null);
    if (head >= 0) return attention[head];
    return tokens.map((_, i) => attention.reduce((total, row) => total + row[i], 0) / attention.length);
  }

  function word(token, place, weight) {
    const { tokens, masked, guesses, look } = get("shown");
    const special = place === 0 || place === tokens.length - 1;
    const hidden = masked.includes(place);
    const face = special
      ? el("span", { class: "mask-special" }, token)
      : button(hidden ? "[MASK]" : token, () => ask({ toggle: place }));
    if (!special) {
      face.classList.add("mask-word");
      face.setAttribute("aria-pressed", String(hidden));
      face.setAttribute("aria-label", hidden ? `${token}, masked; the model says ${guesses[place]}` : token);
    }
    const said = weight === null ? "" : weight.toFixed(2).replace(/^0/, "");
    const guess = el("span", { class: "mask-guess" });
    if (hidden) {
      const looking = button(guesses[place], () => ask({ look: place }));
      looking.classList.add("mask-look");
      looking.setAttribute("aria-label", `look at this mask, where the model says ${guesses[place]}`);
      looking.setAttribute("aria-pressed", String(place === look));
      guess.append(looking);
    }
    return el("div", { class: "mask-column" }, face, guess,
      el("div", { class: "mask-bar-room" },
        el("div", { class: "mask-bar", style: { height: `${(34 * (weight ?? 0)).toFixed(1)}px` } })),
      el("span", { class: "mask-weight" }, said));
  }

  function answer([token, chance]) {
    const { truth } = get("shown");
    return el("tr", { class: truth && truth[0] === token ? "mask-true" : "" },
      el("th", { scope: "row", class: "mask-token" }, token),
      el("td", { class: "mask-cell" },
        el("span", { class: "mask-chance", style: { width: `${(160 * chance).toFixed(1)}px` } }),
        el("span", { class: "mask-number" }, chance.toFixed(3))));
  }

  function update() {
    const { tokens, masked, answers, truth, look, right, note: said } = get("shown");
    const buttons = () => [...words.querySelectorAll("button.mask-word")];
    const focused = buttons().indexOf(document.activeElement);
    const paid = weights();
    words.replaceChildren(...tokens.map((token, place) => word(token, place, paid[place])));
    if (focused >= 0) buttons()[focused]?.focus();
    table.replaceChildren(...(answers.length
      ? [el("table", { class: "course-matrix" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "the model says"),
          el("th", { scope: "col" }, "probability"))), el("tbody", {}, answers.map(answer)))]
      : []));
    const place = truth ? `The hidden word is ${truth[0]}: probability ${truth[1].toFixed(3)}, rank ${truth[2]}. ` : "";
    sum.textContent = look === null ? "Press a word to mask it."
      : `${place}${right} of ${masked.length} masked tokens are guessed rightly.`;
    note.textContent = said;
    return look === null ? `Nothing is masked. ${said}`
      : `${masked.length} masked. Likeliest here: ${answers[0][0]}, ${answers[0][1].toFixed(2)}. ${place}${said}`;
  }

  root.append(
    el("div", { class: "course-row" }, input, button("read this", () => ask({ text: input.value })),
      button("unmask all", () => ask({ clear: true }))),
    words,
    el("div", { class: "course-row" },
      choice("attention of the mask", names, names[0], (name) => { head = names.indexOf(name) - 1; live(update()); })),
    table, sum, note);
  on("shown", () => live(update()));
  update();
});
