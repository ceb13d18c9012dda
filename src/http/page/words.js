// What codes, numbers and times are called. Nothing here knows the page.

const REASONS = new Map([
  ['required_missing', 'never read, and nothing is predicted without it'],
  ['required_stale', 'too old, and nothing is predicted without it'],
  ['silent', 'nothing fresh comes from this unit'],
  ['clock_not_set', 'the clock of the machine is not set'],
  ['too_many_missing', 'too many inputs are missing'],
  ['not_computable', 'the model gave no number'],
  ['missing', 'no value, the model runs without it'],
  ['stale', 'too old, the model runs without it'],
  ['held', 'the last value stands in'],
  ['defaulted', 'the default stands in'],
  ['outside_trained_range', 'outside of what the model was trained on'],
  ['undefined', 'cannot be computed'],
  ['incomplete_history', 'window not filled yet'],
  ['implausible', 'prediction outside of its plausible range'],
]);

const UNITS = new Map([
  ['degC', '°C'], ['degF', '°F'], ['m3/h', 'm³/h'], ['m3/s', 'm³/s'], ['1', ''],
]);

const QUALITIES = new Map([
  ['good', 'good'],
  ['uncertain', 'uncertain'],
  ['bad', 'withheld'],
]);

// Reasons `code:subject` in words, those of one kind together: [{ what, subjects }].
export function reasonGroups(reasons) {
  const groups = new Map();
  for (const reason of reasons) {
    const colon = reason.indexOf(':');
    const code = colon < 0 ? reason : reason.slice(0, colon);
    const subject = colon < 0 ? null : reason.slice(colon + 1);
    if (code === 'more') {
      groups.set(code, { what: `${subject} more reasons`, subjects: [] });
      continue;
    }
    if (!groups.has(code)) groups.set(code, { what: REASONS.get(code) ?? code.replaceAll('_', ' '), subjects: [] });
    if (subject !== null) groups.get(code).subjects.push(subject);
  }
  return [...groups.values()];
}

// One group as a line; of more than `most` subjects the rest is only counted.
export function groupInWords({ what, subjects }, most = Infinity) {
  if (subjects.length === 0) return what;
  const named = subjects.slice(0, most);
  const rest = subjects.length - named.length;
  return `${named.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}: ${what}`;
}

// As it is written beside a number.
export function unitSymbol(unit) {
  return UNITS.get(unit) ?? unit;
}

// About four digits: what sensors are good for. A dash when there is no number.
export function number(value) {
  if (typeof value !== 'number' || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  const text = value.toFixed(size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3);
  return text.replace(/^-(?=0\.?0*$)/, '');
}

// The same with the sign that a difference has.
export function signed(value) {
  const text = number(value);
  return /[1-9]/.test(text) && value > 0 ? `+${text}` : text;
}

export function withUnit(value, unit) {
  const symbol = unitSymbol(unit);
  return symbol === '' || number(value) === '–' ? number(value) : `${number(value)} ${symbol}`;
}

// Seconds as one would say them.
export function duration(seconds) {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds)) return '–';
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

// What a unit is doing, in one word.
export function qualityWord(unit) {
  if (unit.state === 'waiting') return 'waiting';
  return QUALITIES.get(unit.quality) ?? 'unknown';
}

// Where a value stands on a bar over [low, high] of which the ends are kept free: 0 to 1.
export function place(value, low, high) {
  const MARGIN = 0.1;
  if (!(high > low)) return 0.5;
  const share = MARGIN + (1 - 2 * MARGIN) * (value - low) / (high - low);
  return Math.min(1, Math.max(0, share));
}

// What is to be said of an input beside its value.
export function inputMark(sensor) {
  if (sensor.status === 'missing') return 'missing';
  const marks = [];
  if (sensor.status !== 'fresh') marks.push(sensor.status);
  const trained = sensor.trained;
  if (trained && typeof sensor.value === 'number') {
    if (sensor.value < trained[0]) marks.push('below trained range');
    if (sensor.value > trained[1]) marks.push('above trained range');
  }
  return marks.join(', ');
}

// Alarms `[{ unit, id, document }]`, those of the daemon first; where many units have the same one, it stands once with all of
// them, so that a network that is cut does not bury the rest: `[{ id, document, units }]`.
export function alarmGroups(alarms) {
  const MOST_ALONE = 3;
  const kinds = new Map();
  for (const alarm of alarms) {
    const key = `${alarm.unit === null ? 'daemon' : 'unit'} ${alarm.id}`;
    kinds.set(key, [...(kinds.get(key) ?? []), alarm]);
  }
  const groups = [...kinds.values()].flatMap((same) => {
    const units = same.map(({ unit }) => unit).sort((a, b) => String(a).localeCompare(String(b), undefined, { numeric: true }));
    if (same.length > MOST_ALONE) return [{ id: same[0].id, document: same[0].document, units }];
    return same.map(({ id, document, unit }) => ({ id, document, units: [unit] }));
  });
  return groups.sort((a, b) => (a.units[0] === null ? 0 : 1) - (b.units[0] === null ? 0 : 1));
}

// Health in words: [{ name, text, level }], where level is good, uncertain or bad.
export function healthLines(health) {
  if (!health) return [{ name: 'Health', text: 'not known yet', level: 'uncertain' }];
  const { broker = {}, bundle = {}, rates = {}, latency_us: latency = {} } = health;
  return [
    brokerLine(broker),
    health.reload_failure
      ? { name: 'Model', text: `${bundle.id} ${bundle.version}; the last reload was refused`, level: 'uncertain' }
      : { name: 'Model', text: `${bundle.id} ${bundle.version}`, level: 'good' },
    clockLine(health.clock_synced),
    {
      name: 'Predictions',
      text: `${number(rates.predictions_per_s)} a second, p99 ${number((latency.p99 ?? NaN) / 1000)} ms`,
      level: 'good',
    },
    {
      name: 'Running',
      text: `${duration(health.uptime_s)}, ${number((health.rss_bytes ?? NaN) / 1e6)} MB, version ${health.version}`,
      level: 'good',
    },
  ];
}

function brokerLine(broker) {
  const name = 'Broker';
  if (!broker.connected) {
    const why = broker.down_because ? `: ${broker.down_because}` : '';
    return { name, text: `${broker.state ?? 'down'}${why}`, level: 'bad' };
  }
  if (broker.delivering === false) return { name, text: 'connected, but does not deliver', level: 'bad' };
  const refused = broker.refused_subscriptions ?? [];
  if (refused.length > 0) return { name, text: `connected, refuses ${refused.join(', ')}`, level: 'bad' };
  return { name, text: 'connected', level: 'good' };
}

function clockLine(isSynced) {
  if (isSynced === true) return { name: 'Clock', text: 'network time', level: 'good' };
  if (isSynced === false) return { name: 'Clock', text: 'not set by network time', level: 'uncertain' };
  return { name: 'Clock', text: 'not confirmed by network time', level: 'good' };
}
