'use strict';
// The dashboard's page. It only looks: it asks for the state, is told of changes, and sends nothing.
// What the server says reaches the page as text nodes and attribute values only, so no log line can become markup.

const QUIET = 10; // seconds without a message until the page calls itself not connected
const GIVE_UP = 30; // seconds until it opens another connection: a broken one may never say so
const SILENT = 90; // seconds without a heartbeat until a deploy's health check calls a service stale
const LONGEST = 2000; // characters of a log line that are shown

/* Elements */
const isThere = (v) => v !== null && v !== undefined && v !== false;
function fillIn(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) if (isThere(value)) node.setAttribute(name, value);
  node.append(...children.flat(Infinity).filter(isThere));
  return node;
}
const el = (tag, attributes = {}, ...children) => fillIn(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fillIn(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
const byId = (id) => document.getElementById(id);

/** Makes `old` what `fresh` is, and touches only what differs: so focus, selection and scrolling stay as they are. */
function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || old.dataset?.key !== fresh.dataset?.key) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) return old.data === fresh.data || (old.data = fresh.data);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  return 'kept' in old.dataset || morphChildren(old, [...fresh.childNodes]);
}
function morphChildren(parent, fresh) {
  const old = [...parent.childNodes];
  fresh.forEach((node, i) => (old[i] ? morph(old[i], node) : parent.append(node)));
  old.slice(fresh.length).forEach((node) => node.remove());
}
const show = (id, ...children) => morphChildren(byId(id), [...el('div', {}, children).childNodes]);

/* Words and numbers: a true minus, a narrow space before %, the same on every machine */
const isNumber = (v) => typeof v === 'number' && Number.isFinite(v);
const list = (v) => (Array.isArray(v) ? v : []);
const none = (text = 'not known') => el('span', { class: 'none' }, text);
const sub = (...text) => el('span', { class: 'sub' }, text);
const fixed = (v, most, least = most) => v.toLocaleString('en-US', { minimumFractionDigits: least, maximumFractionDigits: most, signDisplay: 'negative' }).replace('-', '−');
const clip = (words, most, more = () => '') => (words.length > most ? `${words.slice(0, most)}…${more(words.length - most)}` : words);
const signed = (text, v) => (v > 0 ? `+${text}` : text);
const percent = (v) => signed(`${fixed(v * 100, 2)}\u202f%`, v);
const money = (v) => (v < 0 ? '−$' : '$') + fixed(Math.abs(v), 2);
const gain = (v) => signed(money(v), v);
const count = (v) => fixed(v, 4, 0);
const plural = (n, one) => `${count(n)} ${n === 1 ? one : `${one}s`}`;
const or = (v, format) => (isNumber(v) ? format(v) : none());
const text = (v) => (isThere(v) && v !== '' ? String(v) : none());
const title = (name) => (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll('_', ' ');
const short = (digest) => (digest ? el('span', { class: 'mono', title: digest }, String(digest).slice(0, 10)) : none());

/* Times: New York's, with UTC in the title */
const nyClock = new Intl.DateTimeFormat('en-GB', { timeZone: 'America/New_York', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const nyDay = new Intl.DateTimeFormat('en-CA', { timeZone: 'America/New_York', year: 'numeric', month: '2-digit', day: '2-digit' });
const dayFormat = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', day: 'numeric', month: 'short', year: 'numeric' });
const isDate = (date) => !Number.isNaN(+date);
const dayText = (iso, date = new Date(`${iso}T00:00:00Z`)) => (isDate(date) ? dayFormat.format(date).replace('Sept', 'Sep') : String(iso));
/** An instant, as ISO text or Unix seconds. Its date is left out if that is today. */
function time(at, digits = 8) {
  if (!isThere(at)) return none();
  const date = new Date(isNumber(at) ? at * 1000 : at);
  if (!isDate(date)) return String(at);
  const [day, clock] = [nyDay.format(date), nyClock.format(date).slice(0, digits)];
  const utc = date.toISOString().slice(0, 19);
  return el('time', { datetime: `${utc}Z`, title: `${utc.replace('T', ' ')} UTC` }, day === nyDay.format(now() * 1000) ? clock : `${dayText(day)}, ${clock}`);
}
/** A bar by its start. Midnight UTC is a daily bar, which is called by its session's date. */
const bar = (at) => (/T00:00(:00)?(\.0+)?Z$/.test(at) ? el('time', { datetime: at, title: `daily bar, ${at}` }, dayText(at.slice(0, 10))) : time(at, 5));
function span(seconds) {
  const [s, min, h, days] = [1, 60, 3600, 86400].map((unit) => Math.floor(Math.max(0, seconds) / unit));
  return min < 1 ? `${s} s` : h < 1 ? `${min} min` : days < 1 ? `${h} h` : plural(days, 'day');
}

/* Status: a shape and a word each; the colour only repeats them */
const ROUND = 'M12 2a10 10 0 1 0 0 20a10 10 0 0 0 0-20Z';
const SHAPES = {
  PASS: ['M12 1a11 11 0 1 0 0 22a11 11 0 0 0 0-22Z', 'M7 12.4l3.4 3.4L17 8.8'],
  BUSY: [ROUND, 'M7 12v.1M12 12v.1M17 12v.1'],
  REST: [ROUND, 'M9.5 8.5v7M14.5 8.5v7'],
  INCONCLUSIVE: [ROUND, 'M9 9.4a3 3 0 1 1 4.4 2.7c-1 .5-1.4 1-1.4 1.9M12 17.3v.1'],
  UNKNOWN: ['M2 2h20v20H2Z', 'M8 12h8'],
  WARN: ['M12 1.5L23.5 22.5H.5Z', 'M12 9.5v5.5M12 18.6v.1'],
  FAIL: ['M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4Z', 'M8.2 8.2l7.6 7.6M15.8 8.2l-7.6 7.6'],
  ERROR: ['M2 2h20v20H2Z', 'M6.5 17.5l11-11'],
};
const SEVERITY = Object.keys(SHAPES);
const PHASES = {
  starting: ['BUSY', 'It has started and has seen no bar.'],
  loading: ['BUSY', 'It reads its journal and its history.'],
  reconciling: ['BUSY', 'It compares its journal with the broker.'],
  catching_up: ['BUSY', 'It looks at the bars since the open.'],
  trading: ['PASS', 'Bars come, and it decides on each.'],
  waiting: ['REST', 'No bar is due.'],
  degraded: ['WARN', 'Something is away. It opens no positions.'],
  flattening: ['WARN', 'It was told to sell everything, and does.'],
  killed: ['WARN', 'It was told to open no positions.'],
  halted: ['FAIL', 'It sends nothing until a person has looked.'],
  stopped: ['UNKNOWN', 'It has ended.'],
};
function shape(status) {
  const [body, mark] = SHAPES[status];
  return svg('svg', { class: `shape ${status}`, viewBox: '0 0 24 24', 'aria-hidden': 'true' }, svg('path', { class: 'body', d: body }), svg('path', { class: 'mark', d: mark }));
}
const badge = (status, word) => el('span', { class: `status ${status}` }, shape(status), word);
const statusOf = (given) => (Object.hasOwn(SHAPES, String(given).toUpperCase()) ? String(given).toUpperCase() : 'UNKNOWN');
const judged = (it, otherwise) => (it ? badge(statusOf(it.status), clip(String(it.status).toUpperCase(), 16)) : none(otherwise));

/* What a service says */
// A folder keeps its name while the heartbeat in it, with the strategy's, can't be read.
const keyOf = (s) => String(s.state_dir ?? s.strategy ?? '');
const hashOf = (key) => `#${encodeURIComponent(key)}`;
// A service whose heartbeat can't be read has an empty name.
const nameOf = (s) => String(s.strategy || s.state_dir || 'unnamed');
const knows = (s) => !s.fault;
// Positions and orders come from the journal, as the capital does: without one, an empty list isn't "nothing held".
const amount = (s, rows) => (knows(s) && isNumber(s.capital) && Array.isArray(rows) ? count(rows.length) : none());
const age = (s) => now() - s.written_at;
const isSilent = (s) => knows(s) && s.phase !== 'stopped' && isNumber(s.written_at) && age(s) > SILENT;
/** Status, word and meaning. A service that has gone silent isn't said to trade. */
function phaseOf(s) {
  if (!knows(s)) return ['ERROR', 'Can’t be read', `Its state can’t be read: ${s.fault}`];
  const [status, meaning] = Object.hasOwn(PHASES, s.phase) ? PHASES[s.phase] : ['UNKNOWN', 'This page doesn’t know what that means.'];
  const word = clip(title(String(s.phase ?? 'not known')), 16);
  return isSilent(s) ? ['FAIL', 'Silent', `It said “${word}” ${span(age(s))} ago, and nothing since.`] : [status, word, meaning];
}
/** Today's return, and how it lies to what the gate expects of a session. */
function todayOf(s) {
  const before = isNumber(s.equity) ? s.equity - s.day_profit : s.capital;
  const rate = isNumber(s.day_profit) && before > 0 ? s.day_profit / before : null;
  const e = s.expected && [s.expected.low, s.expected.mean, s.expected.high].every(isNumber) ? s.expected : null;
  const far = e && rate !== null && rate < e.mean - 3 * (e.mean - e.low);
  return { rate, e, far, place: rate === null || !e ? '' : rate < e.low ? 'below expected' : rate > e.high ? 'above expected' : 'as expected' };
}
/** What asks for a look, as statuses with words. */
function troublesOf(s) {
  const [status, word, meaning] = phaseOf(s);
  const bare = list(s.positions).filter((p) => p.protected === false).map((p) => p.symbol);
  const { rate, far } = todayOf(s);
  return [
    SEVERITY.indexOf(status) >= SEVERITY.indexOf('UNKNOWN') && [status === 'UNKNOWN' ? 'WARN' : status, [knows(s) && `${word}. `, meaning, knows(s) && s.why && ` ${clip(String(s.why), 160)}`]],
    bare.length > 0 && ['FAIL', `Not protected: ${bare.join(', ')}.`],
    s.errors > 0 && ['WARN', `${plural(s.errors, 'error')} since its start.`],
    // One session in six ends below the band, so that alone is nothing to look at.
    far && ['WARN', `Today’s ${percent(rate)} is far below what is expected.`],
    s.parity && statusOf(s.parity.status) !== 'PASS' && [statusOf(s.parity.status), `Parity of ${dayText(s.parity.date)}: ${String(s.parity.status).toUpperCase()}.`],
    // A warning of the gate doesn't stop a deploy; it would be yellow here for as long as the release runs.
    s.verdict && !['PASS', 'WARN'].includes(statusOf(s.verdict.status)) && [statusOf(s.verdict.status), `The gate’s verdict: ${String(s.verdict.status).toUpperCase()}.`],
  ].filter(Boolean);
}
const gravest = (troubles) => SEVERITY[Math.max(0, ...troubles.map(([status]) => SEVERITY.indexOf(status)))];

/* Parts of the page */
/** Columns: label, cell(row), class. The first one heads its row. Roles are said again, as narrow pages show rows as
    cards, and some browsers drop a table's meaning with its layout. */
function table(caption, columns, rows, empty, className, row = () => ({})) {
  const head = columns.map(([label, , c]) => el('th', { scope: 'col', role: 'columnheader', class: c }, label));
  const cell = (r) => ([label, of, c], i) => (i === 0 ? el('th', { scope: 'row', role: 'rowheader', class: c }, of(r)) : el('td', { role: 'cell', class: c, 'data-label': label }, of(r)));
  const body = rows.map((r) => el('tr', { role: 'row', ...row(r) }, columns.map(cell(r))));
  const whole = el('table', { role: 'table', class: className }, el('caption', {}, caption), el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, head)), el('tbody', { role: 'rowgroup' }, body));
  return el('div', { class: 'box', tabindex: 0, role: 'region', 'aria-label': caption }, rows.length ? whole : el('p', { class: 'none' }, empty));
}

/** Today's return on the band of what is expected. The band keeps its place; a mark beyond the edge is an arrow. */
function todayStrip({ rate, e }) {
  if (!e) return null;
  const half = 1.7 * Math.max(e.high - e.mean, e.mean - e.low, 1e-6);
  const at = (v) => 60 + ((v - e.mean) / half) * 60;
  const rect = (c, from, to) => svg('rect', { class: c, x: from, y: 0, width: to - from, height: 16 });
  const beyond = rate !== null && Math.abs(at(rate) - 60) > 58;
  const arrow = svg('path', { class: 'mark', d: at(rate) < 60 ? 'M9 1v14L1 8Z' : 'M111 1v14l8-7Z' });
  return svg('svg', { class: 'strip', viewBox: '0 0 120 16', 'aria-hidden': 'true' }, rect('all', 0, 120), rect('band', at(e.low), at(e.high)),
    rect('mean', at(e.mean) - 0.5, at(e.mean) + 0.5), rate !== null && (beyond ? arrow : rect('mark', at(rate) - 1.5, at(rate) + 1.5)));
}
function todayNode(s) {
  const today = todayOf(s);
  const range = today.e && `expected ${fixed(today.e.low * 100, 2)} to ${percent(today.e.high)}`;
  return [el('span', {}, or(s.day_profit, gain)), todayStrip(today), sub(el('span', {}, [today.rate !== null && percent(today.rate), today.place].filter(Boolean).join(' · ')), el('span', {}, range ?? 'nothing to compare with'))];
}

/** Equity by session, as a line with its ends, and the capital as a rule. */
function equityChart(s, empty) {
  const points = list(s.equity_by_session).filter((p) => Array.isArray(p) && isNumber(p[1])).map(([day, v]) => [dayText(day), v]);
  const lastDay = list(s.equity_by_session).at(-1)?.[0] ?? '';
  if (isNumber(s.equity) && lastDay < nyDay.format(now() * 1000)) points.push(['now', s.equity]);
  if (points.length < 2) return el('p', { class: 'none' }, points.length ? 'One value so far. A line needs two.' : empty('No session has ended yet.'));
  const values = points.map((p) => p[1]);
  const [from, to] = [points[0], points.at(-1)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (i) => ((i / (values.length - 1)) * 600).toFixed(1);
  const y = (v) => (high > low ? 145 - ((v - low) / (high - low)) * 130 : 80).toFixed(1);
  const rule = isNumber(s.capital) && s.capital >= low && s.capital <= high;
  const said = `Equity from ${from[0]}, ${money(from[1])}, to ${to[0]}, ${money(to[1])}.`;
  return [
    el('p', { class: 'note' }, `Highest ${money(high)}, lowest ${money(low)}.`, rule && ' The dashed line is the capital.'),
    el('figure', { class: 'plane' },
      svg('svg', { viewBox: '0 0 600 160', preserveAspectRatio: 'none', role: 'img', 'aria-label': said }, rule && svg('path', { class: 'rule', d: `M0 ${y(s.capital)}H600` }), svg('polyline', { points: values.map((v, i) => `${x(i)},${y(v)}`).join(' ') })),
      el('figcaption', {}, el('span', {}, from[0]), el('span', {}, to[0]))),
  ];
}

/** Adds what is new and takes away what is gone, so that a reader who scrolled up keeps the lines in view. */
function drawLog(box, lines) {
  const was = box.lines ?? [];
  const top = box.scrollTop;
  const atEnd = box.scrollHeight - top - box.clientHeight < 8;
  let gone = 0;
  while (!was.slice(gone).every((line, i) => line === lines[i])) gone += 1;
  const height = box.scrollHeight;
  [...box.children].slice(0, gone).forEach((node) => node.remove());
  const lost = height - box.scrollHeight;
  const words = (line) => clip(line.trimEnd().replaceAll('\n', '\ufffd') || ' ', LONGEST, (n) => ` (${count(n)} more characters)`);
  box.append(...lines.slice(was.length - gone).map((line) => el('div', {}, words(line))));
  box.lines = lines;
  if (atEnd) box.scrollTop = box.scrollHeight;
  else if (lost) box.scrollTop = top - lost;
}

/* The page */
let [state, receivedAt, chosen, broken, source, triedAt] = [null, 0, null, '', null, 0];
const loadedAt = Date.now();
const services = () => list(state?.services).filter((s) => s && typeof s === 'object');
const elapsed = () => Math.max(0, (Date.now() - receivedAt) / 1000);
const isLive = () => state !== null && !broken && source.readyState === EventSource.OPEN && elapsed() <= QUIET;
const isNew = () => !broken && source.readyState === EventSource.CONNECTING && Date.now() - loadedAt < QUIET * 1000;
/** The server's clock, which goes on for as long as the page is told: ages of what isn't known any more don't grow. */
const now = () => (state ? Date.parse(state.now) / 1000 + Math.min(elapsed(), QUIET) : Date.now() / 1000);

function drawBar() {
  const [waits, old] = [isNew(), elapsed() > 60];
  const known = state && [time(state.now), ' New York time'];
  const lost = [broken || 'Not connected', ': ', state ? ['the page shows what was known at ', known, `, ${span(elapsed())} ago.`] : 'nothing is known yet.'];
  show('connection', isLive() ? badge('PASS', 'Live') : waits ? badge('BUSY', 'Connecting') : badge(old ? 'FAIL' : 'WARN', broken ? 'Can’t be read' : 'Not connected'));
  show('updated', isLive() ? ['Updated ', known] : waits ? 'Asking for the state' : lost);
  document.body.className = isLive() || waits ? '' : old ? 'stale old' : 'stale';
}

function drawSummary() {
  const found = services().map((s) => [s, troublesOf(s)]).filter(([, troubles]) => troubles.length);
  const n = services().length;
  const says = n === 0 ? 'No service is watched.' : found.length ? `${count(found.length)} of ${plural(n, 'service')} ${found.length === 1 ? 'needs' : 'need'} a look.` : n === 1 ? 'The service is well.' : `${n === 2 ? 'Both' : `All ${count(n)}`} services are well.`;
  const status = n === 0 ? 'REST' : gravest(found.flatMap(([, troubles]) => troubles));
  const item = ([s, troubles]) => el('li', {}, shape(gravest(troubles)), el('p', {}, el('button', { type: 'button', class: 'link', 'data-choose': keyOf(s) }, nameOf(s)), ...troubles.flatMap(([, words]) => [' ', words])));
  byId('summary').className = `hero ${status}`;
  show('summary', el('h1', { id: 'headline' }, shape(status), el('span', {}, isLive() || isNew() ? says : ['At ', time(state.now), `: ${says.charAt(0).toLowerCase()}${says.slice(1)}`])),
    n === 0 && el('p', { class: 'lead' }, 'The dashboard found no service where it looks. This page changes by itself once there is one.'),
    found.length > 0 && el('ul', { class: 'reasons' }, found.map(item)));
  document.title = `${isLive() || isNew() ? says.replace(/\.$/, '') : 'Not connected'} · Magellan`;
}

function drawOverview() {
  const columns = [
    ['Service', (s) => [el('button', { type: 'button', class: 'link', 'data-choose': keyOf(s), 'aria-pressed': String(keyOf(s) === chosen) }, nameOf(s)), sub(s.environment ?? 'no environment')]],
    ['State', (s) => badge(...phaseOf(s))],
    ['Last heard', (s) => or(s.written_at, () => `${span(age(s))} ago`), 'number'],
    ['Last bar', (s) => bar(s.last_bar), 'number'],
    ['Positions', (s) => amount(s, s.positions), 'number'],
    ['Profit today', todayNode, 'number today'],
    ['Parity', (s) => [judged(s.parity, knows(s) ? 'none yet' : 'not known'), s.parity && sub(dayText(s.parity.date))]],
    ['Verdict', (s) => judged(s.verdict, knows(s) ? 'none yet' : 'not known')],
    ['Errors', (s) => or(s.errors, count), 'number'],
  ];
  const row = (s) => ({ 'data-key': keyOf(s), 'data-choose': keyOf(s), class: keyOf(s) === chosen ? 'chosen' : null });
  byId('overview').hidden = services().length === 0;
  show('overview', el('h2', { id: 'overview-name' }, 'Services'), el('p', { class: 'lead' }, 'Choose one to see more of it.'),
    table('Services', columns, services(), '', 'cards', row),
    el('p', { class: 'note' }, 'The gate expects two sessions of three to end in the band; the upright mark is today’s. Parity says whether a replay of a traded day decides the same. The verdict is the gate’s on what runs.'));
}

/** The latest first, in whichever order they come. */
const latest = (rows, at) => list(rows).toReversed().sort((a, b) => String(b[at]).localeCompare(String(a[at])));

function detailOf(s) {
  const [status, word, meaning] = phaseOf(s);
  const empty = (words) => (!knows(s) ? 'Not known while the state can’t be read.' : isNumber(s.capital) ? words : 'Not known: no journal has told of it.');
  const unjudged = (words) => (knows(s) ? words : empty());
  const tile = (name, value, beside) => el('div', {}, el('dt', {}, name), el('dd', {}, value, beside && sub(beside)));
  const fact = (name, value) => el('div', {}, el('dt', {}, name), el('dd', {}, value));
  const panel = (name, note, ...body) => el('section', { class: 'panel' }, el('h3', {}, name), note && el('p', { class: 'note' }, note), body);
  const shares = (v) => or(v, count);
  const price = (v) => or(v, (p) => `$${fixed(p, 4, 2)}`);
  const positions = [['Symbol', (p) => text(p.symbol)], ['Shares', (p) => shares(p.shares), 'number'], ['Entry', (p) => price(p.entry_price), 'number'], ['Last close', (p) => price(p.last_close), 'number'],
    ['Profit so far', (p) => or(p.unrealised, gain), 'number'], ['Protected', (p) => (p.protected === true ? badge('PASS', 'Yes') : p.protected === false ? badge('FAIL', 'No') : none())]];
  const orders = [['Order', (o) => [text(o.symbol), sub(text(o.id))]], ['Side', (o) => text(o.side)], ['Filled', (o) => [shares(o.filled), ' of ', shares(o.shares)], 'number'], ['Form', (o) => text(o.form), 'wrap'], ['State', (o) => text(o.state)]];
  const decisions = [['Bar', (d) => bar(d.bar)], ['Symbol', (d) => text(d.symbol)], ['Order', (d) => text(d.order), 'wrap'], ['Answer', (d) => text(d.answer), 'wrap']];
  const fills = [['Time', (f) => time(f.at)], ['Shares', (f) => shares(f.shares), 'number'], ['Price', (f) => price(f.price), 'number'], ['Order', (f) => text(f.id), 'wrap mono']];
  const parity = s.parity ? [el('p', {}, judged(s.parity), ` on ${dayText(s.parity.date)}`), el('ul', { class: 'plainlist' }, list(s.parity.reasons).map((r) => el('li', {}, r)))] : el('p', { class: 'none' }, unjudged('No day was compared with its replay yet.'));
  const verdict = s.verdict ? el('p', {}, judged(s.verdict), ' ', short(s.verdict.digest)) : el('p', { class: 'none' }, unjudged('No verdict of the gate is known for what runs.'));
  return el('div', { 'data-key': keyOf(s) },
    el('div', { class: 'heading' }, el('h2', { id: 'detail-name' }, nameOf(s)), badge(status, word)),
    el('p', { class: 'lead' }, meaning, knows(s) && s.why && ` ${s.why}`),
    el('dl', { class: 'tiles' }, tile('Equity', or(s.equity, money), isNumber(s.capital) && `capital ${money(s.capital)}`), el('div', { class: 'today' }, el('dt', {}, 'Profit today'), el('dd', {}, todayNode(s))),
      tile('Positions', amount(s, s.positions)), tile('Working orders', amount(s, s.orders)), tile('Decisions', or(s.decisions, count), s.last_decision && ['last on ', bar(s.last_decision)]), tile('Errors', or(s.errors, count), 'since its start')),
    el('div', { class: 'grid' },
      panel('Positions', 'Protected: its stop works at the broker.', table('Positions', positions, list(s.positions), empty('It holds nothing.'), 'cards')),
      panel('Working orders', 'What the broker has and hasn’t filled.', table('Working orders', orders, list(s.orders), empty('No order is at the broker.'), 'cards')),
      panel('Equity by session', null, equityChart(s, empty)),
      el('div', {}, panel('Parity', 'Did a replay of the day decide the same?', parity), panel('Verdict', null, verdict)),
      panel('Last decisions', 'The latest first.', table('Last decisions', decisions, latest(s.decisions_tail, 'bar'), empty('It has decided nothing yet.'), 'cards tail')),
      panel('Last fills', 'The latest first.', table('Last fills', fills, latest(s.fills_tail, 'at'), empty('Nothing was filled yet.'), 'cards tail'))),
    panel('Log', 'The newest line is at the bottom.', el('div', { class: 'log', id: 'log', 'data-kept': '', tabindex: 0, role: 'region', 'aria-label': 'Log', dir: 'ltr' })),
    panel('What runs', null, el('dl', { class: 'facts' }, fact('Environment', text(s.environment)), fact('Release', short(s.release)), fact('Process', text(s.pid)), fact('Started', time(s.started_at)),
      fact('Starts', or(s.starts, count)), fact('Last heard', time(s.written_at)), fact('Last bar', bar(s.last_bar)), fact('State folder', el('span', { class: 'mono' }, text(s.state_dir))))));
}

function drawDetail() {
  const s = services().find((one) => keyOf(one) === chosen);
  byId('detail').hidden = !s && services().length === 0;
  show('detail', s ? detailOf(s) : el('div', {}, el('h2', { id: 'detail-name' }, 'Not watched any more'), el('p', { class: 'lead' }, 'The service that was shown here is gone. Choose another one above.')));
  if (s) drawLog(byId('log'), list(s.log).map(String));
}

function draw() {
  // The page shows one service until its reader chooses another, in whichever order they come.
  if (chosen === null && services().length) chosen = keyOf(services().find((s) => hashOf(keyOf(s)) === location.hash) ?? services()[0]);
  try {
    if (state) [drawSummary, drawOverview, drawDetail].forEach((part) => part());
  } catch (error) {
    // Old figures must not stand under the word "live".
    console.warn(error);
    broken = 'The page can’t show the last message';
  }
  drawBar();
}

/** Controls could hide a part of a line, and controls of text direction make a number read backwards. */
const harmless = (key, v) => (typeof v === 'string' ? v.toWellFormed().replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, '\ufffd') : v);

function take(json) {
  const before = new Map(services().map((s) => [keyOf(s), phaseOf(s)[1]]));
  try {
    const told = JSON.parse(json, harmless);
    if (!isDate(new Date(told.now)) || !Array.isArray(told.services)) throw new Error('it has no time or no services');
    [state, receivedAt, broken] = [told, Date.now(), ''];
  } catch (error) {
    console.warn(error);
    broken = 'The last message can’t be read';
  }
  const changed = services().filter((s) => before.has(keyOf(s)) && before.get(keyOf(s)) !== phaseOf(s)[1]);
  if (changed.length) byId('said').textContent = changed.map((s) => `${nameOf(s)}: ${phaseOf(s)[1]}.`).join(' ');
  draw();
}

function connect() {
  source?.close();
  source = new EventSource('/events');
  triedAt = Date.now();
  source.addEventListener('state', (event) => take(event.data));
  source.addEventListener('error', draw);
}

/** A browser tries again after a broken connection, but neither after a refused one nor after one that just hangs. */
function tick() {
  const tried = (Date.now() - triedAt) / 1000;
  if ((source.readyState === EventSource.CLOSED && tried > 5) || (elapsed() > GIVE_UP && tried > GIVE_UP)) connect();
  draw();
}

document.addEventListener('click', (event) => {
  const key = event.target.closest('[data-choose]')?.dataset.choose;
  // Whoever selects text in a row doesn't choose it.
  if (key === undefined || (!event.target.closest('button') && !getSelection().isCollapsed)) return;
  chosen = key;
  history.replaceState(null, '', hashOf(key));
  draw();
  byId('said').textContent = `Showing ${byId('detail-name').textContent}.`;
  byId('detail-name').scrollIntoView({ block: 'nearest' });
});
byId('theme').addEventListener('click', () => {
  const dark = (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
  document.documentElement.dataset.theme = dark ? 'light' : 'dark';
});
document.addEventListener('visibilitychange', tick);

connect();
draw();
// The first message may come late; what it says is newer than this answer.
fetch('/api/state', { cache: 'no-store' }).then((answer) => (answer.ok ? answer.text() : Promise.reject(answer))).then((json) => state ?? take(json), draw);
setInterval(tick, 1000);
