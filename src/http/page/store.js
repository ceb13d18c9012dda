// What the page knows, and what of it has changed since it was drawn. Events go in, nothing is drawn here.

import { History, stepSeconds } from './history.js';

// Units held at most, as many as the daemon can be set to serve.
const MOST_UNITS = 10_000;

export class Store {
  constructor() {
    this.model = { sensors: [], targets: [] };
    this.saidModel = '';
    this.health = null;
    this.units = new Map();
    // By unit (null: the daemon), then by name.
    this.alarms = new Map();
    this.changed = this.nothing();
  }

  nothing() {
    return { units: new Set(), list: false, health: false, alarms: false };
  }

  // What has changed since the last call.
  takeChanges() {
    const changed = this.changed;
    this.changed = this.nothing();
    return changed;
  }

  // Another model has other targets, so curves begin anew.
  setModel(model) {
    const said = JSON.stringify(model);
    if (said === this.saidModel) return;
    this.saidModel = said;
    const names = (model.targets ?? []).map((target) => target.name);
    const before = this.model.targets.map((target) => target.name);
    this.model = { ...model, sensors: model.sensors ?? [], targets: model.targets ?? [] };
    if (names.join('\n') !== before.join('\n')) {
      for (const unit of this.units.values()) unit.history = new History(names);
    }
    this.changed.health = this.changed.list = true;
  }

  describe(name) {
    const known = [...this.model.sensors, ...this.model.targets].find((one) => one.name === name);
    return known?.description ?? '';
  }

  // Takes one event in; `now` in milliseconds on a clock that does not go back.
  apply(name, data, now) {
    if (name === 'snapshot') {
      this.takeSnapshot(data, now);
      return;
    }
    const document = data.document ?? null;
    // A document that was removed does not say whose it was; `alarm_cleared` and `unit_evicted` do.
    if (document === null) return;
    switch (name) {
      case 'prediction': this.takePrediction(document, now); break;
      case 'state': this.takeState(document, now); break;
      case 'alarm': this.setAlarm(document.unit ?? null, document.id, document); break;
      case 'alarm_cleared': this.setAlarm(document.unit ?? null, document.alarm, null); break;
      case 'unit_evicted': this.forget(document.unit); break;
      case 'health': this.health = document; this.changed.health = true; break;
      default:
    }
  }

  // Everything there is; what is not in it is gone.
  takeSnapshot({ health, units: { units }, alarms }, now) {
    if (health) this.health = health;
    this.changed.health = true;
    this.alarms.clear();
    this.changed.alarms = true;
    for (const alarm of alarms ?? []) this.setAlarm(null, alarm.id, alarm);
    const names = new Set(units.map((unit) => unit.unit));
    for (const name of this.units.keys()) if (!names.has(name)) this.forget(name);
    for (const one of units) this.takeUnit(one, now);
  }

  // One unit as the daemon tells it when asked.
  takeUnit(one, now) {
    const unit = this.unit(one.unit);
    if (!unit) return;
    const { state, quality, reasons, seq, time } = one;
    Object.assign(unit, { state, quality, reasons: reasons ?? [], seq, time });
    unit.heard = now - 1000 * (one.heard_s ?? 0);
    unit.predicted = typeof one.predicted_s === 'number' ? now - 1000 * one.predicted_s : null;
    for (const { name, predicted, measured, residual } of one.targets ?? []) {
      unit.targets.set(name, { predicted, measured, residual });
    }
    if (unit.predicted !== null) this.remember(unit);
    this.changed.units.add(unit.name);
    for (const alarm of one.alarms ?? []) this.setAlarm(unit.name, alarm.id, alarm);
  }

  takePrediction(document, now) {
    const unit = this.unit(document.unit);
    if (!unit) return;
    const { quality, reasons, seq, time } = document;
    Object.assign(unit, { state: 'predicting', quality, reasons: reasons ?? [], seq, time, heard: now, predicted: now });
    const residuals = document.residuals ?? {};
    for (const { name } of this.model.targets) {
      const predicted = Object.hasOwn(document, name) ? document[name] : null;
      const residual = Object.hasOwn(residuals, name) ? residuals[name] : null;
      const measured = predicted === null || residual === null ? null : predicted + residual;
      unit.targets.set(name, { predicted, measured, residual });
    }
    this.remember(unit);
    this.changed.units.add(unit.name);
  }

  takeState(document, now) {
    const unit = this.unit(document.unit);
    if (!unit) return;
    const { state, quality, reasons } = document;
    Object.assign(unit, { state, quality, reasons: reasons ?? [] });
    unit.heard ??= now;
    if (state !== 'predicting') unit.history.interrupt();
    this.changed.units.add(unit.name);
  }

  // Of a unit, or of the daemon (null); without a document it is over.
  setAlarm(unit, id, document) {
    const standing = this.alarms.get(unit) ?? new Map();
    if (document === null) standing.delete(id);
    else standing.set(id, document);
    if (standing.size > 0) this.alarms.set(unit, standing);
    else this.alarms.delete(unit);
    this.changed.alarms = true;
    if (this.units.has(unit)) this.changed.units.add(unit);
  }

  remember(unit) {
    unit.history.push(Date.parse(unit.time) / 1000, unit.targets, stepSeconds(this.units.size));
  }

  forget(name) {
    if (!this.units.delete(name)) return;
    this.alarms.delete(name);
    this.changed.list = this.changed.alarms = true;
    this.changed.units.add(name);
  }

  // The unit of that name, which need not have been known; null when there are too many.
  unit(name) {
    const known = this.units.get(name);
    if (known) return known;
    if (typeof name !== 'string' || this.units.size >= MOST_UNITS) return null;
    const unit = {
      name, state: 'waiting', quality: 'bad', reasons: [], seq: 0, time: null, heard: null, predicted: null,
      targets: new Map(), history: new History(this.model.targets.map((target) => target.name)),
    };
    this.units.set(name, unit);
    this.changed.list = true;
    return unit;
  }

  alarmsOf(name) {
    return [...(this.alarms.get(name)?.entries() ?? [])];
  }
}
