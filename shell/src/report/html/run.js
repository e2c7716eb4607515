// What every page shows of a replay: its figures beside buying and holding, equity, months, trades.

/* What the page is about: JSON, and the part of it that is chosen (a period, an account). */

let data = {};
let part = {};
const ofPart = (rows) => list(rows).filter((row) => row?.period === (part.name ?? null));

const EQUITY_LEAD = 'All start from the same capital. Drag to zoom: the curves restart from the strategy’s value at the left edge. Double-click to reset.';
const MONTHS_LEAD = 'Per cent, compounded from session equity. Stronger colour, larger move.';
const TRADES_LEAD = 'Point at a triangle for its trade; a symbol in the table leads to it.';
const TRADED_LEAD = 'Profits of trades are before borrow, interest and dividends. Turnover is in times equity a year.';
const FIGURES_LEAD = 'Simple returns, 252 sessions (or 52 weeks of weekly bars) a year, no risk-free rate.';

/* Figures beside the benchmark's */

const TILES = ['total_return', 'cagr', 'sharpe', 'max_drawdown', 'volatility'];

function tilesNode() {
  const metrics = part.metrics;
  if (!metrics) return null;
  const held = seriesOfPart()?.held ?? { total_return: metrics.benchmark_return };
  const beside = (name) => el('div', { class: 'beside' }, el('span', {}, 'Buy and hold'), ' ', figureNode(name, held[name]));
  const tile = (name, below) => el('div', { 'data-tile': name }, el('dt', {}, title(name)), el('dd', {}, figureNode(name, metrics[name]), below));
  return el('dl', { class: 'tiles', 'aria-label': `Main figures of ${part.name}, strategy beside buying and holding` },
    TILES.map((name) => tile(name, beside(name))),
    tile('trades', el('div', { class: 'beside' }, el('span', {}, 'Won'), ' ', figureNode('win_rate', metrics.win_rate))));
}

/* Equity, drawdown, rolling Sharpe ratio: on one time axis */

function seriesOfPart() {
  const series = ofPart(data.series)[0];
  if (!list(series?.days).length || !list(series?.equity).length) return null;
  return { ...series, days: summed(series.days) };
}

/** Scaled so that its first value is the capital. */
function fromCapital(values, capital) {
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

function shortMoney(v, short) {
  if (!short) return money(v);
  if (Math.abs(v) >= 1e6) return `${v < 0 ? '−' : ''}$${fixed(Math.abs(v) / 1e6, 2, 0)}M`;
  return Math.abs(v) >= 10000 ? `${v < 0 ? '−' : ''}$${fixed(Math.abs(v) / 1000, 1, 0)}k` : money(v, 0);
}

function equityView() {
  const series = seriesOfPart();
  if (!series) return 'equity by session was not recorded';
  if (series.days.length < 2) return 'one session draws no line';
  const calendar = calendarOf(series.days);
  const lines = [
    { name: 'Strategy', values: series.equity, hue: 'strategy', width: 2, style: 'solid' },
    { name: 'Deployed baseline', values: series.baseline, hue: 'baseline', dash: [7, 4], style: 'dashed' },
    { name: 'Buy and hold', values: fromCapital(series.benchmark, series.capital), hue: 'benchmark', dash: [2, 3], style: 'dotted' },
  ].filter((line) => list(line.values).length);
  const peers = [];
  const worth = timeChart({ label: 'Equity', height: 320, calendar, lines, format: shortMoney, peers, rebases: true });
  const depth = lines.map((line, i) => ({ ...line, values: drawdown(line.values, series.capital), fill: i === 0, width: i === 0 ? 1.5 : 1 }));
  const under = timeChart({ label: 'Drawdown', height: 160, calendar, lines: depth, format: (v, short) => percent(v, 1, short ? 0 : 1), peers });
  const rolling = rollingChart(series, calendar, lines, peers);
  const toggle = (line, i) => el('button', {
    type: 'button', 'aria-pressed': 'true', onclick: (e) => {
      const on = e.currentTarget.getAttribute('aria-pressed') !== 'true';
      e.currentTarget.setAttribute('aria-pressed', String(on));
      peers.forEach((chart) => chart.plot.setSeries(chart.seriesOf?.(line) ?? i + 1, { show: on }));
    },
  }, el('i', { class: 'swatch', style: { '--hue': `var(--${line.hue})`, 'border-top-style': line.style } }), line.name);
  const log = el('button', { type: 'button', id: 'log', 'aria-pressed': 'false', onclick: () => {
    worth.setLog(!worth.log);
    log.setAttribute('aria-pressed', String(worth.log));
  } }, 'Log scale');
  onceShown(() => peers.forEach((chart) => chart.mount()));
  return [
    el('div', { class: 'controls' }, el('div', { class: 'legend', role: 'group', 'aria-label': 'Lines shown' }, lines.map(toggle)), el('div', { class: 'tools' }, log, zoomButtons(worth))),
    worth.readout, worth.host,
    el('div', { class: 'subchart' }, el('h3', {}, 'Drawdown from the peak'), under.readout, under.host),
    rolling ? el('div', { class: 'subchart', id: 'rolling' }, el('h3', {}, `Sharpe ratio of the last ${series.rolling.window} sessions`), rolling.readout, rolling.host)
      : el('p', { class: 'note' }, 'Too few sessions for a rolling Sharpe ratio.'),
    series.baseline === null && data.kind === 'gate' && el('p', { class: 'note', id: 'equity-missing' }, 'Not in this report: deployed baseline.'),
  ];
}

/** Gaps where there is no Sharpe ratio: before the first window is full, and where returns don't vary. */
function rollingChart({ rolling }, calendar, lines, peers) {
  if (!rolling) return null;
  const of = (name) => lines.find((line) => line.name === name);
  const drawn = [['Strategy', rolling.strategy], ['Buy and hold', rolling.benchmark]].filter(([name, values]) => list(values).length && of(name)).map(([name, values]) => ({ ...of(name), values, width: name === 'Strategy' ? 1.5 : 1 }));
  const chart = timeChart({ label: `Sharpe ratio of the last ${rolling.window} sessions`, height: 160, calendar, lines: drawn, format: (v, short) => fixed(v, short ? 1 : 2), peers, onDraw: zeroLine });
  chart.seriesOf = (line) => drawn.findIndex((own) => own.name === line.name) + 1 || drawn.length + 1;
  return chart;
}
function zeroLine(u) {
  const y = Math.round(u.valToPos(0, 'y', true));
  if (!(y > u.bbox.top && y < u.bbox.top + u.bbox.height)) return;
  u.ctx.save();
  Object.assign(u.ctx, { strokeStyle: palette.muted, lineWidth: devicePixelRatio });
  u.ctx.beginPath();
  u.ctx.moveTo(u.bbox.left, y);
  u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
  u.ctx.stroke();
  u.ctx.restore();
}

/* Monthly returns */

function monthsView() {
  const rows = list(seriesOfPart()?.months);
  if (!rows.length) return 'needs equity by session, which was not recorded';
  const most = Math.max(1e-9, ...rows.flatMap((r) => r.months).filter(isNumber).map(Math.abs));
  // At half strength a colour still leaves its number readable.
  const cell = (v, className) => el('td', isNumber(v) ? { class: `${className} ${v < 0 ? 'down' : 'up'}`, style: { '--share': `${Math.min(1, Math.abs(v) / most) * 50}%` } } : { class: className },
    isNumber(v) ? signed(fixed(v * 100, 1), v) : '·');
  const plain = (v) => el('td', { class: 'held' }, isNumber(v) ? signed(fixed(v * 100, 1), v) : '·');
  const head = el('tr', {}, ['Year', ...MONTHS, 'Total', 'Buy and hold'].map((name) => el('th', { scope: 'col' }, name)));
  const body = rows.map((r) => el('tr', {}, el('th', { scope: 'row' }, r.year), r.months.map((v) => cell(v, '')), cell(r.total, 'total'), plain(r.held)));
  return el('div', { class: 'box', tabindex: 0, role: 'region', 'aria-label': 'Monthly returns' },
    el('table', { class: 'months' }, el('caption', {}, 'Monthly returns, per cent'), el('thead', {}, head), el('tbody', {}, body)));
}

/* Trades on the price */

/** Rows of the JSON as trades. */
function tradesOfPart() {
  const found = ofPart(data.trades)[0];
  if (!found) return { rows: [], sales: 0, left: 0 };
  const row = ([symbol, entered, entry, exited, exit, shares, profit, reason, side]) => ({ symbol: found.symbols[symbol], entered, entry, exited, exit, shares, profit, reason: found.reasons[reason], side: side > 0 ? 'long' : side < 0 ? 'short' : null });
  return { rows: found.rows.map(row), sales: found.sales, left: found.sales - found.rows.length };
}
/** The calendar of the bars: as that of equity, but with the time of day where bars have one. */
function barsOfPart() {
  const [series, bars] = [seriesOfPart(), ofPart(data.bars)[0]];
  return series && bars && calendarOf(series.days, bars.opens ? { slot: bars.slot, unit: bars.unit, opens: summed(bars.opens) } : null);
}

function tradesView() {
  const { rows: trades, sales, left } = tradesOfPart();
  const [calendar, prices] = [barsOfPart(), ofPart(data.prices).filter((p) => list(p.at).length > 1)];
  if (!trades.length && !prices.length) return 'no trade and no price was recorded';
  const symbols = [...new Set([...prices, ...trades].map((row) => row.symbol))];
  const daily = !calendar?.opens;
  const [place, zoom, thinned] = [el('div'), el('div'), el('p', { class: 'note', id: 'thinned' })];
  const select = el('select', { id: 'symbol', onchange: () => draw() }, symbols.map((symbol, i) => el('option', { value: i }, symbol)));
  const only = el('input', { type: 'checkbox', id: 'only-symbol', onchange: () => filter() });
  let chart = null;
  function draw() {
    const symbol = symbols[select.value];
    const series = calendar && prices.find((p) => p.symbol === symbol);
    if (chart) charts.delete(chart);
    chart = series ? priceChart(series, trades.filter((t) => t.symbol === symbol), calendar) : null;
    zoom.replaceChildren(chart ? zoomButtons(chart) : '');
    thinned.replaceChildren(thinnedSentence(series));
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
  const table = trades.length ? tradesTable(trades, daily, find) : null;
  draw();
  const count = plural(part.metrics?.trades ?? sales, 'trade');
  const won = isNumber(part.metrics?.win_rate) ? `, ${percent(part.metrics.win_rate, 0)} of them won` : '';
  return [
    el('div', { class: 'controls' }, el('label', { class: 'field' }, 'Symbol ', select), zoom),
    place,
    el('p', { class: 'key' }, el('span', {}, '▲ entry'), el('span', {}, '▼ exit'), el('span', {}, 'filled: win'), el('span', {}, 'hollow: loss'),
      trades.length > TRADES_APART && el('span', {}, `more than ${TRADES_APART} in view: bars count the entries, wins up, losses down`)),
    thinned,
    el('div', { class: 'controls' }, el('h3', {}, sales === part.metrics?.trades ? `${count}${won}` : `${count}${won}, in ${plural(sales, 'sale')}`),
      table && el('label', { class: 'field' }, only, 'only this symbol')),
    left > 0 && el('p', { class: 'note', id: 'left-out' }, `Listed and drawn are the ${whole(trades.length)} sales with the largest profit or loss; ${whole(left)} smaller ones are left out. ${data.files ?? ''}`),
    table?.node ?? el('p', { class: 'note' }, 'No trade in this period.'),
  ];
}

function thinnedSentence(series) {
  if (!series || !(series.bars > series.at.length)) return '';
  return `Drawn are ${whole(series.at.length)} of ${whole(series.bars)} closes: the lowest and the highest of every ${whole(series.stretch)} bars, and those around trades. No figure is made from them.`;
}

function tradesTable(trades, daily, find) {
  const cell = (v, format) => (isNumber(v) ? format(v) : none('not recorded'));
  const columns = [
    { label: 'Symbol', heading: true, key: (t) => t.symbol, cell: (t) => el('button', { class: 'link', type: 'button', title: 'Show on the chart', onclick: () => find(t) }, t.symbol ?? 'unnamed') },
    { label: 'Side', key: (t) => t.side, cell: (t) => t.side ?? none('not recorded') },
    { label: 'Entered', key: (t) => t.entered, cell: (t) => instant(t.entered, daily) },
    { label: 'Entry', numeric: true, key: (t) => t.entry, cell: (t) => cell(t.entry, price) },
    { label: 'Exited', key: (t) => t.exited, cell: (t) => instant(t.exited, daily) },
    { label: 'Exit', numeric: true, key: (t) => t.exit, cell: (t) => cell(t.exit, price) },
    { label: 'Shares', numeric: true, key: (t) => t.shares, cell: (t) => cell(t.shares, whole) },
    { label: 'Profit', numeric: true, key: (t) => t.profit, cell: outcome },
    { label: 'Return', numeric: true, key: tradeReturn, cell: (t) => rate(tradeReturn(t)) },
    { label: 'Reason', key: (t) => t.reason, cell: (t) => t.reason ?? none('not recorded') },
  ];
  return dataTable({ caption: `Trades of ${part.name}`, columns, rows: trades, pageSize: 25, className: 'trades' });
}

/* Directions, costs, orders */

function directionsTable({ long, short }) {
  const rows = [['Long', long], ['Short', short]].map(([name, of]) => ({ ...of, name }));
  const column = (label, figure, cell) => ({ label, numeric: true, key: (r) => sortable(r[figure]), cell: cell ?? ((r) => figureNode(figure, r[figure])) });
  const columns = [
    { label: 'Direction', heading: true, key: (r) => r.name, cell: (r) => r.name },
    column('Trades', 'trades'), column('Profit', 'pnl', (r) => dollars(r.pnl)), column('Won', 'win_rate'), column('Profit factor', 'profit_factor'),
  ];
  return dataTable({ caption: 'Trades by direction', columns, rows, className: 'directions' }).node;
}

/** Pairs of a name and a number, in the order of the JSON. */
const namedFacts = (id, rows) => el('dl', { class: 'facts', id }, rows.map(([name, v]) => el('div', { 'data-fact': name }, el('dt', {}, title(name)), el('dd', {}, v))));

function tradedView() {
  const traded = part.traded;
  if (!traded) return 'directions, costs and orders were not recorded';
  const costs = Object.entries(traded.costs ?? {}).filter(([name, v]) => v !== 0 || ['commission', 'slippage'].includes(name));
  // A verdict lists the limits, a backtest names them.
  const blocks = Array.isArray(part.gate_blocks) ? part.gate_blocks : Object.entries(part.gate_blocks ?? {});
  const counts = (rows) => rows.map(([name, n]) => [name, whole(n)]);
  const refused = [...counts(Object.entries(traded.rejections ?? {})), ...counts(blocks).map(([name, n]) => [`limit_${name}`, n])];
  const below = (name, body) => el('div', { class: 'subchart' }, el('h3', {}, name), body);
  return [
    directionsTable(traded),
    below('Costs and turnover', namedFacts('costs-paid', [
      ...costs.map(([name, v]) => [name, money(v)]),
      ['traded', isNumber(traded.traded) ? money(traded.traded) : none('not recorded')], ['turnover', figureNode('turnover', part.metrics?.turnover)],
      ['fills', isNumber(traded.fills) ? whole(traded.fills) : none('not recorded')],
    ])),
    below('Orders by their end', namedFacts('orders', counts(Object.entries(traded.orders ?? {})))),
    refused.length > 0 && below('Why orders and entries were refused', namedFacts('refused', refused)),
  ];
}

/* Facts */

function figuresView() {
  const entries = Object.entries({ ...part.metrics, ...part.profile });
  if (!entries.length) return 'no figures were recorded';
  return el('dl', { class: 'facts' }, entries.map(([name, v]) => el('div', { 'data-metric': name }, el('dt', {}, title(name)), el('dd', {}, typeof v === 'string' ? v : figureNode(name, v)))));
}

function findingsView() {
  if (!Array.isArray(part.data_findings)) return 'whether the bars were audited was not recorded';
  const blind = list(part.not_evaluable);
  const columns = [
    { label: 'Severity', key: (f) => f.severity, cell: (f) => badge({ error: 'ERROR', warning: 'WARN' }[f.severity], String(f.severity ?? 'unknown')) },
    { label: 'Subject', key: (f) => f.subject, cell: (f) => f.subject ?? none('not recorded') },
    { label: 'Finding', className: 'wrap', key: (f) => f.what, cell: (f) => [f.what ?? none('not recorded'), f.help && el('span', { class: 'sub' }, f.help)] },
    { label: 'Code', key: (f) => f.code, cell: (f) => el('code', {}, f.code ?? 'none') },
  ];
  const found = part.data_findings;
  return [
    found.length ? dataTable({ caption: 'Data findings', columns, rows: found, pageSize: 50 }).node : el('p', {}, 'The audit found nothing in the bars used.'),
    blind.length > 0 && el('p', { class: 'note', style: { 'margin-top': '12px' } }, 'Bars can’t answer these settings, so they were not judged: ', blind.map((name, i) => [i ? ', ' : '', el('code', {}, name)]), '.'),
  ];
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
function recordRow([name, v]) {
  if (isEmpty(v)) return el('div', {}, el('dt', {}, name), el('dd', {}, none('not recorded')));
  const text = el('code', {}, String(v));
  const button = el('button', { type: 'button', class: 'copy', 'aria-label': `Copy: ${name}`, 'aria-live': 'polite', onclick: () => copy(text, button) }, 'Copy');
  return el('div', {}, el('dt', {}, name), el('dd', {}, text), el('dd', { class: 'action' }, button));
}
const records = (rows) => el('dl', { class: 'records' }, rows.map(recordRow));
