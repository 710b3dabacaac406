// Follows plots.js and verdict.js in the page.
// One page for both uses: with data inside (a file) it never asks for more; without, it polls the server that sent it.
const PAGE = 100, POLL_MS = 3000;
const state = { data: null, filters: {}, chosen: new Set(), colour: null, panels: null, heat: [null, null], verdict: 0, sort: ["", 1], shown: PAGE, etag: null };
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const $ = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick" || name === "onchange") node[name] = value;
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) node.append(child);
  return node;
}

const hasResults = (run) => Boolean(run.replicas);  // finished, and nothing in its folder is damaged
const unique = (values) => [...new Set(values)];
const percent = (x) => `${Math.round(100 * x)} %`;
const digits = (x, n = 3) => (x === null || x === undefined || Number.isNaN(x) ? "–" : Number(x.toPrecision(n)).toString());

function wilson(successes, trials) {  // Wilson 1927, 95 %
  const z = 1.959964, rate = successes / trials, n = trials;
  const middle = (rate + z * z / (2 * n)) / (1 + z * z / n);
  const half = z / (1 + z * z / n) * Math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

const value = (run, key) => (["arch", "family", "status"].includes(key) ? run[key] : run.topics[key]);
const selected = () => state.data.runs.filter((run) =>
  Object.entries(state.filters).every(([key, wanted]) => wanted === "" || value(run, key) === wanted));
const plotted = (runs) => (state.chosen.size ? runs.filter((run) => state.chosen.has(run.id)) : runs);
const called = (key) => state.data.spelling[key] ?? key;
const keysOf = () => ["arch", "family", ...state.data.topics];
const valuesOf = (key) => distinct(state.data.runs.map((run) => value(run, key)));
const varied = () => keysOf().filter((key) => valuesOf(key).length > 1);

const nameOf = (run, ...first) => [...first, ...state.data.topics.filter((key) => run.topics[key] !== "–")
  .map((key) => `${state.data.spelling[key]}=${run.topics[key]}`)].join(" ");
const label = (run) => nameOf(run, run.arch, run.family);
const setting = (run) => nameOf(run, run.arch);

// The keys that colours and panels show, until the reader chooses others: archs and families, else what varies least.
function chosenKeys() {
  const few = varied().toSorted((a, b) => valuesOf(a).length - valuesOf(b).length);
  const rank = ["arch", "family"].filter((key) => few.includes(key)).concat(few.filter((key) => state.data.topics.includes(key)));
  const colour = state.colour ?? rank[0] ?? "arch";
  const other = rank.find((key) => key !== colour && valuesOf(key).length <= 6);
  return { colour, panels: state.panels ?? other ?? "" };
}

const panelOf = (run, key) => (["arch", "family"].includes(key) ? run[key] : `${called(key)}=${run.topics[key]}`);

function grouped(runs, keys, legend) {
  const groups = new Map();
  for (const run of runs) {
    const name = label(run);
    if (!groups.has(name)) {
      groups.set(name, { name, runs: [], colour: legend.of(value(run, keys.colour)), panel: keys.panels ? panelOf(run, keys.panels) : "",
        values: Object.fromEntries(keysOf().map((key) => [key, value(run, key)])) });
    }
    groups.get(name).runs.push(run);
  }
  for (const group of groups.values()) {
    group.counted = group.runs.flatMap((run) => run.counted);
    group.learning = mean(group.runs.map((run) => run.learning), "epoch", "score");
    group.curve = mean(group.runs.map((run) => run.curve), "cycle", "median");
  }
  return [...groups.values()];
}

function choice(name, text, values, now, onchange) {
  return el("label", {}, text, el("select", { name, onchange: (event) => { onchange(event.target.value); draw(); } },
    ...values.map(([v, shown]) => el("option", { value: v, selected: v === now }, shown))));
}

function drawVerdicts(verdicts) {
  $("verdict-part").hidden = !verdicts.length;
  if (!verdicts.length) return;
  const now = Math.min(state.verdict, verdicts.length - 1);
  $("verdict-keys").replaceChildren(...(verdicts.length > 1 ? [choice("verdict", "verdict", verdicts.map((one, i) => [String(i), one.title]), String(now),
    (v) => { state.verdict = Number(v); })] : []));
  drawVerdict(verdicts[now], state.data.colours.palette);
}

function drawFilters() {
  const form = $("filters"), had = document.activeElement?.name;
  form.replaceChildren();
  for (const key of ["arch", "family", "status", ...state.data.topics]) {
    form.append(choice(key, called(key), [["", "all"], ...valuesOf(key).map((v) => [v, v])], state.filters[key] ?? "",
      (v) => { state.filters[key] = v; state.shown = PAGE; }));
  }
  const keys = chosenKeys(), every = keysOf().map((key) => [key, called(key)]);
  form.append(choice("colour", "colours show", every, keys.colour, (v) => { state.colour = v; }),
    choice("panels", "panels show", [["", "nothing: one panel"], ...every], keys.panels, (v) => { state.panels = v; }));
  if (had) form.elements[had]?.focus();
}

function drawMatrix(runs) {
  const done = runs.filter(hasResults);
  const typical = (one) => median(done.filter((r) => setting(r) === one).flatMap((r) => r.counted)) || 0, families = unique(done.map((r) => r.family));
  const settings = unique(done.map(setting)).map((one) => [one, typical(one)]).toSorted((a, b) => b[1] - a[1]).map(([one]) => one);
  const body = settings.map((one) => el("tr", {}, el("th", { scope: "row" }, one), ...families.map((family) => {
    const cell = done.filter((r) => setting(r) === one && r.family === family).flatMap((r) => r.counted);
    const trials = cell.length, good = cell.filter((score) => score >= state.data.success).length;
    if (!trials) return el("td", {}, "–");
    const [low, high] = wilson(good, trials);
    const shown = el("td", { class: "cell" }, el("strong", {}, `${good}/${trials}`),
      ` (${percent(low)} – ${percent(high)}) `, el("small", {}, `score ${digits(median(cell))}`));
    shown.style.setProperty("--rate", good / trials);
    return shown;
  })));
  $("matrix").replaceChildren(
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "arch"), ...families.map((f) => el("th", { scope: "col" }, f)))),
    el("tbody", {}, ...body));
}

function mean(curves, x, y) {  // of curves that share their points
  const rest = curves.filter((c) => c && c[x] && c[x].length);
  if (!rest.length) return null;
  const first = rest[0][x], same = rest.filter((c) => c[x].length === first.length && c[x].at(-1) === first.at(-1));
  const over = (key) => first.map((_, i) => same.reduce((sum, c) => sum + c[key][i], 0) / same.length);
  return { x: first, y: over(y), low: over("low"), high: over("high") };
}

function lossTitle(runs) {
  const kinds = distinct(runs.filter((run) => run.replicas).map((run) => run.loss ?? "squared"));
  return kinds.length > 1 ? "loss" : kinds[0] === "log" ? "log loss (nats a cycle)" : "mean squared error";
}

function drawPlots(runs) {
  const keys = chosenKeys(), legend = legendOf(state.data.runs.map((run) => value(run, keys.colour))), groups = grouped(runs, keys, legend);
  const panels = distinct(groups.map((group) => group.panel));
  const view = { panels: panels.length ? panels.slice(0, MOST_PANELS) : [""], styles: styleOf(legend.names, state.data.colours.palette) };
  const score = { title: { text: "learning score" } };
  drawLines("learning", groups, view, "learning",
    { xaxis: { title: { text: "meta-training epoch" } }, yaxis: { ...score, range: [-0.15, 1.05] } });
  drawLines("curves", groups, view, "curve", { extra: (panel) => bayes(groups.filter((group) => group.panel === panel)),
    xaxis: { type: "log", title: { text: "cycle within the sequence" } },
    yaxis: { type: "log", title: { text: lossTitle(runs) }, exponentformat: "power" } });
  const done = groups.filter((group) => group.runs.some(hasResults));
  drawBoxes("scores", done, view, (group) => group.counted, score);
  drawBoxes("time", done, view, (group) => group.runs.filter(hasResults).map((run) => run.seconds / run.replicas), { title: { text: "seconds a replica" }, rangemode: "tozero" });
  const numbers = varied().filter((key) => valuesOf(key).every((v) => v === "–" || Number.isFinite(asNumber(v))));
  $("heat-part").hidden = numbers.length < 2;
  if (numbers.length >= 2) drawHeatMap(done, view, numbers);
  const columns = varied().map((key) => ({ key, name: called(key) }));
  $("parallel-part").hidden = columns.length < 3;
  if (columns.length >= 3) drawParallel(groups, view, columns);
  return panels.length - view.panels.length;
}

function bayes(groups) {
  return unique(groups.flatMap((group) => group.runs.map((run) => run.family))).map((family) => {
    const run = groups.flatMap((group) => group.runs).find((r) => r.family === family && r.curve?.cycle);
    return run && { name: `Bayes-optimal, ${literal(family)}`, x: run.curve.cycle, y: run.curve.bayes.map((v) => (v > 1e-7 ? v : null)), mode: "lines",
      line: { dash: "dot", width: 2.5, color: state.data.colours.bayes } };
  }).filter(Boolean);
}

function drawHeatMap(groups, view, numbers) {
  const [x, y] = [state.heat[0] ?? numbers[0], state.heat[1] ?? numbers[1]], every = numbers.map((key) => [key, called(key)]);
  $("heat-keys").replaceChildren(choice("heat-x", "across", every, x, (v) => { state.heat[0] = v; }), choice("heat-y", "up", every, y, (v) => { state.heat[1] = v; }));
  const keys = chosenKeys(), apart = [keys.panels, keys.colour].find((key) => key && key !== x && key !== y);  // no axis twice
  const cells = groups.map((group) => Object.assign({}, group, { panel: apart ? panelOf(group.runs[0], apart) : "" }));
  const panels = distinct(cells.map((group) => group.panel)).slice(0, MOST_PANELS);
  drawHeat(cells, { panels: panels.length ? panels : [""] }, { key: x, name: called(x) }, { key: y, name: called(y) });
}

const settingColumn = (key) => [called(key), (r) => (Number.isFinite(asNumber(r.topics[key])) ? asNumber(r.topics[key]) : r.topics[key]), (r) => r.topics[key],
  valuesOf(key).every((v) => v === "–" || Number.isFinite(asNumber(v)))];
const columns = () => [
  ["run", (r) => r.id, (r) => el("span", {}, picker(r), el("a", { href: `#run=${encodeURIComponent(r.id)}` }, r.id))],
  ["status", (r) => r.status, (r) => el("span", { class: r.status }, r.status)],
  ["arch", (r) => r.arch], ["family", (r) => r.family], ...state.data.topics.map(settingColumn),
  ["success", (r) => (r.replicas ? r.successes / r.replicas : -1), (r) => (r.replicas ? `${r.successes}/${r.replicas}, ` +
    wilson(r.successes, r.replicas).map(percent).join(" – ") + (r.worse_than_no_learning ? ` (${r.worse_than_no_learning} below 0)` : "") : "–"), true],
  ["score", (r) => r.score_median ?? r.learning.score.at(-1) ?? -9, (r) => digits(r.score_median ?? r.learning.score.at(-1)), true],
  ["MSE", (r) => r.mse_median ?? 9, (r) => digits(r.mse_median), true],
  ["floor", (r) => r.floor ?? 9, (r) => digits(r.floor), true],
  ["excess", (r) => r.excess_median ?? 9, (r) => digits(r.excess_median), true],
  ["cycles", (r) => r.cycles_to_learn ?? 1e9, (r) => (r.replicas ? (r.cycles_to_learn ?? "never").toString() : "–"), true],
  ["n_parameters", (r) => r.parameters ?? -1, (r) => (r.parameters ?? "–").toString(), true],
  ["seconds", (r) => r.seconds ?? -1, (r) => digits(r.seconds), true],
];

function picker(run) {
  return el("input", { type: "checkbox", "data-pick": run.id, "aria-label": `plot ${run.id}`, checked: state.chosen.has(run.id), onchange: () => {
    if (!state.chosen.delete(run.id)) state.chosen.add(run.id);
    draw();
    document.querySelector(`[data-pick="${CSS.escape(run.id)}"]`)?.focus();
  } });
}

function drawRuns(runs) {
  const [by, way] = state.sort, COLUMNS = columns();
  const key = COLUMNS.find(([name]) => name === by)?.[1];
  const order = key ? [...runs].toSorted((a, b) => way * inOrder(key(a), key(b))) : runs;
  const head = el("tr", {}, ...COLUMNS.map(([name, , , number]) => el("th", { scope: "col", class: number ? "number" : "",
    "aria-sort": by === name ? (way > 0 ? "ascending" : "descending") : "none" },
    el("button", { type: "button", "data-sort": name, onclick: () => { state.sort = [name, by === name ? -way : 1]; draw(); focusSort(name); } },
      name + (by === name ? (way > 0 ? " ▲" : " ▼") : "")))));
  const rows = order.slice(0, state.shown).map((run) => el("tr", {}, ...COLUMNS.map(([, get, show, number]) =>
    el("td", { class: number ? "number" : "" }, show ? show(run) : get(run))),
    ...(run.error ? [el("td", { class: "error" }, run.error)] : [])));
  $("runs").replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
  $("more").hidden = order.length <= state.shown;
  $("clear").hidden = !state.chosen.size;
}
const focusSort = (name) => document.querySelector(`[data-sort="${name}"]`)?.focus();

function drawRun(run) {
  const link = (path) => `${state.data.base}${run.path}/${path.split("/").map(encodeURIComponent).join("/")}`;
  const apart = Object.entries(run.topics).filter(([key]) => distinct(state.data.runs.map((r) => r.topics[key])).length > 1);
  const config = Object.entries(run.settings).map(([k, v]) => `${k}: ${v}`).join("\n");
  const facts = run.replicas ? `${run.successes} of ${run.replicas} replicas succeed (${
    wilson(run.successes, run.replicas).map(percent).join(" – ")}), median score ${digits(run.score_median, 4)}, ${run.loss === "log" ? "log loss" : "MSE"} ` +
    `${digits(run.mse_median)} (floor ${digits(run.floor)}), ${digits(run.seconds)} s` +
    (run.parameters ? `; ${run.parameters} parameters, a state of ${run.state_size} numbers, ${run.multiplications} multiplications a cycle` : "") : run.error || "";
  $("run").replaceChildren(
    el("p", {}, el("a", { href: "#" }, "← all runs")), el("h2", {}, run.id),
    el("p", {}, el("span", { class: run.status }, run.status), " ", facts),
    ...(apart.length ? [el("h2", {}, "What sets it apart"), el("dl", { class: "apart" }, ...apart.flatMap(([key, v]) => [el("dt", {}, called(key)), el("dd", {}, v)]))] : []),
    el("h2", {}, "Score while training"), el("div", { id: "one-learning", class: "plot" }),
    el("h2", {}, "Error by cycle"), el("div", { id: "one-curve", class: "plot" }),
    el("h2", {}, "Error over a stream of mappings"), el("div", { id: "one-stream", class: "plot" }),
    el("h2", {}, "Configuration"), el("pre", { tabindex: "0" }, config),
    el("h2", {}, "Pictures"), ...run.pictures.map((p) => el("figure", {}, el("img", { src: run.inside?.[p] ?? link(p), alt: p, loading: "lazy" }), el("figcaption", {}, p))),
    el("h2", {}, "Files"), el("ul", { class: "files" }, ...run.files.map((f) => el("li", {}, el("a", { href: link(f) }, f)))));
  const { epoch, score, low, high } = run.learning;
  plot("one-learning", [{ name: "upper quartile", x: epoch, y: high, mode: "lines", line: { width: 0 }, showlegend: false },
    { name: "quartiles", x: epoch, y: low, mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: faded(state.data.colours.palette[0], 0.25) },
    { name: "median", x: epoch, y: score, mode: "lines", line: { color: state.data.colours.palette[0] } }],
    { xaxis: { title: { text: "meta-training epoch" } }, yaxis: { title: { text: "learning score" } } });
  const curve = run.curve ?? {};
  plot("one-curve", curve.cycle ? [["worst", "high", 0, "dash"], ["median", "median", 0, "solid"], ["best", "low", 2, "dash"], ["Bayes-optimal", "bayes", null, "dot"]].map(([name, key, colour, dash]) =>
    ({ name, x: curve.cycle, y: curve[key].map((v) => (v > 1e-7 ? v : null)), mode: "lines",
      line: { dash, color: colour === null ? state.data.colours.bayes : state.data.colours.palette[colour] } })) : [],
    { xaxis: { type: "log", title: { text: "cycle" } }, yaxis: { type: "log", title: { text: lossTitle([run]) }, exponentformat: "power" } });
  const length = run.sequence_length, streams = Object.entries(run.stream ?? {});
  plot("one-stream", streams.map(([name, y]) => ({ name: literal(name), x: y.map((_, i) => i), y, mode: "lines", line: { width: 1 } })),
    { xaxis: { title: { text: "time (cycles); a line where a new mapping begins" } }, yaxis: { title: { text: "absolute error" } },
      shapes: streams.length ? [...Array(Math.floor(streams[0][1].length / length)).keys()].slice(1).map((i) => ({ type: "line", x0: i * length,
        x1: i * length, yref: "paper", y0: 0, y1: 1, line: { width: 1, dash: "dot", color: "#888" } })) : [] });
}

function named() {  // the run that the address asks for
  try { return location.hash.startsWith("#run=") ? decodeURIComponent(location.hash.slice("#run=".length)) : null; } catch { return null; }
}

function draw() {
  const data = state.data, runs = selected();
  const wanted = named(), one = wanted !== null && data.runs.find((run) => run.id === wanted);
  $("overview").hidden = Boolean(one);
  $("run").hidden = !one;
  $("bar").textContent = data.success;
  const count = (status) => runs.filter((r) => r.status === status).length;
  const parts = unique(data.runs.map((r) => r.status)).map((s) => `${count(s)} ${s}`);
  document.title = `${data.title} · learning to learn`;
  if (one) { $("summary").textContent = data.title; drawRun(one); return; }
  drawVerdicts(data.verdicts ?? []);
  $("of-runs").hidden = !data.runs.length;
  drawFilters();
  drawMatrix(plotted(runs));
  const hidden = drawPlots(plotted(runs));
  drawRuns(runs);
  $("summary").textContent = `${data.title}: ${runs.length} of ${data.runs.length} runs (${parts.join(", ")})` +
    (hidden > 0 ? `; the plots show the first ${MOST_PANELS} panels, filter to see others` : "") +
    (state.chosen.size ? `; the plots show the ${plotted(runs).length} that are ticked` : "") + data.notes.map((note) => `; ${note}`).join("");
}

async function unpack(text) {  // a file has its data as base64 of gzip
  const packed = new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
  return JSON.parse(await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text());
}

async function poll() {
  try {
    const answer = await fetch("data.json", { headers: state.etag ? { "If-None-Match": state.etag } : {} });
    if (answer.status === 200) {
      state.etag = answer.headers.get("ETag");
      state.data = await answer.json();
      draw();
    }
  } catch { $("summary").textContent = "the server has gone; what is shown is the last it said"; }
  setTimeout(poll, POLL_MS);
}

$("more").addEventListener("click", () => { state.shown += PAGE; drawRuns(selected()); });
$("clear").addEventListener("click", () => { state.chosen.clear(); draw(); });
window.addEventListener("hashchange", () => { draw(); $("main").focus(); window.scrollTo(0, 0); });
dark.addEventListener("change", draw);
const inside = $("data").textContent.trim();
function begin(data) {
  state.data = data;
  const beside = data.beside ?? [];
  $("beside").hidden = !beside.length;
  $("beside").replaceChildren(...beside.flatMap((name, i) => [i ? " · " : "", el("a", { href: name }, name)]));
  draw();
}

if (inside) unpack(inside).then(begin); else poll();
