// The heat map of a sweep, and what its cells say.

/** The values of a cell's axes; a map of one axis has no rows to name. */
const placeText = ({ x, y, xs, ys }, cx, cy) => [`${x} ${xs[cx]}`, y !== null && `${y} ${ys[cy]}`].filter(Boolean).join(', ');

/** Where the chosen point stands, and what its neighbours say of it: a plateau or a spike. */
function chosenSentence({ z, chosen, metric, x, y, xs, ys }) {
  if (!chosen) return 'The settings judged are not on this grid.';
  const [cx, cy] = chosen;
  const value = z[cy]?.[cx];
  const name = `Outlined: ${placeText({ x, y, xs, ys }, cx, cy)}`;
  if (!isNumber(value)) return `${name}, without a value.`;
  const all = z.flat().filter(isNumber);
  const near = [-1, 0, 1].flatMap((dy) => [-1, 0, 1].map((dx) => (dx || dy ? z[cy + dy]?.[cx + dx] : null))).filter(isNumber).sort((a, b) => a - b);
  const median = (near[(near.length - 1) >> 1] + near[near.length >> 1]) / 2;
  const rank = all.filter((v) => v > value).length + 1;
  const around = near.length ? `; the median of the ${near.length} cells around it is ${number(metric, median)}` : '';
  return `${name}: ${title(metric)} ${number(metric, value)}, number ${whole(rank)} of ${whole(all.length)} by size${around}.`;
}

/** A heat map that reads out its cells, or why there is none. */
function heatView(sweep) {
  if (!sweep || !list(sweep.xs).length || !list(sweep.ys).length) return 'no sweep was recorded';
  const numbers = list(sweep.z).flat().filter(isNumber);
  if (!numbers.length) return 'the sweep has no value';
  const [low, high] = [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))];
  const canvas = el('canvas', { class: 'heat', id: 'heat', tabindex: 0, role: 'img', 'aria-label': `${title(sweep.metric)} by ${sweep.x}${sweep.y === null ? '' : ` and ${sweep.y}`}. ${chosenSentence(sweep)} Arrow keys read the cells.` });
  const readout = el('output', { class: 'readout' }, 'Point at a cell, or use the arrow keys.');
  let [focus, cellAt] = [null, null];
  const draw = () => (cellAt = drawHeat(canvas, sweep, focus, low, high));
  const read = ([x, y]) => {
    if (!(x >= 0 && x < sweep.xs.length && y >= 0 && y < sweep.ys.length)) return;
    focus = [x, y];
    const v = sweep.z[y]?.[x];
    readout.replaceChildren(`${placeText(sweep, x, y)}: `, el('b', {}, isNumber(v) ? number(sweep.metric, v) : 'no value'));
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
      el('span', {}, `across: ${sweep.x}`), sweep.y !== null && el('span', {}, `upwards: ${sweep.y}`), el('span', {}, `outlined: ${sweep.outlined ?? 'the settings judged'}`), numbers.length < sweep.xs.length * sweep.ys.length && el('span', {}, '×: no value')),
    sweep.note && el('p', { class: 'note' }, `${sweep.note}.`),
  ];
}

