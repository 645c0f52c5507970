/* Only in a page without a kernel: a matrix out of the packed numbers, or null when the page does not carry it. */
course.fromPage = (contents, packed, [version, shown, viewName, layer, head, combine, kind]) => {
  if (shown === "difference") {
    const [before, after] = ["a", "b"].map(
      (side) => course.fromPage(contents, packed, [version, side, viewName, layer, head, combine, kind]),
    );
    return before && after && after.map((value, i) => value - before[i]);
  }
  const view = contents.views.find((one) => one.name === viewName);
  const place = contents.packed[shown][viewName];
  const keys = (view.keys ?? view.queries).length;
  const size = view.queries.length * keys;
  const matrix = (start, number) => course.asHalves(packed(start + 2 * size * number, 2 * size));
  if (combine === "rollout") return place.rollout === undefined ? null : matrix(place.rollout, layer);
  if (place[kind === "values" ? "norms" : kind] === undefined) return null;

  const one = (number) => {
    const flat = layer * view.heads + number;
    const numbers = matrix(kind === "scores" ? place.scores : place.weights, flat);
    if (kind === "values") {
      const norms = course.asFloats(packed(place.norms + 4 * keys * flat, 4 * keys));
      for (let i = 0; i < size; i += 1) numbers[i] *= norms[i % keys];
    }
    return numbers;
  };
  if (!combine) return one(head);
  const total = one(0);
  for (let number = 1; number < view.heads; number += 1) {
    const other = one(number);
    for (let i = 0; i < size; i += 1) {
      total[i] = combine === "max" ? Math.max(total[i], other[i]) : total[i] + other[i];
    }
  }
  return combine === "mean" ? total.map((value) => value / view.heads) : total;
};
