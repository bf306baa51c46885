// The listening room (attm_companion/book/room.py): versions of a prompt in step and at one loudness,
// open or blind (AB, ABX), with votes that stay in the browser. No dependency, no request but for the
// sounds; audio elements and not Web Audio, which is silent for files opened from a folder.
"use strict";

(() => {
  const MUST_HEAR_S = 1.0;
  const IN_STEP = 6; // up to so many sounds run together, all but one muted
  const DRIFT_S = 0.03;
  const KINDS = ["ab", "abx"];
  const METRICS = { reward: "Reward", clap: "CLAP" };

  // One player at a time: starting one pauses the others, but for those of the same room.
  document.addEventListener("play", (event) => {
    const room = event.target.closest(".attm-room");
    for (const audio of document.querySelectorAll("audio")) {
      const together = room && audio.closest(".attm-room") === room;
      if (audio !== event.target && !together) audio.pause();
    }
  }, true);

  // Long equations scroll: let them do so by keyboard, too.
  addEventListener("load", () => window.MathJax?.startup?.promise?.then(() => {
    for (const math of document.querySelectorAll("mjx-container[display]")) math.tabIndex = 0;
  }));

  // Wide figures scroll on a narrow screen instead of shrinking until no letter can be read.
  addEventListener("load", () => {
    for (const picture of document.querySelectorAll(".bd-article figure img")) {
      const least = Math.round(0.42 * picture.naturalWidth), box = picture.closest("figure");
      if (least <= box.clientWidth) continue;
      Object.assign(picture.style, { minWidth: `${least}px`, maxWidth: "none", width: `${least}px` });
      box.classList.add("attm-wide");
      box.tabIndex = 0;
    }
  });

  // ---- statistics ----------------------------------------------------------------------------

  /** P(X ≥ k) for X of B(n, 1/2). */
  function tail(k, n) {
    let log = -n * Math.LN2, sum = 0;
    for (let i = 0; i <= n; i++) {
      if (i >= k) sum += Math.exp(log);
      log += Math.log((n - i) / (i + 1));
    }
    return Math.min(1, sum);
  }
  const twoSided = (k, n) => Math.min(1, 2 * tail(Math.max(k, n - k), n));

  /** Bradley–Terry log strengths with mean 0; wins[i][j] of i over j. Half a win each way is added
      to every pair, so that who never lost has a finite strength. */
  function bradleyTerry(wins) {
    const m = wins.length;
    const w = wins.map((row, i) => row.map((x, j) => (i === j ? 0 : x + 0.5)));
    let p = Array(m).fill(1);
    for (let round = 0; round < 500; round++) {
      const next = p.map((_, i) => {
        let won = 0, met = 0;
        for (let j = 0; j < m; j++) {
          if (j === i) continue;
          won += w[i][j];
          met += (w[i][j] + w[j][i]) / (p[i] + p[j]);
        }
        return won / met;
      });
      const scale = Math.exp(next.reduce((sum, x) => sum + Math.log(x), 0) / m);
      p = next.map((x) => x / scale);
    }
    return p.map(Math.log);
  }

  // ---- small things --------------------------------------------------------------------------

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }
  const number = (x, digits = 2) => (Number.isFinite(x) ? x.toFixed(digits).replace("-", "−") : "—");
  const probability = (p) => (p < 0.0001 ? "p < 0.0001" : `p = ${p.toFixed(4)}`);
  const mean = (xs) => xs.reduce((sum, x) => sum + x, 0) / xs.length;

  function shuffled(items, seed) {
    let state = seed >>> 0;
    const random = () => { // mulberry32
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const order = [...items];
    for (let i = order.length - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /** A table of texts; the first cell of each row is its header. */
  function table(caption, head, rows, name = "") {
    const cells = (row) => row.map((text, i) => element(i ? "td" : "th", i ? {} : { scope: "row" }, text));
    return element("table", { class: name }, element("caption", {}, caption),
      element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))));
  }

  // ---- votes: [kind, prompt, a, b, x, choice]; x is the version behind X or −1, choice 0 for A, 1 for
  // B, 2 for no preference ---------------------------------------------------------------------------

  class Votes {
    constructor(room) {
      this.key = `attm-votes:${room.id}`;
      this.room = room;
      this.load();
    }

    load() {
      const linked = new RegExp(`^#votes=${this.room.id}\\.([\\w-]*)$`).exec(location.hash);
      this.foreign = false;
      this.seed = Math.floor(Math.random() * 2 ** 31);
      this.list = [];
      try {
        const kept = JSON.parse(localStorage.getItem(this.key) || "{}");
        this.seed = kept.seed ?? this.seed;
        this.list = this.checked(kept.votes);
      } catch { /* a browser that keeps nothing for files: votes last as long as the page */ }
      if (!linked) return;
      try {
        const text = atob(linked[1].replaceAll("-", "+").replaceAll("_", "/"));
        this.list = this.checked(JSON.parse(text));
        this.foreign = true;
      } catch { /* a damaged link shows the reader's own votes */ }
    }

    checked(votes) {
      const { prompts, names } = this.room;
      const whole = (x, low, high) => Number.isInteger(x) && x >= low && x < high;
      return (Array.isArray(votes) ? votes : []).filter((v) => Array.isArray(v) && v.length === 6
        && whole(v[0], 0, 2) && whole(v[1], 0, prompts.length) && whole(v[2], 0, names.length)
        && whole(v[3], 0, names.length) && v[2] !== v[3] && whole(v[5], 0, 3 - v[0])
        && (v[0] ? v[4] === v[2] || v[4] === v[3] : v[4] === -1));
    }

    add(vote) {
      this.list.push(vote);
      this.keep();
    }

    clear() {
      this.list = [];
      this.keep();
    }

    keep() {
      try {
        localStorage.setItem(this.key, JSON.stringify({ seed: this.seed, votes: this.list }));
      } catch { /* see load */ }
    }

    get link() {
      const text = btoa(JSON.stringify(this.list));
      const safe = text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
      return `${location.href.split("#")[0]}#votes=${this.room.id}.${safe}`;
    }

    get json() {
      const { prompts, names, root } = this.room;
      const votes = this.list.map(([kind, prompt, a, b, x, choice]) => ({
        kind: KINDS[kind], prompt: prompts[prompt].text, a: names[a], b: names[b],
        ...(kind ? { x: names[x] } : {}), choice: ["a", "b", "no preference"][choice],
      }));
      const scores = prompts.flatMap(({ text, versions }) => versions.map((v) => ({
        prompt: text, version: v.name, reward: v.reward, clap: v.clap, lufs: v.lufs, gain_db: v.gain,
      })));
      return JSON.stringify({ room: this.room.id, title: root.dataset.title, votes, scores }, null, 1);
    }
  }

  // ---- the room ------------------------------------------------------------------------------

  class Room {
    constructor(root) {
      this.root = root;
      this.id = root.dataset.room;
      this.prompts = [...root.querySelectorAll(".attm-prompt")].map((part) => ({
        text: part.dataset.prompt,
        versions: [...part.querySelectorAll(".attm-version")].map((figure) => this.version(figure)),
      }));
      this.names = this.prompts[0].versions.map((version) => version.name);
      this.knob = root.hasAttribute("data-knob");
      this.mode = "open";
      this.prompt = 0;
      this.current = 0;
      this.playing = false;
      this.heard = new Map();
      this.votes = new Votes(this);
      this.build();
      this.open();
      root.classList.add("attm-live");
      setInterval(() => this.tick(), 40);
      addEventListener("hashchange", () => { this.votes.load(); this.showResults(); });
    }

    version(figure) {
      const { name, gain, lufs, peaks, reward, clap } = figure.dataset;
      const place = Object.fromEntries(Object.entries(figure.dataset)
        .filter(([key]) => key.startsWith("at")).map(([key, value]) => [key.slice(2).toLowerCase(), value]));
      const audio = figure.querySelector("audio");
      audio.addEventListener("ended", () => this.ended(audio));
      audio.addEventListener("pause", () => { // another player began, or the system stopped it
        if (this.playing && audio === this.audio && audio.paused && !audio.ended) this.pause();
      });
      return { name, gain: Number(gain), lufs, peaks, audio, place,
        reward: reward === undefined ? NaN : Number(reward), clap: clap === undefined ? NaN : Number(clap) };
    }

    // -- what is on the desk

    build() {
      const captions = this.prompts.map(({ text }, i) => element("option", { value: i }, text));
      this.select = element("select", { "aria-label": "Prompt", onchange: () => this.choosePrompt() }, ...captions);
      this.caption = element("strong");
      this.button = element("button", { type: "button", class: "attm-play", onclick: () => this.toggle() }, "Play");
      this.time = element("span", { class: "attm-reading" });
      this.level = element("input", { type: "checkbox", checked: true, onchange: () => this.apply() });
      this.repeat = element("input", { type: "checkbox", checked: true });
      this.picker = element("div");
      this.svg = element("div", { "aria-hidden": "true", style: "height:100%" });
      this.cursor = element("div", { class: "attm-cursor" });
      this.wave = element("div", {
        class: "attm-wave", role: "slider", tabindex: "0", "aria-label": "Position in seconds",
        "aria-valuemin": "0", "aria-valuenow": "0", "aria-valuemax": "1",
        onclick: (event) => this.point(event), onkeydown: (event) => this.step(event),
      }, this.svg, this.cursor);
      this.reading = element("output", { class: "attm-reading" });
      this.grids = element("div", { class: "attm-grids" });
      this.ballot = element("div", { class: "attm-row" });
      this.status = element("output", { class: "attm-reading attm-status" });
      this.results = element("div", { class: "attm-results", tabindex: "0", role: "region", "aria-label": "Results of the votes" });
      this.folded = element("details", {}, element("summary", {}, "Results of the votes, to read, save or share"), this.results);
      const blind = this.root.hasAttribute("data-blind");
      const keys = `Keys: space plays, ${this.knob ? "arrows move the sliders" : "digits or arrows switch"}, arrows on the waveform seek.`;
      const row = element("div", { class: "attm-row" }, this.button, this.time,
        element("label", {}, this.level, "at one loudness"), element("label", {}, this.repeat, "repeat"));
      this.desk = element("div", { class: "attm-desk" }, blind ? this.modes() : null, this.select, this.caption,
        this.picker, row, this.wave, this.reading, this.grids, this.ballot, this.status,
        blind ? this.folded : null, element("small", {}, keys));
      this.desk.addEventListener("keydown", (event) => this.key(event));
      this.root.append(this.desk);
      if (this.prompts.length === 1) this.select.hidden = true;
      if (blind) this.showResults();
    }

    modes() {
      const names = { open: "names shown", ab: "blind: A or B", abx: "blind: is X A or B?" };
      return this.radios("Mode", Object.entries(names), "open", (mode) => this.setMode(mode));
    }

    radios(legend, entries, chosen, change) {
      const group = `${this.id}-${legend}`;
      const made = entries.map(([value, text]) => element("label", { class: "attm-choice" },
        element("input", { type: "radio", name: group, value, checked: value === chosen, onchange: () => change(value) }), text));
      return element("fieldset", {}, element("legend", {}, legend), element("div", { class: "attm-row" }, ...made));
    }

    setMode(mode) {
      this.pause();
      this.mode = mode;
      if (mode === "open") this.open();
      else this.trial();
    }

    // -- names shown

    open() {
      const { text, versions } = this.prompts[this.prompt];
      this.ballot.replaceChildren();
      this.status.value = "";
      this.select.hidden = this.prompts.length === 1;
      this.caption.textContent = this.select.hidden ? text : "";
      this.choose(versions.map((version) => [version.name, version]));
    }

    choosePrompt() {
      this.pause();
      this.prompt = Number(this.select.value);
      const kept = this.current;
      this.open();
      this.pick(kept);
    }

    /** Offer sounds, as [label, version]; the first is chosen. */
    choose(choices) {
      this.choices = choices;
      this.current = 0;
      this.heard = new Map(choices.map(([label]) => [label, 0]));
      if (this.knob) this.sliders(choices);
      else {
        const entries = choices.map(([label], i) => [String(i), label]);
        this.picker.replaceChildren(this.radios("Version", entries, "0", (i) => this.pick(Number(i))));
      }
      this.seek(0);
      this.apply();
    }

    sliders(choices) {
      const axes = Object.keys(choices[0][1].place);
      this.axes = axes.map((name) => ({ name, values: [...new Set(choices.map(([, v]) => v.place[name]))].sort((a, b) => a - b) }));
      const parts = this.axes.flatMap((axis) => {
        axis.shown = element("output", {}, "");
        axis.input = element("input", {
          type: "range", min: 0, max: axis.values.length - 1, step: 1, "aria-label": axis.name,
          value: axis.values.indexOf(choices[0][1].place[axis.name]), oninput: () => this.slide(),
        });
        return [element("span", {}, axis.name), axis.input, axis.shown];
      });
      this.picker.replaceChildren(element("div", { class: "attm-sliders" }, ...parts));
    }

    slide() {
      const wanted = (version) => this.axes.every(({ name, values, input }) => version.place[name] === values[input.value]);
      this.pick(this.choices.findIndex(([, version]) => wanted(version)));
    }

    get audio() {
      return this.choices[this.current][1].audio;
    }

    get sounds() {
      return [...new Set(this.choices.map(([, version]) => version.audio))];
    }

    // -- playing

    toggle() {
      if (this.playing) this.pause();
      else this.play();
    }

    play() {
      this.playing = true;
      this.start();
      this.apply();
    }

    start() {
      const position = this.audio.currentTime;
      const together = this.sounds.length <= IN_STEP ? this.sounds : [this.audio];
      for (const audio of together) {
        if (audio !== this.audio && Math.abs(audio.currentTime - position) > DRIFT_S) audio.currentTime = position;
        audio.play().catch(() => {
          if (audio === this.audio && this.playing && audio.error) { this.status.value = "This browser cannot play the sound."; this.pause(); }
        });
      }
    }

    pause() {
      this.playing = false;
      for (const audio of this.sounds ?? []) audio.pause();
      this.button.textContent = "Play";
    }

    ended(audio) {
      if (!this.playing || audio !== this.audio) return;
      this.seek(0);
      if (this.repeat.checked) this.start();
      else this.pause();
    }

    seek(seconds) {
      for (const audio of this.sounds) audio.currentTime = Math.max(0, seconds);
      this.tick();
    }

    pick(index) {
      if (index < 0 || index >= this.choices.length || index === this.current) return;
      const before = this.audio;
      this.current = index;
      if (this.audio !== before) {
        if (Math.abs(this.audio.currentTime - before.currentTime) > DRIFT_S) this.audio.currentTime = before.currentTime;
        if (this.playing) this.start();
        if (this.sounds.length > IN_STEP) before.pause();
      }
      this.last = undefined;
      this.apply();
    }

    /** Mute all but the chosen sound, set the levels, show what is heard. */
    apply() {
      for (const [, version] of this.choices) {
        version.audio.volume = this.level.checked ? 10 ** (version.gain / 20) : 1;
        version.audio.muted = version.audio !== this.audio;
      }
      this.button.textContent = this.playing ? "Pause" : "Play";
      const radio = this.picker.querySelectorAll("input[type=radio]")[this.current];
      if (radio) radio.checked = true;
      const [label, version] = this.choices[this.current];
      const blind = this.mode !== "open";
      this.draw(blind ? "" : version.peaks);
      if (this.knob) this.showKnob(version);
      const gain = this.level.checked ? version.gain : 0;
      this.reading.value = blind ? `You hear ${label}.`
        : `${label}: Reward ${number(version.reward)}, CLAP ${number(version.clap)}; ${version.lufs ? `${number(Number(version.lufs), 1)} LUFS, ` : ""}played at ${number(gain, 1)} dB.`;
    }

    draw(peaks) {
      const heights = peaks ? peaks.split(" ").map(Number) : [];
      const top = Math.max(10, ...heights);
      const path = heights.map((h, i) => `M${i + 0.5} ${50 - (48 * h) / top}V${50.5 + (48 * h) / top}`).join("");
      this.svg.innerHTML = `<svg viewBox="0 0 ${Math.max(1, heights.length)} 100" preserveAspectRatio="none"><path d="${path}"></path></svg>`;
    }

    showKnob(version) {
      for (const { name, values, input, shown } of this.axes) {
        input.value = values.indexOf(version.place[name]);
        input.setAttribute("aria-valuetext", version.place[name]);
        shown.textContent = version.place[name].replace("-", "−");
      }
      const [columns, rows] = this.axes;
      const all = this.choices.map(([, v]) => v);
      const grid = (metric) => {
        const values = all.map((v) => v[metric]);
        const low = Math.min(...values), high = Math.max(...values);
        const made = table(`${METRICS[metric]} of this prompt`, [`${rows.name} \\ ${columns.name}`, ...columns.values.map((x) => x.replace("-", "−"))],
          rows.values.map((y) => [y, ...columns.values.map((x) => number(all.find((v) => v.place[columns.name] === x && v.place[rows.name] === y)?.[metric]))]), "attm-grid");
        made.querySelectorAll("tbody tr").forEach((line, j) => line.querySelectorAll("td").forEach((cell, i) => {
          const v = all.find((w) => w.place[columns.name] === columns.values[i] && w.place[rows.name] === rows.values[j]);
          if (!v) return;
          cell.style.background = `rgb(0 114 178 / ${0.35 * (high > low ? (v[metric] - low) / (high - low) : 0)})`;
          if (v === version) cell.setAttribute("aria-current", "true");
        }));
        return made;
      };
      this.grids.replaceChildren(...Object.keys(METRICS).filter((m) => Number.isFinite(version[m])).map(grid));
    }

    tick() {
      const { audio } = this;
      const length = Number.isFinite(audio.duration) ? audio.duration : 0;
      const now = audio.currentTime;
      this.cursor.style.left = `${length ? (100 * now) / length : 0}%`;
      this.wave.setAttribute("aria-valuemax", length.toFixed(1));
      this.wave.setAttribute("aria-valuenow", now.toFixed(1));
      this.time.textContent = `${now.toFixed(1)} s${length ? ` of ${length.toFixed(1)} s` : ""}`;
      const [label] = this.choices[this.current];
      const passed = now - (this.last ?? now);
      if (this.playing && passed > 0 && passed < 0.5) this.heard.set(label, this.heard.get(label) + passed);
      this.last = this.playing ? now : undefined;
      if (this.mode !== "open") this.unlock();
      if (this.playing) this.keepInStep(now);
    }

    /** Slow loading or a busy machine pulls muted sounds apart; put them back where the heard one is. */
    keepInStep(now) {
      if (this.sounds.length > IN_STEP || performance.now() < (this.aligned ?? 0) + 1000) return;
      this.aligned = performance.now();
      for (const audio of this.sounds) {
        if (audio !== this.audio && Math.abs(audio.currentTime - now) > 5 * DRIFT_S) audio.currentTime = now;
      }
    }

    point(event) {
      const box = this.wave.getBoundingClientRect();
      this.seek(((event.clientX - box.left) / box.width) * (this.audio.duration || 0));
    }

    step(event) {
      const moves = { ArrowLeft: -0.5, ArrowRight: 0.5, ArrowDown: -0.5, ArrowUp: 0.5, Home: -1e6, End: 1e6 };
      if (!(event.key in moves)) return;
      event.preventDefault();
      const end = (this.audio.duration || 0.2) - 0.1;
      this.seek(Math.min(end, Math.max(0, this.audio.currentTime + moves[event.key])));
    }

    key(event) {
      const { target } = event;
      if (event.ctrlKey || event.altKey || event.metaKey || target.matches("select, input[type=text]")) return;
      if (event.key === " " && !target.matches("button, summary, a, input[type=checkbox]")) {
        event.preventDefault();
        this.toggle();
      }
      const letters = this.choices.map(([label]) => label.toLowerCase());
      const index = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : letters.indexOf(event.key.toLowerCase());
      if (index >= 0) this.pick(index);
    }

    // -- blind

    /** The next comparison: every pair of every prompt once a round in an order of the listener's;
        who is A, and whether X is A, are balanced within a round and over four rounds. */
    trial() {
      const kind = KINDS.indexOf(this.mode);
      const pairs = [];
      this.prompts.forEach(({ versions }, prompt) => versions.forEach((v, i) => versions.slice(i + 1).forEach((w, j) => {
        if (v.audio.src !== w.audio.src) pairs.push([prompt, i, i + 1 + j]);
      })));
      if (!pairs.length) { this.status.value = "There is nothing to compare: all versions are the same."; return; }
      const done = this.votes.list.filter((vote) => vote[0] === kind).length;
      const round = Math.floor(done / pairs.length);
      const { seed } = this.votes;
      const place = shuffled(pairs.keys(), seed + 7919 * round + kind)[done % pairs.length];
      let [prompt, a, b] = pairs[place];
      if ((place + round + seed) & 1) [a, b] = [b, a];
      const x = kind ? [a, b][((place >> 1) + (round >> 1) + (seed >> 1)) & 1] : -1;
      this.asked = { kind, prompt, a, b, x, number: done + 1, of: pairs.length };
      const { text, versions } = this.prompts[prompt];
      this.select.hidden = true;
      this.caption.textContent = text;
      this.grids.replaceChildren();
      const hidden = [["A", versions[a]], ["B", versions[b]]];
      this.choose(kind ? [...hidden, ["X", versions[x]]] : hidden);
      const answers = kind ? ["X is A", "X is B"] : ["A is better", "B is better", "no preference"];
      this.ballot.replaceChildren(...answers.map((answer, choice) => element("button",
        { type: "button", class: "attm-vote", disabled: true, onclick: () => this.vote(choice) }, answer)));
      this.unlock();
    }

    unlock() {
      const missing = [...this.heard].filter(([, seconds]) => seconds < MUST_HEAR_S).map(([label]) => label);
      const buttons = [...this.ballot.querySelectorAll("button")];
      for (const button of buttons) button.disabled = missing.length > 0 || this.votes.foreign;
      const { number: n, of } = this.asked ?? {};
      const words = this.votes.foreign ? "These are the votes of a link: show your own, below, to vote."
        : missing.length ? `Comparison ${n} (${of} in a round). Still to hear: ${missing.join(" and ")}.`
          : `Comparison ${n} (${of} in a round). You may vote.`;
      if (this.status.value !== words) this.status.value = words;
    }

    vote(choice) {
      const { kind, prompt, a, b, x } = this.asked;
      this.pause();
      this.votes.add([kind, prompt, a, b, x, choice]);
      this.showResults();
      this.trial();
      this.wave.focus();
    }

    // -- what the votes say

    showResults() {
      const { votes } = this;
      const ab = votes.list.filter((vote) => vote[0] === 0), abx = votes.list.filter((vote) => vote[0] === 1);
      const file = `data:application/json;charset=utf-8,${encodeURIComponent(votes.json)}`;
      const link = element("input", { type: "text", readonly: true, value: votes.link, onfocus: (event) => event.target.select() });
      this.results.replaceChildren(
        ...(votes.foreign ? [element("p", {}, "These votes came with the link. ", element("button", { type: "button", onclick: () => { location.hash = ""; } }, "Show my own"))] : []),
        element("p", { class: "attm-abx" }, this.abxWords(abx)), ...this.abParts(ab),
        element("div", { class: "attm-row" },
          element("a", { class: "attm-export", download: "attm-votes.json", href: file }, "Save the votes as JSON"),
          element("button", { type: "button", class: "attm-clear", disabled: votes.foreign || !votes.list.length, onclick: () => { votes.clear(); this.setMode(this.mode); this.showResults(); } }, "Delete my votes")),
        element("label", {}, "As a link ", link));
    }

    abxWords(votes) {
      if (!votes.length) return "ABX: no answers yet.";
      const right = votes.filter(([, , a, , x, choice]) => (x === a) === (choice === 0)).length;
      return `ABX: ${right} of ${votes.length} right, ${probability(tail(right, votes.length))} (one-sided binomial against guessing).`;
    }

    abParts(votes) {
      if (!votes.length) return [element("p", { class: "attm-ab" }, "A or B: no votes yet.")];
      const { names } = this, m = names.length;
      const wins = names.map(() => Array(m).fill(0));
      for (const [, , a, b, , choice] of votes) {
        wins[a][b] += [1, 0, 0.5][choice];
        wins[b][a] += [0, 1, 0.5][choice];
      }
      const decided = votes.filter((vote) => vote[5] < 2);
      const smallest = decided.length ? `; the smallest p that ${decided.length} can give is ${twoSided(decided.length, decided.length).toPrecision(2)}` : "";
      const words = `A or B: ${votes.length} votes, ${decided.length} with a preference${smallest}.`;
      const agree = Object.entries(METRICS).map(([metric, name]) => this.agreement(decided, metric, name)).filter(Boolean);
      return [element("p", { class: "attm-ab" }, words), element("p", { class: "attm-agreement" }, agree.join(" ")),
        this.pairTable(decided), this.strengths(wins, votes)];
    }

    /** How often the chosen version is the one that a metric prefers. */
    agreement(votes, metric, name) {
      const told = votes.map(([, prompt, a, b, , choice]) => {
        const { versions } = this.prompts[prompt];
        return (choice === 0 ? 1 : -1) * (versions[a][metric] - versions[b][metric]);
      }).filter((gap) => Number.isFinite(gap) && gap !== 0);
      if (!told.length) return "";
      const same = told.filter((gap) => gap > 0).length;
      return `You chose the clip with the higher ${name} in ${same} of ${told.length} votes (${probability(twoSided(same, told.length))}, two-sided binomial).`;
    }

    pairTable(votes) {
      const rows = new Map();
      for (const [, , a, b, , choice] of votes) {
        const [i, j] = [Math.min(a, b), Math.max(a, b)], won = [a, b][choice] === i;
        const row = rows.get(`${i},${j}`) ?? [i, j, 0, 0];
        row[won ? 2 : 3] += 1;
        rows.set(`${i},${j}`, row);
      }
      const lines = [...rows.values()].sort((r, s) => r[0] - s[0] || r[1] - s[1]).map(([i, j, k, l]) => [`${this.names[i]} : ${this.names[j]}`, `${k} : ${l}`, probability(twoSided(k, k + l)).slice(2).replace("= ", "")]);
      return table("Votes by pair", ["pair", "votes", "p, two-sided"], lines);
    }

    strengths(wins, votes) {
      const met = this.names.map((_, i) => votes.some((vote) => vote[2] === i || vote[3] === i));
      const kept = this.names.map((_, i) => i).filter((i) => met[i]);
      const strength = bradleyTerry(kept.map((i) => kept.map((j) => wins[i][j])));
      const used = [...new Set(votes.map((vote) => vote[1]))];
      const average = (i, metric) => mean(used.map((p) => this.prompts[p].versions[i][metric]));
      const rows = kept.map((i, place) => [this.names[i], number(strength[place]), number(average(i, "reward")), number(average(i, "clap"))]);
      const order = [...rows.keys()].sort((i, j) => strength[j] - strength[i]);
      return table("Bradley–Terry strength from your votes, beside the model's metrics on the same prompts (half a win each way is added to every pair)",
        ["version", "strength", "Reward", "CLAP"], order.map((i) => rows[i]), "attm-strengths");
    }
  }

  const start = () => document.querySelectorAll(".attm-room").forEach((root) => { root.attmRoom = new Room(root); });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
