// The gate's page: one strategy's verdict.

let verdict = {};
const allPeriods = () => list(verdict.periods);

/* Verdict */

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

function reasonList() {
  const bad = badChecks(allPeriods());
  if (bad.length < 2) return null;
  const line = ({ check, period }) => el('li', {}, badge(check.status), el('span', {}, period, capital(checkSentence(check)), check.acknowledged ? ' (acknowledged)' : '', '.'));
  const more = bad.length > 4 && el('li', { class: 'muted' }, `and ${plural(bad.length - 4, 'more criterion', 'more criteria')} below.`);
  return el('div', { class: 'why' }, el('h2', {}, 'What doesn’t pass'), el('ul', { class: 'reasons' }, bad.slice(0, 4).map(line), more));
}

function faultNode({ code, message, help }) {
  return el('div', { class: 'fault', role: 'alert' },
    el('p', {}, el('strong', {}, message ?? 'No message was recorded.')),
    help && el('p', {}, help),
    code && el('p', { class: 'note' }, 'Error ', el('code', {}, code), ': magellan explain ', code));
}

function periodButtons() {
  if (allPeriods().length < 2) return null;
  const button = (p, i) => el('button', { type: 'button', 'aria-pressed': String(p === part), onclick: () => show(i) }, badge(p.status), p.name ?? 'unnamed');
  return el('div', { class: 'periods', role: 'group', 'aria-label': 'Period shown' }, allPeriods().map(button));
}

/** The verdicts of the same run, each a link to its page. */
function strategiesNav() {
  const all = list(data.strategies);
  if (all.length < 2) return null;
  const link = (s) => el('a', { href: s.href, 'aria-current': s.name === verdict.strategy && 'page' }, shape(statusOf(s.status)), el('span', {}, s.name), el('span', { class: 'said' }, `: ${statusOf(s.status)}`));
  return el('nav', { class: 'strategies', 'aria-label': 'Strategies judged' }, el('a', { href: 'index.html' }, 'All strategies'), all.map(link));
}

function heroView() {
  const status = statusOf(verdict.status);
  return el('section', { class: `hero ${status}`, 'aria-label': 'Verdict' },
    strategiesNav(),
    el('div', { class: 'halves' },
      el('div', {},
        el('p', { class: 'eyebrow' }, `Gate verdict · ${data.title ?? verdict.strategy ?? 'untitled'}`),
        el('h1', {}, el('span', { class: 'word', id: 'verdict' }, shape(status), status), el('span', { class: 'said' }, ': '), el('span', { class: 'reason' }, reason(verdict), '.')),
        MEANING[status] && el('p', { class: 'meaning' }, MEANING[status]),
        el('p', { class: 'judged' }, judgedSentence())),
      verdict.error ? faultNode(verdict.error) : reasonList()),
    periodButtons(), tilesNode());
}

/* Criteria */

const GROUPS = {
  point: 'Figures as measured', statistics: 'Statistics: what the figures prove', baseline: 'Against the deployed baseline',
  robustness: 'Robustness', causality: 'Causality: no look-ahead', selection: 'What was chosen from', data: 'Data',
  policy: 'The least policy', pending: 'To be settled: by more history, a commit or somebody’s word',
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
  const notes = [check.bound, isNumber(check.estimate) && `estimate ${number(check.metric, check.estimate)}`, ...list(check.counted)].filter(Boolean);
  return [figureNode(check.metric, check.value), notes.length > 0 && el('span', { class: 'sub' }, notes.join(' · '))];
}

function criteriaView() {
  const checks = list(part.checks);
  if (!checks.length) return 'no criterion was applied';
  const acknowledged = (check) => check.acknowledged && el('span', { class: 'sub' }, `acknowledged until ${check.acknowledged.expires ?? '(no date)'}`);
  const columns = [
    { label: 'Criterion', heading: true, key: (c) => title(c.metric), cell: (c) => el('span', { title: c.metric }, title(c.metric)) },
    { label: 'Status', key: (c) => SEVERITY.indexOf(statusOf(c.status)), cell: (c) => [badge(c.status), acknowledged(c)] },
    { label: 'Value', numeric: true, key: (c) => sortable(c.value), cell: valueCell },
    { label: 'Margin and levels', key: (c) => c.margin, cell: (c) => el('div', { class: 'margin' }, bullet(c) ?? el('span'), el('span', {}, marginText(c), levelsNode(c))) },
  ];
  const group = (c) => GROUPS[c.group] ?? title(c.group ?? 'other');
  const table = dataTable({ caption: `Criteria of ${part.name}`, columns, rows: checks, groupOf: group, className: 'criteria' });
  const only = (e) => table.keep(e.target.checked ? (c) => c.status !== 'PASS' : () => true);
  const count = (s) => checks.filter((c) => statusOf(c.status) === s).length;
  const summary = SEVERITY.toReversed().filter(count).map((s) => badge(s, `${count(s)} ${s}`));
  const key = (name, word, ...at) => el('span', {}, strip('', mark(name, ...at)), word);
  return [
    el('div', { class: 'controls' }, el('div', { class: 'legend' }, summary),
      el('label', { class: 'field' }, el('input', { type: 'checkbox', id: 'only-failing', onchange: only }), 'only what doesn’t pass')),
    table.node,
    changedNote(),
    el('p', { class: 'key' }, key('zone-fail', 'fails here', 0, 100), key('zone-warn', 'warns here', 0, 100), key('at', 'value judged', 50), key('estimate', 'estimate, where a bound is judged', 50)),
  ];
}

/** What the config says otherwise than the deployed one. */
function changedNote() {
  const changed = list(verdict.changed);
  return changed.length > 0 && el('p', { class: 'note', id: 'changed' }, 'Otherwise than deployed: ', changed.map((c, i) => [i ? '; ' : '', el('code', {}, c.path), ` ${c.was} → ${c.is}`]), '.');
}

function powerView() {
  return part.power ? el('p', { class: 'callout' }, part.power) : 'what this history could show (power) was not computed';
}

/* Skill */

function skillView() {
  const skill = part.skill ?? {};
  const timing = skill.timing ?? {};
  const held = [skill.own, skill.market].filter(Boolean);
  if (!held.length && isEmpty(timing.together)) return 'what it adds to being in the market was not computed';
  const cell = (key, digits) => (r) => figureNode(key, r[digits ?? key]);
  const beside = [
    { label: 'Beside holding', heading: true, key: (r) => r.held, cell: (r) => r.held },
    { label: 'Alpha a year', numeric: true, key: (r) => sortable(r.alpha), cell: cell('alpha') },
    { label: 't of alpha', numeric: true, key: (r) => sortable(r.alpha_t), cell: cell('alpha_t') },
    { label: 'Beta', numeric: true, key: (r) => sortable(r.beta), cell: cell('beta') },
    { label: 'Sharpe difference', numeric: true, key: (r) => sortable(r.sharpe_difference), cell: cell('sharpe_difference') },
    { label: 'at least, at 95 %', numeric: true, key: (r) => sortable(r.sharpe_difference_lower), cell: cell('sharpe_difference_lower') },
  ];
  const timed = [{ symbol: 'all together', p: timing.together }, ...list(timing.by_symbol)];
  const times = [
    { label: 'Symbol', heading: true, key: (r) => r.symbol, cell: (r) => r.symbol },
    { label: 'As good at other times', numeric: true, key: (r) => sortable(r.p), cell: (r) => figureNode('timing_p', r.p) },
  ];
  return [
    el('div', { class: 'panel' }, dataTable({ caption: 'Beside holding', columns: beside, rows: held }).node),
    el('p', {}, `The same holding spells, shifted together around a circle of the period: the share of ${whole(timing.shifts ?? 0)} shifts whose Sharpe ratio is as high.`),
    el('div', { class: 'panel' }, dataTable({ caption: 'Timing', columns: times, rows: timed }).node),
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
  const found = ofPart(data.bootstrap);
  if (!found.length) return 'no resampling was recorded';
  return el('div', { class: 'grid' }, found.map((b) => el('div', { class: 'panel' }, histogram(b))));
}

/* Robustness */

const panel = (id, name, note, content) => el('div', { class: 'panel', id }, el('h3', {}, name), note && el('p', { class: 'note' }, note), content);
const missingPanel = (id, name) => panel(id, name, null, el('p', { class: 'none' }, 'Not in this report.'));

function costPanel() {
  const rows = list(part.cost_frontier);
  const points = rows.filter((r) => isNumber(r.multiple) && isNumber(r.sharpe));
  if (!rows.length) return missingPanel('costs', 'Costs');
  const bps = part.break_even_bps;
  const times = isNumber(bps) && part.slippage_bps > 0 ? `, ${plain(bps / part.slippage_bps)} times what was charged` : '';
  const note = isNumber(bps) ? `The return is gone at ${plain(bps)} basis points a side${times}.` : `Break-even: ${figure('', bps)}.`;
  const columns = [
    { label: 'Costs', heading: true, key: (r) => r.multiple, cell: (r) => `${figure('', r.multiple)} ×` },
    { label: 'Basis points', numeric: true, key: (r) => r.multiple, cell: (r) => (isNumber(part.slippage_bps) && isNumber(r.multiple) ? plain(r.multiple * part.slippage_bps) : none('not recorded')) },
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
  const whole = part.metrics?.sharpe;
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
  if (parts.every((name) => isEmpty(part[name]))) return 'costs, symbols left out, years left out, regimes and neighbours were not computed';
  const labelled = (name, label) => list(part[name]).map((r) => ({ ...r, label: String(label(r) ?? 'unnamed') }));
  return [
    el('div', { class: 'masonry' },
      costPanel(),
      sharpeRows('neighbours', 'Neighbouring parameters', 'One parameter a step down and up, all others as deployed; the mean of both.', labelled('neighbours', (r) => `${r.parameter} ${r.value}`), 'Parameter', 'dot'),
      sharpeRows('without-symbol', 'Without one symbol', 'What is left when a symbol is left out.', labelled('without_symbol', (r) => r.left_out), 'Left out', 'bar'),
      sharpeRows('without-year', 'Without one year', 'What is left when a year is left out.', labelled('without_year', (r) => r.left_out), 'Left out', 'bar'),
      sharpeRows('regimes', 'Regimes', 'Sessions sorted by what the market did.', labelled('regimes', (r) => r.name), 'Regime', 'bar')),
    el('p', { class: 'key' }, el('span', {}, strip('', mark('full', 50)), `dashed: Sharpe of the whole period, ${figure('sharpe', part.metrics?.sharpe)}`)),
  ];
}

/* Facts */

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

function provenanceView() {
  const ledger = verdict.ledger ?? {};
  const of = (name) => list(part[name]).join(', ');
  const rows = [
    ['Digest of the verdict', verdict.digest], ['Subject', verdict.subject], ['Config', verdict.config], ['Config, SHA-256', verdict.config_sha256],
    ['Bundle, SHA-256', verdict.bundle_sha256], ['Policy, SHA-256', verdict.policy_sha256], ['Archive manifest', verdict.archive_manifest_sha256],
    [`Bars of ${part.name ?? 'the period'}`, part.data_sha256], ['Where the bars come from', of('provenance')], ['Symbols', of('symbols')],
    ['Engine', verdict.engine], ['Seed', verdict.seed], ['Trials counted', isNumber(ledger.n) ? whole(ledger.n) : null],
    ['Trials, effective', isNumber(ledger.n_effective) ? plain(ledger.n_effective) : null], ['Variance of the trials', isNumber(ledger.variance) ? plain(ledger.variance) : null],
    ...(list(ledger.heads).length ? ledger.heads.map((head, i) => [`Ledger head ${i + 1}`, head]) : [['Ledger heads', null]]),
    ['Schema version', data.schema_version],
  ];
  return records(rows);
}


/* The page */

const PAGE = {
  kind: 'Gate report',
  open() {
    verdict = data.verdict ?? {};
    data.title ??= verdict.strategy;
  },
  failed: (message) => ({ verdict: { status: 'ERROR', error: { message, help: 'Make the report again.' } } }),
  parts: () => ({ label: 'Period', rows: allPeriods(), text: (p) => `${p.name ?? 'unnamed'}: ${statusOf(p.status)}` }),
  first: () => allPeriods().findIndex((p) => p.status === verdict.status),
  mark: () => shape(statusOf(verdict.status)),
  synthetic: () => [verdict.synthetic, 'This verdict shows that the machinery works; it says nothing about any market, and it never authorises production.'],
  hero: heroView,
  views: [
    ['criteria', 'Criteria', 'What the gate demands, and how far each value is from its fail level.', criteriaView],
    ['power', 'What this history can show', null, powerView, 'Power'],
    ['skill', 'Beside the market', 'A rising market makes a high Sharpe ratio without any skill: what is left of it beside holding, and at other times.', skillView, 'Skill'],
    ['equity', 'Equity', EQUITY_LEAD, equityView],
    ['months', 'Monthly returns', MONTHS_LEAD, monthsView, 'Months'],
    ['trades', 'Trades', TRADES_LEAD, tradesView],
    ['traded', 'Directions, costs and orders', TRADED_LEAD, tradedView, 'Costs'],
    ['robustness', 'Robustness', 'How much of the result hangs on costs, one symbol, one year, one regime or one setting.', robustnessView],
    ['bootstrap', 'Bootstrap', 'What the figure would have been in histories resampled from this one.', bootstrapView],
    ['sweep', 'Sweep', 'Darker or lighter is only a guide: each cell reads out its number.', () => heatView(data.sweep)],
    ['figures', 'All figures', FIGURES_LEAD, figuresView, 'Figures'],
    ['findings', 'Data findings', 'What an audit of the bars used says. Errors block the gate.', findingsView, 'Data'],
    ['acknowledgements', 'Acknowledgements', 'What was accepted with a reason and a date.', acknowledgementsView, 'Accepted'],
    ['provenance', 'Provenance and digests', 'What exactly was judged, by hash.', provenanceView, 'Provenance'],
  ],
};
