// A whole Home Assistant, and what it makes of the daemon's discovery; run by real.sh, which says what it needs.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';

const { chromium } = createRequire(new URL('../page/', import.meta.url))('playwright-core');
const {
  HASS_WORK, HASS_PROGRAM, HASS_PORT, HASS_BROKER_PORT, HASS_HTTP_PORT, HASS_CHROMIUM, HASS_PYTHON, HASS_SHOTS,
} = process.env;
const BASE = `http://127.0.0.1:${HASS_PORT}`;
const CLIENT = `${BASE}/`;
const CONFIG = `${HASS_WORK}/cooltwin.toml`;
const UNITS = 3;
const DAEMON = 'cooltwin-main';
// A unit that reports once: it falls silent and is forgotten.
const LEAVER = 'cooler-away';
// Longest wait for anything that has to come.
const PATIENCE_MS = 180_000;

const children = new Set();
function start(program, parameters, output, environment = {}) {
  const file = output ? openSync(output, 'a') : 'ignore';
  const child = spawn(program, parameters, { stdio: ['ignore', file, file], env: { ...process.env, ...environment } });
  children.add(child);
  return child;
}

function end(child, signal = 'SIGTERM') {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const ended = new Promise((resolve) => { child.once('exit', resolve); });
  child.kill(signal);
  return ended.then(() => { children.delete(child); });
}

function say(text) {
  console.log(`ok ${text}`);
}

async function eventually(what, probe) {
  const deadline = Date.now() + PATIENCE_MS;
  let last;
  while (Date.now() < deadline) {
    try {
      return await probe();
    } catch (error) {
      last = error;
      await pause(500);
    }
  }
  throw new Error(`${what} does not come: ${last?.message}`, { cause: last });
}

// Every setting stands in the file, as a reload takes no other environment.
function configure(isEnabled) {
  const settings = {
    mqtt: { url: `mqtt://127.0.0.1:${HASS_BROKER_PORT}` },
    bundle: { path: 'models/unit-cooler' },
    health: { interval: '2s' },
    alarms: { unit_silence: '10s' },
    engine: { unit_ttl: '40s' },
    http: { listen: `127.0.0.1:${HASS_HTTP_PORT}` },
    home_assistant: { enabled: isEnabled },
  };
  const sections = Object.entries(settings).map(([name, keys]) =>
    [`[${name}]`, ...Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}`)].join('\n'));
  writeFileSync(CONFIG, `${sections.join('\n\n')}\n`);
}

const startDaemon = () => start(HASS_PROGRAM, ['run', '--config', CONFIG], `${HASS_WORK}/daemon.log`);
const startHass = () => start(HASS_PYTHON,
  ['-m', 'homeassistant', '--config', `${HASS_WORK}/hass`, '--skip-pip'], `${HASS_WORK}/hass.out`);
const startCoolers = () => start(HASS_PROGRAM,
  ['simulate', '--mqtt', `mqtt://127.0.0.1:${HASS_BROKER_PORT}`, '--units', String(UNITS), '--step', '2s']);

function publishLeaver() {
  const frame = {
    AMBT: 28, UCTSP: 21, CPSP: 12, UCAIT: 24, CPPR: 1550, UCWF: 0.6, CPMC: 0.8, MVDP: 500, CPCF: 0.6, UCFS: 760, MVCV: 1,
    UCHV: 0, CPMV: 400, UCHC: 0, UCWIT: 8, UCFMS: 1085, CPDP: 1279, UCWDP: 20, MVWF: 0, UCOM: 1, UCAOT: 18, UCWOT: 14, UCAF: 860,
  };
  execFileSync('mosquitto_pub',
    ['-p', HASS_BROKER_PORT, '-q', '1', '-t', `hvac/${LEAVER}/sensors`, '-m', JSON.stringify(frame)]);
}

// What mosquitto_sub hears: topic and payload of each message. It ends with 27 when its time is over.
function heard(parameters) {
  try {
    return parse(execFileSync('mosquitto_sub', ['-p', HASS_BROKER_PORT, '-v', ...parameters], {
      encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'],
    }));
  } catch (error) {
    if (error.status !== 27) throw error;
    return parse(error.stdout);
  }
}

const parse = (text) => text.split('\n').filter(Boolean).map((line) => {
  const at = line.indexOf(' ');
  return [line.slice(0, at), JSON.parse(line.slice(at + 1))];
});

// The documents as the broker keeps them.
const published = () => new Map(heard(['-t', 'homeassistant/device/+/config', '--retained-only', '-W', '2'])
  .map(([, document]) => [document.dev.ids[0], document]));

async function ask(path, body, token) {
  const headers = { ...(token && { authorization: `Bearer ${token}` }) };
  const options = { headers };
  if (body) {
    options.method = 'POST';
    options.body = body instanceof URLSearchParams ? body : JSON.stringify(body);
    if (!(body instanceof URLSearchParams)) headers['content-type'] = 'application/json';
  }
  const response = await fetch(BASE + path, options);
  assert.ok(response.ok, `${path}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

// The owner's account, and the tokens as the frontend keeps them.
async function logIn() {
  await eventually('Home Assistant', () => ask('/api/onboarding'));
  const owner = { name: 'Owner', username: 'owner', password: 'owner-owner', client_id: CLIENT, language: 'en' };
  const { auth_code: code } = await ask('/api/onboarding/users', owner);
  const tokens = await ask('/auth/token', new URLSearchParams({ grant_type: 'authorization_code', code, client_id: CLIENT }));
  return { ...tokens, hassUrl: BASE, clientId: CLIENT, expires: Date.now() + 1000 * tokens.expires_in };
}

async function isUp(token) {
  assert.equal((await ask('/api/config', undefined, token)).state, 'RUNNING');
}

async function addBroker(token) {
  await eventually('the start', () => isUp(token));
  const flow = await ask('/api/config/config_entries/flow', { handler: 'mqtt' }, token);
  const broker = { broker: '127.0.0.1', port: Number(HASS_BROKER_PORT) };
  const result = await ask(`/api/config/config_entries/flow/${flow.flow_id}`, broker, token);
  assert.equal(result.type, 'create_entry', JSON.stringify(result));
}

// What Home Assistant has of MQTT, over the frontend's own connection.
async function registries(page) {
  const call = (type) => page.evaluate((what) => document.querySelector('home-assistant').hass.callWS({ type: what }), type);
  const [devices, entities, states] = await Promise.all(
    ['config/device_registry/list', 'config/entity_registry/list', 'get_states'].map(call));
  return {
    devices: new Map(devices.flatMap((device) =>
      device.identifiers.filter(([domain]) => domain === 'mqtt').map(([, id]) => [id, device]))),
    entities: new Map(entities.filter(({ platform }) => platform === 'mqtt').map((entity) => [entity.unique_id, entity])),
    states: new Map(states.map((state) => [state.entity_id, state])),
  };
}

const components = (documents) => [...documents.values()].flatMap((document) =>
  Object.entries(document.cmps).map(([id, component]) => ({ id, component, document })));

// Devices and entities are those that were published, no more and no less, and each is what the document says.
function compare(documents, { devices, entities, states }) {
  assert.deepEqual([...devices.keys()].sort(), [...documents.keys()].sort());
  const all = components(documents);
  assert.deepEqual([...entities.keys()].sort(), all.map(({ component }) => component.uniq_id).sort());
  for (const [id, { dev }] of documents) {
    const device = devices.get(id);
    assert.deepEqual([device.name, device.manufacturer, device.model, device.sw_version], [dev.name, dev.mf, dev.mdl, dev.sw]);
    assert.equal(device.via_device_id, dev.via_device ? devices.get(dev.via_device).id : null);
  }
  let disabled = 0;
  for (const { component } of all) {
    const entity = entities.get(component.uniq_id);
    assert.equal(entity.disabled_by, component.en === false ? 'integration' : null, component.uniq_id);
    assert.equal(entity.entity_category, component.ent_cat ?? null);
    assert.equal(entity.entity_id.split('.')[0], component.p);
    if (entity.disabled_by) { disabled += 1; continue; }
    const { attributes } = states.get(entity.entity_id);
    assert.deepEqual([attributes.unit_of_measurement, attributes.device_class, attributes.state_class],
      [component.unit_of_meas, component.dev_cla, component.stat_cla], component.uniq_id);
  }
  return { devices: devices.size, entities: all.length, disabled };
}

// Every state is known; what has a unit or a state class is a number.
function readable(documents, { entities, states }) {
  let numbers = 0;
  for (const { component, document } of components(documents)) {
    if (component.en === false || document.dev.name === LEAVER) continue;
    const { state } = states.get(entities.get(component.uniq_id).entity_id);
    assert.ok(!['unknown', 'unavailable'].includes(state), `${component.uniq_id} is ${state}`);
    if (component.p === 'binary_sensor') assert.match(state, /^(on|off)$/);
    if (component.unit_of_meas ?? component.stat_cla) {
      assert.ok(state.trim() !== '' && Number.isFinite(Number(state)), `${component.uniq_id} is ${state}`);
      numbers += 1;
    }
  }
  return numbers;
}

const stateOf = ({ entities, states }, id) => states.get(entities.get(id)?.entity_id)?.state;

const units = Array.from({ length: UNITS }, (_, index) => `cooler-${String(index + 1).padStart(2, '0')}`);
const unitDevice = (unit) => `${DAEMON}_unit-${unit}`;

// The coolers pause, so that nothing comes between what is heard and what is read.
async function sameValues(page, coolers) {
  const listener = spawn('mosquitto_sub', ['-p', HASS_BROKER_PORT, '-v', '-t', 'hvac/+/predictions']);
  children.add(listener);
  let text = '';
  listener.stdout.on('data', (data) => { text += data; });
  await eventually('a prediction of each', () => {
    assert.equal(new Set(parse(text).map(([topic]) => topic)).size, UNITS);
  });
  coolers.kill('SIGSTOP');
  // Longer than a message takes, and shorter than a unit may be silent.
  await pause(3000);
  const last = new Map(parse(text).map(([topic, prediction]) => [topic.split('/')[1], prediction]));
  const seen = await registries(page);
  coolers.kill('SIGCONT');
  await end(listener);
  let count = 0;
  for (const [unit, prediction] of last) {
    for (const [target, value] of Object.entries(prediction.residuals)) {
      const id = `${unitDevice(unit)}_residual_${target}`;
      if (seen.entities.get(id).disabled_by) continue;
      assert.equal(Number(stateOf(seen, id)), value, id);
      count += 1;
    }
    const targets = [...seen.entities.keys()].filter((id) => id.startsWith(`${unitDevice(unit)}_prediction_`));
    assert.ok(targets.length > 0);
    for (const id of targets) {
      assert.equal(Number(stateOf(seen, id)), prediction[id.split('_prediction_')[1]], id);
      count += 1;
    }
  }
  return count;
}

async function shoot(page, device, name, height) {
  if (!HASS_SHOTS) return;
  await page.goto(`${BASE}/config/devices/device/${device.id}`);
  await page.locator('ha-config-device-page').locator('ha-device-entities-card').first().waitFor();
  // Pictures and the log's first entries come later.
  await pause(8000);
  const path = `${HASS_SHOTS}/home-assistant-${name}.png`;
  // Without the menu; 64 colours halve the file.
  await page.screenshot({ path, clip: { x: 256, y: 0, width: 1024, height } });
  execFileSync(HASS_PYTHON, ['-c', 'import sys; from PIL import Image; path = sys.argv[1]; '
    + 'Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)', path]);
}

const unavailable = (documents, seen) => components(documents).filter(({ component }) =>
  component.en !== false && stateOf(seen, component.uniq_id) === 'unavailable').length;

configure(true);
let hass = startHass();
let browser;
try {
  const tokens = await logIn();
  const token = tokens.access_token;
  const { version } = await ask('/api/config', undefined, token);
  await addBroker(token);
  say(`Home Assistant ${version} is set up, the broker added`);

  let daemon = startDaemon();
  const coolers = startCoolers();
  browser = await chromium.launch({ executablePath: HASS_CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  const screen = { viewport: { width: 1280, height: 1100 }, colorScheme: 'light', reducedMotion: 'reduce' };
  const context = await browser.newContext(screen);
  await context.addInitScript((kept) => localStorage.setItem('hassTokens', kept), JSON.stringify(tokens));
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const enter = async () => {
    await page.goto(`${BASE}/config/devices/dashboard`);
    await page.waitForFunction(() => document.querySelector('home-assistant')?.hass?.connected);
  };
  await enter();

  const settled = (wanted) => eventually('all devices with their states', async () => {
    const documents = published();
    assert.equal(documents.size, wanted);
    const seen = await registries(page);
    return { documents, ...compare(documents, seen), numbers: readable(documents, seen), seen };
  });
  const first = await settled(1 + UNITS);
  say(`${first.devices} devices and ${first.entities} entities, ${first.disabled} of them switched off, are those published, `
    + `with their names, units, device and state classes; every state is known, ${first.numbers} are numbers`);
  say(`${await sameValues(page, coolers)} predictions and residuals have the values published`);
  if (HASS_SHOTS) await pause(15_000);
  await shoot(page, first.seen.devices.get(unitDevice(units[1])), 'unit', 630);
  await shoot(page, first.seen.devices.get(DAEMON), 'daemon', 1100);

  publishLeaver();
  await eventually('the alarm', async () => {
    const seen = await registries(page);
    assert.equal(stateOf(seen, `${unitDevice(LEAVER)}_alarm_unit_silent`), 'on');
    assert.equal(stateOf(seen, `${unitDevice(LEAVER)}_quality`), 'bad');
    const predictions = [...seen.entities.keys()].filter((id) => id.startsWith(`${unitDevice(LEAVER)}_prediction_`));
    assert.ok(predictions.length > 0 && predictions.every((id) => stateOf(seen, id) === 'unavailable'));
  });
  say('a unit that falls silent: its alarm is on, its quality bad, its predictions unavailable');
  await eventually('the removal', async () => {
    const { devices, entities } = await registries(page);
    assert.ok(!devices.has(unitDevice(LEAVER)) && ![...entities.keys()].some((id) => id.startsWith(unitDevice(LEAVER))));
  });
  await settled(1 + UNITS);
  say('a unit that is forgotten: its device and its entities are gone, the others are not');

  await end(daemon, 'SIGKILL');
  const lost = await eventually('the unavailability', async () => {
    const seen = await registries(page);
    const count = unavailable(first.documents, seen);
    // All but the one that tells it.
    assert.equal(count, first.entities - first.disabled - 1);
    assert.equal(stateOf(seen, `${DAEMON}_running`), 'off');
    return count;
  });
  say(`a daemon that dies: ${lost} entities are unavailable, "Running" is off`);
  daemon = startDaemon();
  await settled(1 + UNITS);
  say('a daemon that comes back: all are available again');

  const before = (await registries(page)).entities;
  await end(hass);
  hass = startHass();
  await eventually('the start', () => isUp(token));
  await enter();
  await settled(1 + UNITS);
  const after = (await registries(page)).entities;
  assert.deepEqual([...after].map(([id, { entity_id: name }]) => [id, name]).sort(),
    [...before].map(([id, { entity_id: name }]) => [id, name]).sort());
  say('Home Assistant started again: the same entities by the same names');

  await end(daemon);
  await eventually('the unavailability', async () => {
    assert.equal(unavailable(first.documents, await registries(page)), lost);
  });
  daemon = startDaemon();
  await settled(1 + UNITS);
  // It takes back what it knows of: a unit is to be heard of first.
  await eventually('a prediction of each', () => {
    const topics = heard(['-t', 'hvac/+/predictions', '-C', String(2 * UNITS), '-W', '20']).map(([topic]) => topic);
    assert.equal(new Set(topics).size, UNITS);
  });
  configure(false);
  daemon.kill('SIGHUP');
  await eventually('the removal of all', async () => {
    const { devices, entities } = await registries(page);
    assert.deepEqual([devices.size, entities.size], [0, 0]);
  });
  assert.equal(published().size, 0);
  say('switched off by a reload: no device and no entity is left');

  const complaints = readFileSync(`${HASS_WORK}/hass.out`, 'utf8').split('\n')
    .filter((line) => /\b(WARNING|ERROR|CRITICAL)\b/.test(line))
    .filter((line) => /mqtt|cooltwin|cooler|components\.(binary_)?sensor/i.test(line))
    // When the daemon's device is gone, Home Assistant removes its document once more, and then complains of itself.
    .filter((line) => !line.includes(`No device components to cleanup for ${DAEMON}, `));
  assert.deepEqual(complaints, []);
  say('its log has no warning and no error of MQTT or of these entities, save of its own removal');
} finally {
  await browser?.close();
  await Promise.all([...children].map((child) => { child.kill('SIGCONT'); return end(child); }));
}
