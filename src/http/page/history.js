// What was predicted and measured of one unit since the page was opened.

// Seconds that curves reach back.
export const WINDOW_S = 2 * 3600;
// Instants kept of one unit at most: one in 5 s over the window, more than a chart has pixels.
const MOST_OF_UNIT = 1440;
// Instants kept of all units together: some 15 MB with three targets.
const MOST_OF_ALL = 200_000;
// A time that goes back by more seconds than this is another clock, and the curves begin anew.
const CLOCK_SLACK_S = 60;

// Seconds between two instants that are kept, with so many units.
export function stepSeconds(units) {
  return WINDOW_S / Math.min(MOST_OF_UNIT, MOST_OF_ALL / Math.max(1, units));
}

export class History {
  constructor(names) {
    this.names = names;
    this.clear();
  }

  clear() {
    this.times = [];
    this.predicted = this.names.map(() => []);
    this.measured = this.names.map(() => []);
    this.isBroken = false;
  }

  // Adds what was predicted for `time` (seconds), by target. Of one step only the latest stays.
  push(time, targets, step) {
    const last = this.times.at(-1);
    if (!Number.isFinite(time) || time === last) return;
    if (time < last) {
      if (last - time < CLOCK_SLACK_S) return;
      this.clear();
    }
    if (this.isBroken && this.times.length > 0) {
      this.append(this.times.at(-1) + 0.001, () => [null, null]);
    } else if (Math.floor(time / step) === Math.floor(last / step)) {
      this.times.pop();
      for (const column of [...this.predicted, ...this.measured]) column.pop();
    }
    this.isBroken = false;
    this.append(time, (name) => {
      const target = targets.get(name);
      return [target?.predicted ?? null, target?.measured ?? null];
    });
    this.trim(time, step);
  }

  // Nothing is predicted now: the curve shall not be drawn across.
  interrupt() {
    this.isBroken = true;
  }

  append(time, values) {
    this.times.push(time);
    this.names.forEach((name, index) => {
      const [predicted, measured] = values(name);
      this.predicted[index].push(predicted);
      this.measured[index].push(measured);
    });
  }

  trim(time, step) {
    const most = Math.ceil(WINDOW_S / step) + 1;
    let drop = Math.max(0, this.times.length - most);
    while (this.times[drop] < time - WINDOW_S) drop += 1;
    if (drop === 0) return;
    for (const column of [this.times, ...this.predicted, ...this.measured]) column.splice(0, drop);
  }

  // Columns for a chart of the target `index`: times, predicted, measured, measured minus predicted.
  columns(index) {
    const predicted = this.predicted[index];
    const measured = this.measured[index];
    const residual = measured.map((value, at) => (value === null || predicted[at] === null ? null : value - predicted[at]));
    return [this.times, predicted, measured, residual];
  }

  // The last `most` instants of a target as points of two polylines in a box of `width` by `height`.
  sparkline(index, most, width, height) {
    const from = Math.max(0, this.times.length - most);
    const times = this.times.slice(from);
    const curves = [this.predicted[index].slice(from), this.measured[index].slice(from)];
    const known = curves.flat().filter((value) => value !== null);
    if (times.length < 2 || known.length === 0) return ['', ''];
    const low = Math.min(...known);
    const span = Math.max(...known) - low || 1;
    const begin = times[0];
    const length = times.at(-1) - begin;
    const x = (time) => (width * (time - begin) / length).toFixed(1);
    const y = (value) => (height - 1 - (height - 2) * (value - low) / span).toFixed(1);
    return curves.map((curve) =>
      curve.flatMap((value, at) => (value === null ? [] : [`${x(times[at])},${y(value)}`])).join(' '));
  }
}
