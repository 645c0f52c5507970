/* Five tables, each computed here from the one before, so that the page answers at once and needs no kernel.
   Python holds the same numbers (query, key, value, allowed) and computes them once more in steps(). */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, choice, button, matrixTable, written } = course;
  const tokens = get("tokens");
  const count = tokens.length;
  const shown = tokens.map((token) => token.replaceAll(" ", "␣").replaceAll("\n", "⏎"));
  const features = (rows) => rows[0].map((_, i) => String(i));
  const first = Object.fromEntries(["query", "key", "value", "allowed"].map((name) => [name, get(name)]));
  const causal = tokens.map((_, i) => tokens.map((_, j) => j <= i));
  const open = tokens.map(() => tokens.map(() => true));
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  let at = { step: "weights", row: count - 1, column: 0 }; // the number whose arithmetic is written out

  // ---------------------------------------------------------------- the five steps
  function divisor() {
    const wide = get("query")[0].length;
    return { 1: 1, "√d_head": Math.sqrt(wide), d_head: wide }[get("divide_by")];
  }

  function softmax(scores) {
    const largest = Math.max(...scores);
    if (largest === -Infinity) return scores.map(() => 0); // may look nowhere: zeros, not NaN
    const powers = scores.map((score) => Math.exp(score - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }
  const transposed = (rows) => rows[0].map((_, j) => rows.map((row) => row[j]));
  const dot = (a, b) => a.reduce((sum, number, i) => sum + number * b[i], 0);

  function compute() {
    const [query, key, value, allowed] = ["query", "key", "value", "allowed"].map(get);
    const scores = query.map((q) => key.map((k) => dot(q, k)));
    const scaled = scores.map((row) => row.map((score) => score / divisor()));
    const masked = scaled.map((row, i) => row.map((score, j) => (allowed[i][j] ? score : -Infinity)));
    const overKeys = get("softmax_over") === "keys";
    const weights = overKeys ? masked.map(softmax) : transposed(transposed(masked).map(softmax));
    const output = weights.map((row) => transposed(value).map((column) => dot(row, column)));
    return { scores, scaled, masked, weights, output };
  }

  // ---------------------------------------------------------------- the arithmetic of one number, in words
  const two = (number) => written(number, 2);
  const plain = (number) => {
    const text = String(Number(number.toFixed(2))).replace("-", "−");
    return number < 0 ? `(${text})` : text;
  };
  const products = (a, b) => a.map((number, i) => `${plain(number)}·${plain(b[i])}`).join(" + ");

  function sentence(numbers) {
    const { step, row, column } = at;
    const pair = `${shown[row]} → ${shown[column]}`;
    if (step === "scores") {
      return `Score ${pair}: q·k = ${products(get("query")[row], get("key")[column])} = ${two(numbers.scores[row][column])}`;
    }
    if (step === "scaled") {
      return `Scaled ${pair}: ${two(numbers.scores[row][column])} / ${two(divisor())} = ${two(numbers.scaled[row][column])}`;
    }
    if (step === "masked") {
      const score = two(numbers.scaled[row][column]);
      return get("allowed")[row][column] ? `Mask ${pair}: open, the score stays ${score}. Click or press space to close it.`
        : `Mask ${pair}: closed, ${score} becomes −∞. Click or press space to open it.`;
    }
    if (step === "weights") {
      const overKeys = get("softmax_over") === "keys";
      const shares = overKeys ? numbers.masked[row] : numbers.masked.map((scores) => scores[column]);
      const mine = numbers.masked[row][column];
      if (Math.max(...shares) === -Infinity) return `Weight ${pair}: there is nothing to look at, so the weight is 0.`;
      const sum = shares.reduce((total, score) => total + Math.exp(score), 0);
      const power = (score) => (score === -Infinity ? "0" : `e^${plain(score)}`);
      return `Weight ${pair}: ${power(mine)} / (${shares.map(power).join(" + ")}) = ${two(Math.exp(mine))} / ${two(sum)} `
        + `= ${two(numbers.weights[row][column])}`;
    }
    const values = get("value").map((one) => one[column]);
    return `Output of ${shown[row]}, feature ${column}: ${products(numbers.weights[row], values)} `
      + `= ${two(numbers.output[row][column])}`;
  }

  // ---------------------------------------------------------------- tables
  const TITLES = {
    scores: () => "1 · scores q·k",
    scaled: () => `2 · divide by ${get("divide_by") === "√d_head" ? `√${get("query")[0].length}` : two(divisor())}`,
    masked: () => "3 · mask",
    weights: () => "4 · softmax",
    output: () => "5 · sum of values",
  };
  const order = Object.keys(TITLES);
  const inputs = el("div", { class: "course-row stepper-row" });
  const steps = el("div", { class: "course-row stepper-row" });
  const said = el("p", { class: "stepper-said" });
  const warning = el("p", { class: "stepper-warning" });

  function edit(name, row, column, number) {
    const rows = get(name).map((one) => [...one]);
    rows[row][column] = number;
    set(name, rows);
  }

  function drawInputs() {
    inputs.replaceChildren(...["query", "key", "value"].map((name) => {
      const table = matrixTable(get(name), shown, features(get(name)), {
        caption: name, diverging: true, onEdit: (i, j, number) => edit(name, i, j, number),
      });
      table.dataset.part = name;
      return table;
    }));
  }

  function stepTable(step, numbers) {
    const weights = step === "weights";
    const columns = step === "output" ? features(get("value")) : shown;
    const table = matrixTable(numbers[step], shown, columns, {
      caption: TITLES[step](), diverging: !weights, low: weights ? 0 : undefined, high: weights ? 1 : undefined,
      highlight: (i, j) => at.step === step && at.row === i && at.column === j,
    });
    table.dataset.step = step;
    [...table.tBodies[0].rows].forEach((tr, i) => [...tr.querySelectorAll("td")].forEach((td, j) => {
      const here = at.step === step && at.row === i && at.column === j;
      td.tabIndex = here || (at.step !== step && i === 0 && j === 0) ? 0 : -1;
      // Focus redraws the tables, and a click needs its cell to stay: so the mouse acts before it moves the focus.
      td.addEventListener("mousedown", (event) => { event.preventDefault(); choose(step, i, j, true); });
      td.addEventListener("click", (event) => { if (event.detail === 0) choose(step, i, j, true); }); // a screen reader's
      td.addEventListener("focus", () => { if (!(at.step === step && at.row === i && at.column === j)) choose(step, i, j); });
      td.addEventListener("keydown", (event) => move(event, step, i, j));
    }));
    if (weights) addSums(table, numbers.weights);
    return table;
  }

  function addSums(table, weights) {
    table.tHead.rows[0].append(el("th", { scope: "col" }, "Σ"));
    weights.forEach((row, i) => {
      const sum = row.reduce((a, b) => a + b, 0);
      const wrong = Math.abs(sum - 1) > 0.005 && sum > 0.005;
      table.tBodies[0].rows[i].append(el("td", { class: wrong ? "stepper-sum stepper-wrong" : "stepper-sum" }, two(sum)));
    });
  }

  function choose(step, row, column, toggle = false) {
    at = { step, row, column };
    if (toggle && step === "masked") toggleMask(row, column); // which draws
    else draw();
    table(step)?.tBodies[0].rows[row].querySelectorAll("td")[column].focus();
    live(said.textContent);
  }
  const table = (step) => steps.querySelector(`[data-step="${step}"]`);

  function toggleMask(row, column) {
    const next = get("allowed").map((one) => [...one]);
    next[row][column] = !next[row][column];
    set("allowed", next);
  }

  function move(event, step, row, column) {
    const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === " " && step === "masked") {
      event.preventDefault();
      choose(step, row, column, true);
    }
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    const [i, j] = [row + way[0], column + way[1]];
    const width = (name) => (name === "output" ? get("value")[0].length : count);
    if (i < 0 || i >= count) return;
    if (j >= 0 && j < width(step)) { choose(step, i, j); return; }
    const next = order[order.indexOf(step) + way[1]]; // past the edge: into the neighbouring step
    if (next) choose(next, i, way[1] > 0 ? 0 : width(next) - 1);
  }

  function draw() {
    const numbers = compute();
    steps.replaceChildren(...order.map((step) => stepTable(step, numbers)));
    said.textContent = sentence(numbers);
    const sums = numbers.weights.map((row) => row.reduce((a, b) => a + b, 0));
    const wrong = sums.flatMap((sum, i) => (Math.abs(sum - 1) > 0.005 && sum > 0.005 ? [shown[i]] : []));
    warning.textContent = wrong.length ? `The weights of ${wrong.join(", ")} do not add to 1: no average any more.` : "";
    warning.hidden = !wrong.length;
    for (const part of inputs.children) {
      [...part.tBodies[0].rows].forEach((tr, i) => {
        const used = part.dataset.part === "query" ? i === at.row
          : part.dataset.part === "key" ? at.step !== "output" && i === at.column : at.step === "output";
        tr.classList.toggle("stepper-used", used);
      });
    }
  }

  const maskName = () => (same(get("allowed"), open) ? "none" : same(get("allowed"), causal) ? "causal" : "my own");
  const controls = el("div", { class: "course-row" });
  function drawControls() {
    controls.replaceChildren(
      choice("divide by", ["√d_head", "1", "d_head"], get("divide_by"), (name) => set("divide_by", name)),
      choice("mask", ["none", "causal", "my own"], maskName(), (name) => {
        if (name !== "my own") set("allowed", name === "causal" ? causal : open);
      }),
      choice("softmax over", ["keys", "queries"], get("softmax_over"), (name) => set("softmax_over", name)),
      button("start again", () => {
        for (const [name, rows] of Object.entries(first)) set(name, rows);
        set("divide_by", "√d_head");
        set("softmax_over", "keys");
        drawInputs();
        draw();
      }));
  }

  root.append(inputs, controls, steps, said, warning);
  for (const name of ["query", "key", "value"]) {
    on(name, () => {
      const editing = inputs.contains(document.activeElement);
      if (!editing) drawInputs(); // set from Python: the fields must follow; while typing they are right already
      draw();
      live(said.textContent);
    });
  }
  for (const name of ["allowed", "divide_by", "softmax_over"]) {
    on(name, () => {
      drawControls();
      draw();
      live(said.textContent);
    });
  }
  const last = compute().weights[count - 1];
  at.column = last.indexOf(Math.max(...last));
  drawControls();
  drawInputs();
  draw();
});
