'use strict';
// The parts that every view of the report is made of. Strings reach the page as text nodes and attribute
// values only, so nothing that a config, a symbol or a reason says can become markup.

/* Elements */

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'style') Object.entries(value).forEach(([key, v]) => node.style.setProperty(key, v));
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  node.append(...children);
  return node;
}

const none = (text) => el('span', { class: 'none' }, text);
const isNumber = (v) => typeof v === 'number' && Number.isFinite(v);
const list = (v) => (Array.isArray(v) ? v : []);
const isEmpty = (v) => v === null || v === undefined || (Array.isArray(v) && v.length === 0);
const plural = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;

/* Numbers: a true minus, a narrow space before %, the same on every machine */

const SIGNED_RATES = ['total_return', 'cagr', 'max_drawdown', 'worst_day', 'best_day', 'expectancy_ret', 'benchmark_return', 'shuffled_drawdown', 'bar_drawdown', 'alpha', 'cvar', 'walk_forward_return'];
const RATES = new Set([...SIGNED_RATES, 'ulcer_index', 'time_under_water', 'gross_exposure', 'win_rate', 'exposure', 'volatility']);
const MONEY = new Set(['initial_capital', 'final_equity', 'gross_win', 'gross_loss', 'avg_trade_pnl', 'avg_win', 'avg_loss', 'long_pnl', 'short_pnl', 'commission', 'slippage', 'borrow', 'margin_interest']);
const NAMES = {
  cagr: 'CAGR', avg_trade_pnl: 'Average trade', avg_win: 'Average win', avg_loss: 'Average loss',
  long_pnl: 'Profit of long trades', short_pnl: 'Profit of short trades',
  expectancy_ret: 'Mean return a trade', avg_holding_hours: 'Mean holding, hours', psr: 'Probabilistic Sharpe ratio', dsr: 'Deflated Sharpe ratio',
  pbo: 'Probability of backtest overfitting', longest_drawdown_days: 'Longest drawdown, days', min_trl: 'Minimum track record length',
  timing_p: 'As good at other times', alpha_t: 't of alpha beside its own symbols', market_alpha_t: 't of alpha beside the market',
  sharpe_over_holding: 'Sharpe over holding', spa_p: 'Superior by luck (SPA)', shuffled_drawdown: 'Drawdown in resampled sessions',
  sharpe: 'Sharpe ratio', sortino: 'Sortino ratio', calmar: 'Calmar ratio', max_drawdown: 'Deepest drawdown', benchmark_return: 'Buy and hold',
  bar_drawdown: 'Deepest drawdown, every bar', alpha: 'Alpha a year', cvar: 'Mean of the worst 5 % of sessions', risk_free: 'Risk-free rate',
};

const formats = new Map();
function fixed(v, most, least = most) {
  const key = `${most} ${least}`;
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat('en-US', { minimumFractionDigits: least, maximumFractionDigits: most, signDisplay: 'negative' }));
  return formats.get(key).format(v).replace('-', '−');
}
const signed = (text, v) => (v > 0 ? `+${text}` : text);
const whole = (v) => fixed(v, 0);

function plain(v) {
  const size = Math.abs(v);
  if (Number.isInteger(v)) return whole(v);
  if (size < 0.001) return v.toPrecision(2).replaceAll('-', '−');
  return fixed(v, size < 1 ? 3 : size < 1000 ? 2 : 0, size < 1000 ? 2 : 0);
}
const percent = (v, most = Math.abs(v) >= 10 ? 0 : 2, least = most) => `${fixed(v * 100, most, least)}\u202f%`;
const money = (v, digits = 2) => (v < 0 ? '−$' : '$') + fixed(Math.abs(v), digits);
const price = (v) => fixed(v, Math.abs(v) < 1 ? 4 : 2);
const isRate = (name) => RATES.has(name) || /_return$/.test(name);
const isSigned = (name) => SIGNED_RATES.includes(name) || /_return$/.test(name);

function number(name, v) {
  if (isRate(name)) return isSigned(name) ? signed(percent(v), v) : percent(v);
  return MONEY.has(name) ? money(v) : plain(v);
}

/** A level as its config says it: without the zeros that a measured figure has. */
function level(name, v) {
  return isRate(name) ? percent(v, 2, 0) : number(name, v);
}

/** A figure as text: its number, or the reason why there is none. */
function figure(name, v) {
  if (isNumber(v)) return number(name, v);
  if (v && typeof v === 'object') return String(v.undefined ?? 'no value');
  return isEmpty(v) ? 'not recorded' : String(v);
}

function figureNode(name, v) {
  const text = figure(name, v);
  return isNumber(v) || typeof v === 'string' ? el('span', { 'data-figure': name }, text) : none(text);
}

function title(name) {
  if (NAMES[name]) return NAMES[name];
  const words = String(name ?? 'unnamed').replaceAll('_', ' ').replace(/\bsharpe\b/g, 'Sharpe');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A name inside a sentence: abbreviations and people keep their capitals. */
function inSentence(name) {
  const text = title(name);
  return /^([A-Z]{2}|Sharpe|Sortino|Calmar)/.test(text) ? text : text.charAt(0).toLowerCase() + text.slice(1);
}
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/* Dates. An instant at 00:00 UTC of a daily bar is its session's date; others are shown in New York. */

const DAY = 86400;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const clock = new Intl.DateTimeFormat('en-GB', { timeZone: 'America/New_York', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const nyDate = new Intl.DateTimeFormat('en-GB', { timeZone: 'America/New_York', day: 'numeric', month: 'short', year: 'numeric' });
const isDaily = (times) => times.every((t) => t % DAY === 0);

function dayNumber(iso) {
  return Date.UTC(+iso.slice(0, 4), +iso.slice(5, 7) - 1, +iso.slice(8, 10)) / (DAY * 1000);
}
function dayText(day) {
  const date = new Date(day * DAY * 1000);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
}
function instant(t, daily) {
  if (!isNumber(t)) return 'not recorded';
  return daily ? dayText(t / DAY) : `${nyDate.format(t * 1000).replace('Sept', 'Sep')}, ${clock.format(t * 1000)}`;
}

/* Status: a shape and a word each */

const SHAPES = {
  PASS: ['M12 1a11 11 0 1 0 0 22a11 11 0 0 0 0-22Z', 'M7 12.4l3.4 3.4L17 8.8'],
  WARN: ['M12 1.5L23.5 22.5H.5Z', 'M12 9.5v5.5M12 18.6v.1'],
  INCONCLUSIVE: ['M12 2a10 10 0 1 0 0 20a10 10 0 0 0 0-20Z', 'M9 9.4a3 3 0 1 1 4.4 2.7c-1 .5-1.4 1-1.4 1.9M12 17.3v.1'],
  FAIL: ['M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4Z', 'M8.2 8.2l7.6 7.6M15.8 8.2l-7.6 7.6'],
  ERROR: ['M2 2h20v20H2Z', 'M6.5 17.5l11-11'],
  UNKNOWN: ['M2 2h20v20H2Z', 'M8 12h8'],
};
const MEANING = {
  WARN: 'No fail level is crossed; a warn level is.',
  INCONCLUSIVE: 'This history can’t tell. It is neither a pass nor a failure.',
  ERROR: 'What can’t be judged doesn’t pass.',
  UNKNOWN: 'The report names no status that this page knows, so nothing passes.',
};
const SEVERITY = ['PASS', 'WARN', 'INCONCLUSIVE', 'FAIL', 'UNKNOWN', 'ERROR'];
const statusOf = (s) => (Object.hasOwn(SHAPES, s) ? s : 'UNKNOWN');

function shape(status) {
  const [body, mark] = SHAPES[status];
  const paths = [svg('path', { class: 'body', d: body }), svg('path', { class: 'mark', d: mark })];
  return svg('svg', { class: `shape ${status}`, viewBox: '0 0 24 24', 'aria-hidden': 'true' }, ...paths);
}
function badge(given, word) {
  const status = statusOf(given);
  return el('span', { class: `status ${status}` }, shape(status), word ?? status);
}

/* Tables: sortable by their headers, paged if long, grouped until they are sorted */

/** Columns: label, cell(row), key(row) to sort by, numeric, heading (a row header). Up, down, as given. */
function dataTable({ caption, columns, rows, groupOf, pageSize = Infinity, className }) {
  let [sort, page, filter] = [null, 0, () => true];
  const heads = columns.map((column, i) => {
    const head = column.key ? el('button', { class: 'sort', type: 'button', onclick: () => sortBy(i) }, column.label) : column.label;
    return el('th', { scope: 'col', class: column.numeric && 'number' }, head);
  });
  const table = el('table', { class: className }, el('caption', {}, caption), el('thead', {}, el('tr', {}, heads)));
  const pager = el('div', { class: 'pager', role: 'group', 'aria-label': `Pages of: ${caption}` });

  function sortBy(i) {
    sort = sort?.column !== i ? { column: i, sign: 1 } : sort.sign === 1 ? { column: i, sign: -1 } : null;
    heads.forEach((head, n) => {
      if (n === sort?.column) head.setAttribute('aria-sort', sort.sign === 1 ? 'ascending' : 'descending');
      else head.removeAttribute('aria-sort');
    });
    page = 0;
    draw();
  }
  function ordered() {
    const kept = rows.filter(filter);
    if (!sort) return kept;
    const keyed = kept.map((row) => [columns[sort.column].key(row), row]);
    return keyed.sort((a, b) => compare(a[0], b[0], sort.sign)).map((pair) => pair[1]);
  }
  function rowNode(row) {
    const cell = (c) => el(c.heading ? 'th' : 'td', { class: [c.numeric && 'number', c.className].filter(Boolean).join(' ') || null, scope: c.heading && 'row' }, c.cell(row));
    return el('tr', {}, columns.map(cell));
  }
  function groups(shown) {
    const named = Map.groupBy(shown, groupOf);
    return [...named].map(([name, members]) => {
      const head = el('th', { scope: 'rowgroup', colspan: columns.length }, name);
      return el('tbody', {}, el('tr', { class: 'group' }, head), members.map(rowNode));
    });
  }
  function draw() {
    const all = ordered();
    page = Math.min(page, Math.max(0, Math.ceil(all.length / pageSize) - 1));
    const from = pageSize === Infinity ? 0 : page * pageSize;
    const shown = all.slice(from, from + pageSize);
    table.querySelectorAll('tbody').forEach((body) => body.remove());
    const nothing = el('tbody', {}, el('tr', {}, el('td', { colspan: columns.length, class: 'none' }, 'No rows.')));
    const bodies = groupOf && !sort ? groups(shown) : [el('tbody', {}, shown.map(rowNode))];
    table.append(...(shown.length ? bodies : [nothing]));
    if (rows.length > pageSize) drawPager(all.length, from, shown.length);
  }
  function drawPager(total, from, shown) {
    const last = Math.max(0, Math.ceil(total / pageSize) - 1);
    const go = (to) => {
      page = Math.max(0, Math.min(last, to));
      draw();
    };
    const step = (label, to, off) => el('button', { type: 'button', disabled: off, onclick: () => go(to) }, label);
    const field = el('input', { type: 'number', min: 1, max: last + 1, value: page + 1, 'aria-label': 'Page', onchange: (e) => go(Number(e.target.value) - 1 || 0) });
    pager.replaceChildren(
      step('First', 0, page === 0), step('Previous', page - 1, page === 0), field, `of ${whole(last + 1)}`,
      step('Next', page + 1, page === last), step('Last', last, page === last),
      el('span', {}, total ? `Rows ${whole(from + 1)} to ${whole(from + shown)} of ${whole(total)}` : 'No rows'),
    );
  }
  draw();
  const box = el('div', { class: 'box', tabindex: 0, role: 'region', 'aria-label': caption }, table);
  const keep = (predicate) => {
    [filter, page] = [predicate, 0];
    draw();
  };
  return { node: el('div', {}, box, pager), keep };
}

/** Numbers by size, words by alphabet, what has no value last. */
function compare(a, b, sign) {
  if (isEmpty(a) || isEmpty(b)) return isEmpty(a) - isEmpty(b);
  if (typeof a === 'number' && typeof b === 'number') return sign * (a - b);
  return sign * String(a).localeCompare(String(b), 'en', { numeric: true });
}
const sortable = (v) => (isNumber(v) || typeof v === 'string' ? v : null);

/* Strips: values placed along a line */

/** Maps a number to per cent of the width, with room at both ends. */
function lineScale(values, room = 0.08) {
  const numbers = values.filter(isNumber);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  const pad = (high - low || Math.abs(high) || 1) * room;
  return (v) => ((v - low + pad) / (high - low + 2 * pad)) * 100;
}
function mark(className, from, to = null) {
  const style = to === null ? { left: `${from}%` } : { left: `${Math.min(from, to)}%`, width: `${Math.abs(to - from)}%` };
  return el('i', { class: className, style });
}
const strip = (tone, ...marks) => el('div', { class: `strip ${tone}`, 'aria-hidden': 'true' }, marks);

/** Levels as zones, the value as an upright, the reach from the nearest fail level to it. */
function bullet(check) {
  const { fail_below: failLow, warn_below: warnLow, fail_above: failHigh, warn_above: warnHigh } = check.levels ?? {};
  const levels = [failLow, warnLow, failHigh, warnHigh].filter(isNumber);
  if (!levels.length) return null;
  const at = lineScale([...levels, check.value, check.estimate], 0.3);
  const zone = (name, from, to) => to > from && mark(name, from, to);
  const [low, high] = [isNumber(failLow) ? at(failLow) : 0, isNumber(failHigh) ? at(failHigh) : 100];
  const fails = [failLow, failHigh].filter(isNumber).sort((a, b) => Math.abs(check.value - a) - Math.abs(check.value - b));
  return strip(
    statusOf(check.status),
    zone('zone-fail', 0, low), zone('zone-fail', high, 100),
    isNumber(warnLow) && zone('zone-warn', low, at(warnLow)), isNumber(warnHigh) && zone('zone-warn', at(warnHigh), high),
    isNumber(check.value) && fails.length > 0 && mark('reach', at(fails[0]), at(check.value)),
    isNumber(check.estimate) && mark('estimate', at(check.estimate)),
    isNumber(check.value) && mark('at', at(check.value)),
  );
}

