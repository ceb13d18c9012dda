// What the page makes of events, without a browser: node --test tests/page/*.test.mjs

import assert from 'node:assert/strict';
import test from 'node:test';

import { History, WINDOW_S, stepSeconds } from '../../src/http/page/history.js';
import { Store } from '../../src/http/page/store.js';
import { EventParser } from '../../src/http/page/stream.js';
import * as words from '../../src/http/page/words.js';

const MODEL = { sha256: '0123', sensors: [{ name: 'AMBT', description: 'ambient air' }], targets: [{ name: 'T', unit: 'degC' }] };

const prediction = (unit, second, predicted, residual) => ({
  unit, time: new Date(1000 * second).toISOString(), seq: 1, quality: 'good', reasons: [], T: predicted,
  residuals: residual === undefined ? {} : { T: residual },
});

test('reasons of one kind stand together, in words', () => {
  const groups = words.reasonGroups(['stale:A', 'incomplete_history:F:1', 'stale:B', 'silent', 'new_code:X', 'more:7']);
  assert.deepEqual(groups.map((group) => words.groupInWords(group)), [
    'A, B: too old, the model runs without it',
    'F:1: window not filled yet',
    'nothing fresh comes from this unit',
    'X: new code',
    '7 more reasons',
  ]);
  assert.equal(words.groupInWords({ what: 'stale', subjects: ['A', 'B', 'C'] }, 1), 'A and 2 more: stale');
});

test('numbers have the digits that sensors are good for', () => {
  assert.deepEqual([17.928, 867.16, 1592.4, 0.3105, -0.0001, 0, null, undefined, NaN, Infinity].map(words.number),
    ['17.93', '867.2', '1592', '0.310', '0.000', '0.000', '–', '–', '–', '–']);
  assert.deepEqual([0.25, -0.25, 0, 0.00001, null].map(words.signed), ['+0.250', '-0.250', '0.000', '0.000', '–']);
  assert.equal(words.withUnit(17.9, 'degC'), '17.90 °C');
  assert.equal(words.withUnit(null, 'degC'), '–');
  assert.equal(words.withUnit(1, '<b>'), '1.00 <b>');
  assert.deepEqual([0, 59.9, 60, 3661, 90000, -5, NaN].map(words.duration),
    ['0 s', '59 s', '1 min 0 s', '1 h 1 min', '1 d 1 h', '0 s', '–']);
});

test('an input outside of its trained range is marked', () => {
  const mark = (value, status = 'fresh', trained = [10, 20]) => words.inputMark({ value, status, trained });
  assert.deepEqual([mark(10), mark(20), mark(9.9), mark(20.1), mark(25, 'stale'), mark(null, 'missing'), mark(99, 'fresh', null)],
    ['', '', 'below trained range', 'above trained range', 'stale, above trained range', 'missing', '']);
  assert.deepEqual([words.place(10, 10, 20), words.place(20, 10, 20), words.place(1e9, 10, 20), words.place(5, 5, 5)],
    [0.1, 0.9, 1, 0.5]);
});

test('health is told in words, worst things by name', () => {
  const line = (health, name) => words.healthLines(health).find((one) => one.name === name);
  assert.equal(words.healthLines(null)[0].level, 'uncertain');
  const broker = (fields) => line({ broker: fields }, 'Broker');
  assert.deepEqual(broker({ connected: true }), { name: 'Broker', text: 'connected', level: 'good' });
  assert.equal(broker({ connected: true, delivering: false }).level, 'bad');
  assert.equal(broker({ connected: true, refused_subscriptions: ['a/#'] }).text, 'connected, refuses a/#');
  assert.equal(broker({ connected: false, state: 'down', down_because: 'no route' }).text, 'down: no route');
  assert.equal(line({ clock_synced: false }, 'Clock').level, 'uncertain');
  assert.equal(line({ reload_failure: 'x', bundle: { id: 'm', version: '1' } }, 'Model').level, 'uncertain');
});

test('an alarm of many units stands once, the daemon comes first', () => {
  const alarm = (unit, id) => ({ unit, id, document: {} });
  const silent = ['c10', 'c9', 'c2', 'c1'].map((unit) => alarm(unit, 'unit_silent'));
  const told = (alarms) => words.alarmGroups(alarms).map(({ id, units }) => `${id} ${units.join()}`);
  assert.deepEqual(told([...silent, alarm(null, 'clock_not_set')]), ['clock_not_set ', 'unit_silent c1,c2,c9,c10']);
  assert.deepEqual(told(silent.slice(0, 2)), ['unit_silent c10', 'unit_silent c9']);
  assert.deepEqual(told([]), []);
});

test('events are whole however the bytes come', () => {
  const text = 'retry: 3000\n\n: life\n\nid: 1\nevent: health\ndata: {"a":1}\n\r\nevent: state\r\ndata: 1\r\ndata: 2\r\n\r\ndata:x\n\nevent: half\n';
  const whole = [['health', '{"a":1}'], ['state', '1\n2'], ['message', 'x']];
  for (let size = 1; size <= text.length; size += 1) {
    const got = [];
    const parser = new EventParser((name, data) => got.push([name, data]));
    for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size));
    assert.deepEqual(got, whole, `in pieces of ${size}`);
  }
  assert.throws(() => new EventParser(() => {}).push('x'.repeat(17 * 1024 * 1024)), /too long/);
});

test('curves are bounded, and only the latest of a step stays', () => {
  const history = new History(['T']);
  const value = (predicted, measured) => new Map([['T', { predicted, measured }]]);
  for (let second = 0; second < 4 * WINDOW_S; second += 1) history.push(second, value(second, second + 1), 5);
  const [times, predicted, , residual] = history.columns(0);
  assert.ok(times.length <= WINDOW_S / 5 + 1, `${times.length}`);
  assert.equal(times.at(-1), 4 * WINDOW_S - 1);
  assert.ok(times[0] >= times.at(-1) - WINDOW_S);
  assert.equal(predicted.length, times.length);
  assert.ok(residual.every((one) => one === 1));
  assert.ok(10_000 * (WINDOW_S / stepSeconds(10_000)) <= 200_000);
});

test('curves have gaps where nothing was predicted and begin anew when the clock is set back', () => {
  const history = new History(['T']);
  const push = (second, predicted) => history.push(second, new Map([['T', { predicted, measured: null }]]), 5);
  push(100, 1);
  push(110, 2);
  history.interrupt();
  push(900, 3);
  assert.deepEqual(history.columns(0)[1], [1, 2, null, 3]);
  assert.deepEqual(history.columns(0)[3], [null, null, null, null]);
  push(890, 9);
  push(900, 9);
  push(NaN, 9);
  assert.deepEqual(history.columns(0)[1], [1, 2, null, 3], 'late ones are left out');
  push(10, 4);
  assert.deepEqual(history.columns(0).slice(0, 2), [[10], [4]]);
  assert.deepEqual(history.sparkline(0, 90, 100, 20), ['', ''], 'one instant is no curve');
  push(20, 5);
  assert.deepEqual(history.sparkline(0, 90, 100, 20), ['0.0,19.0 100.0,1.0', '']);
});

test('the store follows snapshot, predictions, states and alarms', () => {
  const store = new Store();
  const tell = (name, document, now) => store.apply(name, { topic: 'any', document }, now);
  store.setModel(MODEL);
  store.apply('snapshot', {
    health: { instance: 'main' },
    units: { count: 2, units: [
      { unit: 'a', state: 'predicting', quality: 'good', reasons: [], seq: 5, heard_s: 2, predicted_s: 3, time: '2026-03-01T12:00:00Z',
        targets: [{ name: 'T', unit: 'degC', predicted: 1, measured: 2, residual: 1 }], alarms: [] },
      { unit: 'b', state: 'waiting', quality: 'bad', reasons: [], seq: 0, heard_s: 0, predicted_s: null, time: null, targets: [],
        alarms: [{ id: 'unit_silent', severity: 'critical' }] },
    ] },
    alarms: [{ id: 'clock_not_set', severity: 'warning' }],
  }, 10_000);
  assert.deepEqual([store.units.get('a').predicted, store.units.get('b').predicted], [7000, null]);
  assert.deepEqual(store.alarmsOf('b'), [['unit_silent', { id: 'unit_silent', severity: 'critical' }]]);
  assert.deepEqual([...store.alarms.keys()], [null, 'b']);
  assert.deepEqual(store.takeChanges(), { units: new Set(['a', 'b']), list: true, health: true, alarms: true });

  tell('prediction', prediction('a', 1772366500, 17, -0.5), 11_000);
  assert.deepEqual(store.units.get('a').targets.get('T'), { predicted: 17, measured: 16.5, residual: -0.5 });
  assert.deepEqual(store.takeChanges(), { units: new Set(['a']), list: false, health: false, alarms: false });
  tell('prediction', prediction('a', 1772366510, 17), 12_000);
  assert.equal(store.units.get('a').targets.get('T').measured, null);

  tell('state', { unit: 'a', state: 'withheld', quality: 'bad', reasons: ['silent'] }, 13_000);
  assert.equal(store.units.get('a').quality, 'bad');
  tell('alarm', { id: 'source_silent' }, 13_000);
  tell('alarm', null, 13_000);
  tell('state', null, 13_000);
  assert.deepEqual([...store.alarms.get(null).keys()], ['clock_not_set', 'source_silent']);
  tell('alarm_cleared', { unit: null, alarm: 'clock_not_set' }, 13_000);
  tell('alarm_cleared', { unit: null, alarm: 'source_silent' }, 13_000);
  tell('alarm_cleared', { unit: 'b', alarm: 'unit_silent' }, 13_000);
  assert.deepEqual([...store.alarms.keys()], []);
  tell('unit_evicted', { unit: 'a' }, 14_000);
  tell('of another day', {}, 15_000);
  assert.deepEqual([...store.units.keys()], ['b']);
});

test('a snapshot tells everything: what is not in it is gone, curves stay', () => {
  const store = new Store();
  store.setModel(MODEL);
  for (const name of ['a', 'b']) store.apply('prediction', { document: prediction(name, 100, 17, 0) }, 0);
  store.apply('alarm', { document: { id: 'source_silent' } }, 0);
  const a = { unit: 'a', state: 'predicting', quality: 'good', seq: 1, predicted_s: 1, time: '1970-01-01T00:02:00Z', targets: [] };
  store.apply('snapshot', { health: null, units: { count: 1, units: [a] }, alarms: [] }, 0);
  assert.deepEqual([...store.units.keys()], ['a']);
  assert.deepEqual([...store.alarms.keys()], []);
  assert.deepEqual(store.units.get('a').history.times, [100, 120]);
});

test('a model with other targets begins curves anew, the same model leaves them', () => {
  const store = new Store();
  store.setModel(MODEL);
  store.apply('prediction', { document: prediction('a', 1, 17, 0) }, 0);
  const { targets } = store.model;
  store.setModel(structuredClone(MODEL));
  assert.equal(store.model.targets, targets);
  assert.equal(store.units.get('a').history.times.length, 1);
  store.setModel({ ...MODEL, targets: [{ name: 'U', unit: '' }] });
  assert.deepEqual(store.units.get('a').history.names, ['U']);
});

test('names of units are never looked up as properties, and their number is bounded', () => {
  const store = new Store();
  store.setModel({ ...MODEL, targets: [{ name: 'toString', unit: '' }] });
  for (const name of ['__proto__', 'constructor', '<img src=x onerror=alert(1)>']) {
    store.apply('prediction', { document: prediction(name, 1, 17, 0) }, 0);
    assert.deepEqual(store.units.get(name).targets.get('toString'), { predicted: null, measured: null, residual: null });
  }
  for (let index = 0; index < 10_010; index += 1) store.apply('prediction', { document: prediction(`u${index}`, 1, 17, 0) }, 0);
  assert.equal(store.units.size, 10_000);
  assert.doesNotThrow(() => store.apply('prediction', { document: { T: 1 } }, 0));
});
