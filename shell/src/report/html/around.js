// The page around a kind's views: each view gives what it shows, or why it shows nothing.

function card(id, name, lead, body) {
  return el('section', { class: 'card', id, 'aria-labelledby': `${id}-name` }, el('h2', { id: `${id}-name` }, name), lead && el('p', { class: 'lead' }, lead), el('div', { class: 'body' }, body));
}

function bannerView() {
  const [synthetic, meaning] = PAGE.synthetic();
  if (synthetic === false) return null;
  const said = synthetic === true ? ['Synthetic data.', ` ${meaning}`] : ['Synthetic or not: not recorded.', ' Take this page as one on synthetic data.'];
  return el('aside', { class: 'banner', id: 'synthetic' }, el('p', {}, el('strong', {}, said[0]), said[1]));
}

function drawReport() {
  charts.clear();
  const views = PAGE.views.map(([id, name, lead, view, short]) => ({ id, name, lead, body: view(), short: short ?? name }));
  const absent = views.filter((v) => typeof v.body === 'string');
  const present = views.filter((v) => v.body && typeof v.body !== 'string');
  const missing = absent.map((v) => el('li', { 'data-view': v.id }, el('b', {}, v.name), `: ${v.body}.`));
  document.getElementById('report').replaceChildren(
    PAGE.hero(), ...[bannerView()].filter(Boolean), ...present.map((v) => card(v.id, v.name, v.lead, v.body)),
    ...(missing.length ? [card('absent', 'Not in this report', null, el('ul', { class: 'absent' }, missing))] : []),
  );
  document.querySelector('#bar nav').replaceChildren(...present.map((v) => el('a', { href: `#${v.id}` }, v.short)));
  mountAll();
}

function show(i) {
  part = PAGE.parts().rows[i] ?? {};
  const select = document.getElementById('part');
  if (select) select.value = i;
  drawReport();
}

function drawBar() {
  const { label, rows, text } = PAGE.parts();
  const option = (p, i) => el('option', { value: i }, text(p));
  const select = rows.length > 1 && el('select', { id: 'part', 'aria-label': label, onchange: (e) => show(Number(e.target.value)) }, rows.map(option));
  const theme = el('button', { type: 'button', class: 'theme', id: 'theme', 'aria-label': 'Switch between light and dark', title: 'Light or dark', onclick: () => setTheme(isDark() ? 'light' : 'dark') }, '◐');
  document.getElementById('bar').append(el('div', { class: 'bar' },
    el('div', { class: 'name' }, PAGE.mark?.(), el('span', {}, data.title ?? PAGE.kind)),
    el('nav', { 'aria-label': 'Sections' }), select, theme));
}

const wantsDark = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => (document.documentElement.dataset.theme ?? (wantsDark.matches ? 'dark' : 'light')) === 'dark';

/** Canvases don't follow the tokens by themselves. */
function recolour() {
  readPalette();
  charts.forEach((chart) => (chart.plot ? chart.plot.redraw(false) : chart.draw?.()));
}
function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  recolour();
}

/** Paper is light and narrow, whatever the screen is. */
function printing() {
  let before;
  addEventListener('beforeprint', () => {
    before = document.documentElement.dataset.theme;
    setTheme('light');
    charts.forEach((chart) => chart.plot?.setSize({ width: Math.min(chart.plot.width, 680), height: chart.height }));
  });
  addEventListener('afterprint', () => {
    setTheme(before);
    charts.forEach((chart) => chart.fit?.());
  });
}

function start() {
  try {
    // A control that turns the direction of text could make a number read backwards.
    const text = document.getElementById('data').textContent.replace(/[\u202a-\u202e\u2066-\u2069]|\\u(202[a-e]|206[6-9])/gi, '\ufffd');
    data = JSON.parse(text) ?? {};
  } catch (error) {
    data = PAGE.failed(`The JSON in this file can’t be read: ${error.message}`);
  }
  PAGE.open?.();
  readPalette();
  drawBar();
  show(Math.max(0, PAGE.first?.() ?? 0));
  wantsDark.addEventListener('change', recolour);
  printing();
}
start();
