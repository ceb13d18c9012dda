// The list of units: a card each, kept as long as the unit is there, and drawn only while it can be seen.

import { byId, element, setAttribute, setText, sparkline, unitAddress } from './dom.js';
import { duration, groupInWords, number, qualityWord, reasonGroups, signed, unitSymbol } from './words.js';

// Instants in a sparkline: as many as it has pixels to show.
const SPARK_POINTS = 90;
const SPARK_WIDTH = 120;
const SPARK_HEIGHT = 28;
// Reasons and names of one reason on a card; all of them are on the unit's own page.
const MOST_REASONS = 3;
const MOST_SUBJECTS = 3;

export class List {
  constructor(store, clock) {
    this.store = store;
    this.clock = clock;
    this.cards = new Map();
    this.seen = new Set();
    this.watcher = new IntersectionObserver((entries) => this.onSeen(entries), { rootMargin: '200px' });
    for (const id of ['filter-name', 'filter-quality']) byId(id).addEventListener('input', () => this.filter());
    byId('filter').addEventListener('submit', (event) => event.preventDefault());
  }

  onSeen(entries) {
    for (const { target, isIntersecting } of entries) {
      const card = this.cards.get(target.unitName);
      if (!card) continue;
      if (isIntersecting) {
        this.seen.add(card);
        this.draw(card);
      } else {
        this.seen.delete(card);
      }
    }
  }

  // Draws what has changed and can be seen.
  update({ units, list }) {
    if (list) this.arrange();
    for (const name of units) {
      const card = this.cards.get(name);
      if (card && this.seen.has(card)) this.draw(card);
    }
    if (list || units.size > 0) this.filter();
  }

  // Ages go on while nothing comes.
  tick() {
    for (const card of this.seen) this.drawAge(card);
  }

  arrange() {
    const { store } = this;
    for (const [name, card] of this.cards) {
      if (store.units.has(name) && card.targets === store.model.targets) continue;
      this.watcher.unobserve(card.item);
      this.seen.delete(card);
      card.item.remove();
      this.cards.delete(name);
    }
    const names = [...store.units.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
    const parent = byId('cards');
    names.forEach((name, index) => {
      let card = this.cards.get(name);
      if (!card) {
        card = this.makeCard(name);
        this.cards.set(name, card);
        this.watcher.observe(card.item);
      }
      if (parent.children[index] !== card.item) parent.insertBefore(card.item, parent.children[index] ?? null);
    });
  }

  makeCard(name) {
    const link = element('a', { href: unitAddress(name) }, element('bdi', {}, name));
    const badge = element('span', { class: 'badge' });
    const age = element('span', { class: 'quiet' });
    const alarm = element('p', { class: 'card-alarm' });
    const reasons = element('ul', { class: 'reasons' });
    const { targets } = this.store.model;
    const rows = targets.map(({ name: target, unit }) => {
      const cells = ['predicted', 'measured', 'residual'].map((kind) => element('td', { class: kind }));
      const spark = sparkline(SPARK_WIDTH, SPARK_HEIGHT);
      const head = element('th', { scope: 'row' }, target, ' ', element('span', { class: 'quiet' }, unitSymbol(unit)));
      return { target, cells, spark, row: element('tr', {}, head, ...cells, element('td', { class: 'curve' }, spark.drawing)) };
    });
    const heads = ['Target', 'Predicted', 'Measured', 'Residual'].map((text) => element('th', { scope: 'col' }, text));
    const caption = element('caption', { class: 'unseen' }, 'Predictions of ', name);
    const table = element('table', {}, caption,
      element('thead', {}, element('tr', {}, ...heads, element('td'))),
      element('tbody', {}, ...rows.map(({ row }) => row)));
    const title = element('div', { class: 'card-title' }, element('h3', {}, link), badge);
    const item = element('li', { class: 'card' }, title, age, alarm, table, reasons);
    item.unitName = name;
    return { name, item, badge, age, alarm, reasons, rows, targets, saidReasons: '' };
  }

  draw(card) {
    const unit = this.store.units.get(card.name);
    if (!unit) return;
    setText(card.badge, qualityWord(unit));
    setAttribute(card.badge, 'data-level', unit.quality);
    setAttribute(card.item, 'data-level', unit.quality);
    const alarms = this.store.alarmsOf(card.name).map(([id]) => id.replaceAll('_', ' '));
    setText(card.alarm, alarms.length > 0 ? `Alarm: ${alarms.join(', ')}` : '');
    this.drawAge(card);
    this.drawReasons(card, unit);
    card.rows.forEach(({ target, cells, spark }, index) => {
      const values = unit.targets.get(target);
      setText(cells[0], number(values?.predicted));
      setText(cells[1], number(values?.measured));
      setText(cells[2], signed(values?.residual));
      const [predicted, measured] = unit.history.sparkline(index, SPARK_POINTS, SPARK_WIDTH, SPARK_HEIGHT);
      setAttribute(spark.predicted, 'points', predicted);
      setAttribute(spark.measured, 'points', measured);
    });
  }

  drawAge(card) {
    const unit = this.store.units.get(card.name);
    if (!unit) return;
    const age = unit.predicted === null ? null : (this.clock() - unit.predicted) / 1000;
    setText(card.age, age === null ? 'no prediction yet' : `predicted ${duration(age)} ago`);
  }

  drawReasons(card, unit) {
    const said = unit.reasons.join('\n');
    if (said === card.saidReasons) return;
    card.saidReasons = said;
    const groups = reasonGroups(unit.reasons);
    const lines = groups.slice(0, MOST_REASONS).map((group) => groupInWords(group, MOST_SUBJECTS));
    if (groups.length > MOST_REASONS) lines.push('and more');
    card.reasons.replaceChildren(...lines.map((line) => element('li', {}, line)));
  }

  filter() {
    const wanted = byId('filter-name').value.trim().toLowerCase();
    const quality = byId('filter-quality').value;
    let shown = 0;
    for (const [name, card] of this.cards) {
      const unit = this.store.units.get(name);
      const fits = quality === 'all' || (quality === 'alarm' ? this.store.alarms.has(name) : unit?.quality === quality);
      const hidden = !(fits && name.toLowerCase().includes(wanted));
      if (card.item.hidden !== hidden) card.item.hidden = hidden;
      if (!hidden) shown += 1;
    }
    const all = this.cards.size;
    setText(byId('filter-count'), shown === all ? `${all} units` : `${shown} of ${all} units`);
    byId('none').hidden = shown > 0;
    setText(byId('none'), all === 0 ? 'No unit has been heard of yet. Units appear with their first usable reading.'
      : 'No unit is like that.');
  }
}
