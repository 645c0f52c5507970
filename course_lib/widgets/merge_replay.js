/* A text as tokens, at one moment of its encoding. The kernel replays a new text; moments are looked up here. */
export default course.widget(({ root, get, set, on, onClose, live }) => {
  const { el, button, slider } = course;
  let timer = null;
  const status = el("p", { class: "replay-status" });
  const tokens = el("div", { class: "replay-tokens", role: "img" });
  const history = el("ol", { class: "replay-history", tabindex: "0", "aria-label": "merges so far" });
  const input = el("input", { type: "text", class: "replay-text", maxlength: "200", value: get("text"), "aria-label": "text to encode",
    onInput: () => { stop(); set("text", input.value); } });
  const play = button("replay", () => (timer ? stop() : start()));

  const last = () => get("frames").length - 1;
  const moment = () => Math.min(get("step"), last());
  const count = (frame) => frame.words.reduce((sum, word) => sum + word.length, 0);

  function stop() {
    if (timer) clearInterval(timer);
    timer = null;
    play.textContent = "replay";
  }

  function start() {
    set("step", 0);
    play.textContent = "stop";
    timer = setInterval(() => {
      if (moment() >= last()) stop();
      else set("step", moment() + 1);
    }, 450);
  }

  function chip(token, made, number) {
    const fresh = token === made;
    return el("span", { class: `replay-token replay-${number % 4}${fresh ? " replay-fresh" : ""}` }, token);
  }

  function update() {
    const frames = get("frames");
    const facts = get("facts");
    const frame = frames[moment()];
    let number = 0;
    tokens.replaceChildren(...frame.words.map((word) =>
      el("span", { class: "replay-word" }, word.map((token) => chip(token, frame.made, number++)))));
    const done = moment() === last();
    const how = frame.pair
      ? `Merge number ${frame.rank + 1} of ${facts.merges}: “${frame.pair[0]}” + “${frame.pair[1]}” → “${frame.made}”, in ${frame.joined} place${frame.joined === 1 ? "" : "s"}.`
      : "Before any merge: one token a byte.";
    status.textContent = `${how} ${count(frame)} tokens for ${facts.characters} characters (${facts.bytes} bytes).`
      + (done ? ` Ids: ${facts.ids.slice(0, 24).join(", ")}${facts.ids.length > 24 ? ", …" : ""}` : "");
    tokens.setAttribute("aria-label", frame.words.map((word) => word.join(" · ")).join("   "));
    history.replaceChildren(...frames.slice(1, moment() + 1).map((one) =>
      el("li", { value: one.rank + 1 }, `${one.pair[0]} + ${one.pair[1]}`)));
    history.scrollTop = history.scrollHeight;
    return status.textContent;
  }

  let steps = null;
  const holder = el("span", {});
  function remake() {  // a new text has another number of merges, so the slider is made anew
    steps = slider("merges", 0, Math.max(1, last()), 1, moment(), (value) => { stop(); set("step", Math.min(value, last())); });
    holder.replaceChildren(steps);
  }

  root.append(
    el("label", { class: "replay-label" }, "text", input),
    el("div", { class: "course-row" }, holder, play),
    tokens, status,
    el("p", { class: "course-note" }, "Merges used so far, with their numbers:"), history);
  on("frames", () => { remake(); live(update()); });
  on("step", () => { steps.setValue(moment()); const said = update(); if (!timer) live(said); });
  onClose(stop);
  remake();
  update();
});
