// One verdict, drawn from the JSON in this page (CONTRACT.md).

/* What the page is about */

let data = {};
let verdict = {};
let period = {};
const ofPeriod = (rows) => list(rows).filter((row) => row?.period === period.name);
const allPeriods = () => list(verdict.periods);

/* Verdict */

function bannerView() {
  if (verdict.synthetic === false) return null;
  const said = verdict.synthetic === true
    ? ['Synthetic data.', ' This verdict shows that the machinery works; it says nothing about any market, and it never authorises production.']
    : ['Synthetic or not: not recorded.', ' Take this verdict as one on synthetic data.'];
  return el('aside', { class: 'banner', id: 'synthetic' }, el('p', {}, el('strong', {}, said[0]), said[1]));
}

function judgedSentence() {
  const periods = allPeriods();
  const of = (values) => [...new Set(values)];
  const symbols = of(periods.flatMap((p) => list(p.symbols)));
  const slippage = of(periods.map((p) => p.slippage_bps).filter(isNumber)).map(plain).join(' or ');
  const dates = periods.flatMap((p) => [p.start_date, p.end_date]).filter(Boolean).sort();
  const what = `Judged: ${verdict.strategy ?? 'an unnamed strategy'}`;
  if (!periods.length) return `${what}. No period was judged.`;
  return [
    what,
    symbols.length ? `on ${symbols.length === 1 ? symbols[0] : plural(symbols.length, 'symbol')}` : null,
    dates.length ? `from ${dayText(dayNumber(dates[0]))} to ${dayText(dayNumber(dates.at(-1)))}` : null,
    periods.length > 1 ? `in ${plural(periods.length, 'period')}` : null,
    slippage ? `with ${slippage} basis points of slippage a side` : null,
    `against ${plural(periods.flatMap((p) => list(p.checks)).length, 'criterion', 'criteria')}`,
    isNumber(verdict.ledger?.n) ? `after ${plural(verdict.ledger.n, 'counted trial')}` : null,
  ].filter(Boolean).join(' ') + '.';
}

/** One check in words: what its value is and which level it crosses. */
function checkSentence(check) {
  const say = (v) => number(check.metric, v);
  const name = title(check.metric);
  if (!isNumber(check.value)) return `${name} has no value: ${figure(check.metric, check.value)}`;
  const levels = check.levels ?? {};
  const crossed = [
    ['fail_below', 'below the fail level', 1], ['fail_above', 'above the fail level', -1],
    ['warn_below', 'below the warn level', 1], ['warn_above', 'above the warn level', -1],
  ].find(([key, , side]) => isNumber(levels[key]) && side * (check.value - levels[key]) < 0);
  const bound = check.bound ? ` (${check.bound})` : '';
  const against = crossed ? ` is ${crossed[1]} of ${level(check.metric, levels[crossed[0]])}` : ' decides this';
  return `${name} ${say(check.value)}${bound}${against}`;
}

function reasonList() {
  const several = allPeriods().length > 1;
  const found = allPeriods().flatMap((p) => list(p.checks).map((check) => ({ check, name: several ? `${p.name}: ` : '' })));
  const bad = found.filter(({ check }) => check.status !== 'PASS');
  bad.sort((a, b) => SEVERITY.indexOf(statusOf(b.check.status)) - SEVERITY.indexOf(statusOf(a.check.status)));
  const line = ({ check, name }) => el('li', {}, badge(check.status), el('span', {}, name, checkSentence(check), check.acknowledged ? ' (acknowledged)' : '', '.'));
  const more = bad.length > 4 && el('li', { class: 'muted' }, `and ${plural(bad.length - 4, 'more criterion', 'more criteria')} below.`);
  return bad.length ? el('div', { class: 'why' }, el('h2', {}, 'Why'), el('ul', { class: 'reasons' }, bad.slice(0, 4).map(line), more)) : null;
}

function faultNode({ code, message, help }) {
  return el('div', { class: 'fault', role: 'alert' },
    el('p', {}, el('strong', {}, message ?? 'No message was recorded.')),
    help && el('p', {}, help),
    code && el('p', { class: 'note' }, 'Error ', el('code', {}, code), ': magellan explain ', code));
}

function tilesNode() {
  const metrics = period.metrics;
  if (!metrics) return null;
  const shown = ['total_return', 'benchmark_return', 'sharpe', 'max_drawdown', 'win_rate', 'trades'];
  return el('dl', { class: 'tiles', 'aria-label': `Main figures of ${period.name}` },
    shown.map((name) => el('div', {}, el('dt', {}, title(name)), el('dd', {}, figureNode(name, metrics[name])))));
}

function periodButtons() {
  if (allPeriods().length < 2) return null;
  const button = (p, i) => el('button', { type: 'button', 'aria-pressed': String(p === period), onclick: () => show(i) }, badge(p.status), p.name ?? 'unnamed');
  return el('div', { class: 'periods', role: 'group', 'aria-label': 'Period shown' }, allPeriods().map(button));
}

function heroView() {
  const status = statusOf(verdict.status);
  return el('section', { class: `hero ${status}`, 'aria-label': 'Verdict' },
    el('div', { class: 'halves' },
      el('div', {},
        el('p', { class: 'eyebrow' }, `Gate verdict · ${data.title ?? verdict.strategy ?? 'untitled'}`),
        el('h1', { class: 'word', id: 'verdict' }, shape(status), status),
        el('p', { class: 'meaning' }, MEANING[status]),
        el('p', { class: 'judged' }, judgedSentence())),
      verdict.error ? faultNode(verdict.error) : reasonList()),
    periodButtons(), tilesNode());
}

/* Criteria */

const GROUPS = {
  point: 'Figures as measured', statistics: 'Statistics: what the figures prove', baseline: 'Against the deployed baseline',
  robustness: 'Robustness', causality: 'Causality: no look-ahead', selection: 'What was chosen from', data: 'Data',
};

function levelsNode(check) {
  const levels = check.levels ?? {};
  const words = [['fail_below', 'fail below'], ['warn_below', 'warn below'], ['warn_above', 'warn above'], ['fail_above', 'fail above']];
  const said = words.filter(([key]) => isNumber(levels[key])).map(([key, word]) => `${word} ${level(check.metric, levels[key])}`);
  return el('span', { class: 'sub' }, said.join(' · ') || 'no levels');
}

function marginText(check) {
  if (!isNumber(check.margin)) return isNumber(check.value) ? 'no fail level' : 'no value';
  const size = isRate(check.metric) ? `${fixed(Math.abs(check.margin) * 100, 2)} points` : number(check.metric, Math.abs(check.margin));
  return check.margin < 0 ? `${size} short` : `${size} to spare`;
}

function valueCell(check) {
  const notes = [check.bound, isNumber(check.estimate) && `estimate ${number(check.metric, check.estimate)}`].filter(Boolean);
  return [figureNode(check.metric, check.value), notes.length > 0 && el('span', { class: 'sub' }, notes.join(' · '))];
}

function criteriaView() {
  const checks = list(period.checks);
  if (!checks.length) return 'no criterion was applied';
  const acknowledged = (check) => check.acknowledged && el('span', { class: 'sub' }, `acknowledged until ${check.acknowledged.expires ?? '(no date)'}`);
  const columns = [
    { label: 'Criterion', heading: true, key: (c) => title(c.metric), cell: (c) => el('span', { title: c.metric }, title(c.metric)) },
    { label: 'Status', key: (c) => SEVERITY.indexOf(statusOf(c.status)), cell: (c) => [badge(c.status), acknowledged(c)] },
    { label: 'Value', numeric: true, key: (c) => sortable(c.value), cell: valueCell },
    { label: 'Margin and levels', key: (c) => c.margin, cell: (c) => el('div', { class: 'margin' }, bullet(c) ?? el('span'), el('span', {}, marginText(c), levelsNode(c))) },
  ];
  const group = (c) => GROUPS[c.group] ?? title(c.group ?? 'other');
  const table = dataTable({ caption: `Criteria of ${period.name}`, columns, rows: checks, groupOf: group, className: 'criteria' });
  const only = (e) => table.keep(e.target.checked ? (c) => c.status !== 'PASS' : () => true);
  const count = (s) => checks.filter((c) => statusOf(c.status) === s).length;
  const summary = SEVERITY.toReversed().filter(count).map((s) => badge(s, `${count(s)} ${s}`));
  const key = (name, word, ...at) => el('span', {}, strip('', mark(name, ...at)), word);
  return [
    el('div', { class: 'controls' }, el('div', { class: 'legend' }, summary),
      el('label', { class: 'field' }, el('input', { type: 'checkbox', id: 'only-failing', onchange: only }), 'only what doesn’t pass')),
    table.node,
    el('p', { class: 'key' }, key('zone-fail', 'fails here', 0, 100), key('zone-warn', 'warns here', 0, 100), key('at', 'value judged', 50), key('estimate', 'estimate, where a bound is judged', 50)),
  ];
}

function powerView() {
  return period.power ? el('p', { class: 'callout' }, period.power) : 'what this history could show (power) was not computed';
}

/* Equity and drawdown */

/** Scaled so that its first value is the capital. */
function rebased(values, capital) {
  const first = list(values).find((v) => isNumber(v) && v !== 0);
  return first === undefined ? null : values.map((v) => (isNumber(v) ? (v / first) * capital : null));
}
function drawdown(values, capital) {
  let peak = capital;
  return values.map((v) => {
    if (!isNumber(v)) return null;
    peak = Math.max(peak, v);
    return v / peak - 1;
  });
}

function equityOfPeriod() {
  const series = ofPeriod(data.series)[0];
  if (!list(series?.dates).length || !list(series?.equity).length) return null;
  return { ...series, capital: series.capital ?? period.metrics?.initial_capital ?? series.equity[0] };
}

const shortMoney = (v, short) => (short && Math.abs(v) >= 10000 ? `${money(v / 1000, v % 1000 ? 1 : 0)}k` : money(v, short ? 0 : 2));

function equityView() {
  const series = equityOfPeriod();
  if (!series) return 'equity by session was not recorded';
  if (series.dates.length < 2) return 'one session draws no line';
  const calendar = sessionCalendar(series.dates);
  const lines = [
    { name: 'Strategy', values: series.equity, hue: 'strategy', width: 2, style: 'solid' },
    { name: 'Deployed baseline', values: series.baseline, hue: 'baseline', dash: [7, 4], style: 'dashed' },
    { name: 'Benchmark', values: rebased(series.benchmark, series.capital), hue: 'benchmark', dash: [2, 3], style: 'dotted' },
  ];
  const drawn = lines.filter((line) => list(line.values).length);
  const missing = lines.filter((line) => !drawn.includes(line)).map((line) => line.name.toLowerCase());
  const peers = [];
  const worth = timeChart({ label: 'Equity', height: 320, calendar, lines: drawn, format: shortMoney, peers });
  const depth = drawn.map((line, i) => ({ ...line, values: drawdown(line.values, series.capital), fill: i === 0, width: i === 0 ? 1.5 : 1 }));
  const under = timeChart({ label: 'Drawdown', height: 170, calendar, lines: depth, format: (v, short) => percent(v, 1, short ? 0 : 1), peers });
  const toggle = (line, i) => el('button', {
    type: 'button', 'aria-pressed': 'true', onclick: (e) => {
      const on = e.currentTarget.getAttribute('aria-pressed') !== 'true';
      e.currentTarget.setAttribute('aria-pressed', String(on));
      peers.forEach((chart) => chart.plot.setSeries(i + 1, { show: on }));
    },
  }, el('i', { class: 'swatch', style: { '--hue': `var(--${line.hue})`, 'border-top-style': line.style } }), line.name);
  onceShown(() => peers.forEach((chart) => chart.mount()));
  return [
    el('div', { class: 'controls' }, el('div', { class: 'legend', role: 'group', 'aria-label': 'Lines shown' }, drawn.map(toggle)), zoomButtons(worth)),
    worth.readout, worth.host,
    el('div', { class: 'subchart' }, el('h3', {}, 'Drawdown from the peak'), under.readout, under.host),
    missing.length > 0 && el('p', { class: 'note', id: 'equity-missing' }, `Not in this report: ${missing.join(', ')}.`),
  ];
}

/* Monthly returns */

function monthlyReturns({ dates, equity, capital }) {
  const years = new Map();
  let [before, key] = [capital, null];
  dates.forEach((date, i) => {
    if (!isNumber(equity[i])) return;
    const [year, month] = [date.slice(0, 4), Number(date.slice(5, 7)) - 1];
    if (key !== null && key !== date.slice(0, 7)) before = years.get(key.slice(0, 4)).last;
    key = date.slice(0, 7);
    if (!years.has(year)) years.set(year, { year, months: Array(12).fill(null), opening: before, last: 0 });
    const row = years.get(year);
    row.last = equity[i];
    row.months[month] = before > 0 ? equity[i] / before - 1 : null;
  });
  return [...years.values()].map((row) => ({ ...row, total: row.opening > 0 ? row.last / row.opening - 1 : null }));
}

function monthlyView() {
  const series = equityOfPeriod();
  if (!series) return 'needs equity by session, which was not recorded';
  const rows = monthlyReturns(series);
  const most = Math.max(1e-9, ...rows.flatMap((r) => r.months).filter(isNumber).map(Math.abs));
  // At half strength a colour still leaves its number readable.
  const cell = (v, className) => el('td', isNumber(v) ? { class: `${className} ${v < 0 ? 'down' : 'up'}`, style: { '--share': `${Math.min(1, Math.abs(v) / most) * 50}%` } } : { class: className },
    isNumber(v) ? signed(fixed(v * 100, 1), v) : '·');
  const head = el('tr', {}, ['Year', ...MONTHS, 'Total'].map((name) => el('th', { scope: 'col' }, name)));
  const body = rows.map((r) => el('tr', {}, el('th', { scope: 'row' }, r.year), r.months.map((v) => cell(v, '')), cell(r.total, 'total')));
  return el('div', { class: 'box', tabindex: 0, role: 'region', 'aria-label': 'Monthly returns' },
    el('table', { class: 'months' }, el('caption', {}, 'Monthly returns, per cent'), el('thead', {}, head), el('tbody', {}, body)));
}

/* Trades */

function tradesView() {
  const [trades, prices] = [ofPeriod(data.trades), ofPeriod(data.prices).filter((p) => list(p.t).length > 1 && list(p.close).length > 1)];
  if (!trades.length && !prices.length) return isEmpty(data.trades) ? 'no trade and no price was recorded' : 'no trade in this period';
  const symbols = [...new Set([...prices, ...trades].map((row) => row.symbol))];
  const daily = prices.length ? prices.every((p) => isDaily(p.t)) : trades.every((t) => t.entered % DAY === 0);
  const [place, zoom] = [el('div'), el('div')];
  const select = el('select', { id: 'symbol', onchange: () => draw() }, symbols.map((symbol, i) => el('option', { value: i }, symbol)));
  const only = el('input', { type: 'checkbox', id: 'only-symbol', onchange: () => filter() });
  let chart = null;
  function draw() {
    const symbol = symbols[select.value];
    const series = prices.find((p) => p.symbol === symbol);
    if (chart) charts.delete(chart);
    chart = series ? priceChart(series, trades.filter((t) => t.symbol === symbol)) : null;
    zoom.replaceChildren(chart ? zoomButtons(chart) : '');
    place.replaceChildren(...(chart ? [chart.readout, chart.host] : [el('p', { class: 'note' }, `Prices of ${symbol} are not in this report.`)]));
    if (chart && place.isConnected) chart.mount();
    else if (chart) onceShown(chart.mount);
    filter();
  }
  const filter = () => table?.keep(only.checked ? (t) => t.symbol === symbols[select.value] : () => true);
  function find(trade) {
    if (symbols[select.value] !== trade.symbol) {
      select.value = symbols.indexOf(trade.symbol);
      draw();
    }
    chart?.find(trade);
    place.scrollIntoView({ block: 'center' });
    chart?.host.focus({ preventScroll: true });
  }
  const cell = (v, format) => (isNumber(v) ? format(v) : none('not recorded'));
  const columns = [
    { label: 'Symbol', heading: true, key: (t) => t.symbol, cell: (t) => el('button', { class: 'link', type: 'button', title: 'Show on the chart', onclick: () => find(t) }, t.symbol ?? 'unnamed') },
    { label: 'Entered', key: (t) => t.entered, cell: (t) => instant(t.entered, daily) },
    { label: 'Entry', numeric: true, key: (t) => t.entry, cell: (t) => cell(t.entry, price) },
    { label: 'Exited', key: (t) => t.exited, cell: (t) => instant(t.exited, daily) },
    { label: 'Exit', numeric: true, key: (t) => t.exit, cell: (t) => cell(t.exit, price) },
    { label: 'Shares', numeric: true, key: (t) => t.shares, cell: (t) => cell(t.shares, whole) },
    { label: 'Profit', numeric: true, key: (t) => t.profit, cell: outcome },
    { label: 'Return', numeric: true, key: tradeReturn, cell: (t) => rate(tradeReturn(t)) },
    { label: 'Reason', key: (t) => t.reason, cell: (t) => t.reason ?? none('not recorded') },
  ];
  const table = trades.length ? dataTable({ caption: `Trades of ${period.name}`, columns, rows: trades, pageSize: 25, className: 'trades' }) : null;
  draw();
  const won = trades.filter((t) => t.profit > 0).length;
  return [
    el('div', { class: 'controls' }, el('label', { class: 'field' }, 'Symbol ', select), zoom),
    place,
    el('p', { class: 'key' }, el('span', {}, '▲ entry'), el('span', {}, '▼ exit'), el('span', {}, 'filled: win'), el('span', {}, 'hollow: loss'),
      trades.length > TRADES_APART && el('span', {}, `more than ${TRADES_APART} in view: bars count the entries, wins up, losses down`)),
    el('div', { class: 'controls' }, el('h3', {}, `${plural(trades.length, 'trade')}${trades.length ? `, ${whole(won)} of them won` : ''}`),
      table && el('label', { class: 'field' }, only, 'only this symbol')),
    table?.node ?? el('p', { class: 'note' }, 'No trade in this period.'),
  ];
}

/* Sweep */

/** Where the chosen point stands, and what its neighbours say of it: a plateau or a spike. */
function chosenSentence({ z, chosen, metric, x, y, xs, ys }) {
  if (!chosen) return 'No chosen point was recorded.';
  const [cx, cy] = chosen;
  const value = z[cy]?.[cx];
  const name = `Chosen: ${x} ${xs[cx]}, ${y} ${ys[cy]}`;
  if (!isNumber(value)) return `${name}, without a value.`;
  const all = z.flat().filter(isNumber);
  const near = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => (dx || dy) && z[cy + dy]?.[cx + dx])).filter((v) => isNumber(v) && v !== 0).sort((a, b) => a - b);
  const rank = all.filter((v) => v > value).length + 1;
  const around = near.length ? `; the median of the ${near.length} cells around it is ${number(metric, near[near.length >> 1])}` : '';
  return `${name}: ${title(metric)} ${number(metric, value)}, number ${whole(rank)} of ${whole(all.length)} by size${around}.`;
}

function sweepView() {
  const sweep = data.sweep;
  if (!sweep || !list(sweep.xs).length || !list(sweep.ys).length) return 'no sweep was recorded';
  const numbers = list(sweep.z).flat().filter(isNumber);
  if (!numbers.length) return 'the sweep has no value';
  const [low, high] = [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))];
  const canvas = el('canvas', { class: 'heat', id: 'heat', tabindex: 0, role: 'img', 'aria-label': `${sweep.metric} by ${sweep.x} and ${sweep.y}. ${chosenSentence(sweep)} Arrow keys read the cells.` });
  const readout = el('output', { class: 'readout' }, 'Point at a cell, or use the arrow keys.');
  let [focus, cellAt] = [null, null];
  const draw = () => (cellAt = drawHeat(canvas, sweep, focus, low, high));
  const read = ([x, y]) => {
    if (!(x >= 0 && x < sweep.xs.length && y >= 0 && y < sweep.ys.length)) return;
    focus = [x, y];
    const v = sweep.z[y]?.[x];
    readout.replaceChildren(`${sweep.x} ${sweep.xs[x]}, ${sweep.y} ${sweep.ys[y]}: `, el('b', {}, isNumber(v) ? number(sweep.metric, v) : 'no value'));
    draw();
  };
  canvas.addEventListener('pointermove', (e) => read(cellAt(e.offsetX, e.offsetY)));
  canvas.addEventListener('keydown', (e) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[e.key];
    if (!step) return;
    e.preventDefault();
    const [x, y] = focus ?? sweep.chosen ?? [0, 0];
    read([x + step[0], y + step[1]]);
  });
  onceShown(() => {
    charts.add({ draw });
    new ResizeObserver(draw).observe(canvas.parentElement);
  });
  return [
    el('p', {}, chosenSentence(sweep)), readout,
    el('div', {}, canvas),
    el('p', { class: 'key' }, el('span', {}, figure(sweep.metric, low), el('i', { class: 'ramp' }), figure(sweep.metric, high), ` ${title(sweep.metric)}`),
      el('span', {}, `across: ${sweep.x}`), el('span', {}, `upwards: ${sweep.y}`), el('span', {}, 'outlined: chosen'), numbers.length < sweep.xs.length * sweep.ys.length && el('span', {}, '×: no value')),
    sweep.note && el('p', { class: 'note' }, `${sweep.note}.`),
  ];
}

/* Bootstrap */

function histogram({ samples, metric, point, lower, upper, confidence }) {
  const numbers = list(samples).filter(isNumber);
  if (!numbers.length) return [el('h3', {}, title(metric)), none('no samples were recorded')];
  const at = lineScale([...numbers, 0, point, lower, upper], 0.04);
  const bins = 48;
  const counts = Array(bins).fill(0);
  numbers.forEach((v) => counts[Math.min(bins - 1, Math.floor((at(v) / 100) * bins))]++);
  const tallest = Math.max(...counts);
  const zero = at(0);
  const bar = (n, i) => n > 0 && el('i', { class: `bin ${((i + 0.5) * 100) / bins < zero ? 'below' : ''}`, style: { left: `${(i * 100) / bins}%`, width: `${100 / bins}%`, height: `${(n / tallest) * 58}%` } });
  const bound = isNumber(confidence) ? `, ${percent(confidence, 0)}` : '';
  const rules = [['point', 'as measured', point, 0], ['bound', `upper bound${bound}`, upper, 1], ['bound', `lower bound${bound}`, lower, 2], ['nought', 'zero', 0, 3]].filter((r) => isNumber(r[2]));
  const rule = ([className, name, v, row]) => [
    el('i', { class: `rule ${className}`, style: { left: `${at(v)}%`, top: `${row * 20}px` } }),
    el('span', { class: `tag ${at(v) > 50 ? 'left' : ''}`, style: { left: `${at(v)}%`, top: `${row * 20}px` } }, name === 'zero' ? name : `${name} ${number(metric, v)}`),
  ];
  const share = numbers.filter((v) => v <= 0).length / numbers.length;
  return [
    el('h3', {}, title(metric)),
    el('p', { class: 'note' }, `${percent(share, 1)} of ${whole(numbers.length)} resamples are at or below zero (striped).`),
    el('div', { class: 'plane', role: 'img', style: { height: '230px' }, 'aria-label': `Histogram of ${metric}: ${rules.map((r) => `${r[1]} ${number(metric, r[2])}`).join(', ')}` },
      counts.map(bar), rules.map(rule),
      ['first', 'last'].map((side, i) => el('span', { class: `tick ${side}` }, number(metric, (i ? Math.max : Math.min)(...numbers))))),
  ];
}

function bootstrapView() {
  const found = ofPeriod(data.bootstrap);
  if (!found.length) return 'no resampling was recorded';
  return el('div', { class: 'grid' }, found.map((b) => el('div', { class: 'panel' }, histogram(b))));
}

/* Robustness */

const panel = (id, name, note, content) => el('div', { class: 'panel', id }, el('h3', {}, name), note && el('p', { class: 'note' }, note), content);
const missingPanel = (id, name) => panel(id, name, null, el('p', { class: 'none' }, 'Not in this report.'));

function costPanel() {
  const rows = list(period.cost_frontier);
  const points = rows.filter((r) => isNumber(r.multiple) && isNumber(r.sharpe));
  if (!rows.length) return missingPanel('costs', 'Costs');
  const bps = period.break_even_bps;
  const times = isNumber(bps) && period.slippage_bps > 0 ? `, ${plain(bps / period.slippage_bps)} times what was charged` : '';
  const note = isNumber(bps) ? `The return is gone at ${plain(bps)} basis points a side${times}.` : `Break-even: ${figure('', bps)}.`;
  const columns = [
    { label: 'Costs', heading: true, key: (r) => r.multiple, cell: (r) => `${figure('', r.multiple)} ×` },
    { label: 'Basis points', numeric: true, key: (r) => r.multiple, cell: (r) => (isNumber(period.slippage_bps) && isNumber(r.multiple) ? plain(r.multiple * period.slippage_bps) : none('not recorded')) },
    { label: 'Total return', numeric: true, key: (r) => sortable(r.total_return), cell: (r) => figureNode('total_return', r.total_return) },
    { label: 'Sharpe', numeric: true, key: (r) => sortable(r.sharpe), cell: (r) => figureNode('sharpe', r.sharpe) },
  ];
  return panel('costs', 'Costs', `Sharpe by multiples of the costs charged. ${note}`, [points.length > 1 && costPlane(points), dataTable({ caption: 'Costs', columns, rows }).node]);
}
function costPlane(points) {
  const x = lineScale(points.map((p) => p.multiple), 0.06);
  const up = lineScale([...points.map((p) => p.sharpe), 0], 0.22);
  const path = points.map((p) => `${x(p.multiple)},${100 - up(p.sharpe)}`).join(' ');
  return el('div', { class: 'plane', role: 'img', 'aria-label': 'Sharpe against multiples of the costs charged; the numbers are in the table below' },
    el('i', { class: 'level', style: { bottom: `${up(0)}%` } }),
    svg('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, svg('polyline', { points: path })),
    points.map((p) => el('i', { class: `spot ${p.multiple === 1 ? 'charged' : ''}`, style: { left: `${x(p.multiple)}%`, bottom: `${up(p.sharpe)}%` } }, el('span', {}, plain(p.sharpe)))),
    points.map((p) => el('span', { class: 'tick', style: { left: `${x(p.multiple)}%` } }, `${fixed(p.multiple, 2, 0)}`)));
}

/** One line a row: a bar from zero or a dot, the whole period's Sharpe dashed, the figures beside. */
function sharpeRows(id, name, note, rows, label, kind) {
  if (!rows.length) return missingPanel(id, name);
  const whole = period.metrics?.sharpe;
  const at = lineScale([0, whole, ...rows.map((r) => r.sharpe)]);
  const drawn = (r) => isNumber(r.sharpe) && strip('', kind === 'bar' ? mark(r.sharpe < 0 ? 'bar-down' : 'bar-up', at(0), at(r.sharpe)) : mark(`dot ${r.sharpe < 0 ? 'below' : ''}`, at(r.sharpe)), mark('zero', at(0)), isNumber(whole) && mark('full', at(whole)));
  const columns = [
    { label, heading: true, key: (r) => r.label, cell: (r) => r.label },
    { label: 'Sharpe', numeric: true, key: (r) => sortable(r.sharpe), cell: (r) => figureNode('sharpe', r.sharpe) },
    { label: '', className: 'fill', cell: (r) => drawn(r) || '' },
  ];
  const extra = { label: 'Total return', numeric: true, key: (r) => sortable(r.total_return), cell: (r) => figureNode('total_return', r.total_return) };
  if (rows.some((r) => !isEmpty(r.total_return))) columns.push(extra);
  if (rows.some((r) => !isEmpty(r.sessions))) columns.push({ label: 'Sessions', numeric: true, key: (r) => sortable(r.sessions), cell: (r) => figureNode('sessions', r.sessions) });
  return panel(id, name, note, dataTable({ caption: name, columns, rows }).node);
}

function robustnessView() {
  const parts = ['cost_frontier', 'without_symbol', 'without_year', 'regimes', 'neighbours'];
  if (parts.every((name) => isEmpty(period[name]))) return 'costs, symbols left out, years left out, regimes and neighbours were not computed';
  const labelled = (name, label) => list(period[name]).map((r) => ({ ...r, label: String(label(r) ?? 'unnamed') }));
  return [
    el('div', { class: 'masonry' },
      costPanel(),
      sharpeRows('neighbours', 'Neighbouring parameters', 'One parameter a step away, all others as deployed.', labelled('neighbours', (r) => `${r.parameter} ${r.value}`), 'Parameter', 'dot'),
      sharpeRows('without-symbol', 'Without one symbol', 'What is left when a symbol is left out.', labelled('without_symbol', (r) => r.left_out), 'Left out', 'bar'),
      sharpeRows('without-year', 'Without one year', 'What is left when a year is left out.', labelled('without_year', (r) => r.left_out), 'Left out', 'bar'),
      sharpeRows('regimes', 'Regimes', 'Sessions sorted by what the market did.', labelled('regimes', (r) => r.name), 'Regime', 'bar')),
    el('p', { class: 'key' }, el('span', {}, strip('', mark('full', 50)), `dashed: Sharpe of the whole period, ${figure('sharpe', period.metrics?.sharpe)}`)),
  ];
}

/* Facts */

function figuresView() {
  const entries = Object.entries(period.metrics ?? {});
  if (!entries.length) return 'no figures were recorded';
  return el('dl', { class: 'facts' }, entries.map(([name, v]) => el('div', { 'data-metric': name }, el('dt', {}, title(name)), el('dd', {}, figureNode(name, v)))));
}

function findingsView() {
  if (!Array.isArray(period.data_findings)) return 'whether the bars were audited was not recorded';
  const blind = list(period.not_evaluable);
  const columns = [
    { label: 'Severity', key: (f) => f.severity, cell: (f) => badge({ error: 'ERROR', warning: 'WARN' }[f.severity], String(f.severity ?? 'unknown')) },
    { label: 'Subject', key: (f) => f.subject, cell: (f) => f.subject ?? none('not recorded') },
    { label: 'Finding', className: 'wrap', key: (f) => f.what, cell: (f) => [f.what ?? none('not recorded'), f.help && el('span', { class: 'sub' }, f.help)] },
    { label: 'Code', key: (f) => f.code, cell: (f) => el('code', {}, f.code ?? 'none') },
  ];
  const found = period.data_findings;
  return [
    found.length ? dataTable({ caption: 'Data findings', columns, rows: found, pageSize: 50 }).node : el('p', {}, 'The audit found nothing in the bars used.'),
    blind.length > 0 && el('p', { class: 'note', style: { 'margin-top': '12px' } }, 'Bars can’t answer these settings, so they were not judged: ', blind.map((name, i) => [i ? ', ' : '', el('code', {}, name)]), '.'),
  ];
}

function acknowledgementsView() {
  const rows = list(verdict.acknowledgements);
  if (!Array.isArray(verdict.acknowledgements)) return 'acknowledgements were not recorded';
  if (!rows.length) return el('p', {}, 'None: nothing was waved through.');
  const columns = [
    { label: 'Criterion', heading: true, key: (a) => a.check, cell: (a) => title(a.check) },
    { label: 'Period', key: (a) => a.period, cell: (a) => a.period ?? none('any') },
    { label: 'Why', className: 'wrap', key: (a) => a.why, cell: (a) => a.why ?? none('no reason recorded') },
    { label: 'Who', key: (a) => a.who, cell: (a) => a.who ?? none('not recorded') },
    { label: 'Until', key: (a) => a.expires, cell: (a) => [a.expires ?? none('no date'), el('span', { class: 'sub' }, badge(a.expired ? 'FAIL' : 'PASS', a.expired ? 'expired' : 'in force'))] },
  ];
  return dataTable({ caption: 'Acknowledgements', columns, rows }).node;
}

/** Copies without a permission too; where even that is refused, it selects the text. */
async function copy(node, button) {
  const said = (text) => {
    button.textContent = text;
    setTimeout(() => (button.textContent = 'Copy'), 1600);
  };
  try {
    await navigator.clipboard.writeText(node.textContent);
    return said('Copied');
  } catch {
    getSelection().selectAllChildren(node);
    said(document.execCommand('copy') ? 'Copied' : 'Press Ctrl+C');
  }
}
function recordRow(name, v) {
  if (isEmpty(v)) return el('div', {}, el('dt', {}, name), el('dd', {}, none('not recorded')));
  const text = el('code', {}, String(v));
  const button = el('button', { type: 'button', class: 'copy', 'aria-label': `Copy: ${name}`, 'aria-live': 'polite', onclick: () => copy(text, button) }, 'Copy');
  return el('div', {}, el('dt', {}, name), el('dd', {}, text), el('dd', { class: 'action' }, button));
}

function provenanceView() {
  const ledger = verdict.ledger ?? {};
  const of = (name) => list(period[name]).join(', ');
  const rows = [
    ['Digest of the verdict', verdict.digest], ['Subject', verdict.subject], ['Config', verdict.config], ['Config, SHA-256', verdict.config_sha256],
    ['Bundle, SHA-256', verdict.bundle_sha256], ['Policy, SHA-256', verdict.policy_sha256], ['Archive manifest', verdict.archive_manifest_sha256],
    [`Bars of ${period.name ?? 'the period'}`, period.data_sha256], ['Where the bars come from', of('provenance')], ['Symbols', of('symbols')],
    ['Engine', verdict.engine], ['Seed', verdict.seed], ['Trials counted', isNumber(ledger.n) ? whole(ledger.n) : null],
    ['Trials, effective', isNumber(ledger.n_effective) ? plain(ledger.n_effective) : null], ['Variance of the trials', isNumber(ledger.variance) ? plain(ledger.variance) : null],
    ...(list(ledger.heads).length ? ledger.heads.map((head, i) => [`Ledger head ${i + 1}`, head]) : [['Ledger heads', null]]),
    ['Schema version', data.schema_version],
  ];
  return el('dl', { class: 'records' }, rows.map(([name, v]) => recordRow(name, v || v === 0 ? v : null)));
}

/* The page: each view gives what it shows, or why it shows nothing */

const VIEWS = [
  ['criteria', 'Criteria', 'What the gate demands, and how far each value is from its fail level.', criteriaView],
  ['power', 'What this history can show', null, powerView],
  ['equity', 'Equity', 'All start from the same capital. Drag to zoom, double-click to reset.', equityView],
  ['months', 'Monthly returns', 'Per cent, compounded from session equity. Stronger colour, larger move.', monthlyView],
  ['trades', 'Trades', 'Point at a triangle for its trade; a symbol in the table leads to it.', tradesView],
  ['robustness', 'Robustness', 'How much of the result hangs on costs, one symbol, one year, one regime or one setting.', robustnessView],
  ['bootstrap', 'Bootstrap', 'What the figure would have been in histories resampled from this one.', bootstrapView],
  ['sweep', 'Sweep', 'Darker or lighter is only a guide: each cell reads out its number.', sweepView],
  ['figures', 'All figures', 'Simple returns, 252 sessions a year, no risk-free rate.', figuresView],
  ['findings', 'Data findings', 'What an audit of the bars used says. Errors block the gate.', findingsView],
  ['acknowledgements', 'Acknowledgements', 'What was accepted with a reason and a date.', acknowledgementsView],
  ['provenance', 'Provenance and digests', 'What exactly was judged, by hash.', provenanceView],
];

function card(id, name, lead, body) {
  return el('section', { class: 'card', id, 'aria-labelledby': `${id}-name` }, el('h2', { id: `${id}-name` }, name), lead && el('p', { class: 'lead' }, lead), el('div', { class: 'body' }, body));
}

function drawReport() {
  charts.clear();
  const views = VIEWS.map(([id, name, lead, view]) => ({ id, name, lead, body: view() }));
  const absent = views.filter((v) => typeof v.body === 'string');
  const present = views.filter((v) => typeof v.body !== 'string');
  const missing = absent.map((v) => el('li', { 'data-view': v.id }, el('b', {}, v.name), `: ${v.body}.`));
  document.getElementById('report').replaceChildren(
    heroView(), ...[bannerView()].filter(Boolean), ...present.map((v) => card(v.id, v.name, v.lead, v.body)),
    ...(missing.length ? [card('absent', 'Not in this report', null, el('ul', { class: 'absent' }, missing))] : []),
  );
  document.querySelector('#bar nav').replaceChildren(...present.map((v) => el('a', { href: `#${v.id}` }, v.name)));
  mountAll();
}

function show(i) {
  period = allPeriods()[i] ?? {};
  const select = document.getElementById('period');
  if (select) select.value = i;
  drawReport();
}

function drawBar() {
  const periods = allPeriods();
  const option = (p, i) => el('option', { value: i }, `${p.name ?? 'unnamed'}: ${statusOf(p.status)}`);
  const select = periods.length > 1 && el('select', { id: 'period', 'aria-label': 'Period', onchange: (e) => show(Number(e.target.value)) }, periods.map(option));
  const theme = el('button', { type: 'button', class: 'theme', id: 'theme', 'aria-label': 'Switch between light and dark', title: 'Light or dark', onclick: () => setTheme(isDark() ? 'light' : 'dark') }, '◐');
  document.getElementById('bar').append(el('div', { class: 'bar' },
    el('div', { class: 'name' }, shape(statusOf(verdict.status)), el('span', {}, data.title ?? verdict.strategy ?? 'Gate report')),
    el('nav', { 'aria-label': 'Sections' }), select, theme));
}

const wantsDark = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => (document.documentElement.dataset.theme ?? (wantsDark.matches ? 'dark' : 'light')) === 'dark';

/** Canvases don't follow the tokens by themselves. */
function recolour() {
  readPalette();
  charts.forEach((chart) => (chart.plot ? chart.plot.redraw(false) : chart.draw?.()));
}
function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  recolour();
}

/** Paper is light and narrow, whatever the screen is. */
function printing() {
  let before;
  addEventListener('beforeprint', () => {
    before = document.documentElement.dataset.theme;
    setTheme('light');
    charts.forEach((chart) => chart.plot?.setSize({ width: Math.min(chart.plot.width, 680), height: chart.height }));
  });
  addEventListener('afterprint', () => {
    setTheme(before);
    charts.forEach((chart) => chart.fit?.());
  });
}

function start() {
  try {
    // A control that turns the direction of text could make a number read backwards.
    const text = document.getElementById('data').textContent.replace(/[\u202a-\u202e\u2066-\u2069]|\\u(202[a-e]|206[6-9])/gi, '\ufffd');
    data = JSON.parse(text) ?? {};
  } catch (error) {
    data = { verdict: { status: 'ERROR', error: { message: `The JSON in this file can’t be read: ${error.message}`, help: 'Make the report again.' } } };
  }
  verdict = data.verdict ?? {};
  readPalette();
  drawBar();
  const worst = allPeriods().findIndex((p) => p.status === verdict.status);
  show(Math.max(0, worst));
  wantsDark.addEventListener('change', recolour);
  printing();
}
start();
