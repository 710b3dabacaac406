"use strict";
// One page for both uses: with data inside (a file) it never asks for more; without, it polls the server that sent it.
const PAGE = 100, MOST_LINES = 40, POLL_MS = 3000;
const state = { data: null, filters: {}, sort: ["", 1], shown: PAGE, etag: null };
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

const median = (values) => {
  const sorted = [...values].toSorted((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length ? (sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2) : NaN;
};
const hasResults = (run) => Boolean(run.replicas);  // finished, and nothing in its folder is damaged
const literal = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");  // Plotly reads names as HTML
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

const nameOf = (run, ...first) => [...first, ...state.data.topics.filter((key) => run.topics[key] !== "–")
  .map((key) => `${state.data.spelling[key]}=${run.topics[key]}`)].join(" ");
const label = (run) => nameOf(run, run.arch, run.family);
const setting = (run) => nameOf(run, run.arch);

function grouped(runs) {
  const groups = new Map();
  for (const run of runs) {
    const name = label(run);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(run);
  }
  return groups;
}

function drawFilters() {
  const form = $("filters"), had = document.activeElement?.name;
  form.replaceChildren();
  for (const key of ["arch", "family", "status", ...state.data.topics]) {
    const values = unique(state.data.runs.map((run) => value(run, key))).toSorted((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const select = el("select", { name: key, onchange: (event) => { state.filters[key] = event.target.value; state.shown = PAGE; draw(); } },
      el("option", { value: "" }, "all"), ...values.map((v) => el("option", { value: v, selected: state.filters[key] === v }, v)));
    form.append(el("label", {}, state.data.spelling[key] ?? key, select));
  }
  if (had) form.elements[had]?.focus();
}

function drawMatrix(runs) {
  const done = runs.filter(hasResults);
  const settings = unique(done.map(setting)), families = unique(done.map((r) => r.family));
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

function layout(more) {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  const grid = dark.matches ? "#343a45" : "#e3e6ea";
  const axis = { gridcolor: grid, zerolinecolor: grid, automargin: true };
  const { xaxis, yaxis, ...rest } = more;
  return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: "system-ui, sans-serif" },
    margin: { t: 10, r: 10, b: 45, l: 60 }, hovermode: "closest", legend: { orientation: "h", y: -0.2 },
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest };
}
const plot = (id, traces, more) => Plotly.react($(id), traces, layout(more), { responsive: true, displaylogo: false });

function mean(curves, x, y) {  // of curves that share their points
  const rest = curves.filter((c) => c && c[x] && c[x].length);
  if (!rest.length) return null;
  const first = rest[0][x], same = rest.filter((c) => c[x].length === first.length && c[x].at(-1) === first.at(-1));
  return { x: first, y: first.map((_, i) => same.reduce((sum, c) => sum + c[y][i], 0) / same.length) };
}

function drawPlots(runs) {
  const groups = [...grouped(runs)].slice(0, MOST_LINES);
  const lines = (part, x, y) => groups.map(([name, of]) => ({ name: literal(name), ...mean(of.map((r) => r[part]), x, y), mode: "lines" })).filter((t) => t.x);
  plot("learning", lines("learning", "epoch", "score"),
    { xaxis: { title: { text: "meta-training epoch" } }, yaxis: { title: { text: "learning score" }, range: [-0.15, 1.05] } });
  const bayes = unique(runs.map((r) => r.family)).map((family) => {
    const run = runs.find((r) => r.family === family && r.curve?.cycle);
    return run && { name: `Bayes-optimal, ${literal(family)}`, x: run.curve.cycle, y: run.curve.bayes.map((v) => (v > 1e-7 ? v : null)), mode: "lines",
      line: { dash: "dot", color: "#888" } };
  }).filter(Boolean);
  plot("curves", [...lines("curve", "cycle", "median"), ...bayes], { xaxis: { type: "log", title: { text: "cycle within the sequence" } },
    yaxis: { type: "log", title: { text: "mean squared error" }, exponentformat: "power" } });
  const done = groups.map(([name, of]) => [literal(name), of.filter(hasResults)]).filter(([, of]) => of.length);
  plot("scores", done.map(([name, of]) => ({ name, type: "box", y: of.flatMap((r) => r.counted), boxpoints: "all", jitter: 0.4 })),
    { yaxis: { title: { text: "learning score" } }, showlegend: false });
  plot("time", [{ type: "bar", x: done.map(([name]) => name),
    y: done.map(([, of]) => of.reduce((s, r) => s + r.seconds, 0) / of.reduce((n, r) => n + r.replicas, 0)), marker: { color: "#2f6db3" } }],
    { xaxis: { type: "category" }, yaxis: { title: { text: "seconds a replica" } } });
  return grouped(runs).size - groups.length;
}

const COLUMNS = [
  ["run", (r) => r.id, (r) => el("a", { href: `#run=${encodeURIComponent(r.id)}` }, r.id)],
  ["status", (r) => r.status, (r) => el("span", { class: r.status }, r.status)],
  ["arch", (r) => r.arch], ["family", (r) => r.family],
  ["success", (r) => (r.replicas ? r.successes / r.replicas : -1), (r) => (r.replicas ? `${r.successes}/${r.replicas}` +
    (r.worse_than_no_learning ? ` (${r.worse_than_no_learning} below 0)` : "") : "–"), true],
  ["score", (r) => r.score_median ?? r.learning.score.at(-1) ?? -9, (r) => digits(r.score_median ?? r.learning.score.at(-1)), true],
  ["MSE", (r) => r.mse_median ?? 9, (r) => digits(r.mse_median), true],
  ["floor", (r) => r.floor ?? 9, (r) => digits(r.floor), true],
  ["excess", (r) => r.excess_median ?? 9, (r) => digits(r.excess_median), true],
  ["cycles", (r) => r.cycles_to_learn ?? 1e9, (r) => (r.replicas ? (r.cycles_to_learn ?? "never").toString() : "–"), true],
  ["seconds", (r) => r.seconds ?? -1, (r) => digits(r.seconds), true],
];

function drawRuns(runs) {
  const [by, way] = state.sort;
  const key = COLUMNS.find(([name]) => name === by)?.[1];
  const order = key ? [...runs].toSorted((a, b) => way * (key(a) > key(b) ? 1 : key(a) < key(b) ? -1 : 0)) : runs;
  const head = el("tr", {}, ...COLUMNS.map(([name, , , number]) => el("th", { scope: "col", class: number ? "number" : "",
    "aria-sort": by === name ? (way > 0 ? "ascending" : "descending") : "none" },
    el("button", { type: "button", "data-sort": name, onclick: () => { state.sort = [name, by === name ? -way : 1]; draw(); focusSort(name); } },
      name + (by === name ? (way > 0 ? " ▲" : " ▼") : "")))));
  const rows = order.slice(0, state.shown).map((run) => el("tr", {}, ...COLUMNS.map(([, get, show, number]) =>
    el("td", { class: number ? "number" : "" }, show ? show(run) : get(run))),
    ...(run.error ? [el("td", { class: "error" }, run.error)] : [])));
  $("runs").replaceChildren(el("thead", {}, head), el("tbody", {}, ...rows));
  $("more").hidden = order.length <= state.shown;
}
const focusSort = (name) => document.querySelector(`[data-sort="${name}"]`)?.focus();

function drawRun(run) {
  const link = (path) => `${state.data.base}${run.path}/${path.split("/").map(encodeURIComponent).join("/")}`;
  const config = Object.entries(run.settings).map(([k, v]) => `${k}: ${v}`).join("\n");
  const facts = run.replicas ? `${run.successes} of ${run.replicas} replicas succeed, median score ${digits(run.score_median, 4)}, MSE ` +
    `${digits(run.mse_median)} (floor ${digits(run.floor)}), ${digits(run.seconds)} s` : run.error || "";
  $("run").replaceChildren(
    el("p", {}, el("a", { href: "#" }, "← all runs")), el("h2", {}, run.id),
    el("p", {}, el("span", { class: run.status }, run.status), " ", facts),
    el("h2", {}, "Score while training"), el("div", { id: "one-learning", class: "plot" }),
    el("h2", {}, "Error by cycle"), el("div", { id: "one-curve", class: "plot" }),
    el("h2", {}, "Error over a stream of mappings"), el("div", { id: "one-stream", class: "plot" }),
    el("h2", {}, "Configuration"), el("pre", { tabindex: "0" }, config),
    el("h2", {}, "Pictures"), ...run.pictures.map((p) => el("figure", {}, el("img", { src: link(p), alt: p, loading: "lazy" }), el("figcaption", {}, p))),
    el("h2", {}, "Files"), el("ul", { class: "files" }, ...run.files.map((f) => el("li", {}, el("a", { href: link(f) }, f)))));
  const { epoch, score, low, high } = run.learning;
  plot("one-learning", [{ name: "upper quartile", x: epoch, y: high, mode: "lines", line: { width: 0 }, showlegend: false },
    { name: "quartiles", x: epoch, y: low, mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: "rgba(47,109,179,.25)" },
    { name: "median", x: epoch, y: score, mode: "lines", line: { color: "#2f6db3" } }],
    { xaxis: { title: { text: "meta-training epoch" } }, yaxis: { title: { text: "learning score" } } });
  const curve = run.curve ?? {};
  plot("one-curve", curve.cycle ? [["worst", "high"], ["median", "median"], ["best", "low"], ["Bayes-optimal", "bayes"]].map(([name, key]) =>
    ({ name, x: curve.cycle, y: curve[key].map((v) => (v > 1e-7 ? v : null)), mode: "lines" })) : [],
    { xaxis: { type: "log", title: { text: "cycle" } }, yaxis: { type: "log", title: { text: "mean squared error" }, exponentformat: "power" } });
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
  drawFilters();
  drawMatrix(runs);
  const hidden = drawPlots(runs);
  drawRuns(runs);
  $("summary").textContent = `${data.title}: ${runs.length} of ${data.runs.length} runs (${parts.join(", ")})` +
    (hidden > 0 ? `; the plots show the first ${MOST_LINES} groups, filter to see others` : "") + data.notes.map((note) => `; ${note}`).join("");
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
window.addEventListener("hashchange", () => { draw(); $("main").focus(); window.scrollTo(0, 0); });
dark.addEventListener("change", draw);
const inside = $("data").textContent.trim();
if (inside) { state.data = JSON.parse(inside); draw(); } else poll();
