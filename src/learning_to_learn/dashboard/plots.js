"use strict";
// The plots of the overview. A colour is a value of one setting, a panel a value of another; every line is one setting, and
// all lines of a colour in a panel are one trace with gaps, so that hundreds cost no more than a few.
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "star"];
const MOST_BANDS = 6, MOST_PANELS = 12, MOST_COLOURS = 8, TICKS = 10;

const literal = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");  // Plotly reads names as HTML
const median = (values) => {
  const sorted = [...values].toSorted((a, b) => a - b), half = sorted.length >> 1;
  return sorted.length ? (sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2) : NaN;
};
const byNumber = (a, b) => String(a).localeCompare(String(b), undefined, { numeric: true });
const asNumber = (text) => (text === "" || text === "–" ? NaN : Number(text));
const inOrder = (a, b) => (Number.isFinite(asNumber(a)) && Number.isFinite(asNumber(b)) ? asNumber(a) - asNumber(b) : byNumber(a, b));
const distinct = (values) => [...new Set(values)].toSorted(inOrder);
const faded = (hex, alpha) => `rgba(${[1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16)).join(",")},${alpha})`;

// What a value of a setting is called in the legend: itself, or of a number with many values the range that it lies in.
function legendOf(values) {
  const all = distinct(values), numbers = all.every((v) => Number.isFinite(asNumber(v)));
  if (all.length <= MOST_COLOURS || !numbers) return { names: numbers ? all : [...new Set(values)], of: (v) => v };
  const size = Math.ceil(all.length / 5), ranges = new Map();
  all.forEach((v, i) => {
    const first = i - i % size;
    ranges.set(v, `${all[first]} – ${all[Math.min(first + size, all.length) - 1]}`);
  });
  return { names: [...new Set(ranges.values())], of: (v) => ranges.get(v) };
}

function styleOf(names, palette) {  // by colour, dashes and marker, so that none of them is needed
  return new Map(names.map((name, i) => [name, { color: palette[i % palette.length],
    dash: DASHES[(i + Math.floor(i / palette.length)) % DASHES.length], symbol: SYMBOLS[i % SYMBOLS.length] }]));
}

function layout(more) {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  const { xaxis, yaxis, ...rest } = more;
  return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: "system-ui, sans-serif" },
    margin: { t: 48, r: 10, b: 45, l: 60 }, hovermode: "closest", legend: { orientation: "h", y: 1.08, yanchor: "bottom" },
    xaxis: { ...axisLook(), ...xaxis }, yaxis: { ...axisLook(), ...yaxis }, ...rest };
}

function axisLook() {
  const grid = window.matchMedia("(prefers-color-scheme: dark)").matches ? "#343a45" : "#e3e6ea";
  return { gridcolor: grid, zerolinecolor: grid, automargin: true };
}

const plot = (id, traces, more) =>
  Plotly.react(document.getElementById(id), traces, layout(more), { responsive: true, displaylogo: false });

const suffix = (i) => (i ? i + 1 : "");

function panelled(id, panels, xaxis, yaxis) {  // axes for each panel, side by side as far as the window allows
  const narrow = window.innerWidth < 700, columns = Math.min(panels.length, narrow ? 1 : 3), rows = Math.ceil(panels.length / columns);
  document.getElementById(id).style.height = `${rows === 1 ? 26 : 4 + 17 * rows}rem`;
  const found = { annotations: [] };
  panels.forEach((name, i) => {
    const column = i % columns, row = Math.floor(i / columns), width = 1 / columns, height = 1 / rows;
    const x = [column * width + (column ? 0.03 : 0), (column + 1) * width - (column < columns - 1 ? 0.02 : 0)];
    const y = [1 - (row + 1) * height + (row < rows - 1 ? 0.06 : 0), 1 - row * height - (row ? 0.04 : 0)];
    const last = i + columns >= panels.length;
    found[`xaxis${suffix(i)}`] = { ...axisLook(), ...xaxis, domain: x, anchor: `y${suffix(i)}`, ...(i ? { matches: "x" } : {}),
      title: last ? xaxis.title : undefined };
    found[`yaxis${suffix(i)}`] = { ...axisLook(), ...yaxis, domain: y, anchor: `x${suffix(i)}`, ...(i ? { matches: "y" } : {}),
      title: column ? undefined : yaxis.title, showticklabels: !column };
    if (panels.length > 1) {
      found.annotations.push({ text: literal(name), xref: "paper", yref: "paper", x: x[0], y: y[1], showarrow: false, xanchor: "left",
        yanchor: "bottom", font: { size: 12 } });
    }
  });
  return found;
}

const gapped = (parts) => parts.flatMap((part) => [...part, null]);

function drawLines(id, groups, view, part, more) {
  const { panels, styles } = view, traces = [], listed = new Set();
  const shown = groups.filter((group) => group[part]);
  panels.forEach((panel, i) => {
    const axes = { xaxis: `x${suffix(i)}`, yaxis: `y${suffix(i)}` };
    for (const [colour, style] of styles) {
      const members = shown.filter((group) => group.panel === panel && group.colour === colour);
      if (!members.length) continue;
      if (shown.filter((group) => group.panel === panel).length <= MOST_BANDS) {
        traces.push({ ...band(members.map((g) => g[part])), ...axes, fillcolor: faded(style.color, 0.18) });
      }
      traces.push({ ...axes, x: gapped(members.map((g) => g[part].x)), y: gapped(members.map((g) => g[part].y)),
        customdata: gapped(members.map((g) => g[part].x.map(() => g.name))), mode: "lines+markers", name: literal(colour),
        legendgroup: colour, showlegend: !listed.has(colour), line: { color: style.color, dash: style.dash, width: 1.6 },
        marker: { symbol: style.symbol, size: 6, maxdisplayed: 6 * members.length },
        text: gapped(members.map((g) => g[part].x.map(() => literal(g.name)))), hovertemplate: "%{text}<br>%{x}: %{y:.3g}<extra></extra>" });
      listed.add(colour);
    }
    for (const trace of more.extra?.(panel) ?? []) {
      traces.push({ ...trace, ...axes, legendgroup: trace.name, showlegend: !listed.has(trace.name) });
      listed.add(trace.name);
    }
  });
  // What is pointed at: its band and its line, over all others.
  const over = { x: [], y: [], showlegend: false, hoverinfo: "skip", mode: "lines" };
  traces.push({ ...over, fill: "toself", line: { width: 0 }, fillcolor: "rgba(127,127,127,.3)" }, { ...over, line: { width: 4, color: layout({}).font.color } });
  plot(id, traces, { ...more.layout, ...panelled(id, panels, more.xaxis, more.yaxis) });
  highlight(document.getElementById(id), new Map(shown.map((g) => [g.name, { ...g[part], panel: panels.indexOf(g.panel) }])));
}

function band(curves) {
  const drawn = curves.filter((c) => c.low);
  return { x: gapped(drawn.map((c) => c.x.concat(c.x.toReversed()))), y: gapped(drawn.map((c) => c.high.concat(c.low.toReversed()))),
    fill: "toself", mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
}

function highlight(div, curves) {
  div.removeAllListeners("plotly_hover");
  let last = null;
  div.on("plotly_hover", (event) => {
    const name = event.points[0].customdata, curve = curves.get(name);
    if (!curve || name === last) return;
    last = name;
    const around = band([curve]), axes = [`x${suffix(curve.panel)}`, `y${suffix(curve.panel)}`], end = div.data.length;
    Plotly.restyle(div, { x: [around.x, curve.x], y: [around.y, curve.y], xaxis: axes[0], yaxis: axes[1] }, [end - 2, end - 1]);
  });
}

function drawBoxes(id, groups, view, values, yaxis) {  // every value is a point; a box is over all settings of its colour
  const traces = [];
  view.panels.forEach((panel, i) => {
    for (const [colour, style] of view.styles) {
      const members = groups.filter((g) => g.panel === panel && g.colour === colour);
      const points = members.flatMap((g) => values(g).map((y) => [y, literal(g.name)]));
      if (!points.length) continue;
      traces.push({ type: "box", name: literal(colour), xaxis: `x${suffix(i)}`, yaxis: `y${suffix(i)}`, y: points.map(([y]) => y),
        text: points.map(([, name]) => name), boxpoints: "all", jitter: 0.5, pointpos: 0, showlegend: false, line: { color: style.color, width: 1 },
        fillcolor: faded(style.color, 0.12), marker: { symbol: style.symbol, size: 5, opacity: 0.7 }, hovertemplate: "%{text}<br>%{y:.3g}<extra></extra>" });
    }
  });
  plot(id, traces, panelled(id, view.panels, { type: "category" }, yaxis));
}

function drawHeat(groups, view, x, y) {
  const xs = distinct(groups.map((g) => g.values[x.key])), ys = distinct(groups.map((g) => g.values[y.key]));
  const traces = view.panels.map((panel, i) => {
    const cells = ys.map((row) => xs.map((column) =>
      groups.filter((g) => g.panel === panel && g.values[x.key] === column && g.values[y.key] === row).flatMap((g) => g.counted)));
    return { type: "heatmap", x: xs, y: ys, z: cells.map((row) => row.map((cell) => (cell.length ? median(cell) : null))),
      customdata: cells.map((row) => row.map((cell) => cell.length)), coloraxis: "coloraxis", xaxis: `x${suffix(i)}`, yaxis: `y${suffix(i)}`,
      xgap: 1, ygap: 1, texttemplate: "%{z:.2f}", hovertemplate: `${literal(x.name)} %{x}, ${literal(y.name)} %{y}: %{z:.3f}, the median of %{customdata} replicas<extra></extra>` };
  });
  plot("heat", traces, { ...panelled("heat", view.panels, { type: "category", title: { text: literal(x.name) } },
    { type: "category", title: { text: literal(y.name) } }), coloraxis: { colorscale: "Cividis", cmin: 0, cmax: 1, colorbar: { title: { text: "score" } } } });
}

const short = (v) => (String(v).length > 24 ? `${String(v).slice(0, 23)}…` : String(v));

function drawParallel(groups, view, keys) {  // Inselberg 1985; a column for each setting that varies, the score last
  const columns = keys.map(({ key, name }) => {
    const all = distinct(groups.map((g) => g.values[key])), at = new Map(all.map((v, i) => [v, all.length > 1 ? i / (all.length - 1) : 0.5]));
    const every = Math.ceil(all.length / TICKS);
    return { name, height: (g) => at.get(g.values[key]), ticks: all.filter((_, i) => i % every === 0 || i === all.length - 1).map((v) => [at.get(v), v]) };
  });
  columns.push({ name: "score", height: (g) => Math.max(-0.1, median(g.counted)), ticks: [0, 0.5, 1].map((v) => [v, v]) });
  const done = groups.filter((g) => g.counted.length).map(({ name, colour, ...g }) =>
    ({ name, colour, panel: "", path: { x: columns.map((_, i) => i), y: columns.map((c) => c.height(g)) } }));
  const annotations = columns.flatMap((c, i) => c.ticks.map(([y, v]) => ({ x: i, y, text: literal(short(v)), showarrow: false, xanchor: i ? "right" : "left",
    xshift: i ? -4 : 4, font: { size: 11 }, bgcolor: getComputedStyle(document.body).backgroundColor, opacity: 0.85 })));
  drawLines("parallel", done, { ...view, panels: [""] }, "path", {
    xaxis: { tickvals: columns.map((_, i) => i), ticktext: columns.map((c) => literal(c.name)), zeroline: false },
    yaxis: { showticklabels: false, showgrid: false, zeroline: false, range: [-0.15, 1.08] } });
  Plotly.relayout("parallel", { annotations, "yaxis.showticklabels": false });
}
