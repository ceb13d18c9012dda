// The head of the page: how the daemon is, what alarms stand.

import { byId, element, setAttribute, setText, unitAddress } from './dom.js';
import { alarmGroups, duration, healthLines } from './words.js';

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

// Units named in one alarm at most; the filter of the list finds them all.
const MOST_NAMED = 20;

// An alarm with what is to be done about it; of these units (null: the daemon), or of the one that is shown.
export function alarmItem(id, document, units = []) {
  const level = document.severity === 'critical' ? 'bad' : 'uncertain';
  const item = element('li', { class: 'alarm', 'data-level': level });
  const title = element('p', { class: 'alarm-title' }, element('strong', {}, document.severity ?? 'warning'), ' ');
  const named = units.slice(0, MOST_NAMED);
  named.forEach((unit, index) => {
    title.append(index > 0 ? ', ' : '', unit === null ? 'daemon' : element('a', { href: unitAddress(unit) }, element('bdi', {}, unit)));
  });
  if (units.length > named.length) title.append(` and ${units.length - named.length} more units`);
  title.append(units.length > 0 ? ': ' : '', id.replaceAll('_', ' '));
  item.append(title);
  // The words of an alarm are of one unit.
  if (units.length <= 1) item.append(element('p', {}, document.text ?? ''));
  item.append(element('p', {}, document.remedy ?? ''));
  const since = Date.parse(document.since);
  if (units.length <= 1 && Number.isFinite(since)) {
    item.append(element('p', { class: 'quiet' }, `since ${new Date(since).toLocaleString()}`));
  }
  return item;
}

// All alarms. Gives what has to be said to who cannot see it: '' when nothing is new.
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
    const groups = alarmGroups(all);
    const key = JSON.stringify(groups);
    if (key === this.shown) return '';
    this.shown = key;
    byId('alarm-list').replaceChildren(...groups.map(({ id, document, units }) => alarmItem(id, document, units)));
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
