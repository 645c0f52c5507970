/* A training run's cost: sliders and choices, stacked bars of memory for each way of splitting, and the sums in words. */
export default course.widget(({ root, get, set, on, live }) => {
  const { el, slider, choice, checkbox } = course;
  const options = get("options");
  const LABELS = {
    n_layers: "layers", d_model: "width", context_length: "context", batch: "texts at once, each device",
    tokens: "tokens in all", n_devices: "devices", utilization: "share of the peak reached",
  };
  const CHOICES = {
    kind: "shape", device: "kind of device", precision: "precision", optimizer: "optimiser",
    split: "split among devices",
  };

  const three = (value) => Number(value.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 });
  const UNITS = [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]];
  function large(value) {
    const [unit, name] = UNITS.find(([size]) => value >= size) ?? [1, ""];
    return `${three(value / unit)}${name ? ` ${name}` : ""}`;
  }
  const bytes = (value) => (value >= 1e12 ? `${three(value / 1e12)} TB` : value >= 1e9 ? `${three(value / 1e9)} GB`
    : `${three(value / 1e6)} MB`);
  const power = (value) => {
    const exponent = Math.floor(Math.log10(value));
    const raised = [...String(exponent)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]).join("");
    return `${(value / 10 ** exponent).toFixed(1)} · 10${raised}`;
  };
  const SHOWN = { tokens: large, utilization: (value) => `${Math.round(100 * value)} %` };
  function lasting(seconds) {
    if (seconds < 90) return `${three(seconds)} seconds`;
    if (seconds < 5400) return `${three(seconds / 60)} minutes`;
    if (seconds < 1.3e5) return `${three(seconds / 3600)} hours`;
    return seconds < 6e7 ? `${three(seconds / 86400)} days` : `${three(seconds / 31557600)} years`;
  }

  const ask = (change) => set("asked", { ...get("asked"), ...change });
  const movers = {};

  // A slider runs over a list of values, so it moves by their places.
  function place(name) {
    const values = options.ranges[name];
    const show = SHOWN[name] ?? ((value) => value.toLocaleString("en-US"));
    const at = (value) => values.findIndex((one) => one >= value);
    const node = slider(LABELS[name], 0, values.length - 1, 1, at(get("asked")[name]),
      (index) => ask({ [name]: values[index] }), (index) => show(values[index]));
    movers[name] = (value) => node.setValue(at(value));
    return node;
  }
  function pick(name) {
    const node = choice(CHOICES[name], options[name], get("asked")[name], (value) => ask({ [name]: value }));
    movers[name] = (value) => { node.querySelector("select").selectedIndex = options[name].indexOf(value); };
    return node;
  }

  const OTHER = "other sizes";
  const names = [...Object.keys(options.presets), OTHER];
  const named = () => names.findIndex((name) => name === OTHER
    || Object.entries(options.presets[name]).every(([setting, value]) => get("asked")[setting] === value));
  const models = choice("model", names, names[named()], (name) => name !== OTHER && ask(options.presets[name]));

  const price = el("input", {
    type: "number", min: 0, step: 0.1, class: "cost-price", "aria-label": "price of one device for an hour",
    onChange: () => ask({ price: Math.max(0, Number(price.value) || 0) }),
  });
  price.value = get("asked").price;

  const sums = el("dl", { class: "cost-sums" });
  const bars = el("div", { class: "cost-bars" });
  const verdict = el("p", { class: "cost-verdict" });
  const legend = el("ul", { class: "cost-legend" }, options.parts.map((part) => el("li", {},
    el("span", { class: `cost-part cost-${part}` }), part)), el("li", {}, el("span", { class: "cost-mark" }), "one device has"));

  const total = ({ memory }) => Object.values(memory).reduce((sum, size) => sum + size, 0);

  function bar(row, end) {
    const chosen = row.name === get("asked").split;
    return el("div", { class: chosen ? "cost-row cost-chosen" : "cost-row" },
      el("span", { class: "cost-name" }, row.name),
      el("span", { class: "cost-track" },
        options.parts.map((part) => el("span", {
          class: `cost-part cost-${part}`, title: `${part}: ${bytes(row.memory[part])}`,
          style: { width: `${(100 * row.memory[part]) / end}%` },
        })),
        el("span", { class: "cost-limit", style: { left: `${(100 * get("shown").capacity) / end}%` } })),
      el("span", { class: "cost-total" }, `${bytes(total(row))} ${row.fits ? "fits" : "too large"}`));
  }

  function update() {
    const shown = get("shown");
    const asked = get("asked");
    const rows = [
      ["parameters", large(shown.parameters)],
      ["tokens for each", three(shown.tokens_per_parameter)],
      ["FLOPs", power(shown.flops)],
      ["time", lasting(shown.seconds)],
      ["device hours", large(shown.device_hours)],
      ["money", large(shown.money)],
    ];
    sums.replaceChildren(...rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
    const end = 1.02 * Math.max(shown.capacity, ...shown.splits.map(total));
    bars.replaceChildren(...shown.splits.map((row) => bar(row, end)));
    const { memory } = shown.splits.find((row) => row.name === asked.split);
    const parts = options.parts.map((part) => `${part} ${bytes(memory[part])}`).join(", ");
    verdict.textContent = `On each of ${asked.n_devices.toLocaleString("en-US")}: ${parts}. `
      + (shown.fits ? `That fits into ${bytes(shown.capacity)}` : `That does not fit into ${bytes(shown.capacity)}`)
      + (shown.largest_batch ? `; ${shown.largest_batch.toLocaleString("en-US")} texts at once would.`
        : ": not even with one text at a time.");
    return `${rows.map((row) => row.join(" ")).join(", ")}. ${verdict.textContent}`;
  }

  root.append(
    el("div", { class: "course-row" }, models, pick("kind"), ["n_layers", "d_model", "context_length", "tokens"].map(place)),
    el("div", { class: "course-row" }, pick("device"), place("n_devices"), pick("split"), pick("precision"),
      pick("optimizer"), place("batch"), place("utilization"),
      checkbox("compute activations again", get("asked").checkpointing, (checkpointing) => ask({ checkpointing })),
      el("label", { class: "course-control" }, "price of a device hour", price)),
    sums, legend, bars, verdict);
  on("asked", () => {
    for (const [name, move] of Object.entries(movers)) move(get("asked")[name]);
    models.querySelector("select").selectedIndex = named();
  });
  on("shown", () => live(update()));
  update();
});
