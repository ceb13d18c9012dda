// Curves of one target: predicted against measured above, their difference below.

/* global uPlot */
import { element } from './dom.js';
import { unitSymbol, withUnit } from './words.js';

const HEIGHT = 200;
const RESIDUAL_HEIGHT = 110;
const LEAST_WIDTH = 200;
// Room for the widest label, so that both charts of a target begin at the same place.
const LABEL_WIDTH = 56;
const FONT = '12px system-ui, sans-serif';

// Labels of the time axis, as people here write the time of day.
function clockTimes(plot, times, axis, space, step) {
  const form = { hour: '2-digit', minute: '2-digit', ...(step < 60 && { second: '2-digit' }) };
  return times.map((time) => new Date(1000 * time).toLocaleTimeString([], form));
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { text: of('--quiet'), grid: of('--line'), predicted: of('--predicted'), measured: of('--measured') };
}

export class Chart {
  // `isUsable`: whether the difference says anything, which it does not when the model is given measured targets.
  constructor(target, index, isUsable) {
    this.target = target;
    this.index = index;
    this.key = `target ${target.name}`;
    const symbol = unitSymbol(target.unit);
    this.caption = element('figcaption', {}, element('h3', {}, target.name), ` ${target.description ?? ''}${symbol ? ` in ${symbol}` : ''}`);
    this.legend = element('p', { class: 'legend', 'aria-hidden': 'true' },
      element('span', { class: 'key predicted' }, 'predicted'), element('span', { class: 'key measured' }, 'measured'));
    this.values = element('div', { role: 'img' });
    this.differences = element('div', { role: 'img' });
    this.figure = element('figure', { class: 'chart' }, this.caption, this.legend, this.values,
      element('p', { class: 'legend' }, `measured minus predicted${isUsable ? '' : ', which tells nothing: the model sees the measurement'}`),
      this.differences);
    this.plots = [];
    this.sizes = new ResizeObserver(() => this.resize());
    this.schemes = matchMedia('(prefers-color-scheme: dark)');
    this.onScheme = () => this.draw();
    this.schemes.addEventListener('change', this.onScheme);
  }

  // To be called when the figure stands in the page.
  start() {
    this.sizes.observe(this.figure);
  }

  width() {
    return Math.max(LEAST_WIDTH, Math.floor(this.values.clientWidth));
  }

  resize() {
    const width = this.width();
    if (this.plots.length === 0 || this.plots[0].width === width) return;
    this.plots[0].setSize({ width, height: HEIGHT });
    this.plots[1].setSize({ width, height: RESIDUAL_HEIGHT });
  }

  // Draws anew: at first, and when light turns to dark.
  draw() {
    const columns = this.columns ?? [[], [], [], []];
    this.empty();
    const { text, grid, predicted, measured } = colours();
    const axis = { stroke: text, font: FONT, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const make = (height, series, [times, ...curves], place) => new uPlot({
      width: this.width(), height, series: [{}, ...series],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, sync: { key: this.key } },
      axes: [{ ...axis, values: clockTimes, space: 80 }, { ...axis, size: LABEL_WIDTH }],
    }, [times, ...curves], place);
    const curve = (stroke, dash) => ({ stroke, dash, width: 2, points: { show: false } });
    const [times, predictions, measurements, residuals] = columns;
    this.plots = [
      make(HEIGHT, [curve(predicted), curve(measured, [5, 4])], [times, predictions, measurements], this.values),
      make(RESIDUAL_HEIGHT, [curve(text)], [times, residuals], this.differences),
    ];
  }

  update(unit) {
    this.columns = unit.history.columns(this.index);
    if (this.plots.length === 0) this.draw();
    const [times, predicted, measured, residual] = this.columns;
    this.plots[0].setData([times, predicted, measured]);
    this.plots[1].setData([times, residual]);
    this.describe(unit, times);
  }

  describe(unit, times) {
    const { name, unit: measure } = this.target;
    const values = unit.targets.get(name);
    const minutes = times.length > 1 ? Math.round((times.at(-1) - times[0]) / 60) : 0;
    this.values.setAttribute('aria-label', `${name} over ${minutes} minutes, predicted and measured; now predicted ` +
      `${withUnit(values?.predicted, measure)}, measured ${withUnit(values?.measured, measure)}`);
    this.differences.setAttribute('aria-label', `Measured minus predicted ${name} over ${minutes} minutes; now ` +
      withUnit(values?.residual, measure));
  }

  empty() {
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
  }

  end() {
    this.sizes.disconnect();
    this.schemes.removeEventListener('change', this.onScheme);
    this.empty();
  }
}
