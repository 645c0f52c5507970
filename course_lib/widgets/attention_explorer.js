/* The page of the attention explorer. What it gets and asks for is written at the top of attention_explorer.py.
   Colours say roughly, numbers exactly: numbers are float16 from Python and never read off a colour. Everything that
   follows the pointer is drawn on canvases of their own, so that hovering moves no element of the page. */
export default course.widget(({ root, get, set, setAll, on, bytes, live, onResize, onClose }) => {
  const { el, canvas, IN_MEMORY, fit, cividisRGB, divergingRGB, theme, clamp, asFloats, asHalves } = course;
  const MEASURES = { entropy: ["entropy", 2, " nats"], distance: ["mean distance", 1, ""], previous: ["previous token", 2, ""],
    first: ["first token", 2, ""], induction: ["induction", 2, ""], change: ["largest change", 2, ""] };
  const COMBINED = { "": "of one head", mean: "mean over heads", max: "maximum over heads", rollout: "rollout up to here" };
  const CACHE = 6e6; // numbers kept in the page: 24 MB
  const { color } = theme;
  const pen = Object.assign; // pen(ctx, { fillStyle, font, … })
  const FONT = 'system-ui, "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif';

  /* Parts of the page, each under the name that tests and styles know it by. */
  const part = (role, tag, props, ...children) => el(tag, { "data-role": role, ...props }, ...children);
  const button = (role, text, label, onClick) => part(role, "button", { type: "button", class: "course-button", title: label, onClick }, text);
  const lines = (role) => part(role, "p", { class: "course-note" });
  const panel = (name, label, ...children) => el("section", { class: `explorer-${name}`, "aria-label": label }, ...children);
  const labelled = (...children) => el("label", { class: "course-control" }, ...children);
  const row = (kind, ...children) => el("div", { class: `course-row explorer-${kind}` }, ...children);
  function picture(role, draw) {
    const made = canvas(0, 0, (...how) => now.view && draw(...how));
    made.element.dataset.role = role;
    made.name = (text) => made.element.setAttribute("aria-label", text);
    return made;
  }
  /* What is under the pointer, or null when it leaves; and what a click on it does. */
  function pointing(element, at, over, click) {
    element.addEventListener("pointermove", (event) => over(at(event)));
    element.addEventListener("pointerleave", () => over(null));
    element.addEventListener("click", (event) => {
      const place = at(event);
      if (place) click(place, event);
    });
  }

  // ---------------------------------------------------------------- what is shown
  let contents;
  let views;
  let now = {};
  const options = { scale: "√", range: null, words: false, special: false, sinks: false, zoom: 1, order: "", links: "row" };
  const CHOICES = ["view", "layer", "head", "query", "key", "combine", "kind", "shown", "top_k", "pins"];
  const viewOf = (name) => views.find((view) => view.name === name) ?? views[0];
  const viewNow = () => viewOf(now.view);
  const keysOf = (view) => view.keys ?? view.queries;
  const nameNow = (layer = now.layer, head = now.head, kind = now.kind) => [contents.version, now.shown,
    now.view, layer, head, now.combine, kind];
  const visible = (token) => token.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥") || "∅";
  const cut = (text, most) => ([...text].length > most ? `${[...text].slice(0, most - 1).join("")}…` : text);
  const brief = (token, most = 30) => cut(visible(token), most);
  const quoted = (token) => `“${brief(token, 40)}”`;
  const many = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
  /* Heads and cells as Python names them: a view that is not the first stands in front. */
  const named = (...place) => (now.view === views[0].name ? place : [now.view, ...place]);
  const isHere = (place, size) => (place.length === size ? views[0].name : place[0]) === now.view;
  const sizeOf = (value) => (signed() ? Math.abs(value) : value); // what is strong
  const below = (value) => signed() && value < 0;
  const signed = () => now.shown === "difference";

  // ---------------------------------------------------------------- numbers: from the cache, the page, or the kernel
  const cache = new Map(); // JSON of a name → Float32Array, the longest unused first
  const id = (name) => JSON.stringify(name);
  function keep(key, numbers) {
    cache.delete(key);
    cache.set(key, numbers);
    let held = 0;
    for (const one of cache.values()) held += one.length;
    for (const [old, gone] of cache) {
      if (held <= CACHE || old === key) break;
      cache.delete(old);
      held -= gone.length;
    }
  }

  let sequence = 0;
  let flying = null; // the matrix that was asked for and has not come
  let late = 0;
  const landed = () => { flying = null; clearTimeout(late); };
  const asked = new Map(); // what is under way: id → the number of the request
  const here = Math.random();
  /* A front end that waits for its kernel sends the last request only, so each one names all that is under way. */
  function ask(names) {
    const fresh = names.filter((name) => !asked.has(id(name)));
    if (!fresh.length) return;
    fresh.forEach((name) => asked.set(id(name), (sequence += 1)));
    set("wanted", { seq: sequence, page: here, names: [...asked.keys()].map((key) => JSON.parse(key)), numbers: [...asked.values()] });
  }
  /* The matrix, or null while it is under way. One focus is under way at a time: the newest is asked for next. */
  function find(name, urgent = false) {
    const key = id(name);
    const numbers = cache.get(key) ?? null;
    if (numbers) keep(key, numbers);
    else if (urgent && flying === null) {
      flying = key;
      ask([name]);
      late = setTimeout(() => { landed(); asked.clear(); trouble("The kernel does not answer: it is busy or gone. What the page holds still works."); }, 5000);
    }
    return numbers;
  }
  on("answer", () => {
    const { name, error, exact } = get("answer");
    if (!name) return;
    const key = id(name);
    asked.delete(key);
    if (key === flying) landed();
    if (error) { if (key === id(nameNow())) trouble(error); return; }
    const data = bytes("answer_bytes");
    if (name[0] === "measures") { measures.set(key, asFloats(data)); measured(); }
    else if (name[0] === "atlas") { if (name[1] === contents.version) { atlases.set(name[2], data.slice()); paintAtlas(); } }
    else {
      keep(key, (exact ? asFloats : asHalves)(data));
      if (stage.dataset.waiting === "true") showMatrix();
      else if (name[6] === "scores" && grid.rows) { takeScores(); redrawFocus(); }
    }
  });

  // What the user is likely to want next is fetched when nothing else happens.
  let idle = 0;
  function prefetch() {
    clearTimeout(idle);
    idle = setTimeout(() => {
      const view = viewNow();
      const { layer, head } = now;
      const wanted = view.scores && now.kind === "weights" && !now.combine ? [nameNow(layer, head, "scores")] : [];
      const near = view.queries.length * keysOf(view).length <= 3e5 ? [[0, 1], [0, -1], [1, 0], [-1, 0]] : [];
      for (const [l, h] of near.map(([down, right]) => [layer + down, head + right])) {
        if (l >= 0 && h >= 0 && l < view.layers && h < view.heads) wanted.push(nameNow(l, h));
      }
      if (!signed()) wanted.push(measureName(layer));
      ask(wanted.filter((name) => !cache.has(id(name)) && !measures.has(id(name))));
    }, 150);
  }

  // ---------------------------------------------------------------- measures of heads
  const measures = new Map();
  const measureName = (layer) => ["measures", contents.version, now.shown, now.view, layer];
  const measuresOf = (layer) => measures.get(id(measureName(layer)));
  function measure(layer, head, which) {
    if (which === "change") return change(layer, head);
    return measuresOf(layer)?.[Object.keys(MEASURES).indexOf(which) * viewNow().heads + head] ?? NaN;
  }
  function measureSaid(layer, head, which) {
    const [label, digits, unit] = MEASURES[which];
    const value = measure(layer, head, which);
    return Number.isFinite(value) ? `${label} ${value.toFixed(digits)}${unit}` : `${label} –`;
  }
  /* How much the most changed weight of a head changes, read off the thumbnails: enough to order them. */
  function change(layer, head) {
    const view = viewNow();
    const [rows, columns] = view.thumbnail;
    const start = atlasStart(view) + (layer * view.heads + head) * rows * columns;
    let most = 0;
    for (const level of atlasNow().subarray(start, start + rows * columns)) {
      if (level !== 255) most = Math.max(most, Math.abs(level - 127));
    }
    return viewNow().reach * (most / 127) ** 2;
  }
  function measured() {
    if (options.order && options.order !== "change") {
      const { layers } = viewNow();
      const missing = Array.from({ length: layers }, (_, layer) => layer).find((layer) => !measuresOf(layer));
      note(missing === undefined ? "" : `Measuring heads: ${missing} of ${layers} layers…`);
      if (missing !== undefined) ask([measureName(missing)]);
    }
    paintAtlas(false);
    title();
  }

  // ---------------------------------------------------------------- the matrix as it is drawn: hidden, merged, renormalised
  let grid = null; // {raw, values, rows, columns, R, C, said}
  function grouped(count, words, hidden) {
    const groups = [];
    const at = new Int32Array(count).fill(-1); // where each token went
    let last = null;
    for (let i = 0; i < count; i += 1) {
      if (hidden.has(i)) continue;
      if (words?.[i] === last && groups.length && words) groups.at(-1).push(i);
      else groups.push([i]);
      last = words?.[i];
      at[i] = groups.length - 1;
    }
    return [groups, at];
  }
  /* Keys to which the other queries that may look at them give more than 0.3 on average, if those are a quarter of
     all queries at least: the rule of course_lib.interpret.heads.sinks. */
  function sinksOf(raw, { queries: { length: Q }, keys, causal }, K) {
    const found = [];
    for (let k = 0; k < K; k += 1) {
      let given = 0;
      let lookers = 0;
      for (let q = causal ? k : 0; q < Q; q += 1) {
        if (q === k && !keys) continue;
        given += raw[q * K + k];
        lookers += 1;
      }
      if (lookers >= Q / 4 && given / lookers > 0.3) found.push([k, given / lookers]);
    }
    return found;
  }
  function arrange(raw) {
    const view = viewNow();
    const Q = view.queries.length;
    const K = keysOf(view).length;
    const weights = now.kind === "weights" && !signed();
    const merging = options.words && now.kind !== "scores" && Boolean(view.query_words || view.key_words);
    const hiddenKeys = new Set(options.special ? view.key_special : []);
    const hiddenQueries = new Set(options.special ? view.query_special : []);
    const said = [];
    if (hiddenKeys.size) said.push(`without ${many(hiddenKeys.size, "special token")}`);
    if (options.sinks && weights) {
      const sinks = sinksOf(raw, view, K);
      sinks.forEach(([j]) => hiddenKeys.add(j));
      said.push(sinks.length ? `without ${sinks.map(([j, share]) => `${quoted(keysOf(view)[j])} (${j}), which got ${Math.round(100 * share)} %`).join(", ")}`
        : "no key takes enough to be a sink");
    }
    if (hiddenKeys.size >= K || hiddenQueries.size >= Q) { hiddenKeys.clear(); hiddenQueries.clear(); }
    if (hiddenKeys.size) said.push(weights ? "rows renormalised" : "not renormalised");
    if (merging) said.push("words: summed over keys, averaged over queries");
    const [rows, rowAt] = grouped(Q, merging && view.query_words, hiddenQueries);
    const [columns, columnAt] = grouped(K, merging && view.key_words, hiddenKeys);
    const plain = rows.length === Q && columns.length === K;
    const R = rows.length;
    const C = columns.length;
    let values = raw;
    if (!plain) {
      values = new Float32Array(R * C);
      for (let r = 0; r < R; r += 1) {
        for (const q of rows[r]) {
          let mass = 1;
          if (weights && hiddenKeys.size) {
            mass = 0;
            for (const column of columns) for (const k of column) mass += raw[q * K + k];
          }
          for (let c = 0; c < C; c += 1) {
            let sum = 0;
            for (const k of columns[c]) sum += raw[q * K + k];
            values[r * C + c] += mass > 0 ? sum / mass / rows[r].length : 0;
          }
        }
      }
    }
    return { raw, values, rows, columns, rowAt, columnAt, R, C, K, said, plain };
  }
  const rowOf = (query) => Math.max(0, grid.rowAt[query]);
  const columnOf = (key) => Math.max(0, grid.columnAt[key]);
  const tokensOf = (tokens, group) => group.map((i, n) => (n ? tokens[i].replace(/^##/, "") : tokens[i])).join("")
    .replace(/(.)⟨1\/(\d+)⟩(?:\1⟨\d+\/\2⟩)+/gsu, "$1");
  const rowToken = (r) => tokensOf(viewNow().queries, grid.rows[r]);
  const columnToken = (c) => tokensOf(keysOf(viewNow()), grid.columns[c]);
  const valueAt = (r, c) => grid.values[r * grid.C + c];
  const scoreAt = (r, c) => grid.scores?.[r * grid.C + c] ?? NaN;
  function takeScores() {
    grid.scores = null;
    if (!grid.plain || now.combine || signed() || !viewNow().scores) return;
    grid.scores = now.kind === "scores" ? grid.values : find(nameNow(now.layer, now.head, "scores"));
  }
  /* Under a causal mask, the first column that each row may not look at. */
  function blindFrom({ rows, columns, C }) {
    const { causal, queries } = viewNow();
    let at = causal ? 0 : C;
    return Int32Array.from(rows, (row) => {
      while (at < C && columns[at][0] <= row.at(-1) + grid.K - queries.length) at += 1;
      return at;
    });
  }
  /* A query may not look: said by the mask, or by a raw score of −∞. */
  const masked = (r, c) => scoreAt(r, c) === -Infinity || (c >= grid.blind[r] && !valueAt(r, c));

  // ---------------------------------------------------------------- colours
  const table = (rgb) => Uint32Array.from({ length: 256 }, (_, level) => {
    const [r, g, b] = rgb(level);
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
  const COLD = table((level) => cividisRGB(level / 255));
  const SIGNED = table((level) => divergingRGB((level - 127) / 127));
  const GREY = (255 << 24) | (128 << 16) | (128 << 8) | 128;
  const CURVES = { "√": Math.sqrt, linear: (t) => t, log: (t) => (t > 0 ? Math.max(0, 1 + Math.log10(t) / 4) : 0) };
  let limits = { low: 0, high: 1 };
  function limitsOf(start, end) {
    let [low, high] = [Infinity, -Infinity];
    for (let i = start; i < end; i += 1) {
      const value = grid.values[i];
      if (value > high && value < Infinity) high = value;
      if (value < low && value > -Infinity) low = value;
    }
    if (low > high) return { low: 0, high: 1 };
    const reach = Math.max(-low, high) || 1;
    if (signed()) return { low: -reach, high: reach };
    return now.kind === "scores" ? { low, high } : { low: 0, high: reach };
  }
  function setLimits() {
    const whole = { low: signed() ? -1 : 0, high: now.kind === "values" && !signed() ? viewNow().largest_norm : 1 };
    limits = options.range === "all" && now.kind !== "scores" && !(signed() && now.kind === "values")
      ? whole : limitsOf(0, grid.values.length);
  }
  /* A function from a number to its place on the colour map, 0 to 255. */
  function levelsOf({ low, high }) {
    const curve = CURVES[now.kind === "scores" ? "linear" : options.scale];
    if (signed()) return (value) => 127.5 + 127.5 * Math.sign(value) * curve(Math.min(1, Math.abs(value / high)));
    const width = high > low ? high - low : Infinity;
    return (value) => 255 * curve(clamp((value - low) / width, 0, 1));
  }

  // ---------------------------------------------------------------- pictures that are drawn once and shown often
  /* The image on a canvas out of sight, the one it was on before if there was one. */
  function stamped(on, image) {
    const stamp = on ?? el("canvas");
    Object.assign(stamp, { width: image.width, height: image.height });
    stamp.getContext("2d", IN_MEMORY).putImageData(image, 0, 0);
    return stamp;
  }
  /* A part of a drawing that is painted anew only when its key, its size or the theme changes. */
  function kept(draw) {
    const picture = el("canvas");
    let of = "";
    return (ctx, key, ...more) => {
      const { width, height } = ctx.canvas;
      const wanted = id([width, height, theme.dark, key]);
      if (of !== wanted) {
        of = wanted;
        Object.assign(picture, { width, height });
        const inner = picture.getContext("2d", IN_MEMORY);
        inner.setTransform(ctx.getTransform());
        draw(inner, ...more);
      }
      ctx.save();
      ctx.resetTransform();
      ctx.drawImage(picture, 0, 0);
      ctx.restore();
    };
  }

  // ---------------------------------------------------------------- overview of all heads
  const atlases = new Map();
  const atlasNow = () => atlases.get(now.shown) ?? new Uint8Array(0);
  function atlasStart(view) {
    let start = 0;
    for (const one of views) {
      if (one === view) break;
      start += one.layers * one.heads * one.thumbnail[0] * one.thumbnail[1];
    }
    return start;
  }
  let stamp = null;
  let stamps = 0;
  function stampAtlas() {
    const view = viewNow();
    if (!atlases.has(now.shown)) { ask([["atlas", contents.version, now.shown]]); return; }
    const [rows, columns] = view.thumbnail;
    const levels = atlasNow();
    const width = view.heads * columns;
    const image = new ImageData(width, view.layers * rows);
    const pixels = new Uint32Array(image.data.buffer);
    const colors = signed() ? SIGNED : COLD;
    let from = atlasStart(view);
    for (let layer = 0; layer < view.layers; layer += 1) {
      for (let head = 0; head < view.heads; head += 1) {
        for (let row = 0; row < rows; row += 1) {
          let to = (layer * rows + row) * width + head * columns;
          for (let column = 0; column < columns; column += 1, to += 1, from += 1) {
            pixels[to] = levels[from] === 255 ? GREY : colors[levels[from] === 254 ? 255 : levels[from]];
          }
        }
      }
    }
    stamp = stamped(stamp, image);
    stamps += 1;
  }
  const places = { columns: 1, tile: 20, pitch: 22, step: 22, left: 24, top: 22, heads: [] };
  function placeAtlas() {
    const view = viewNow();
    const ordered = Boolean(options.order);
    places.columns = view.heads;
    places.pitch = clamp(Math.floor((atlasWidth - places.left) / view.heads), 9, 76);
    places.tile = places.pitch - (places.pitch > 16 ? 3 : 1);
    places.captioned = ordered && places.tile >= 26;
    places.step = places.pitch + (places.captioned ? 12 : 0);
    places.top = ordered ? 6 : view.kv_heads < view.heads ? 30 : 22;
    places.heads = [];
    for (let layer = 0; layer < view.layers; layer += 1) {
      for (let head = 0; head < view.heads; head += 1) places.heads.push([layer, head, ordered ? measure(layer, head, options.order) : 0]);
    }
    if (ordered) places.heads.sort((a, b) => (b[2] || 0) - (a[2] || 0));
  }
  const headsOff = () => get("ablated").filter((head) => isHere(head, 2))
    .map((head) => head.slice(-2).join(","));
  const tileAt = (i) => [places.left + (i % places.columns) * places.pitch, places.top + Math.floor(i / places.columns) * places.step];
  const tiles = kept((ctx, off) => {
    const view = viewNow();
    const { tile, pitch, step, left, top } = places;
    const [rows, cells] = view.thumbnail;
    pen(ctx, { font: `11px ${FONT}`, textAlign: "center", textBaseline: "middle", fillStyle: color("soft") });
    const every = Math.ceil(16 / pitch);
    if (!options.order) {
      for (let head = 0; head < view.heads; head += every) ctx.fillText(head, left + head * pitch + tile / 2, 11);
      for (let layer = 0; layer < view.layers; layer += every) ctx.fillText(layer, left / 2 - 2, top + layer * step + tile / 2);
      if (view.kv_heads < view.heads) {
        const size = view.heads / view.kv_heads;
        for (let group = 0; group < view.kv_heads; group += 1) {
          ctx.fillRect(left + group * size * pitch, 21, size * pitch - (pitch - tile) - 1, 2);
        }
      }
    }
    pen(ctx, { imageSmoothingEnabled: cells > tile * (devicePixelRatio), imageSmoothingQuality: "high" });
    places.heads.forEach(([layer, head, value], i) => {
      const [x, y] = tileAt(i);
      const isOff = off.includes(`${layer},${head}`);
      ctx.globalAlpha = isOff ? 0.25 : 1;
      ctx.drawImage(stamp, head * cells, layer * rows, cells, rows, x, y, tile, tile);
      ctx.globalAlpha = 1;
      if (isOff) {
        pen(ctx, { strokeStyle: color("red"), lineWidth: 2 });
        ctx.stroke(new Path2D(`M${x + 3} ${y + 3}l${tile - 6} ${tile - 6}m0 ${6 - tile}l${6 - tile} ${tile - 6}`));
      }
      if (places.captioned) {
        pen(ctx, { font: `10px ${FONT}`, fillStyle: color("soft") });
        ctx.fillText(`${layer}·${head}${tile >= 52 && Number.isFinite(value) ? ` ${value.toFixed(2)}` : ""}`, x + tile / 2, y + tile + 7);
      }
    });
  });
  const atlas = picture("atlas", (ctx) => {
    if (!stamp) return;
    const off = headsOff();
    tiles(ctx, [contents.version, stamps, places, off], off);
    const { tile } = places;
    pen(ctx, { strokeStyle: color("red"), lineWidth: tile > 14 ? 2.5 : 1.5 });
    places.heads.forEach(([layer, head], i) => {
      if (layer !== now.layer || !(now.combine || head === now.head)) return;
      const [x, y] = tileAt(i);
      ctx.strokeRect(x - 1, y - 1, tile + 2, tile + 2);
    });
  });
  let atlasWidth = 280;
  function paintAtlas(restamp = true) {
    if (restamp) stampAtlas();
    placeAtlas();
    const lines = Math.ceil(places.heads.length / places.columns);
    atlas.resize(places.left + places.columns * places.pitch, places.top + lines * places.step + 2);
    atlas.element.dataset.geometry = id({ ...places, heads: undefined });
    atlas.name(`Overview: ${many(viewNow().layers, "layer")} downwards, ${many(viewNow().heads, "head")} across`
      + `${options.order ? `, ordered by ${MEASURES[options.order][0]}` : ""}. Arrow keys choose a head, X switches it off.`);
  }
  function headAt(event) {
    const column = Math.floor((event.offsetX - places.left) / places.pitch);
    const row = Math.floor((event.offsetY - places.top) / places.step);
    return column >= 0 && column < places.columns && row >= 0 ? places.heads[row * places.columns + column] : null;
  }
  const headWords = (layer, head) => {
    const view = viewNow();
    const group = view.kv_heads < view.heads ? `, key-value group ${Math.floor((head * view.kv_heads) / view.heads)}` : "";
    return `Layer ${layer}, head ${head}${group}`;
  };
  const atlasSaid = lines("atlas-said");
  function sayHead(layer, head) {
    const off = headsOff().includes(`${layer},${head}`) ? " (switched off)" : "";
    atlasSaid.textContent = `${headWords(layer, head)}${off}${options.order && ` · ${measureSaid(layer, head, options.order)}`}`;
  }
  pointing(atlas.element, headAt, (place) => sayHead(...(place ?? [now.layer, now.head])), ([layer, head], event) => {
    if (event.shiftKey) switchOff(layer, head);
    else choose({ layer, head, combine: "" });
  });

  // ---------------------------------------------------------------- one head at full size
  const box = { left: 92, top: 78, width: 360, height: 360, cell: [1, 1], row: 0, column: 0, rows: 1, columns: 1 };
  const rowSeen = (r) => r >= box.row && r < box.row + box.rows;
  const columnSeen = (c) => c >= box.column && c < box.column + box.columns;
  const xOf = (c) => box.left + (c - box.column + 0.5) * box.cell[1];
  const yOf = (r) => box.top + (r - box.row + 0.5) * box.cell[0];
  let hovered = null; // [row, column] under the pointer
  const cellNow = () => hovered ?? [rowOf(now.query), columnOf(now.key)];
  let focusSize = 360;
  function placeFocus() {
    const { R, C } = grid;
    const room = Math.max(160, focusSize - box.left - 2);
    const cell = Math.min(room / C, room / R, 38);
    const stretch = (count) => Math.max(Math.min(room, 60), cell * count);
    [box.width, box.height] = [stretch(C), stretch(R)];
    box.columns = Math.max(Math.min(C, 4), Math.ceil(C / options.zoom));
    box.rows = Math.max(Math.min(R, 4), Math.ceil(R / options.zoom));
    const [r, c] = [rowOf(now.query), columnOf(now.key)];
    box.row = options.zoom === 1 ? 0 : windowed(box.row, box.rows, r, R);
    box.column = options.zoom === 1 ? 0 : windowed(box.column, box.columns, c, C);
    box.cell = [box.height / box.rows, box.width / box.columns];
  }
  /* The window moves only when the cell in focus would leave it. */
  function windowed(start, size, at, count) {
    const moved = at < start || at >= start + size ? at - Math.floor(size / 2) : start;
    return clamp(moved, 0, count - size);
  }
  function paintFocus() {
    const density = Math.max(1, devicePixelRatio);
    const { values, scores, C, blind } = grid;
    const stepR = Math.ceil(box.rows / Math.max(1, Math.floor(box.height * density)));
    const stepC = Math.ceil(box.columns / Math.max(1, Math.floor(box.width * density)));
    const height = Math.ceil(box.rows / stepR);
    const width = Math.ceil(box.columns / stepC);
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const bothSigns = signed();
    const colors = bothSigns ? SIGNED : COLD;
    let level = levelsOf(limits);
    for (let y = 0; y < height; y += 1) {
      const first = box.row + y * stepR;
      const last = Math.min(first + stepR, box.row + box.rows);
      if (options.range === "row") level = levelsOf(rowLimits(first));
      for (let x = 0; x < width; x += 1) {
        const left = box.column + x * stepC;
        const right = Math.min(left + stepC, box.column + box.columns);
        // The largest of the cells behind the dot; a zero where the query may not look is none.
        let best = NaN;
        let size = -Infinity;
        for (let r = first; r < last; r += 1) {
          for (let c = left, at = r * C + left; c < right; c += 1, at += 1) {
            const value = values[at];
            const here = bothSigns ? Math.abs(value) : value;
            if (here <= size) continue;
            if (!(here < Infinity)) { best = here; size = Infinity; } // no number: nothing is larger
            else if (value || (c < blind[r] && !(scores && scores[at] === -Infinity))) { best = value; size = here; }
          }
        }
        if (size === Infinity) pixels[y * width + x] = GREY;
        else if (best === best) pixels[y * width + x] = colors[Math.round(level(best))];
      }
    }
    focusStamp = stamped(focusStamp, image);
    box.pooled = stepR * stepC > 1 ? `each dot shows the largest of ${stepR} × ${stepC} cells` : "";
  }
  let focusStamp = null;
  let rowCache = [];
  function rowLimits(r) {
    rowCache[r] ??= limitsOf(r * grid.C, (r + 1) * grid.C);
    return rowCache[r];
  }
  function upright(ctx, text, x, y) {
    ctx.save();
    ctx.translate(x, y);
    ctx.rotate(-Math.PI / 2);
    ctx.fillText(text, 0, 0);
    ctx.restore();
  }
  const nice = (least) => [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((step) => step >= least) ?? 2000;
  const axes = kept((ctx) => {
    pen(ctx, { fillStyle: color("soft"), textBaseline: "middle" });
    const label = (groups, count, start, size, room, tokenOf, write) => {
      const legible = size >= 9;
      const step = legible ? 1 : nice(26 / size);
      ctx.font = `${legible ? clamp(Math.floor(size - 2), 8, 12) : 10}px ${FONT}`;
      for (let i = Math.ceil(start / step) * step; i < start + count; i += step) {
        write(legible ? fit(ctx, visible(tokenOf(i)), room) : groups[i][0], i);
      }
    };
    ctx.textAlign = "right";
    label(grid.rows, box.rows, box.row, box.cell[0], box.left - 12, rowToken, (text, r) => ctx.fillText(text, box.left - 6, yOf(r)));
    ctx.textAlign = "left";
    label(grid.columns, box.columns, box.column, box.cell[1], box.top - 8, columnToken, (text, c) => upright(ctx, text, xOf(c), box.top - 6));
    ctx.font = `10px ${FONT}`;
    ctx.fillText("query ↓", 0, box.top - 18);
    ctx.fillText("key →", 0, box.top - 32);
  });
  const focus = picture("focus", (ctx) => {
    if (!grid || !focusStamp) return;
    ctx.fillStyle = theme.dark ? "#2b3138" : "#e4e8ec";
    ctx.fillRect(box.left, box.top, box.width, box.height);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(focusStamp, box.left, box.top, box.width, box.height);
    axes(ctx, [stripOf, box]);
    pen(ctx, { textBaseline: "middle", font: `10px ${FONT}` });
    markRows(ctx);
  });
  focus.element.setAttribute("aria-hidden", "true"); // the overlay before it speaks
  /* A row that does not add to 1 is marked at its end. */
  let offRows = [];
  const sumsOf = new WeakMap(); // numbers → what their rows add to
  function checkRows() {
    const { raw, K } = grid;
    const add = (_, q) => raw.subarray(q * K, (q + 1) * K).reduce((sum, value) => sum + value, 0);
    if (!sumsOf.has(raw)) sumsOf.set(raw, viewNow().queries.map(add));
    const sums = now.kind === "scores" ? [] : sumsOf.get(raw);
    grid.broken = !sums.every(Number.isFinite);
    const adds = now.kind === "weights" && !signed() && now.combine !== "max";
    offRows = [...sums.entries()].filter(([, sum]) => adds && !(Math.abs(sum - 1) <= 0.02 || Math.abs(sum) < 1e-6));
  }
  function markRows(ctx) {
    pen(ctx, { fillStyle: color("red"), textAlign: "left" });
    for (const [q] of offRows) {
      const r = rowOf(q);
      if (rowSeen(r)) ctx.fillText("◀", box.left + box.width + 1, yOf(r));
    }
  }
  const overlay = picture("overlay", (ctx) => {
    if (!grid) return;
    const [h, w] = box.cell;
    const outlined = (path, color, width) => {
      for (const [lineWidth, strokeStyle] of [[width + 1.5, "rgba(0,0,0,.65)"], [width, color]]) pen(ctx, { lineWidth, strokeStyle }).stroke(path);
    };
    const frame = ([r, c], color, width) => {
      if (!rowSeen(r) || !columnSeen(c)) return;
      const [x, y] = [xOf(c) - w / 2, yOf(r) - h / 2];
      const grow = Math.max(0, (5 - Math.min(h, w)) / 2);
      const square = new Path2D();
      square.rect(x - grow, y - grow, w + 2 * grow, h + 2 * grow);
      outlined(square, color, width);
    };
    for (const [query, key] of pinsHere()) {
      const [r, c] = [rowOf(query), columnOf(key)];
      if (!rowSeen(r) || !columnSeen(c)) continue;
      const ring = new Path2D();
      ring.arc(xOf(c), yOf(r), clamp(Math.min(w, h) / 3, 3, 7), 0, 7);
      outlined(ring, "#fff", 2);
    }
    frame([rowOf(now.query), columnOf(now.key)], "#ff7a33", 2);
    const [r, c] = cellNow();
    if (hovered) {
      ctx.fillStyle = "rgba(255,255,255,.7)";
      if (w > 6) frame([r, c], "#fff", 1.5);
      else { ctx.fillRect(box.left, yOf(r) - 0.5, box.width, 1); ctx.fillRect(xOf(c) - 0.5, box.top, 1, box.height); }
    }
    pen(ctx, { font: `600 11px ${FONT}`, textBaseline: "middle" });
    const edge = (text, isRow, at) => {
      ctx.save();
      if (isRow) ctx.translate(box.left - 4, at); else { ctx.translate(at, box.top - 4); ctx.rotate(-Math.PI / 2); }
      pen(ctx, { textAlign: isRow ? "right" : "left", fillStyle: color("back") });
      ctx.fillRect(isRow ? 4 - box.left : -2, -8, isRow ? box.left : box.top, 16);
      ctx.fillStyle = color("text");
      ctx.fillText(text, isRow ? -2 : 2, 0.5);
      ctx.restore();
    };
    if (rowSeen(r)) edge(fit(ctx, visible(rowToken(r)), box.left - 14), true, yOf(r));
    if (columnSeen(c)) edge(fit(ctx, visible(columnToken(c)), box.top - 14), false, xOf(c));
  });
  overlay.element.classList.add("explorer-overlay");
  const stage = el("div", { class: "explorer-stage" }, focus.element, overlay.element);
  function cellAt(event) {
    const c = Math.floor((event.offsetX - box.left) / box.cell[1]);
    const r = Math.floor((event.offsetY - box.top) / box.cell[0]);
    return grid && c >= 0 && r >= 0 && c < box.columns && r < box.rows ? [box.row + r, box.column + c] : null;
  }
  // Many moves of the pointer make one drawing.
  let frameAsked = 0;
  function preview(cell) {
    hovered = cell;
    if (frameAsked) return;
    frameAsked = requestAnimationFrame(() => { frameAsked = 0; follow(false); });
  }
  pointing(overlay.element, cellAt, preview, (cell) => chooseCell(...cell));

  // ---------------------------------------------------------------- the cell in words
  const cellSaid = part("cell", "p", { class: "explorer-cell" });
  const figures = (value) => {
    if (Number.isNaN(value)) return "not a number";
    if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
    const size = Math.abs(value);
    const text = size > 0 && size < 0.00005 ? value.toExponential(1) : value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 4);
    return text.replace("-", "−");
  };
  const kindWord = () => (signed() ? "difference" : { weights: "weight", scores: "score", values: "weight · ‖v‖" }[now.kind]);
  const placed = (text, group) => `${text} (${group.length > 1 ? `${group[0]}–${group.at(-1)}` : group[0]})`;
  const rowNamed = (r, write = quoted) => placed(write(rowToken(r)), grid.rows[r]);
  const columnNamed = (c, write = quoted) => placed(write(columnToken(c)), grid.columns[c]);
  function rankOf(r, c) {
    const size = sizeOf(valueAt(r, c));
    const seen = Array.from(grid.values.subarray(r * grid.C, (r + 1) * grid.C), sizeOf).filter((_, j) => !masked(r, j));
    return [1 + seen.filter((other) => other > size).length, seen.length];
  }
  function distance(r, c) {
    if (viewNow().keys) return "";
    const far = grid.rows[r][0] - grid.columns[c][0];
    return far === 0 ? "itself" : `${Math.abs(far)} ${far > 0 ? "back" : "ahead"}`;
  }
  function sentence(r, c) {
    const value = valueAt(r, c);
    const far = distance(r, c);
    const start = `${rowNamed(r)} looks at ${columnNamed(c)}${far && `, ${far}`}`;
    if (masked(r, c)) return `${start}: masked, it may not look there`;
    const [rank, count] = rankOf(r, c);
    const score = now.kind === "scores" ? NaN : scoreAt(r, c);
    const off = offRows.find(([q]) => grid.rows[r].includes(q));
    return `${start}: ${kindWord()} ${figures(value)}, rank ${rank} of ${count}`
      + `${Number.isNaN(score) ? "" : `, score ${figures(score)}`}`
      + `${off ? `; this row adds to ${figures(off[1])}, not 1` : ""}`;
  }
  function say() { if (grid) cellSaid.textContent = sentence(...cellNow()); }

  // ---------------------------------------------------------------- the strongest links
  function strongest(r) {
    const { values, C } = grid;
    const least = now.kind === "scores" ? -Infinity : 0;
    const order = [];
    for (let c = 0; c < C; c += 1) {
      const size = sizeOf(values[r * C + c]);
      if (!(size > least) || size === Infinity || masked(r, c)) continue;
      if (order.length === now.top_k && size <= order.at(-1)[0]) continue;
      let at = order.length;
      while (at > 0 && order[at - 1][0] < size) at -= 1;
      order.splice(at, 0, [size, r, c]);
      if (order.length > now.top_k) order.pop();
    }
    return order;
  }
  function strongestOfAll() {
    const all = [];
    for (let r = 0; r < grid.R; r += 1) all.push(...strongest(r));
    return all.sort((a, b) => b[0] - a[0]).slice(0, now.top_k);
  }
  const caption = el("caption");
  const rowsOfTable = Array.from({ length: 20 }, () => el("tr", {}, [1, 2, 3, 4, 5].map(() => el("td"))));
  const tableBody = el("tbody");
  const headings = ["", "query", "key", "weight", "distance"].map((name) => el("th", { scope: "col" }, name));
  const linkTable = part("table", "table", { class: "explorer-table", "data-links": "row" }, caption, el("thead", {}, el("tr", {}, headings)), tableBody);
  let linksShown = [];
  let wholeHead = null;
  function fillTable(r, links) {
    wholeHead ??= options.links === "head" ? strongestOfAll() : null;
    linksShown = wholeHead ?? links;
    const text = (node, value) => { if (node.textContent !== value) node.textContent = value; };
    text(caption, `Strongest links of ${wholeHead ? placeWords() : rowNamed(r)}`);
    text(headings[3], kindWord());
    while (tableBody.children.length > linksShown.length) tableBody.lastChild.remove();
    while (tableBody.children.length < linksShown.length) tableBody.append(rowsOfTable[tableBody.children.length]);
    linksShown.forEach(([, i, c], n) => {
      const cells = [String(n + 1), rowNamed(i, brief), columnNamed(c, brief), figures(valueAt(i, c)), distance(i, c) || "–"];
      cells.forEach((value, column) => text(rowsOfTable[n].children[column], value));
    });
  }
  tableBody.addEventListener("click", (event) => {
    const n = [...tableBody.children].indexOf(event.target.closest("tr"));
    if (n >= 0) chooseCell(linksShown[n][1], linksShown[n][2]);
  });

  // ---------------------------------------------------------------- the text, with lines from the query to its strongest keys
  const line = 42;
  const spread = { places: [], second: [], height: 0 };
  let stripWidth = 600;
  let stripOf = "";
  function placeStrip() {
    const of = id([contents.version, now.view, now.shown, stripWidth, options.words, grid.R, grid.C, grid.columns[0], grid.said]);
    if (of === stripOf) return;
    stripOf = of;
    const ctx = strip.element.getContext("2d", IN_MEMORY);
    ctx.font = `13px ${FONT}`;
    const spaced = grid.rows.some((_, r) => rowToken(r).startsWith(" "));
    const flow = (groups, token, top) => {
      let x = 4;
      let y = top;
      return [groups.map((_, i) => {
        const text = token(i);
        const apart = i && (spaced ? text.length > 1 && text.startsWith(" ") : !text.startsWith("##")) ? 6 : 0;
        const shown = cut(text === " " ? text : visible(spaced ? text.replace(/^ /, "") : text), 60);
        const width = Math.min(stripWidth - 12, ctx.measureText(shown).width + 2);
        x += apart;
        if (x + width > stripWidth - 4) { x = 4; y += line; }
        x += width;
        return { shown, x: x - width, y, width };
      }), y + line];
    };
    [spread.places, spread.height] = flow(grid.rows, rowToken, 34);
    spread.second = spread.places;
    spread.two = Boolean(viewNow().keys) || grid.columns.length !== grid.rows.length;
    if (spread.two) [spread.second, spread.height] = flow(grid.columns, columnToken, spread.height + 14);
    spread.height -= line - 18;
    spacer.style.height = `${spread.height}px`;
    stripBox.style.height = `${Math.min(spread.height + 2, 218)}px`;
    strip.size(stripWidth, Math.min(spread.height, 216));
  }
  const stripWords = kept((ctx, inSight) => {
    pen(ctx, { textBaseline: "middle", textAlign: "left", font: `13px ${FONT}`, fillStyle: color("text") });
    for (const list of spread.two ? [spread.places, spread.second] : [spread.places]) {
      list.filter(inSight).forEach(({ shown, x, y, width }) => ctx.fillText(fit(ctx, shown, width), x + 1, y));
    }
    if (!spread.two) return;
    pen(ctx, { fillStyle: color("soft"), font: `10px ${FONT}` });
    ctx.fillText("queries", 4, 7);
    ctx.fillText("keys", 4, spread.second[0].y - 26);
  });
  const strip = picture("strip", (ctx, width, height) => {
    if (!grid || !spread.places.length) return;
    const top = scrolled;
    const [r] = cellNow();
    const links = strongest(r);
    ctx.translate(0, -top);
    const inSight = ({ y }) => y > top - line && y < top + height + line;
    const reach = now.kind === "weights" && !signed() ? 1 : links[0]?.[0] ?? 1;
    spread.second.forEach((place, c) => {
      if (!inSight(place)) return;
      const value = valueAt(r, c);
      const t = Math.sqrt(clamp(Math.abs(value) / reach, 0, 1));
      if (t > 0.04 && !(now.kind === "scores" && value < 0)) {
        pen(ctx, { globalAlpha: 0.1 + 0.42 * t, fillStyle: color(below(value) ? "blue" : "orange") });
        ctx.beginPath();
        ctx.roundRect(place.x - 0.5, place.y - 10, place.width + 1, 20, 3);
        ctx.fill();
        ctx.globalAlpha = 1;
      }
    });
    stripWords(ctx, [stripOf, top], inSight);
    const from = spread.places[r];
    pen(ctx, { strokeStyle: color("text"), lineWidth: 1.5 });
    ctx.strokeRect(from.x - 1.5, from.y - 10.5, from.width + 3, 21);
    for (const [size, , c] of links) {
      const to = spread.second[c];
      const value = valueAt(r, c);
      const [x0, x1] = [from.x + from.width / 2, to.x + to.width / 2];
      const down = spread.two;
      const y0 = from.y + (down ? 11 : -11);
      const y1 = to.y - 11;
      const rise = down ? -14 : Math.min(24, 7 + Math.abs(x1 - x0) / 9);
      ctx.beginPath();
      ctx.strokeStyle = color(below(value) ? "blue" : "red");
      ctx.setLineDash(below(value) ? [4, 3] : []);
      ctx.lineWidth = 1 + 3 * Math.sqrt(clamp(size / reach, 0, 1));
      ctx.moveTo(x0, y0);
      ctx.bezierCurveTo(x0, y0 - rise, x1, y1 - Math.abs(rise), x1, y1);
      ctx.stroke();
      ctx.setLineDash([]);
    }
  });
  strip.name("The text, with lines from the query in focus to its strongest keys. Left and right choose the query.");
  const spacer = el("div", { class: "explorer-spacer" });
  const stripBox = el("div", { class: "explorer-strip" }, el("div", { class: "explorer-sticky" }, strip.element), spacer);
  let scrolled = 0; // asking the page each time would have it laid out each time
  stripBox.addEventListener("scroll", () => { scrolled = stripBox.scrollTop; strip.redraw(); });
  function tokenAt(event) {
    const x = event.offsetX;
    const y = event.offsetY + scrolled;
    const r = grid ? spread.places.findIndex((token) => x >= token.x && x < token.x + token.width + 3 && Math.abs(y - token.y) < 13) : -1;
    return r < 0 ? null : [r];
  }
  pointing(strip.element, tokenAt, (place) => preview(place && [place[0], columnOf(now.key)]),
    ([r]) => chooseCell(r, strongest(r)[0]?.[2] ?? columnOf(now.key)));
  function scrollToQuery() {
    const place = spread.places[rowOf(now.query)];
    if (place && (place.y - 30 < scrolled || place.y + 15 > scrolled + 216)) stripBox.scrollTop = place.y - 108;
  }

  // ---------------------------------------------------------------- pins
  const pinRow = part("pins", "div", { class: "course-row explorer-pins" });
  const pinsHere = () => get("pins").filter((pin) => isHere(pin, 4) && pin.at(-4) === now.layer && pin.at(-3) === now.head)
    .map((pin) => pin.slice(-2));
  /* The list without the place, or with it if it was not there. */
  function toggled(list, place) {
    const others = list.filter((one) => id(one) !== id(place));
    return others.length < list.length ? others : [...list, place];
  }
  const pin = (place = named(now.layer, now.head, now.query, now.key)) => set("pins", toggled(get("pins"), place).slice(-12));
  function showPins() {
    pinRow.replaceChildren(...get("pins").map((one) => {
      const [layer, head, query, key] = one.slice(-4);
      const view = viewOf(one.at(-5));
      const words = `${views.length > 1 ? `${view.name} ` : ""}${layer}·${head} ${brief(view.queries[query] ?? "?", 12)} → ${brief(keysOf(view)[key] ?? "?", 12)}`;
      return part("pin", "span", { class: "explorer-pin" },
        el("button", { type: "button", onClick: () => goTo({ view: view.name, layer, head, query, key }) }, words),
        el("button", { type: "button", "aria-label": `Unpin ${words}`, onClick: () => pin(one) }, "×"));
    }));
    pinRow.hidden = get("pins").length === 0;
  }

  // ---------------------------------------------------------------- live: the model reads
  let reading = 0; // the number of the reading under way
  let wish; // what it was asked for
  let next = null; // what to ask for after it
  let last = 0;
  const stateNow = () => Object.fromEntries(["text", "other_text", "decoder_text", "causal", "ablated"].map((name) => [name, get(name)]));
  function readAgain(changes) {
    if (!contents.live) return;
    next = { ...(next ?? {}), ...changes };
    if (reading) return;
    wish = next;
    next = null;
    reading = last += 1;
    note("");
    set("asked", { ...stateNow(), ...wish, seq: reading });
  }
  on("status", () => {
    const { seq, error } = get("status");
    if (seq !== reading) return;
    reading = wish = 0;
    note("");
    trouble(error ?? "");
    if (error) live(error);
    if (next) readAgain({});
  });
  const spinner = el("span", { class: "explorer-spinner", "aria-hidden": "true" });
  const statusText = el("span", {});
  const status = part("status", "div", { class: "explorer-status", role: "status" }, spinner, statusText);
  const problem = part("trouble", "p", { class: "explorer-problem", role: "alert" });
  function note(text) {
    statusText.textContent = reading ? "The model is reading…" : text;
    status.dataset.busy = Boolean(statusText.textContent);
  }
  function trouble(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }
  let typing = 0;
  const area = (role, label, trait) => {
    const input = part(role, "textarea", { rows: trait === "text" ? 2 : 1, "aria-label": label, spellcheck: "false", placeholder: label,
      onInput: () => {
        clearTimeout(typing);
        typing = setTimeout(() => readAgain({ [trait]: input.value }), 350);
      } });
    return input;
  };
  const textInput = area("text", "Text to read", "text");
  const otherInput = area("other-text", "Compare with another text", "other_text");
  const decoderInput = area("decoder-text", "What the decoder reads, if not what the model writes", "decoder_text");
  const causalInput = part("causal", "input", { type: "checkbox",
    onChange: () => readAgain({ causal: causalInput.checked === contents.causal ? null : causalInput.checked }) });
  function switchOff(layer, head) {
    if (!contents.live) return trouble("Switching a head off needs the model and its kernel.");
    readAgain({ ablated: toggled({ ...stateNow(), ...wish, ...next }.ablated, named(layer, head)) });
  }
  const ablateButton = button("ablate", "", "what does the model predict without this head?", () => switchOff(now.layer, now.head));
  const restoreButton = button("restore", "Switch all on", "", () => readAgain({ ablated: [] }));
  const predictionBox = part("predictions", "div", { class: "explorer-predictions" });
  function showPredictions() {
    const [one, two] = contents.names.length ? contents.names : ["before", "after"];
    const share = (p, kind) => el("td", {}, el("span", { class: `explorer-share ${kind}`, style: { width: `${64 * p}px` } }), ` ${(100 * p).toFixed(1)} %`);
    const row = (...cells) => el("tr", {}, cells);
    const heading = (scope, text) => el("th", { scope }, text);
    predictionBox.replaceChildren(...contents.predictions.map(({ kind, position, token: after, tokens, before: p, after: q, kl }) => el("table", { class: "explorer-table" },
      el("caption", {}, `${kind === "next" ? "Next token after" : "At"} ${quoted(after ?? "")} (${position})${q ? `, KL(${one} ‖ ${two}) = ${figures(kl)} nats` : ""}`),
      el("thead", {}, row(heading("col", "token"), heading("col", q ? one : "probability"), q && heading("col", two))),
      el("tbody", {}, tokens.map((token, i) => row(heading("row", brief(token, 24)), share(p[i]), q && share(q[i], "explorer-after")))))));
    predictionBox.hidden = contents.predictions.length === 0;
  }

  // ---------------------------------------------------------------- controls
  const picks = {};
  /* A select whose options say all that is to be read; its label is spoken. */
  function pick(role, label, pairs, onInput) {
    const select = part(role, "select", { "aria-label": label, onChange: () => { listed = ""; onInput(select.value); } });
    let listed = "";
    picks[role] = (list, value) => {
      if (listed === (listed = id([list, value]))) return;
      select.replaceChildren(...list.map(([key, text]) => el("option", { value: key }, text)));
      select.value = value;
      select.hidden = list.length < 2;
    };
    picks[role](pairs, pairs[0]?.[0]);
    return select;
  }
  const tick = (role, label, option) => {
    const input = part(role, "input", { type: "checkbox", onChange: () => { options[option] = input.checked; rearrange(); } });
    return labelled(input, label);
  };
  const titleText = part("focus-title", "h3", { class: "explorer-title" });
  const titleFacts = el("p", { class: "course-note explorer-facts" });
  const barSaid = lines("bar-text");
  const MARKS = { "√": [0, 0.05, 0.25, 0.5, 1], linear: [0, 0.25, 0.5, 0.75, 1], log: [0.0001, 0.001, 0.01, 0.1, 1] };
  let barStamp = null;
  const bar = picture("bar", (ctx, width) => {
    if (!grid) return;
    const inner = width - 40;
    const place = levelsOf(limits);
    const level = (t) => place(limits.low + t * (limits.high - limits.low));
    // The bar is even in colour, so that its ticks show the curve.
    const image = new ImageData(256, 1);
    new Uint32Array(image.data.buffer).set(signed() ? SIGNED : COLD);
    barStamp = stamped(barStamp, image);
    ctx.drawImage(barStamp, 20, 0, inner, 11);
    pen(ctx, { fillStyle: color("soft"), font: `10px ${FONT}`, textAlign: "center", textBaseline: "top" });
    const minus = (number) => String(number).replace("-", "−");
    const perRow = options.range === "row" && now.kind !== "scores";
    for (const t of signed() || now.kind === "scores" ? [0, 0.5, 1] : MARKS[options.scale]) {
      const x = 20 + (inner * level(t)) / 255;
      ctx.fillRect(x - 0.5, 11, 1, 3);
      ctx.fillText(minus(perRow ? `${signed() ? 200 * t - 100 : 100 * t}%` : Number((limits.low + t * (limits.high - limits.low)).toPrecision(2))), x, 16);
    }
  });
  bar.size(196, 30);
  function sayScale() {
    const scores = now.kind === "scores";
    const range = { row: "of each row’s largest", head: "this head’s own range", all: scores ? "this head’s own range" : "the same for all heads" };
    const words = [`${kindWord()}, ${scores ? "linear" : options.scale} scale${options.scale === "log" ? " over four decades" : ""}, ${range[options.range]}`,
      ...grid.said, viewNow().causal && "blank: masked", grid.broken && "grey: not a number",
      offRows.length && `◀ rows that do not add to 1: ${offRows.length}`, box.pooled].filter(Boolean);
    barSaid.textContent = words.join("; ");
    bar.name(`Colour bar: ${barSaid.textContent}`);
  }
  const placeWords = () => {
    const view = views.length > 1 ? `${now.view}, ` : "";
    const combined = COMBINED[now.combine];
    return now.combine ? `${view}layer ${now.layer}, ${combined}` : `${view}${headWords(now.layer, now.head).toLowerCase().replace("key-value", "KV")}`;
  };
  function title() {
    const words = placeWords();
    titleText.textContent = words[0].toUpperCase() + words.slice(1) + (signed() ? `: ${contents.names[1]} − ${contents.names[0]}` : "");
    titleFacts.textContent = now.combine || signed() || !measuresOf(now.layer) ? "\u00a0"
      : Object.keys(MEASURES).slice(0, 5).map((which) => measureSaid(now.layer, now.head, which)).join(" · ");
    const off = headsOff().includes(`${now.layer},${now.head}`);
    ablateButton.textContent = `Switch head ${now.layer}·${now.head} ${off ? "on" : "off"}`;
    restoreButton.hidden = get("ablated").length === 0;
    overlay.name(`${titleText.textContent}: queries downwards, keys across. Arrow keys move, H and L change head and layer, P pins.`);
  }
  function showControls() {
    const view = viewNow();
    const { names } = contents;
    picks.view(views.map((one) => [one.name, one.name === "cross" ? "cross: decoder → encoder" : one.name]), now.view);
    picks.shown(names.length ? [["difference", `${names[1]} − ${names[0]}`], ["a", names[0]], ["b", names[1]]] : [], now.shown);
    picks.kind([["weights", "weights"], ...(view.scores ? [["scores", "raw scores"]] : []), ...(view.largest_norm === null ? [] : [["values", "weights × value norms"]])], now.kind);
    picks.combine(Object.entries(COMBINED).slice(0, view.keys ? 3 : 4), now.combine);
    picks["atlas-order"]([["", "by layer and head"], ...Object.entries(MEASURES).filter(([key]) => (key === "change") === signed()).map(([key, [label]]) => [key, `by ${label}`])], options.order);
    wordsTick.hidden = !(view.query_words || view.key_words);
    specialTick.hidden = !(view.key_special.length || view.query_special.length);
  }
  const wordsTick = tick("words", "merge words", "words");
  const specialTick = tick("special", "hide special tokens", "special");
  const sinksTick = tick("sinks", "hide sinks", "sinks");
  const topK = part("top-k", "input", { type: "range", min: 1, max: 20, step: 1, "aria-label": "how many links",
    onInput: () => choose({ top_k: Number(topK.value) }) });
  const topKSaid = el("output", { class: "course-value" });
  function zoom(factor) {
    if (!grid) return;
    const most = Math.max(8, grid.R, grid.C) / 8;
    options.zoom = clamp(options.zoom * factor, 1, 2 ** Math.ceil(Math.log2(most)));
    placeFocus();
    redrawFocus();
  }

  // ---------------------------------------------------------------- keyboard: one tab stop for each picture
  const arrows = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  function keyboard(element, act) {
    element.tabIndex = 0;
    element.setAttribute("role", "application");
    element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (act(event.key, event)) event.preventDefault();
    });
  }
  function moveHead(down, right) {
    const view = viewNow();
    choose({ layer: clamp(now.layer + down, 0, view.layers - 1), head: clamp(now.head + right, 0, view.heads - 1) }, true);
    return true;
  }
  function moveCell(r, c) {
    const to = [clamp(r, 0, grid.R - 1), clamp(c, 0, grid.C - 1)];
    chooseCell(...to);
    live(sentence(...to));
    return true;
  }
  function common(key) {
    const step = { h: [0, 1], H: [0, -1], l: [1, 0], L: [-1, 0] }[key];
    if (step) return moveHead(...step);
    const does = {
      p() { pin(); live(`Pinned: ${get("pins").length} cells`); }, x: () => switchOff(now.layer, now.head),
      "+": () => zoom(2), "=": () => zoom(2), "-": () => zoom(0.5),
    }[key.toLowerCase()];
    does?.();
    return Boolean(does);
  }
  keyboard(atlas.element, (key) => {
    if (options.order && arrows[key]) {
      const at = places.heads.findIndex(([layer, head]) => layer === now.layer && head === now.head);
      const [down, right] = arrows[key];
      const [layer, head] = places.heads[clamp(at + right + down * places.columns, 0, places.heads.length - 1)];
      choose({ layer, head, combine: "" }, true);
      return true;
    }
    if (arrows[key]) return moveHead(...arrows[key]);
    if (key === "Enter") { overlay.element.focus(); return true; }
    return common(key);
  });
  keyboard(overlay.element, (key) => {
    if (!grid) return false;
    const [r, c] = [rowOf(now.query), columnOf(now.key)];
    const far = { Home: [r, 0], End: [r, grid.C - 1], PageUp: [r - 10, c], PageDown: [r + 10, c] }[key];
    const to = arrows[key] ? [r + arrows[key][0], c + arrows[key][1]] : far ?? (key === "m" ? [r, strongest(r)[0]?.[2] ?? c] : null);
    return to ? moveCell(...to) : common(key);
  });
  keyboard(strip.element, (key) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[key];
    if (!step || !grid) return common(key);
    const r = clamp(rowOf(now.query) + step, 0, grid.R - 1);
    return moveCell(r, strongest(r)[0]?.[2] ?? 0);
  });

  // ---------------------------------------------------------------- what a change brings with it
  let speak = false;
  function choose(changes, aloud = false) {
    const fresh = Object.fromEntries(Object.entries(changes).filter(([name, value]) => id(get(name)) !== id(value)));
    if (!Object.keys(fresh).length) return;
    speak = aloud;
    refreshAsked = true; // not later but now, so that what the choice needs is asked for in the same message
    setAll(fresh, () => { refreshAsked = false; refresh(); });
  }
  /* Another view may be shallower or shorter. */
  function goTo({ view: name, ...changes }) {
    const view = viewOf(name);
    const sizes = { layer: view.layers, head: view.heads, query: view.queries.length, key: keysOf(view).length };
    const at = { ...now, ...changes };
    choose({ view: name, combine: "", ...Object.fromEntries(Object.entries(sizes).map(([key, size]) => [key, Math.min(at[key], size - 1)])) });
  }
  const chooseCell = (r, c) => { hovered = null; choose({ query: grid.rows[r][0], key: grid.columns[c][0] }); };
  function readTraits() {
    CHOICES.forEach((name) => { now[name] = get(name); });
  }
  /* Overlay, sentence, table and lines follow the pointer; no element moves. Table and lines are the row's. */
  let rowFollowed = -1;
  function follow(afresh = true) {
    if (!grid) return;
    const [r] = cellNow();
    overlay.redraw();
    say();
    if (!afresh && r === rowFollowed) return;
    rowFollowed = r;
    fillTable(r, strongest(r));
    strip.redraw();
  }
  function redrawFocus() {
    paintFocus();
    for (const layer of [focus, overlay]) layer.size(box.left + box.width + 12, box.top + box.height + 8);
    focus.redraw();
    focus.element.dataset.geometry = id(box);
    sayScale();
    bar.redraw();
    follow();
  }
  function rearrange() {
    const raw = grid?.raw;
    if (!raw) return;
    grid = arrange(raw);
    rowCache = [];
    wholeHead = null;
    grid.blind = blindFrom(grid);
    takeScores();
    checkRows();
    setLimits();
    placeFocus();
    placeStrip();
    scrollToQuery();
    redrawFocus();
  }
  function showMatrix() {
    const raw = find(nameNow(), true);
    stage.dataset.waiting = !raw;
    note(raw ? "" : "Fetching this head…");
    if (!raw) return;
    trouble("");
    grid = { raw };
    rearrange();
    if (speak) { speak = false; live(`${titleText.textContent}. ${sentence(...cellNow())}`); }
    prefetch();
  }
  let before = {};
  function refresh() {
    readTraits();
    const moved = (...names) => names.some((name) => id(before[name]) !== id(now[name]));
    const head = moved("view", "layer", "head", "combine", "kind", "shown");
    const scope = moved("view", "shown");
    before = { ...now };
    if (scope && options.order && (options.order === "change") !== signed()) options.order = "";
    if (scope) grid = null;
    if (head) {
      showControls();
      paintAtlas(scope);
      if (scope && options.order) measured();
      sayHead(now.layer, now.head);
      title();
      hovered = null;
      showMatrix();
    } else if (grid) {
      scrollToQuery();
      wholeHead = null;
      if (options.zoom > 1) { placeFocus(); redrawFocus(); } else follow();
    }
    topK.value = now.top_k;
    topKSaid.textContent = `top ${now.top_k}`;
    showPins();
  }
  // Several choices may change at once: they bring one refresh.
  let refreshAsked = false;
  function refreshSoon() {
    if (refreshAsked) return;
    refreshAsked = true;
    queueMicrotask(() => { refreshAsked = false; refresh(); });
  }
  CHOICES.forEach((name) => on(name, refreshSoon));

  function takeContents() {
    contents = get("contents");
    views = contents.views;
    for (const one of [cache, measures, atlases, asked]) one.clear();
    landed();
    atlases.set(get("focus_of")[1], bytes("atlas"));
    keep(id(get("focus_of")), asHalves(get("focus")));
    readTraits();
    grid = null;
    hovered = null;
    before = {};
    options.zoom = 1;
    options.range ??= rangePick.value = contents.names.length ? "head" : "all"; // differences are small
    const words = [...contents.problems, ...contents.notes];
    notes.replaceChildren(...words.map((text) => el("li", {}, text)));
    notes.hidden = words.length === 0;
    for (const [input, name] of [[textInput, "text"], [otherInput, "other_text"], [decoderInput, "decoder_text"]]) {
      if (document.activeElement !== input) input.value = get(name);
    }
    causalInput.checked = get("causal") ?? contents.causal;
    needs.textContent = contents.needs;
    needs.hidden = contents.live;
    liveBox.hidden = !contents.live;
    otherInput.hidden = contents.two_models;
    decoderInput.hidden = !contents.decoder;
    showPredictions();
    refresh();
  }
  // Python sends a reading as one message, but its parts are announced one by one: wait until all are there.
  let contentsAsked = false;
  on("contents", () => {
    if (contentsAsked) return;
    contentsAsked = true;
    queueMicrotask(() => { contentsAsked = false; takeContents(); });
  });
  on("ablated", () => { paintAtlas(false); title(); });

  // ---------------------------------------------------------------- the page
  const notes = part("notes", "ul", { class: "explorer-notes" });
  const needs = lines("needs");
  const liveBox = el("div", { class: "explorer-live" }, textInput, otherInput, decoderInput, row("reading",
    labelled(causalInput, "causal mask"), ablateButton, restoreButton, status));
  const keys = part("keys", "details", { class: "course-note" }, el("summary", {}, "Keys"),
    "Arrow keys move. H and L: next head and layer, with Shift the one before. P pins, X switches the head off, + and − zoom. "
    + "In the matrix M goes to the row’s strongest key; Home, End and Page keys jump. In the overview Enter goes to the matrix, Shift+click switches a head off.");
  const atlasPanel = panel("atlas", "All heads",
    row("head", el("h3", { class: "explorer-title" }, "Layers ↓ heads →"), pick("atlas-order", "order of the heads", [], (value) => { options.order = value; measured(); sayHead(now.layer, now.head); })),
    atlas.element, atlasSaid);
  const rangePick = pick("range", "range of the colours", [["all", "all heads alike"], ["head", "this head’s own"], ["row", "each row’s own"]], (value) => { options.range = value; recolor(); });
  const zoomButtons = el("span", { class: "explorer-zoom" }, button("zoom-out", "−", "zoom out", () => zoom(0.5)), button("zoom-in", "+", "zoom in", () => zoom(2)));
  for (const one of zoomButtons.children) one.setAttribute("aria-label", one.title);
  const focusPanel = panel("focus", "One head",
    row("head", titleText, zoomButtons), titleFacts, stage,
    row("colors", bar.element,
      pick("scale", "scale of the colours", [["√", "√ scale"], ["linear", "linear scale"], ["log", "log scale"]], (value) => { options.scale = value; recolor(); }),
      rangePick,
    ),
    barSaid);
  function recolor() {
    if (!grid) return;
    rowCache = [];
    setLimits();
    redrawFocus();
  }
  const sidePanel = panel("side", "The cell in focus and the strongest links",
    cellSaid,
    row("pinning", button("pin-button", "Pin", "pin this cell", () => pin()),
      pick("links", "whose links", [["row", "links of this query"], ["head", "links of this head"]], (value) => { options.links = linkTable.dataset.links = value; wholeHead = null; follow(); }),
      labelled(topK, topKSaid)),
    linkTable, pinRow, predictionBox);
  const main = el("div", { class: "explorer-main" }, atlasPanel, focusPanel, sidePanel);
  root.classList.add("explorer");
  root.append(
    liveBox, problem, notes,
    row("bar",
      pick("view", "view", [], (name) => goTo({ view: name })),
      pick("shown", "side of the comparison", [], (value) => choose({ shown: value })),
      pick("kind", "numbers", [], (value) => choose({ kind: value })),
      pick("combine", "one head or several", [], (value) => choose({ combine: value })),
      wordsTick, specialTick, sinksTick),
    main, stripBox, needs, keys,
  );
  trouble("");
  note("");

  // The parts take their sizes from the width of the cell.
  let lastWidth = 0;
  function layout() {
    const width = root.clientWidth;
    if (!width || width === lastWidth) return;
    lastWidth = width;
    root.dataset.layout = width >= 1000 ? "wide" : width >= 640 ? "medium" : "narrow";
    atlasWidth = { wide: Math.round(width * 0.3), medium: Math.min(300, width * 0.4), narrow: width }[root.dataset.layout];
    focusSize = Math.min(560, { wide: width - atlasWidth - 298, medium: width - atlasWidth - 24, narrow: width }[root.dataset.layout]);
    stripWidth = width - 4;
    if (!contents) return;
    paintAtlas(false);
    if (grid?.rows) rearrange();
  }
  onResize(root, layout);
  onClose(() => { clearTimeout(idle); clearTimeout(late); clearTimeout(typing); cache.clear(); });
  layout();
  takeContents();
  root.dataset.painted = performance.now().toFixed(1);
});
