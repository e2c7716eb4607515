// The page of a backtest: one account, or one each symbol.

const runs = () => list(data.backtest?.runs).map((run) => ({ ...run, ...list(data.facts).find((f) => f.period === run.label), name: run.label }));
const drawn = () => runs().filter((run) => ofPartNamed(data.series, run.name));
const ofPartNamed = (rows, name) => list(rows).some((row) => row.period === name);

function headline(run) {
  const m = run.metrics ?? {};
  const held = seriesOfPart()?.held?.total_return ?? m.benchmark_return;
  return [el('span', { class: 'figure' }, figureNode('total_return', m.total_return)), el('span', { class: 'reason' }, ` total return of ${data.backtest.strategy}. Buying and holding: ${figure('total_return', held)}.`)];
}

function replayedSentence(run) {
  const m = run.metrics ?? {};
  const symbols = list(run.symbols);
  return [
    symbols.length > 6 ? `${symbols.slice(0, 6).join(', ')} and ${symbols.length - 6} more` : symbols.join(', '),
    m.first_session && `${dayText(dayNumber(m.first_session))} to ${dayText(dayNumber(m.last_session))}, ${plural(m.sessions, 'session')}`,
    `${isNumber(m.initial_capital) ? money(m.initial_capital, 0) : 'unknown'} at the start, ${isNumber(m.final_equity) ? money(m.final_equity) : 'unknown'} at the end`,
    `archive ${data.archive}`,
    isNumber(data.trials) && `${plural(data.trials, 'trial')} of this strategy in the ledger`,
  ].filter(Boolean).join(' · ');
}

function accountsNote() {
  const left = runs().length - drawn().length;
  return left > 0 ? el('p', { class: 'note' }, `Charts of the first ${plural(drawn().length, 'account')}; ${whole(left)} more are in the table of accounts alone.`) : null;
}

function heroView() {
  return el('section', { class: 'hero plain', 'aria-label': 'Result' },
    el('p', { class: 'eyebrow' }, `Backtest · ${data.backtest.strategy}${runs().length > 1 ? ` · account ${part.name}` : ''}`),
    el('h1', {}, headline(part)),
    el('p', { class: 'judged' }, replayedSentence(part)),
    doubts(),
    tilesNode());
}

/** What stands between these figures and belief. */
function doubts() {
  const said = [
    ...list(part.data_findings).filter((f) => f.severity !== 'note').slice(0, 4).map((f) => `${f.subject}: ${f.what}`),
    part.halted_since && `An emergency stop halted entries after ${dayText(dayNumber(part.halted_since))}`,
    part.fills_outside_session > 0 && `${plural(part.fills_outside_session, 'fill')} outside the regular session`,
    ...Object.entries(part.gate_blocks ?? {}).map(([name, n]) => `${plural(n, 'entry', 'entries')} refused by the limit ${name}`),
  ].filter(Boolean);
  return said.length ? el('ul', { class: 'doubts' }, said.map((text) => el('li', {}, text, '.'))) : null;
}

function accountsView() {
  if (runs().length < 2) return null;
  const shown = ['total_return', 'benchmark_return', 'sharpe', 'max_drawdown', 'trades', 'win_rate'];
  const open = (run) => {
    const i = drawn().findIndex((r) => r.name === run.name);
    return i < 0 ? run.name : el('button', { class: 'link', type: 'button', onclick: () => { show(i); scrollTo(0, 0); } }, run.name);
  };
  const columns = [
    { label: 'Account', heading: true, key: (r) => r.name, cell: open },
    ...shown.map((name) => ({ label: title(name), numeric: true, key: (r) => sortable(r.metrics?.[name]), cell: (r) => figureNode(name, r.metrics?.[name]) })),
  ];
  return [dataTable({ caption: 'Accounts', columns, rows: runs(), pageSize: 25 }).node, accountsNote()];
}

function settingsView() {
  const costs = part.costs ?? {};
  const rows = [
    ['Slippage', `${plain(part.slippage_bps)} basis points a side`],
    ['Fees', `${plain(costs.fee_bps ?? 0)} basis points, ${money(costs.fee_per_share ?? 0, 4)} a share`],
    ['Capital', isNumber(part.metrics?.initial_capital) ? money(part.metrics.initial_capital) : null],
    ['Accounts', data.backtest.scope === 'single' ? 'one each symbol' : 'one for all symbols'],
    ['Bars', `${data.timeframe}, ${part.hours} hours, ${plural(part.bars, 'bar')}`],
  ];
  const symbols = list(part.parameters);
  const names = [...new Set(symbols.flatMap((s) => s.values.map(([name]) => name)))];
  const columns = [
    { label: 'Symbol', heading: true, key: (s) => s.symbol, cell: (s) => s.symbol },
    ...names.map((name) => ({ label: name, numeric: true, key: (s) => sortable(valueOf(s, name)), cell: (s) => String(valueOf(s, name) ?? '·') })),
  ];
  const valueOf = (s, name) => s.values.find((v) => v[0] === name)?.[1];
  return [
    el('dl', { class: 'facts wide' }, rows.map(([name, v]) => el('div', {}, el('dt', {}, name), el('dd', {}, v ?? none('not recorded'))))),
    symbols.length > 0 && names.length > 0 && el('div', { class: 'subchart' }, el('h3', {}, 'Parameters'), dataTable({ caption: 'Parameters', columns, rows: symbols, pageSize: 25 }).node),
  ];
}

/** What figures depend on and nobody said. */
function assumed() {
  const all = Object.entries(data.backtest.assumed ?? {});
  return all.map(([path, value]) => (value === null ? `${path} not limited` : `${path}=${value}`)).join(', ') || 'nothing';
}

function provenanceView() {
  return records([
    ['Config', data.backtest.config], ['Config, SHA-256', data.backtest.config_sha256], ['Assumed', assumed()], ['Archive', data.archive],
    ['Bars, SHA-256', part.data_sha256], ['Where the bars come from', list(part.provenance).join(', ')], ['Symbols', list(part.symbols).join(', ')],
    ['Engine', data.engine], ['Trials counted', isNumber(data.trials) ? whole(data.trials) : null],
  ]);
}

const PAGE = {
  kind: 'Backtest',
  failed: (message) => ({ backtest: { strategy: message, runs: [] } }),
  parts: () => ({ label: 'Account', rows: drawn(), text: (run) => run.name }),
  synthetic: () => [runs().length ? runs().some((run) => run.synthetic) : null, 'These bars are made up: the figures say nothing about any market.'],
  hero: heroView,
  views: [
    ['equity', 'Equity', EQUITY_LEAD, equityView],
    ['months', 'Monthly returns', MONTHS_LEAD, monthsView, 'Months'],
    ['trades', 'Trades', TRADES_LEAD, tradesView],
    ['traded', 'Directions, costs and orders', TRADED_LEAD, tradedView, 'Costs'],
    ['accounts', 'Accounts', 'Each symbol has an account of its own.', accountsView],
    ['settings', 'Costs and parameters', null, settingsView, 'Settings'],
    ['figures', 'All figures', FIGURES_LEAD, figuresView, 'Figures'],
    ['findings', 'Data findings', 'What an audit of the bars used says.', findingsView, 'Data'],
    ['provenance', 'Provenance', 'What exactly was replayed.', provenanceView],
  ],
};
