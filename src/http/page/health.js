// The head of the page: how the daemon is, what alarms stand.

import { byId, element, setAttribute, setText, unitAddress } from './dom.js';
import { duration, healthLines } from './words.js';

const QUALITIES = ['good', 'uncertain', 'bad'];

export function showHealth(store) {
  const { health } = store;
  setText(byId('instance'), health?.instance ?? '');
  const lines = healthLines(health);
  const list = byId('health');
  while (list.children.length > lines.length) list.lastElementChild.remove();
  lines.forEach(({ name, text, level }, index) => {
    if (!list.children[index]) list.append(element('div', {}, element('dt'), element('dd')));
    const line = list.children[index];
    setAttribute(line, 'data-level', QUALITIES.includes(level) ? level : 'uncertain');
    setText(line.children[0], name);
    setText(line.children[1], text);
  });
}

// An alarm with what is to be done about it.
export function alarmItem(id, document, unit) {
  const level = document.severity === 'critical' ? 'bad' : 'uncertain';
  const item = element('li', { class: 'alarm', 'data-level': level });
  const title = element('p', { class: 'alarm-title' }, element('strong', {}, document.severity ?? 'warning'), ' ');
  if (unit !== undefined) {
    title.append(unit === null ? 'daemon' : element('a', { href: unitAddress(unit) }, element('bdi', {}, unit)), ': ');
  }
  title.append(id.replaceAll('_', ' '));
  item.append(title, element('p', {}, document.text ?? ''), element('p', {}, document.remedy ?? ''));
  const since = Date.parse(document.since);
  if (Number.isFinite(since)) item.append(element('p', { class: 'quiet' }, `since ${new Date(since).toLocaleString()}`));
  return item;
}

// Alarms listed at most; a network that is cut raises one for each unit.
const MOST_ALARMS = 20;

// All alarms, those of the daemon first. Gives what has to be said to who cannot see it: '' when nothing is new.
export class Alarms {
  constructor() {
    this.shown = '';
    this.count = 0;
  }

  show(store) {
    const all = [];
    for (const [unit, alarms] of store.alarms) {
      for (const [id, document] of alarms) all.push({ unit, id, document });
    }
    all.sort((a, b) => (a.unit === null ? 0 : 1) - (b.unit === null ? 0 : 1) || String(a.unit).localeCompare(String(b.unit)));
    const key = JSON.stringify(all);
    if (key === this.shown) return '';
    this.shown = key;
    const items = all.slice(0, MOST_ALARMS).map(({ unit, id, document }) => alarmItem(id, document, unit));
    if (all.length > MOST_ALARMS) items.push(element('li', {}, `and ${all.length - MOST_ALARMS} more`));
    byId('alarm-list').replaceChildren(...items);
    byId('alarms').hidden = all.length === 0;
    const before = this.count;
    this.count = all.length;
    if (before === all.length) return '';
    return all.length === 0 ? 'No alarm stands any more.' : `${all.length} alarm${all.length > 1 ? 's' : ''} standing.`;
  }
}

// How the connection to the daemon is; `silence` in seconds since anything came of it.
export function showLink({ isOpen, problem, silence }) {
  // Comments come every 15 s: more than this without a word is not usual.
  const USUAL_S = 20;
  const node = byId('link');
  const isFresh = isOpen && silence <= USUAL_S;
  const never = silence === null;
  let text;
  if (isFresh) text = `live, last word ${duration(silence)} ago`;
  else if (isOpen) text = `nothing has come for ${duration(silence)}: what is shown may be old`;
  else if (never) text = problem ? `no connection to the daemon: ${problem}` : 'connecting to the daemon';
  else text = `connection lost, values are ${duration(silence)} old${problem ? `: ${problem}` : ''}`;
  setText(node, text);
  setAttribute(node, 'data-link', isFresh ? 'live' : never && !problem ? 'wait' : 'lost');
  document.body.classList.toggle('old', !isFresh);
  return isFresh;
}
