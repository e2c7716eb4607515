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

/** The time axis of a run: its sessions, one after the other, each as long as the longest. `slot` is the
    length of a session in units of `unit` seconds; with daily bars, and for equity, it is 1. So nights and
    weekends take no room, and every place on the axis is an instant. */
function calendarOf(days, bars = null) {
  const months = days.map((day) => {
    const date = new Date(day * DAY * 1000);
    return date.getUTCFullYear() * 12 + date.getUTCMonth();
  });
  const { slot = 1, unit = DAY, opens = null } = bars ?? {};
  return { days, months, slot, unit, opens, last: opens ? days.length * slot : days.length - 1 };
}
const sessionAt = (calendar, x) => Math.max(0, Math.min(calendar.days.length - 1, Math.floor(x / calendar.slot)));

/** The instant of a place, and the place of an instant. */
function instantOf(calendar, x) {
  const session = sessionAt(calendar, x);
  return calendar.opens ? calendar.opens[session] + (x - session * calendar.slot) * calendar.unit : calendar.days[session] * DAY;
}
function placeOf(calendar, t) {
  const starts = calendar.opens ?? calendar.days;
  const session = Math.max(0, lowerBound(starts, (calendar.opens ? t : Math.floor(t / DAY)) + 1e-6) - 1);
  return calendar.opens ? session * calendar.slot + Math.max(0, Math.min(calendar.slot, (t - starts[session]) / calendar.unit)) : session;
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

/** Places where a day, week, month, … begins: the finest of them that fits. */
function calendarTicks(calendar, from, to, room) {
  const [first, last] = [Math.ceil(from / calendar.slot), Math.min(calendar.days.length - 1, Math.floor(to / calendar.slot))];
  if (calendar.opens && last - first < Math.max(2, room / 4)) return clockTicks(calendar, from, to, room);
  for (const key of STEPS) {
    const ticks = [];
    for (let i = first; i <= last; i++) {
      if (i === 0 || key(calendar, i) !== key(calendar, i - 1)) ticks.push(i * calendar.slot);
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
    const step = (minutes * 60) / calendar.unit;
    for (let session = sessionAt(calendar, from); session <= sessionAt(calendar, to) && ticks.length <= room; session++) {
      const start = session * calendar.slot;
      const offset = (((-calendar.opens[session] % (minutes * 60)) + minutes * 60) % (minutes * 60)) / calendar.unit;
      for (let x = start + offset; x < start + calendar.slot && ticks.length <= room; x += step) if (x >= from && x <= to) ticks.push(x);
    }
    if (ticks.length <= room) return { ticks, unit: 'clock' };
  }
  return { ticks: [], unit: 'clock' };
}

/** A tick's text; a second line where the day, or the year, is a new one. */
function tickTexts(calendar, ticks, unit) {
  let before = null;
  return ticks.map((tick) => {
    const [date, month, year] = dayText(calendar.days[sessionAt(calendar, tick)]).split(' ');
    if (unit === 'year') return year;
    const above = unit === 'clock' ? `${date} ${month}` : year;
    const text = unit === 'clock' ? clock.format(instantOf(calendar, tick) * 1000) : unit === 'day' ? `${date} ${month}` : month;
    const news = above !== before;
    before = above;
    return news ? `${text}\n${above}` : text;
  });
}

/** Round values between two, a ratio apart where the scale is logarithmic. */
function logTicks(low, high, room) {
  if (high / low < 3) return null;
  const sets = [[1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]];
  for (const set of sets) {
    const ticks = [];
    for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10) ticks.push(...set.map((v) => v * power).filter((v) => v >= low && v <= high));
    if (ticks.length <= room && ticks.length > 1) return ticks;
  }
  return null;
}
function evenTicks(low, high, room) {
  const raw = (high - low) / Math.max(1, room);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((v) => v * power).find((v) => v >= raw);
  const ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) ticks.push(n * step);
  return ticks;
}

const charts = new Set();
const NARROWEST = 4;

/** Shows a stretch of a chart and its peers; curves that are rebased restart at its left edge. */
function setRange(chart, min, max) {
  const { last } = chart.calendar;
  const width = Math.min(last, Math.max(NARROWEST * chart.least, max - min));
  const from = Math.max(0, Math.min(last - width, min));
  chart.peers.filter((peer) => peer.plot).forEach((peer) => peer.show(from, from + width));
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
const resetZoom = (chart) => setRange(chart, 0, chart.calendar.last);

function stepCursor(chart, by) {
  const { min, max } = chart.plot.scales.x;
  const [first, last] = [lowerBound(chart.xs, min), lowerBound(chart.xs, max + 1e-9) - 1];
  const at = Math.max(first, Math.min(last, (chart.plot.cursor.idx ?? last) + by));
  putCursor(chart, chart.xs[at], chart.plot.data[1][at]);
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
    made by mount(), once the page has one. uPlot itself draws least and greatest a pixel.
    `rebases`: at the left edge of what is shown, all lines start from the first one's value. */
function timeChart({ label, height, calendar, xs, lines, format, peers = [], room = null, onDraw, onCursor, rebases = false, least = 1 }) {
  const host = el('div', { class: 'chart', tabindex: 0, role: 'group', 'aria-roledescription': 'chart', 'aria-label': `${label}. Arrow keys move the cursor, with Shift the window; plus, minus and 0 zoom.` });
  const readout = el('output', { class: 'readout' });
  const places = Float64Array.from(xs ?? calendar.days.map((_, i) => i));
  const chart = { host, readout, calendar, peers, xs: places, least, plot: null, log: false, values: lines.map((line) => line.values) };
  let [unit, left] = ['month', 0];
  const name = (i) => (calendar.opens ? instant(instantOf(calendar, places[i]), false) : dayText(calendar.days[sessionAt(calendar, places[i])]));
  const say = (i) => {
    const since = (values) => rebases && left > 0 && isNumber(values[left]) && values[left] !== 0 && ` (${signed(percent(values[i] / values[left] - 1, 1), values[i] - values[left])})`;
    const told = lines.map((line, n) => [line, chart.values[n]]).filter(([, values]) => isNumber(values[i]));
    readout.replaceChildren(el('b', {}, name(i)), ...told.flatMap(([line, values]) => [` · ${line.name} `, el('b', {}, format(values[i])), since(values) || '']), rebases && left > 0 ? ` since ${name(left)}` : '');
  };
  const drawn = () => [places, ...chart.values.map((values) => (chart.log ? Array.from(values, (v) => (v > 0 ? Math.log(v) : null)) : values))];
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
  const real = (v) => (chart.log ? Math.exp(v) : v);
  const yAxis = {
    ...axis, gap: 8, 
    // Wide enough for most, so that charts one above the other have one time axis.
    size: (_, texts) => 20 + 7 * Math.max(7, ...(texts ?? []).map((t) => t.length)),
    splits: (_, __, min, max) => {
      if (!(max > min)) return [];
      const most = Math.max(2, Math.floor(height / 50));
      const ticks = (chart.log && logTicks(real(min), real(max), most)) || evenTicks(real(min), real(max), most);
      return chart.log ? ticks.map(Math.log) : ticks;
    },
    values: (_, ticks) => ticks.map((v) => format(real(v), true)),
  };
  chart.say = (i) => say(i ?? lowerBound(places, chart.plot.scales.x.max + 1e-9) - 1);
  chart.show = (min, max) => {
    left = Math.min(places.length - 1, lowerBound(places, min - 1e-9));
    if (rebases) chart.values = lines.map((line) => (min > 0 ? rebasedAt(line.values, left, lines[0].values[left]) : line.values));
    chart.plot.batch(() => {
      chart.plot.setData(drawn(), false);
      chart.plot.setScale('x', { min, max });
    });
    Object.assign(host.dataset, { from: min, to: max });
    say(lowerBound(places, max + 1e-9) - 1);
  };
  chart.setLog = (log) => {
    chart.log = log;
    const { min, max } = chart.plot.scales.x;
    chart.show(min, max);
  };
  const follow = (u) => {
    for (const peer of peers.filter((one) => one.plot)) {
      if (peer !== chart) peer.plot.setCursor({ left: u.cursor.left, top: 0 }, false);
      peer.say(u.cursor.idx);
    }
    onCursor?.(u);
  };
  // Zooms by way of setRange, so that peers and rebased curves follow.
  const select = (u) => {
    if (u.select.width <= 0) return;
    const [from, to] = [u.posToVal(u.select.left, 'x'), u.posToVal(u.select.left + u.select.width, 'x')];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    setRange(chart, from, to);
  };
  chart.mount = () => {
    const series = lines.map((line) => ({ stroke: () => palette[line.hue], fill: line.fill && (() => palette[line.hue].replace(')', ' / 0.16)').replaceAll(',', '')), width: line.width ?? 1.5, dash: line.dash, points: { show: false }, spanGaps: false }));
    const hooks = { setSelect: [select], setCursor: [follow], draw: onDraw ? [onDraw] : [] };
    chart.plot = new uPlot({
      width: Math.max(200, host.clientWidth), height, legend: { show: false }, hooks, series: [{}, ...series], axes: [xAxis, yAxis],
      scales: { x: { time: false, range: (_, min, max) => [min, max] }, y: { range: (u, low, high) => (isNumber(low) && isNumber(high) ? (room ?? evenRoom)(u, low, high) : [0, 1]) } },
      cursor: { drag: { x: true, y: false, dist: 4, setScale: false }, y: false, bind: { dblclick: () => () => resetZoom(chart) } },
    }, drawn(), host);
    chart.show(0, calendar.last);
    host.addEventListener('keydown', (event) => onChartKey(chart, event));
    charts.add(chart);
    chart.fit = () => host.clientWidth > 0 && host.clientWidth !== chart.plot.width && chart.plot.setSize({ width: host.clientWidth, height });
    chart.height = height;
    new ResizeObserver(chart.fit).observe(host);
  };
  peers.push(chart);
  return chart;
}

/** Scaled so that the value at one place is `to`; as it is, where it has no value there. */
function rebasedAt(values, at, to) {
  const own = values[at];
  if (!isNumber(own) || own <= 0 || !isNumber(to)) return values;
  return values.map((v) => (isNumber(v) ? (v / own) * to : null));
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
  const size = (seen.length > u.width / 24 ? 3.5 : seen.length > u.width / 48 ? 4.5 : 6) * devicePixelRatio;
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
    el('div', {}, `${isNumber(t.shares) ? whole(t.shares) : '?'} shares${t.side ? ` ${t.side}` : ''} · ${t.reason ?? 'no reason recorded'}`),
  ];
}

/** Room above and below, for triangles too; or the foot of the chart for the counts of trades. */
const evenRoom = (_, low, high) => padded(low, high, 0.07);
const footRoom = (_, low, high) => padded(low, high, 0.3);
function padded(low, high, below) {
  const span = high - low || Math.abs(high) || 1;
  return [low - span * below, high + span * 0.1];
}

/** A rising series as differences, from its first value on. */
const summed = (steps) => steps.map(((sum) => (step) => (sum += step))(0));

function priceChart(series, trades, calendar) {
  const placed = trades.map((trade) => ({ trade, in: placeOf(calendar, trade.entered), out: placeOf(calendar, trade.exited ?? trade.entered) }));
  const tip = el('div', { class: 'tip', hidden: true });
  const onCursor = (u) => {
    const trade = tradeNear(u, placed);
    tip.hidden = !trade;
    if (!trade) return;
    tip.replaceChildren(...tradeTip(trade, !calendar.opens).flat());
    const [left, top] = [u.over.offsetLeft + u.cursor.left, u.over.offsetTop + u.cursor.top];
    tip.style.left = `${Math.max(0, Math.min(left + 14, chart.host.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(0, top > tip.offsetHeight + 20 ? top - tip.offsetHeight - 14 : top + 20)}px`;
  };
  const lines = [{ name: 'Close', values: series.close, hue: 'price', width: 1.25 }];
  const least = calendar.opens ? (series.width ?? 60) / calendar.unit : 1;
  const chart = timeChart({ label: `Price and trades, ${series.symbol}`, height: 340, calendar, xs: summed(series.at), lines, format: price, least, room: trades.length > TRADES_APART ? footRoom : evenRoom, onDraw: (u) => drawTrades(u, placed), onCursor });
  chart.find = (trade) => {
    const at = placed.find((p) => p.trade === trade);
    const room = Math.max(20 * least, (at.out - at.in) * 2);
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
  const { xs, z, chosen } = sweep;
  const ys = sweep.y === null ? [''] : sweep.ys;
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

