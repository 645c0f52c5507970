/* Two bars for each token, a table of stretches with what is wrong with the illegal ones, and a threshold. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, button, slider, written } = course;
  let seq = get("wish").seq ?? 0;
  let own = []; // the first and the last token of the learner's stretch
  const ask = (wish) => set("wish", { ...wish, seq: (seq += 1) });

  const field = (name, value) => {
    const input = el("input", { type: "text", class: "span-field", "aria-label": name });
    input.value = value;
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") send();
    });
    return input;
  };
  const question = field("The question", get("shown").question);
  const context = field("The text", get("shown").context);
  const send = () => ask({ question: question.value, context: context.value });

  const words = el("div", { class: "span-words", role: "group", "aria-label": "The tokens: press a first and a last one" });
  const verdict = el("p", { class: "span-verdict" });
  const mine = el("p", { class: "course-note" });
  const table = el("div");
  const note = el("p", { class: "span-note", role: "status" });

  words.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...words.querySelectorAll("button")];
    all[all.indexOf(document.activeElement) + step]?.focus();
    event.preventDefault();
  });

  const score = (first, last) => get("shown").start[first] + get("shown").end[last];
  const number = (value) => written(value, 1);

  function wrong(first, last) {
    const { text: [begin, stop], longest } = get("shown");
    if (Math.min(first, last) < begin || Math.max(first, last) >= stop) return "not in the text";
    if (last < first) return "ends before it begins";
    return last - first >= longest ? `more than ${longest} tokens` : "";
  }

  function named(first, last) {
    const { tokens } = get("shown");
    return last < first ? `${tokens[first]} … ${tokens[last]}` : tokens.slice(first, last + 1).join(" ");
  }

  function bar(kind, value, low, high) {
    const share = high > low ? (value - low) / (high - low) : 0;
    return el("div", { class: `span-room span-room-${kind}` },
      el("div", { class: `span-bar span-${kind}`, style: { height: `${(2 + 34 * share).toFixed(1)}px` } }));
  }

  function press(place) {
    own = own.length === 1 ? [own[0], place] : [place];
    live(update());
  }

  function column(token, place) {
    const { start, end, best, text: [begin, stop] } = get("shown");
    const within = place >= best[0] && place <= best[1];
    const face = button(token, () => press(place));
    face.classList.add("span-token");
    face.setAttribute("aria-pressed", String(own.includes(place)));
    face.setAttribute("aria-label", `${token}: start ${number(start[place])}, end ${number(end[place])}`);
    return el("div", { class: `span-column${within ? " span-best" : ""}${place < begin || place >= stop ? " span-other" : ""}` },
      el("span", { class: "span-number" }, number(start[place])),
      bar("start", start[place], Math.min(...start), Math.max(...start)), face,
      bar("end", end[place], Math.min(...end), Math.max(...end)),
      el("span", { class: "span-number" }, number(end[place])));
  }

  function row([first, last], nothing) {
    const { best, start, end } = get("shown");
    const problem = wrong(first, last);
    const isBest = first === best[0] && last === best[1];
    return el("tr", { class: problem ? "span-illegal" : isBest ? "span-chosen" : "" },
      el("th", { scope: "row" }, named(first, last)),
      el("td", {}, number(start[first])), el("td", {}, number(end[last])),
      el("td", {}, number(score(first, last))), el("td", {}, number(score(first, last) - nothing)),
      el("td", { class: "span-why" }, problem || (isBest ? "best legal" : "")));
  }

  function update() {
    const { tokens, best, ranked, note: said } = get("shown");
    const threshold = get("threshold");
    const nothing = score(0, 0);
    const margin = score(...best) - nothing;
    const focused = [...words.querySelectorAll("button")].indexOf(document.activeElement);
    words.replaceChildren(...tokens.map(column));
    if (focused >= 0) words.querySelectorAll("button")[focused]?.focus();
    verdict.textContent = margin > threshold ? `Answer: ${named(...best)}` : "No answer";
    const why = `Best legal stretch ${number(score(...best))}, no answer ([CLS]) ${number(nothing)}: margin ${number(margin)}, `
      + `threshold ${number(threshold)}.`;
    mine.textContent = own.length === 2
      ? `${why} Yours, ${named(...own)}: ${number(get("shown").start[own[0]])} + ${number(get("shown").end[own[1]])} = `
        + `${number(score(...own))}${wrong(...own) ? `; it ${wrong(...own).replace("not", "is not")}` : ""}.`
      : own.length ? `${why} Your stretch begins at ${tokens[own[0]]}: press its last token.` : why;
    table.replaceChildren(el("table", { class: "course-matrix span-table" },
      el("thead", {}, el("tr", {}, ["stretch", "start", "end", "sum", "margin", ""].map(
        (name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ranked.map((pair) => row(pair, nothing)))));
    note.textContent = said;
    return `${verdict.textContent}. ${mine.textContent} ${said}`;
  }

  root.append(
    el("div", { class: "course-row" }, question, button("ask", send)),
    el("div", { class: "course-row" }, context), words,
    el("div", { class: "course-row" },
      slider("an answer must beat no answer by", -15, 15, 0.5, get("threshold"), (value) => set("threshold", value), number)),
    verdict, mine, table, note);
  on("threshold", () => live(update()));
  on("shown", () => {
    own = [];
    live(update());
  });
  update();
});
