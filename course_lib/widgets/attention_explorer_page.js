/* Only in a page of its own: answers what the explorer asks for as the kernel would, out of the packed numbers
   (attention_packed.py). Each matrix is unpacked when it is asked for. */
course.kernel = (model) => {
  const { views, packed: places } = model.get("contents");
  const part = ([start, length]) => model.get("packed").subarray(start, start + length);

  async function unpacked(place) {
    const stream = new Blob([part(place)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  /* Steps of square roots, scaled so that each row adds to what it added to before. */
  function fromSteps(bytes, rows, columns) {
    const numbers = Float32Array.from(bytes.subarray(0, rows * columns), (step) => (step === 255 ? NaN : (step / places.steps) ** 2));
    course.asFloats(bytes.subarray(rows * columns)).forEach((whole, row) => {
      const cells = numbers.subarray(row * columns, (row + 1) * columns);
      const scale = whole / cells.reduce((sum, value) => sum + value, 0);
      if (scale > 0 && scale < Infinity) cells.forEach((value, i) => { cells[i] = value * scale; });
    });
    return numbers;
  }

  async function numbersOf([version, shown, viewName, layer, head, combine, kind]) {
    if (shown === "difference") {
      const sides = ["a", "b"].map((side) => numbersOf([version, side, viewName, layer, head, combine, kind]));
      const [before, after] = await Promise.all(sides);
      return after.map((value, i) => value - before[i]);
    }
    const view = views.find((one) => one.name === viewName);
    const [rows, columns] = [view.queries.length, (view.keys ?? view.queries).length];
    const here = places[shown][viewName];
    const matrix = async (list, number) => {
      const bytes = await unpacked(list[number]);
      return places.steps && list !== here.scores ? fromSteps(bytes, rows, columns) : course.asHalves(bytes);
    };
    if (combine === "rollout") return matrix(here.rollout, layer);

    const one = async (number) => {
      const flat = layer * view.heads + number;
      const numbers = await matrix(kind === "scores" ? here.scores : here.weights, flat);
      if (kind !== "values") return numbers;
      const norms = course.asFloats(part(here.norms)).subarray(flat * columns, (flat + 1) * columns);
      return numbers.map((value, i) => value * norms[i % columns]);
    };
    if (!combine) return one(head);
    const all = await Promise.all(Array.from({ length: view.heads }, (_, number) => one(number)));
    const largest = combine === "max";
    const together = new Float32Array(rows * columns).fill(largest ? -Infinity : 0);
    for (const numbers of all) {
      numbers.forEach((value, i) => { together[i] = largest ? Math.max(together[i], value) : together[i] + value / view.heads; });
    }
    return together;
  }
  async function answerTo(name) {
    if (name[0] === "atlas") return part(places.atlases[name[2]]);
    if (name[0] !== "measures") return numbersOf(name);
    const [, , side, viewName, layer] = name;
    const all = part(places[side][viewName].measures);
    const size = all.length / views.find((one) => one.name === viewName).layers;
    return all.subarray(layer * size, (layer + 1) * size);
  }

  let answered = 0;
  model.on("change:wanted", () => {
    const { names, numbers } = model.get("wanted");
    names.forEach(async (name, i) => {
      if (numbers[i] <= answered) return;
      answered = numbers[i];
      const answer = { seq: numbers[i], name, exact: true };
      try {
        model.set("answer_bytes", await answerTo(name));
      } catch {
        answer.error = "This page does not carry these numbers.";
      }
      model.set("answer", answer);
    });
  });
};
