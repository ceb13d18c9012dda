// One unit with all that is known of it: alarms, reasons, curves, inputs.

import { Chart } from './chart.js';
import { byId, element, setAttribute, setText } from './dom.js';
import { alarmItem } from './health.js';
import {
  duration, groupInWords, inputMark, number, place, qualityWord, reasonGroups, signed, unitSymbol, withUnit,
} from './words.js';

export class Detail {
  constructor(store, clock) {
    this.store = store;
    this.clock = clock;
    this.name = null;
  }

  // Shows the unit of that name, whether it is there or not.
  open(name) {
    this.close();
    this.name = name;
    this.sensors = null;
    this.said = '';
    this.title = element('h2', { id: 'detail-title', tabindex: '-1' }, element('bdi', {}, name));
    this.badge = element('span', { class: 'badge' });
    this.age = element('p', { class: 'quiet' });
    this.gone = element('p');
    this.alarms = element('ul', { class: 'alarms' });
    this.reasons = element('ul', { class: 'reasons' });
    this.targets = this.store.model.targets;
    const isUsable = this.store.model.residuals_usable !== false;
    this.charts = this.targets.map((target, index) => new Chart(target, index, isUsable));
    this.latest = this.makeLatest();
    this.inputs = element('tbody');
    this.inputRows = new Map();
    this.content = element('div', {}, this.alarms, this.reasons,
      element('h3', {}, 'Latest values'), this.latest.table,
      element('div', { class: 'charts' }, ...this.charts.map((chart) => chart.figure)),
      element('h3', { id: 'inputs-title' }, 'Inputs'), this.makeInputs());
    byId('detail').replaceChildren(
      element('p', {}, element('a', { href: '#/' }, 'All units')),
      element('div', { class: 'card-title' }, this.title, this.badge), this.age, this.gone, this.content);
    for (const chart of this.charts) chart.start();
    this.update();
    this.title.focus();
  }

  close() {
    for (const chart of this.charts ?? []) chart.end();
    this.charts = [];
    this.name = null;
    byId('detail').replaceChildren();
  }

  makeLatest() {
    const rows = this.store.model.targets.map((target) => {
      const cells = ['predicted', 'measured', 'residual'].map((kind) => element('td', { class: kind }));
      const head = element('th', { scope: 'row' }, target.name, ' ',
        element('span', { class: 'quiet' }, target.description ?? ''));
      return { target, cells, row: element('tr', {}, head, ...cells) };
    });
    const heads = ['Target', 'Predicted', 'Measured', 'Residual'].map((text) => element('th', { scope: 'col' }, text));
    const table = element('table', { class: 'latest' },
      element('caption', { class: 'unseen' }, 'Latest predictions and measurements'),
      element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}, ...rows.map(({ row }) => row)));
    return { table, rows };
  }

  makeInputs() {
    const heads = ['Sensor', 'Value', 'Age', 'Trained range'].map((text) => element('th', { scope: 'col' }, text));
    return element('table', { class: 'inputs', 'aria-labelledby': 'inputs-title' },
      element('thead', {}, element('tr', {}, ...heads)), this.inputs);
  }

  update() {
    const unit = this.store.units.get(this.name);
    this.content.hidden = this.badge.hidden = !unit;
    setText(this.gone, unit ? '' : 'Nothing is known of a unit of this name. It may have been silent for long, or not be there yet.');
    if (!unit) {
      setText(this.age, '');
      return;
    }
    setText(this.badge, qualityWord(unit));
    setAttribute(this.badge, 'data-level', unit.quality);
    this.updateWords(unit);
    for (const { target, cells } of this.latest.rows) {
      const values = unit.targets.get(target.name);
      setText(cells[0], withUnit(values?.predicted, target.unit));
      setText(cells[1], withUnit(values?.measured, target.unit));
      setText(cells[2], signed(values?.residual));
    }
    for (const chart of this.charts) chart.update(unit);
    this.tick();
  }

  updateWords(unit) {
    const alarms = this.store.alarmsOf(unit.name);
    const said = JSON.stringify([unit.reasons, alarms]);
    if (said === this.said) return;
    this.said = said;
    this.alarms.replaceChildren(...alarms.map(([id, document]) => alarmItem(id, document)));
    this.reasons.replaceChildren(...reasonGroups(unit.reasons).map((group) => element('li', {}, groupInWords(group))));
  }

  // Ages go on while nothing comes.
  tick() {
    const unit = this.store.units.get(this.name);
    if (!unit) return;
    const now = this.clock();
    const predicted = unit.predicted === null ? 'no prediction yet' : `predicted ${duration((now - unit.predicted) / 1000)} ago`;
    setText(this.age, `${predicted}, number ${unit.seq}`);
    for (const { sensor, age } of this.inputRows.values()) {
      setText(age, typeof sensor.age_s === 'number' ? duration(sensor.age_s + (now - this.askedAt) / 1000) : '–');
    }
  }

  // What the daemon holds of each sensor, asked for at `askedAt`.
  showSensors(sensors, askedAt) {
    this.askedAt = askedAt;
    const names = sensors.map((sensor) => sensor.name);
    if (names.join('\n') !== [...this.inputRows.keys()].join('\n')) {
      this.inputRows = new Map(sensors.map((sensor) => [sensor.name, this.makeInput(sensor)]));
      this.inputs.replaceChildren(...[...this.inputRows.values()].map(({ row }) => row));
    }
    for (const sensor of sensors) this.drawInput(this.inputRows.get(sensor.name), sensor);
    this.tick();
  }

  makeInput({ name, unit }) {
    const head = element('th', { scope: 'row' }, name, ' ', element('span', { class: 'quiet' }, this.store.describe(name)));
    const value = element('span');
    const mark = element('span', { class: 'mark' });
    const age = element('td');
    const needle = element('span', { class: 'needle' });
    const bar = element('span', { class: 'range', 'aria-hidden': 'true' }, element('span', { class: 'trained' }), needle);
    const range = element('span', { class: 'quiet' });
    const row = element('tr', {}, head, element('td', {}, value, ` ${unitSymbol(unit)} `, mark), age,
      element('td', {}, bar, range));
    return { row, value, mark, age, bar, needle, range };
  }

  drawInput(parts, sensor) {
    parts.sensor = sensor;
    setText(parts.value, number(sensor.value));
    const mark = inputMark(sensor);
    setText(parts.mark, mark);
    setAttribute(parts.row, 'data-level', mark === '' ? 'good' : 'uncertain');
    const { trained } = sensor;
    setText(parts.range, trained ? `${number(trained[0])} to ${number(trained[1])}` : 'not known');
    const canShow = Boolean(trained) && typeof sensor.value === 'number';
    parts.bar.hidden = !canShow;
    if (canShow) parts.needle.style.left = `${(100 * place(sensor.value, ...trained)).toFixed(1)}%`;
  }
}
