// The index of a gate's run: every strategy with its verdict, and why.

const strategies = () => list(data.verdict?.strategies);

function heroView() {
  const status = statusOf(data.verdict?.status);
  const count = (s) => strategies().filter((one) => statusOf(one.status) === s).length;
  const said = SEVERITY.toReversed().filter(count).map((s) => `${whole(count(s))} ${s}`).join(', ');
  return el('section', { class: `hero ${status}`, 'aria-label': 'Verdict' },
    el('p', { class: 'eyebrow' }, 'Gate verdict · all strategies'),
    el('h1', {}, el('span', { class: 'word', id: 'verdict' }, shape(status), status), el('span', { class: 'said' }, ': '), el('span', { class: 'reason' }, `${plural(strategies().length, 'strategy', 'strategies')} judged: ${said}.`)),
    el('p', { class: 'judged' }, 'The verdict is the gravest of them.'));
}

function strategiesView() {
  if (!strategies().length) return 'no strategy is deployed';
  const figureOf = (name) => (s) => s.periods?.[0]?.metrics?.[name];
  const shown = ['total_return', 'benchmark_return', 'sharpe', 'max_drawdown', 'trades'];
  const columns = [
    { label: 'Strategy', heading: true, key: (s) => s.strategy, cell: (s) => el('a', { href: `${s.strategy}.html` }, s.strategy) },
    { label: 'Verdict', key: (s) => SEVERITY.indexOf(statusOf(s.status)), cell: (s) => badge(s.status) },
    ...shown.map((name) => ({ label: title(name), numeric: true, key: (s) => sortable(figureOf(name)(s)), cell: (s) => figureNode(name, figureOf(name)(s)) })),
    { label: 'Why', className: 'wrap', cell: (s) => `${reason(s)}.` },
  ];
  const several = strategies().some((s) => list(s.periods).length > 1);
  return [dataTable({ caption: 'Strategies', columns, rows: strategies() }).node, several && el('p', { class: 'note' }, 'Figures are those of each strategy’s first period.')];
}

const PAGE = {
  kind: 'Gate report',
  failed: (message) => ({ verdict: { status: 'ERROR', strategies: [], error: { message } } }),
  parts: () => ({ label: 'Strategy', rows: [], text: String }),
  first: () => 0,
  mark: () => shape(statusOf(data.verdict?.status)),
  synthetic: () => [data.verdict?.synthetic, 'These verdicts show that the machinery works; they say nothing about any market, and never authorise production.'],
  hero: heroView,
  views: [['strategies', 'Strategies', null, strategiesView]],
};
