// The page of a sweep: its best points, how the figure lies over the axes, and whether the best stands on a plateau.

const swept = () => data.sweep ?? {};
const by = () => data.by ?? 'sharpe';
const parameterText = (row) => list(swept().axes).map((axis, i) => `${axis} ${row.parameters[i]}`).join(', ');

function heroView() {
  const { symbol, value, defined, undefined: without } = part;
  const rest = without > 0 ? `, ${whole(without)} more without one` : '';
  const several = list(data.landscapes).length > 1;
  const around = part.around ?? {};
  const tile = (name, text, below) => el('div', {}, el('dt', {}, name), el('dd', {}, text, below && el('div', { class: 'beside' }, below)));
  const word = data.lowest ? 'Lowest' : 'Highest';
  return el('section', { class: 'hero plain', 'aria-label': 'Result' },
    el('p', { class: 'eyebrow' }, `Sweep · ${swept().strategy}${several ? ` · ${symbol === 'PORTFOLIO' ? 'all symbols at one setting' : `account ${symbol}`}` : ''}`),
    isNumber(value)
      ? el('h1', {}, el('span', { class: 'figure' }, figureNode(by(), value)), el('span', { class: 'reason' }, ` is the ${word.toLowerCase()} ${inSentence(by())}, at ${parameterText(part)}.`))
      : el('h1', {}, el('span', { class: 'reason' }, `No point has a ${inSentence(by())}.`)),
    el('p', { class: 'judged' }, [`${list(data.symbols).join(', ')}`, `${dayText(dayNumber(data.start_date))} to ${dayText(dayNumber(data.end_date))}`, `archive ${data.archive}`].join(' · ')),
    el('p', { class: 'judged' }, `The best of ${plural(swept().trials, 'trial')} looks good by luck alone: the gate’s deflated Sharpe ratio allows for all of them.`),
    list(swept().data_findings).length > 0 && el('ul', { class: 'doubts' }, swept().data_findings.slice(0, 4).map((line) => el('li', {}, line, '.'))),
    isNumber(value) && el('dl', { class: 'tiles', 'aria-label': 'Main figures' },
      tile(`${word} ${inSentence(by())}`, figureNode(by(), value)),
      tile('Median around it', isNumber(around.median) ? figureNode(by(), around.median) : none('no neighbour')),
      tile('Worst around it', isNumber(around.worst) ? figureNode(by(), around.worst) : none('no neighbour')),
      tile('Median of all points', figureNode(by(), part.distribution.quantiles[3])),
      tile('Points', whole(swept().points), `${whole(defined)} with a value${rest}`),
      tile('Trials in the ledger', whole(swept().trials))));
}

/** What was traded: shown where there is any in these rows, long trades apart where there are short ones. */
const TRADED = new Set(['turnover', 'long_trades', 'long_pnl', 'short_trades', 'short_pnl', 'commission', 'slippage', 'borrow', 'margin_interest', 'rejected_orders', 'blocked_entries']);
function shownFigures(rows) {
  const all = list(swept().figures);
  const isSome = (name) => rows.some((row) => (row.figures[all.indexOf(name)] ?? 0) !== 0);
  const isShown = (name) => !TRADED.has(name) || (/^long_/.test(name) ? isSome('short_trades') : isSome(name));
  return all.map((name, i) => [name, i]).filter(([name, i]) => i === 0 || isShown(name));
}

function rankedTable(rows, caption, className) {
  const several = new Set(rows.map((row) => row.symbol)).size > 1 || rows[0].symbol !== 'PORTFOLIO';
  const columns = [
    { label: 'Point', heading: true, key: (r) => r.point, cell: (r) => whole(r.point) },
    several && { label: 'Account', key: (r) => r.symbol, cell: (r) => r.symbol },
    ...list(swept().axes).map((axis, i) => ({ label: axis, numeric: true, key: (r) => sortable(r.parameters[i]), cell: (r) => String(r.parameters[i]) })),
    ...shownFigures(rows).map(([name, i]) => ({ label: title(name), numeric: true, key: (r) => r.figures[i], cell: (r) => figureNode(name, r.figures[i] ?? { undefined: 'undefined' }) })),
  ].filter(Boolean);
  return dataTable({ caption, columns, rows, pageSize: 25, className }).node;
}

/** Of several accounts, first all at one setting: a symbol's own best is chosen from more. */
function bestView() {
  const [together, each, all] = [list(swept().best_together), list(swept().best_by_symbol), list(swept().best)];
  if (!all.length) return `no point has a ${inSentence(by())}`;
  const part = (name, rows, className) => rows.length > 0 && el('div', { class: 'subchart' }, el('h3', {}, name), rankedTable(rows, name, className));
  if (!each.length) return rankedTable(all, 'Best points', 'ranked best');
  return [
    part('All symbols at one setting', together, 'ranked'), part('The best of each symbol', each, 'ranked'),
    part(`The best of ${isNumber(swept().accounts_ranked) ? whole(swept().accounts_ranked) : 'all'} accounts`, all, 'ranked best'),
  ];
}

/* The figure over two axes; which two, and what the others do, is chosen. */

let chosenMap = 0;
let othersHeld = false;

function mapView() {
  const maps = list(part.maps);
  if (!maps.length) return 'no axis has two values or more';
  const axes = (map) => (map.y ? `${map.x.key} and ${map.y.key}` : map.x.key);
  const others = list(swept().axes).length > (maps[0].y ? 2 : 1);
  const place = el('div');
  const draw = () => {
    const map = maps[Math.min(chosenMap, maps.length - 1)];
    const kept = list(swept().axes).map((axis, i) => [axis, part.parameters[i]]).filter(([axis]) => axis !== map.x.key && axis !== map.y?.key);
    const joined = [map.x, map.y].filter((side) => side?.joined > 1).map((side) => `${side.joined} values of ${side.key}`);
    const note = [
      others && (othersHeld ? `Held: ${kept.map(([axis, value]) => `${axis} ${value}`).join(', ')}` : `Each cell is the best of all points there, whatever their ${kept.map(([axis]) => axis).join(', ')}`),
      joined.length > 0 && `A step joins ${joined.join(' and ')}, and shows the best of them`,
    ].filter(Boolean).join('. ');
    const view = heatView({
      metric: by(), x: map.x.key, y: map.y?.key ?? null, xs: map.x.labels, ys: map.y?.labels ?? [''], z: othersHeld ? map.held : map.best,
      chosen: map.chosen, outlined: 'the best point', lowest: data.lowest, note,
    });
    place.replaceChildren(...[view].flat().filter(Boolean));
    if (place.isConnected) mountAll();
  };
  const pair = el('select', { id: 'axes', onchange: (e) => { chosenMap = Number(e.target.value); draw(); } }, maps.map((map, i) => el('option', { value: i, selected: i === chosenMap }, axes(map))));
  const rest = el('select', { id: 'others', onchange: (e) => { othersHeld = e.target.value === 'held'; draw(); } },
    el('option', { value: 'best', selected: !othersHeld }, 'at their best'), el('option', { value: 'held', selected: othersHeld }, 'as at the best point'));
  draw();
  return [
    (maps.length > 1 || others) && el('div', { class: 'controls' },
      maps.length > 1 && el('label', { class: 'field' }, 'Axes ', pair), others && el('label', { class: 'field' }, 'Other axes ', rest)),
    place,
  ];
}

/* The plateau */

function plateauView() {
  const { around, neighbours, value } = part;
  if (!neighbours?.length) return 'the best point has no neighbour on any axis';
  const at = lineScale([value, around.worst, ...neighbours.map((n) => n.value), ...part.distribution.quantiles.slice(3, 4)]);
  const columns = [
    { label: 'One step', heading: true, key: (n) => n.key, cell: (n) => `${n.key} ${n.to}` },
    { label: title(by()), numeric: true, key: (n) => n.value, cell: (n) => (isNumber(n.value) ? figureNode(by(), n.value) : none('not swept')) },
    { label: '', className: 'fill', cell: (n) => (isNumber(n.value) ? strip('', mark('dot', at(n.value)), mark('full', at(value)), mark('zero', at(part.distribution.quantiles[3]))) : '') },
  ];
  const lost = isNumber(around.median) ? `: the median of them is ${number(by(), around.median)}, the worst ${number(by(), around.worst)}, beside ${number(by(), value)} at the best point` : '';
  return [
    el('p', {}, `${whole(around.defined)} of the ${plural(around.points, 'point')} at most one step away on each axis were swept and have a value${lost}.`),
    el('div', { class: 'panel', style: { 'margin-top': '12px' } }, dataTable({ caption: 'Neighbours of the best point', columns, rows: neighbours, className: 'neighbours' }).node),
    el('p', { class: 'key' }, el('span', {}, strip('', mark('full', 50)), 'dashed: the best point'), el('span', {}, strip('', mark('zero', 50)), 'line: median of all points')),
  ];
}

/* The distribution */

function distributionView() {
  const { quantiles, counts } = part.distribution ?? {};
  if (!counts) return 'no point has a value';
  const [low, high] = [quantiles[0], quantiles[6]];
  if (!(high > low)) return el('p', {}, `All ${whole(part.defined)} points have the same value, ${number(by(), low)}.`);
  const tallest = Math.max(...counts);
  const at = (v) => ((v - low) / (high - low)) * 100;
  const bins = counts.map((n, i) => n > 0 && el('i', { class: `bin ${low + ((i + 0.5) / counts.length) * (high - low) < 0 ? 'below' : ''}`, style: { left: `${(i * 100) / counts.length}%`, width: `${100 / counts.length}%`, height: `${(n / tallest) * 66}%` } }));
  const rules = [['point', 'best', part.value], ['bound', 'median', quantiles[3]], ['nought', 'zero', 0]].filter(([, , v]) => v >= low && v <= high);
  const rule = ([className, name, v], row) => [
    el('i', { class: `rule ${className}`, style: { left: `${at(v)}%`, top: `${row * 20}px` } }),
    el('span', { class: `tag ${at(v) > 50 ? 'left' : ''}`, style: { left: `${at(v)}%`, top: `${row * 20}px` } }, name === 'zero' ? name : `${name} ${number(by(), v)}`),
  ];
  const words = ['least', '5 %', '25 %', 'median', '75 %', '95 %', 'greatest'];
  return [
    el('div', { class: 'plane', role: 'img', style: { height: '220px' }, 'aria-label': `Histogram of ${inSentence(by())}: ${words.map((w, i) => `${w} ${number(by(), quantiles[i])}`).join(', ')}` },
      bins, rules.map(rule), ['first', 'last'].map((side, i) => el('span', { class: `tick ${side}` }, number(by(), [low, high][i])))),
    el('dl', { class: 'facts' }, words.map((w, i) => el('div', {}, el('dt', {}, capital(w)), el('dd', {}, figureNode(by(), quantiles[i]))))),
  ];
}

function provenanceView() {
  return records([
    ['Archive', data.archive], ['Results', swept().results], ['Points', whole(swept().points)],
    ['Bars evaluated', whole(swept().bar_evaluations)], ['Engine', data.engine],
  ]);
}

const PAGE = {
  kind: 'Sweep',
  failed: (message) => ({ sweep: { strategy: message } }),
  parts: () => ({ label: 'Account', rows: list(data.landscapes).map((l) => ({ ...l, name: l.symbol })), text: (l) => l.symbol }),
  // All symbols at one setting, where there is such an account; else the best.
  first: () => Math.max(0, list(data.landscapes).findIndex((l) => l.symbol === 'PORTFOLIO')),
  synthetic: () => [swept().synthetic ?? null, 'These bars are made up: the figures say nothing about any market.'],
  hero: heroView,
  views: [
    ['map', 'Heat map', 'Darker or lighter is only a guide: each cell reads out its number.', mapView],
    ['plateau', 'Plateau or spike', 'What the points beside the best one do. A best point whose neighbours do badly is luck more often than skill.', plateauView],
    ['distribution', 'All points', 'How the figure is distributed over the points swept.', distributionView],
    ['best', 'Best points', null, bestView],
    ['provenance', 'Provenance', 'What exactly was swept.', provenanceView],
  ],
};
