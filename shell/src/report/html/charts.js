// Charts on canvas: lines over time, trades on a price, the heatmap of a sweep.

/* Charts over time. x counts sessions or bars, so nights and weekends take no room. */

const palette = {};
function readPalette() {
  const probe = document.body.appendChild(el('i'));
  for (const name of ['ink', 'muted', 'line', 'card', 'strategy', 'baseline', 'benchmark', 'price', 'gain', 'loss', 'heat']) {
    probe.style.color = `var(--${name})`;
    palette[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

/** days: of each session its day; starts: its first point; name: the text of a point. */
function calendarOf(days, starts, count, name, times = null) {
  const months = days.map((day) => {
    const date = new Date(day * DAY * 1000);
    return date.getUTCFullYear() * 12 + date.getUTCMonth();
  });
  return { days, starts, months, count, name, times };
}
function sessionCalendar(dates) {
  const days = dates.map(dayNumber);
  return calendarOf(days, days.map((_, i) => i), days.length, (i) => dayText(days[i]));
}
function barCalendar(times) {
  const daily = isDaily(times);
  // Five hours back, no session of New York crosses a midnight, in summer or winter.
  const [days, starts] = [[], []];
  for (let i = 0; i < times.length; i++) {
    const day = Math.floor((times[i] - (daily ? 0 : 5 * 3600)) / DAY);
    if (day !== days[days.length - 1]) [days[days.length], starts[starts.length]] = [day, i];
  }
  return calendarOf(days, starts, times.length, (i) => instant(times[i], daily), daily ? null : times);
}

/** First place in a rising array whose value is at least v. */
function lowerBound(rising, v) {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle] < v) low = middle + 1;
    else high = middle;
  }
  return low;
}

const STEPS = [
  (c, i) => c.days[i],
  (c, i) => Math.floor((c.days[i] + 3) / 7),
  ...[1, 3, 12, 24, 60, 120, 240, 600, 1200].map((n) => (c, i) => Math.floor(c.months[i] / n)),
];

/** Points where a day, week, month, … begins: the finest of them that fits. */
function calendarTicks(calendar, from, to, room) {
  const [first, last] = [lowerBound(calendar.starts, from), lowerBound(calendar.starts, to + 1)];
  if (calendar.times && last - first <= Math.max(2, room / 4)) return clockTicks(calendar, from, to, room);
  for (const key of STEPS) {
    const ticks = [];
    for (let i = first; i < last; i++) {
      if (i === 0 || key(calendar, i) !== key(calendar, i - 1)) ticks.push(calendar.starts[i]);
      if (ticks.length > room) break;
    }
    if (ticks.length > room) continue;
    // The first point begins no whole month or year: its text would run into the next one.
    if (ticks[1] - ticks[0] < (0.9 * (to - from)) / room) ticks.shift();
    return { ticks, unit: ['day', 'day', 'month', 'month'][STEPS.indexOf(key)] ?? 'year' };
  }
  return { ticks: [], unit: 'month' };
}
function clockTicks(calendar, from, to, room) {
  for (const minutes of [1, 5, 15, 30, 60, 120, 240, 1440]) {
    const ticks = [];
    for (let i = Math.ceil(from); i <= to && ticks.length <= room; i++) if (calendar.times[i] % (minutes * 60) === 0) ticks.push(i);
    if (ticks.length <= room) return { ticks, unit: 'clock' };
  }
  return { ticks: [], unit: 'clock' };
}

/** A tick's text; a second line where the day, or the year, is a new one. */
function tickTexts(calendar, ticks, unit) {
  let before = null;
  return ticks.map((tick) => {
    const day = calendar.days[lowerBound(calendar.starts, tick + 1) - 1];
    const [date, month, year] = dayText(day).split(' ');
    if (unit === 'year') return year;
    const above = unit === 'clock' ? `${date} ${month}` : year;
    const text = unit === 'clock' ? clock.format(calendar.times[tick] * 1000) : unit === 'day' ? `${date} ${month}` : month;
    const news = above !== before;
    before = above;
    return news ? `${text}\n${above}` : text;
  });
}

const charts = new Set();
const NARROWEST = 4;

function setRange(chart, min, max) {
  const last = chart.calendar.count - 1;
  const width = Math.min(last, Math.max(NARROWEST, max - min));
  const from = Math.max(0, Math.min(last - width, min));
  chart.plot.setScale('x', { min: from, max: from + width });
}
function zoomBy(chart, factor) {
  const { min, max } = chart.plot.scales.x;
  const centre = (min + max) / 2;
  setRange(chart, centre - ((max - min) / 2) * factor, centre + ((max - min) / 2) * factor);
}
function moveBy(chart, share) {
  const { min, max } = chart.plot.scales.x;
  setRange(chart, min + (max - min) * share, max + (max - min) * share);
}
const resetZoom = (chart) => setRange(chart, 0, chart.calendar.count - 1);

function stepCursor(chart, by) {
  const { min, max } = chart.plot.scales.x;
  const at = Math.max(Math.ceil(min), Math.min(Math.floor(max), (chart.plot.cursor.idx ?? Math.floor(max)) + by));
  putCursor(chart, at, chart.plot.data[1][at]);
}
function putCursor({ plot }, x, y) {
  plot.setCursor({ left: plot.valToPos(x, 'x'), top: plot.valToPos(y ?? plot.scales.y.min, 'y') });
}
function onChartKey(chart, event) {
  const keys = {
    ArrowLeft: () => (event.shiftKey ? moveBy(chart, -0.25) : stepCursor(chart, -1)),
    ArrowRight: () => (event.shiftKey ? moveBy(chart, 0.25) : stepCursor(chart, 1)),
    '+': () => zoomBy(chart, 0.5), '=': () => zoomBy(chart, 0.5), '-': () => zoomBy(chart, 2),
    0: () => resetZoom(chart), Escape: () => resetZoom(chart),
  };
  if (!Object.hasOwn(keys, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  keys[event.key]();
}

function zoomButtons(chart) {
  const button = (text, name, act) => el('button', { type: 'button', 'aria-label': name, title: name, onclick: act }, text);
  return el('div', { class: 'zoom', role: 'group', 'aria-label': 'Zoom' },
    button('‹', 'Earlier', () => moveBy(chart, -0.5)), button('›', 'Later', () => moveBy(chart, 0.5)),
    button('−', 'Zoom out', () => zoomBy(chart, 2)), button('+', 'Zoom in', () => zoomBy(chart, 0.5)),
    button('Reset', 'Reset the zoom', () => resetZoom(chart)));
}

/** A line chart; charts with the same peers share zoom and cursor. uPlot needs a width, so it is
    made by mount(), once the page has one. uPlot itself draws least and greatest a pixel. */
function timeChart({ label, height, calendar, lines, format, peers = [], scale = {}, onDraw, onCursor }) {
  const host = el('div', { class: 'chart', tabindex: 0, role: 'group', 'aria-roledescription': 'chart', 'aria-label': `${label}. Arrow keys move the cursor, with Shift the window; plus, minus and 0 zoom.` });
  const readout = el('output', { class: 'readout' });
  const chart = { host, readout, calendar, peers, plot: null };
  let unit = 'month';
  const say = (i) => {
    const values = lines.filter((line) => isNumber(line.values[i])).map((line) => [` · ${line.name} `, el('b', {}, format(line.values[i]))]);
    readout.replaceChildren(el('b', {}, calendar.name(i)), ...values.flat());
  };
  const axis = { stroke: () => palette.muted, grid: { stroke: () => palette.line, width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(document.body).fontFamily}` };
  const xAxis = {
    ...axis, size: 42, gap: 6, grid: { show: false },
    splits: (u, _, min, max) => {
      const found = calendarTicks(calendar, min, max, Math.max(2, Math.floor(u.width / 78)));
      unit = found.unit;
      return found.ticks;
    },
    values: (_, ticks) => tickTexts(calendar, ticks, unit),
  };
  const yAxis = { ...axis, gap: 8, size: (_, texts) => 20 + 7 * Math.max(4, ...(texts ?? []).map((t) => t.length)), values: (_, ticks) => ticks.map((v) => format(v, true)) };
  const pair = (u) => peers.forEach((peer) => {
    const { min, max } = u.scales.x;
    Object.assign(host.dataset, { from: min, to: max });
    const theirs = peer.plot?.scales.x;
    if (theirs && peer.plot !== u && (theirs.min !== min || theirs.max !== max)) peer.plot.setScale('x', { min, max });
  });
  chart.say = (i) => say(i ?? calendar.count - 1);
  const follow = (u) => {
    for (const peer of peers) {
      if (peer.plot && peer !== chart) peer.plot.setCursor({ left: u.cursor.left, top: 0 }, false);
      peer.say(u.cursor.idx);
    }
    onCursor?.(u);
  };
  chart.mount = () => {
    const series = lines.map((line) => ({ stroke: () => palette[line.hue], fill: line.fill && (() => palette[line.hue].replace(')', ' / 0.16)').replaceAll(',', '')), width: line.width ?? 1.5, dash: line.dash, points: { show: false } }));
    const hooks = { setScale: [(u, key) => key === 'x' && pair(u)], setCursor: [follow], draw: onDraw ? [onDraw] : [] };
    chart.plot = new uPlot({
      width: Math.max(200, host.clientWidth), height, legend: { show: false }, hooks, series: [{}, ...series], axes: [xAxis, yAxis],
      scales: { x: { time: false, range: (_, min, max) => [min, max] }, y: scale },
      cursor: { drag: { x: true, y: false, dist: 4 }, y: false },
    }, [Float64Array.from({ length: calendar.count }, (_, i) => i), ...lines.map((line) => line.values)], host);
    say(calendar.count - 1);
    host.addEventListener('keydown', (event) => onChartKey(chart, event));
    charts.add(chart);
    chart.fit = () => host.clientWidth > 0 && host.clientWidth !== chart.plot.width && chart.plot.setSize({ width: host.clientWidth, height });
    chart.height = height;
    new ResizeObserver(chart.fit).observe(host);
  };
  peers.push(chart);
  return chart;
}

const mounts = [];
const onceShown = (mount) => mounts.push(mount);
function mountAll() {
  mounts.splice(0).forEach((mount) => mount());
}

/* Trades on a price */

/** An up-triangle under an entry, a down-triangle over an exit, touching the price. */
function triangle(path, x, y, size, up) {
  const base = up ? y + size * 1.7 : y - size * 1.7;
  path.moveTo(x, y);
  path.lineTo(x - size, base);
  path.lineTo(x + size, base);
  path.closePath();
}

/** Above this many in view, triangles would hide the price, and each other. */
const TRADES_APART = 400;

function drawTrades(u, placed) {
  const { min, max } = u.scales.x;
  const seen = placed.filter((t) => t.out >= min && t.in <= max);
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  if (seen.length > TRADES_APART) drawCounts(u, seen);
  else drawTriangles(u, seen);
  ctx.restore();
}

function drawTriangles(u, seen) {
  const size = (seen.length > 80 ? 4 : 6) * devicePixelRatio;
  const [won, lost, links] = [new Path2D(), new Path2D(), new Path2D()];
  const [x, y] = [(i) => u.valToPos(i, 'x', true), (v) => u.valToPos(v, 'y', true)];
  for (const { in: i, out: o, trade } of seen) {
    const path = trade.profit > 0 ? won : lost;
    if (isNumber(trade.entry)) triangle(path, x(i), y(trade.entry), size, true);
    if (!isNumber(trade.exit)) continue;
    triangle(path, x(o), y(trade.exit), size, false);
    links.moveTo(x(i), y(trade.entry));
    links.lineTo(x(o), y(trade.exit));
  }
  Object.assign(u.ctx, { lineWidth: devicePixelRatio, strokeStyle: palette.ink, fillStyle: palette.gain });
  u.ctx.stroke(links);
  u.ctx.fill(won);
  Object.assign(u.ctx, { lineWidth: 1.5 * devicePixelRatio, strokeStyle: palette.loss, fillStyle: palette.card });
  u.ctx.fill(lost);
  u.ctx.stroke(lost);
}

/** Entries counted along the foot of the chart: wins filled above a line, losses hollow below. */
function drawCounts(u, seen) {
  const { ctx, bbox } = u;
  const wide = 7 * devicePixelRatio;
  const [won, lost] = [new Map(), new Map()];
  for (const { in: i, trade } of seen) {
    const counts = trade.profit > 0 ? won : lost;
    const bin = Math.floor((u.valToPos(i, 'x', true) - bbox.left) / wide);
    counts.set(bin, (counts.get(bin) ?? 0) + 1);
  }
  const unit = (0.08 * bbox.height) / Math.max(...won.values(), ...lost.values());
  const line = bbox.top + bbox.height * 0.91;
  const left = (bin) => bbox.left + bin * wide + 1;
  Object.assign(ctx, { lineWidth: devicePixelRatio, strokeStyle: palette.loss, fillStyle: palette.gain });
  won.forEach((n, bin) => ctx.fillRect(left(bin), line - n * unit, wide - 2, n * unit));
  lost.forEach((n, bin) => ctx.strokeRect(left(bin) + 0.5, line + 0.5, wide - 3, n * unit));
}

/** The trade with an end within reach of the cursor, in pixels. */
function tradeNear(u, placed) {
  const { left, top } = u.cursor;
  if (!(left >= 0)) return null;
  let [best, found] = [18 ** 2, null];
  const from = u.posToVal(left - 18, 'x');
  const to = u.posToVal(left + 18, 'x');
  for (const t of placed) {
    for (const [i, v] of [[t.in, t.trade.entry], [t.out, t.trade.exit]]) {
      if (i < from || i > to || !isNumber(v)) continue;
      const away = (u.valToPos(i, 'x') - left) ** 2 + (u.valToPos(v, 'y') - top) ** 2;
      if (away < best) [best, found] = [away, t.trade];
    }
  }
  return found;
}

const tradeReturn = (t) => (isNumber(t.profit) && t.entry * t.shares ? t.profit / (t.entry * t.shares) : null);
const dollars = (v) => (isNumber(v) ? signed(money(v), v) : none('not recorded'));
const rate = (v) => (isNumber(v) ? signed(percent(v), v) : none('not recorded'));
function outcome(t) {
  return el('span', {}, isNumber(t.profit) && (t.profit > 0 ? '▲\u00a0' : '▽\u00a0'), dollars(t.profit));
}
function tradeTip(t, daily) {
  return [
    el('strong', {}, isNumber(t.profit) && (t.profit > 0 ? 'Win ' : 'Loss '), dollars(t.profit)), ` (${isNumber(tradeReturn(t)) ? signed(percent(tradeReturn(t)), t.profit) : 'no return'})`,
    el('div', {}, `In ${instant(t.entered, daily)} at ${isNumber(t.entry) ? price(t.entry) : '?'}`),
    el('div', {}, `Out ${instant(t.exited, daily)} at ${isNumber(t.exit) ? price(t.exit) : '?'}`),
    el('div', {}, `${isNumber(t.shares) ? whole(t.shares) : '?'} shares · ${t.reason ?? 'no reason recorded'}`),
  ];
}

/** Room for triangles above and below; or the foot of the chart for the counts of trades. */
const evenRoom = (_, low, high) => padded(low, high, 0.1);
const footRoom = (_, low, high) => padded(low, high, 0.3);
function padded(low, high, below) {
  const span = high - low || Math.abs(high) || 1;
  return [low - span * below, high + span * 0.1];
}

function priceChart(series, trades) {
  const calendar = barCalendar(series.t);
  const barOf = (t) => Math.max(0, lowerBound(series.t, t + 1) - 1);
  const placed = trades.map((trade) => ({ trade, in: barOf(trade.entered), out: barOf(trade.exited ?? trade.entered) }));
  const tip = el('div', { class: 'tip', hidden: true });
  const onCursor = (u) => {
    const trade = tradeNear(u, placed);
    tip.hidden = !trade;
    if (!trade) return;
    tip.replaceChildren(...tradeTip(trade, !calendar.times).flat());
    const [left, top] = [u.over.offsetLeft + u.cursor.left, u.over.offsetTop + u.cursor.top];
    tip.style.left = `${Math.max(0, Math.min(left + 14, chart.host.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(0, top > tip.offsetHeight + 20 ? top - tip.offsetHeight - 14 : top + 20)}px`;
  };
  const lines = [{ name: 'Close', values: series.close, hue: 'price', width: 1.25 }];
  const chart = timeChart({ label: `Price and trades, ${series.symbol}`, height: 340, calendar, lines, format: price, scale: { range: trades.length > TRADES_APART ? footRoom : evenRoom }, onDraw: (u) => drawTrades(u, placed), onCursor });
  chart.find = (trade) => {
    const at = placed.find((p) => p.trade === trade);
    const room = Math.max(20, (at.out - at.in) * 2);
    setRange(chart, at.in - room, at.out + room);
    // uPlot applies the range in a microtask of its own.
    queueMicrotask(() => putCursor(chart, at.in, trade.entry));
  };
  chart.host.append(tip);
  return chart;
}

/* Heatmap */

const channels = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);
/** A colour between the card's and the heat's, and black or white, whichever reads better on it. */
function heatColour(share) {
  const [from, to] = [channels(palette.card), channels(palette.heat)];
  const mixed = from.map((v, i) => Math.round(v + (to[i] - v) * (0.06 + 0.94 * share)));
  const [r, g, b] = mixed.map((v) => (v <= 10 ? v / 3294 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return { fill: `rgb(${mixed})`, text: 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000' : '#fff' };
}

function drawHeat(canvas, sweep, focus, low, high) {
  const { xs, ys, z, chosen } = sweep;
  const width = canvas.parentElement.clientWidth;
  const ctx = canvas.getContext('2d');
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  ctx.font = font;
  const gutter = Math.ceil(Math.max(...ys.map((y) => ctx.measureText(String(y)).width))) + 12;
  const w = Math.min(72, (width - gutter - 2) / xs.length);
  const h = Math.max(w > 30 ? 26 : 8, Math.min(30, 420 / ys.length));
  const ratio = devicePixelRatio;
  const [cssWidth, cssHeight] = [Math.floor(gutter + w * xs.length + 2), Math.ceil(h * ys.length + 26)];
  Object.assign(canvas, { width: cssWidth * ratio, height: cssHeight * ratio });
  Object.assign(canvas.style, { width: `${cssWidth}px`, height: `${cssHeight}px` });
  ctx.scale(ratio, ratio);
  Object.assign(ctx, { font, textBaseline: 'middle', textAlign: 'center' });
  const left = (x) => gutter + x * w;
  const top = (y) => (ys.length - 1 - y) * h;
  const written = w >= 38 && h >= 18;
  ys.forEach((_, y) => xs.forEach((_, x) => {
    const v = z[y]?.[x];
    const colour = isNumber(v) ? heatColour(high > low ? (v - low) / (high - low) : 0.5) : null;
    ctx.fillStyle = colour?.fill ?? palette.card;
    ctx.fillRect(left(x), top(y), w - (w > 12 ? 1 : 0), h - (w > 12 ? 1 : 0));
    if (!colour && w > 5) cross(ctx, left(x) + w / 2, top(y) + h / 2);
    if (!colour || !written) return;
    ctx.fillStyle = colour.text;
    ctx.fillText(fixed(v, 2), left(x) + w / 2, top(y) + h / 2);
  }));
  const outline = ([x, y], colours) => colours.forEach((colour, i) => {
    Object.assign(ctx, { strokeStyle: colour, lineWidth: 2 });
    ctx.strokeRect(left(x) + 2 * i, top(y) + 2 * i, w - 4 * i - 1, h - 4 * i - 1);
  });
  if (chosen) outline(chosen, [palette.card, palette.ink].toSpliced(w > 9 ? 2 : 0, w > 9 ? 0 : 1));
  if (focus) outline(focus, [palette.loss]);
  ctx.fillStyle = palette.muted;
  const every = (room, size) => Math.ceil(room / size);
  const widest = Math.max(...xs.map((x) => ctx.measureText(String(x)).width)) + 10;
  xs.forEach((x, i) => i % every(widest, w) === 0 && ctx.fillText(String(x), left(i) + w / 2, cssHeight - 12));
  ctx.textAlign = 'right';
  ys.forEach((y, i) => i % every(15, h) === 0 && ctx.fillText(String(y), gutter - 8, top(i) + h / 2));
  return (px, py) => [Math.floor((px - gutter) / w), ys.length - 1 - Math.floor(py / h)];
}
function cross(ctx, x, y) {
  Object.assign(ctx, { strokeStyle: palette.muted, lineWidth: 1 });
  ctx.beginPath();
  for (const side of [-3, 3]) {
    ctx.moveTo(x - 3, y - side);
    ctx.lineTo(x + 3, y + side);
  }
  ctx.stroke();
}

