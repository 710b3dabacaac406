// Follows plots.js in the page. The views of a verdict: costs, scores problem by problem, tuning curves, the tests.
const WORDS = { state_size: "numbers carried", multiplications: "multiplications a cycle", seconds: "seconds a replica" };
const BRIGHT = 6;

function drawVerdict(verdict, palette) {
  const names = verdict.contenders.map((row) => row.contender), against = verdict.contrasts.map((row) => row.against);
  const bright = [...new Set([...against.slice(0, 1), ...names])].slice(0, BRIGHT), styles = styleOf(bright, palette);
  const look = (name) => styles.get(name) ?? { color: "#888888", dash: "solid", symbol: "circle" };
  document.getElementById("verdict-title").textContent = verdict.title;
  document.getElementById("verdict-answer").textContent = verdict.answer + (verdict.warning ? ` Warning: ${verdict.warning}.` : "");
  drawFrontiers(verdict, look);
  drawProblems(verdict, names, look);
  drawTuning(verdict, names, look, bright);
  drawContrasts(verdict);
}

function drawFrontiers(verdict, look) {
  const traces = verdict.costs.map((cost, i) => {
    const rows = verdict.contenders.filter((row) => row[cost] > 0);
    return { x: rows.map((row) => row[cost]), y: rows.map((row) => row.mean_score), text: rows.map((row) => literal(row.contender)), mode: "markers",
      marker: { size: 9, color: rows.map((row) => look(row.contender).color), symbol: rows.map((row) => look(row.contender).symbol) },
      xaxis: `x${suffix(i)}`, yaxis: `y${suffix(i)}`, showlegend: false, hovertemplate: "%{text}<br>%{x:.4g}: %{y:.3f}<extra></extra>" };
  });
  const bests = verdict.costs.map((cost, i) => {  // the best so far, from the cheapest on
    let top = -1;
    const steps = verdict.contenders.filter((row) => row[cost] > 0).toSorted((a, b) => a[cost] - b[cost]).filter((row) => {
      const better = row.mean_score > top;
      top = Math.max(top, row.mean_score);
      return better;
    });
    return { x: steps.map((row) => row[cost]), y: steps.map((row) => row.mean_score), mode: "lines", line: { shape: "hv", width: 1.5, color: "#888888" },
      xaxis: `x${suffix(i)}`, yaxis: `y${suffix(i)}`, showlegend: false, hoverinfo: "skip" };
  });
  const axes = panelled("verdict-frontiers", verdict.costs.map((cost) => WORDS[cost] ?? cost), { type: "log" },
    { title: { text: "mean score" }, range: [-0.05, 1.05] });
  verdict.costs.forEach((_, i) => { delete axes[`xaxis${suffix(i)}`].matches; });
  plot("verdict-frontiers", [...bests, ...traces], axes);
}

function drawProblems(verdict, names, look) {
  const traces = verdict.scores.map((cell) => {
    const i = verdict.problems.indexOf(cell.problem), style = look(cell.contender);
    return { type: "box", x: cell.values.map(() => literal(cell.contender)), y: cell.values, name: literal(cell.contender), xaxis: `x${suffix(i)}`, yaxis: `y${suffix(i)}`,
      boxpoints: "all", jitter: 0.5, pointpos: 0, showlegend: false, line: { color: style.color, width: 1 }, fillcolor: faded(style.color, 0.12),
      marker: { size: 4, opacity: 0.7, symbol: style.symbol }, hovertemplate: "%{x}: %{y:.3f}<extra></extra>" };
  });
  plot("verdict-scores", traces, panelled("verdict-scores", verdict.problems,
    { type: "category", categoryorder: "array", categoryarray: names.map(literal), tickangle: 90 }, { title: { text: "score" }, range: [-0.05, 1.05] }));
}

function drawTuning(verdict, names, look, bright) {
  const traces = [], listed = new Set();
  for (const curve of verdict.tuning.toSorted((a, b) => names.indexOf(a.contender) - names.indexOf(b.contender))) {
    const i = verdict.problems.indexOf(curve.problem), style = look(curve.contender), isBright = bright.includes(curve.contender);
    const axes = { xaxis: `x${suffix(i)}`, yaxis: `y${suffix(i)}` }, x = curve.expected.map((_, k) => k + 1);
    if (isBright) traces.push({ ...band([{ x, low: curve.low, high: curve.high }]), ...axes, fillcolor: faded(style.color, 0.1) });
    traces.push({ ...axes, x, y: curve.expected, mode: "lines+markers", name: literal(curve.contender), legendgroup: curve.contender,
      showlegend: isBright && !listed.has(curve.contender), line: { color: style.color, dash: style.dash, width: isBright ? 1.8 : 0.8 },
      marker: { symbol: style.symbol, size: isBright ? 6 : 3 }, hovertemplate: `${literal(curve.contender)}, %{x} tried: %{y:.3f}<extra></extra>` });
    listed.add(curve.contender);
  }
  plot("verdict-tuning", traces, panelled("verdict-tuning", verdict.problems,
    { title: { text: "random settings tried" } }, { title: { text: "expected best score" }, range: [-0.05, 1.05] }));
}

const asText = (x, n) => (Number.isFinite(x) ? Number(x.toPrecision(n)).toString() : "–");

function tableRow(cells, tag) {
  const tr = document.createElement("tr");
  tr.append(...cells.map((text) => Object.assign(document.createElement(tag), { textContent: text })));
  return tr;
}

function drawContrasts(verdict) {
  const rows = verdict.contrasts.map((row) => [row.contender, row.against, asText(row.difference, 3), asText(row.p, 2), asText(row.p_holm, 2),
    `${asText(row.better, 2)} (${asText(row.better_low, 2)} – ${asText(row.better_high, 2)})`, asText(row.sooner_p_holm, 2), asText(row.better_redrawn, 2)]);
  const headings = ["", "against", "difference", "p", "p (Holm)", "P(better)", "sooner: p (Holm)", "better, settings redrawn"];
  const table = document.getElementById("verdict-contrasts"), head = document.createElement("thead"), body = document.createElement("tbody");
  head.append(tableRow(headings, "th"));
  body.append(...rows.map((row) => tableRow(row, "td")));
  table.replaceChildren(head, body);
}
