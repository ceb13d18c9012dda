// Walks through the live page in Chromium as people would; run by run.sh, which says what it needs.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const { PAGE_PROGRAM, PAGE_CONFIG, PAGE_HTTP_PORT, PAGE_BROKER_PORT, PAGE_LOG, PAGE_SHOTS, PAGE_WARM_S } = process.env;
const UNITS = Number(process.env.PAGE_UNITS);
const BASE = `http://127.0.0.1:${PAGE_HTTP_PORT}/`;
// The promises: bytes are asserted, the time is printed, since machines that test are busy.
const MOST_BYTES = 150_000;
const PAINT_MS = 300;
// Longest wait for anything that has to come.
const PATIENCE_MS = 120_000;
// Names that anybody may publish under; not for pictures.
const HOSTILE = PAGE_SHOTS ? [] : ['<img src=x onerror=globalThis.owned=1>', '__proto__', '%2e%2e%2funits', '\u202ereversed & <b>'];
const TOKEN = '0123456789abcdef';
const SCREENS = [
  { name: 'desktop', viewport: { width: 1280, height: 900 } },
  { name: 'phone', viewport: { width: 375, height: 812 } },
];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let daemon;
function startDaemon(environment = {}) {
  daemon = spawn('sh', ['-c', 'exec "$0" run --config "$1" >>"$2" 2>&1', PAGE_PROGRAM, PAGE_CONFIG, PAGE_LOG],
    { env: { ...process.env, ...environment } });
}

function endDaemon(signal) {
  const ended = new Promise((resolve) => { daemon.once('exit', resolve); });
  daemon.kill('SIGCONT');
  daemon.kill(signal);
  return ended;
}

// Coolers that publish, of which one has a clogged filter.
let simulation;
function startSimulation() {
  const coolers = ['simulate', '--mqtt', `mqtt://127.0.0.1:${PAGE_BROKER_PORT}`, '--units', String(UNITS), '--step', '5s',
    '--fault', 'clogged-filter:0.3:10:cooler-03'];
  simulation = spawn(PAGE_PROGRAM, coolers, { stdio: 'ignore' });
}

// A complete frame of one unit, with an ambient temperature that no model was trained on.
function publishFrame(unit) {
  const frame = {
    AMBT: 150, UCTSP: 21, CPSP: -271, UCAIT: 24, CPPR: 1550, UCWF: 0.6, CPMC: 0.8, MVDP: 500, CPCF: 0.6, UCFS: 760, MVCV: 1,
    UCHV: 0, CPMV: 400, UCHC: 0, UCWIT: 8, UCFMS: 1085, CPDP: 1279, UCWDP: 20, MVWF: 0, UCOM: 1, UCAOT: 18, UCWOT: 14, UCAF: 860,
  };
  execFileSync('mosquitto_pub', ['-p', PAGE_BROKER_PORT, '-q', '1', '-t', `hvac/${unit}/sensors`, '-m', JSON.stringify(frame)]);
}

function say(text) {
  console.log(`ok ${text}`);
}

// A page of its own whose every complaint counts, save those that are asked for.
async function open(browser, options, path = '') {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints = [];
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  let bytes = 0;
  const elsewhere = [];
  const protocol = await context.newCDPSession(page);
  await protocol.send('Network.enable');
  protocol.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; });
  protocol.on('Network.requestWillBeSent', ({ request: { url } }) => {
    if (!url.startsWith(BASE) && !url.startsWith('data:')) elsewhere.push(url);
  });
  await page.goto(BASE + path);
  return {
    page, complaints, elsewhere, bytes: () => bytes,
    async close() {
      assert.deepEqual(complaints, [], 'the console has complaints');
      assert.deepEqual(elsewhere, [], 'the page asks elsewhere');
      await context.close();
    },
  };
}

async function checkAccess(page, where) {
  const found = await page.evaluate(`${AXE}; axe.run()`);
  const serious = found.violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target).join(' ')}`);
  assert.deepEqual(told, [], `axe-core finds serious issues in ${where}`);
  assert.ok(found.passes.length > 10, `axe-core had ${found.passes.length} things to look at`);
  const [inner, outer] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(inner <= outer, `${where} is ${inner} wide on a screen of ${outer}`);
  say(`${where}: ${found.passes.length} rules of axe-core hold, ${found.violations.length} minor issues; it fits the screen`);
}

async function shoot(page, name) {
  if (!PAGE_SHOTS) return;
  await page.evaluate(() => scrollTo(0, 0));
  const picture = await page.screenshot({ type: 'png' });
  writeFileSync(`${PAGE_SHOTS}/page-${name}.png`, picture);
}

const cards = (page) => page.locator('#cards > li:not([hidden])').count();
const waitForUnits = (page, count) =>
  page.waitForFunction((wanted) => document.querySelectorAll('#cards > li').length === wanted, count);
const waitForText = (page, id, text) =>
  page.waitForFunction(([where, what]) => document.getElementById(where).textContent.includes(what), [id, text]);

async function seesAllUnits(browser) {
  const seen = await open(browser, { ...SCREENS[0], colorScheme: 'light' });
  const { page } = seen;
  await waitForUnits(page, UNITS + HOSTILE.length);
  await page.waitForSelector('.card td.predicted:not(:empty)');
  const bytes = seen.bytes();
  console.log(`${bytes} bytes transferred`);
  assert.ok(bytes > 10_000 && bytes <= MOST_BYTES, `${bytes} bytes transferred, promised are ${MOST_BYTES}`);
  await waitForText(page, 'health', 'connected');
  await waitForText(page, 'link', 'live');
  await page.waitForFunction(() => /\b([1-9]|0\.\d*[1-9])[\d.]* a second/.test(document.getElementById('health').textContent));
  say(`all ${UNITS + HOSTILE.length} units are shown, broker and link are live`);

  await page.fill('#filter-name', 'cooler-10');
  await waitForText(page, 'filter-count', ' of ');
  const named = await page.locator('#cards > li:not([hidden]) h3').allTextContents();
  assert.ok(named.length > 0 && named.every((name) => name.includes('cooler-10')), named.join());
  await page.fill('#filter-name', '');
  await page.selectOption('#filter-quality', 'good');
  const good = await cards(page);
  await page.selectOption('#filter-quality', 'all');
  assert.equal(await cards(page), UNITS + HOSTILE.length);
  say(`filters leave ${named.length} by name, ${good} good ones`);

  // Nothing of this many units may keep a small computer busy.
  const busy = await page.evaluate(() => new Promise((resolve) => {
    const tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
    setTimeout(() => resolve(tasks), 5000);
  }));
  console.log(`tasks above 50 ms in 5 s with ${UNITS} units: ${busy.length}, the longest ${Math.max(0, ...busy).toFixed(0)} ms`);
  await seen.close();
}

// Each time as if it had never been here.
async function measurePaint(browser) {
  const times = [];
  for (let time = 0; time < 5; time += 1) {
    const seen = await open(browser, { ...SCREENS[0], colorScheme: 'light' });
    await waitForUnits(seen.page, UNITS + HOSTILE.length);
    times.push(await seen.page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime));
    await seen.close();
  }
  const told = times.map((time) => time.toFixed(0)).join(', ');
  console.log(`first contentful paint after ${told} ms; promised on a machine that does nothing else: ${PAINT_MS}`);
}

async function names(browser) {
  const seen = await open(browser, { ...SCREENS[0], colorScheme: 'light' });
  const { page } = seen;
  await waitForUnits(page, UNITS + HOSTILE.length);
  const shown = await page.locator('#cards h3').allTextContents();
  for (const name of HOSTILE) {
    assert.ok(shown.includes(name), `${name} is not shown as it is`);
    await page.locator('#cards h3 a').filter({ hasText: name }).click();
    await page.waitForFunction((wanted) => document.getElementById('detail-title')?.textContent === wanted, name);
    await page.locator('.inputs tr', { hasText: 'above trained range' }).first().waitFor();
    assert.equal(await page.title(), `${name} – cooltwin`);
    await page.click('#detail a');
    await page.waitForSelector('#list:not([hidden])');
  }
  // They were heard of once: the alarm comes, with their names in it.
  await page.locator('#alarm-list a').filter({ hasText: HOSTILE[0] }).waitFor();
  publishFrame(HOSTILE[0]);
  await page.locator('#alarm-list a').filter({ hasText: HOSTILE[0] }).waitFor({ state: 'detached' });
  assert.equal(await page.locator('main img, main script, main b').count(), 0);
  assert.equal(await page.evaluate(() => globalThis.owned), undefined);
  say('names that are markup, escapes or words of the language are shown as they are and do nothing');
  await seen.close();
}

// Pixels of a canvas that are drawn in the colour of a property.
async function drawn(page, place, property) {
  return page.evaluate(([at, name]) => {
    const canvas = document.querySelectorAll('canvas')[at];
    // A copy: reading the chart's own canvas would slow it down.
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    const colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const wanted = [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16));
    let count = 0;
    for (let index = 0; index < data.length; index += 4) {
      if (data[index + 3] > 200 && wanted.every((value, part) => Math.abs(data[index + part] - value) < 16)) count += 1;
    }
    return count;
  }, [place, property]);
}

async function unit(browser, screen, colorScheme) {
  const where = `${screen.name}, ${colorScheme}`;
  const seen = await open(browser, { viewport: screen.viewport, colorScheme, reducedMotion: 'reduce' });
  const { page } = seen;
  await waitForUnits(page, UNITS + HOSTILE.length);
  // Alarms may stand above; cards are drawn when they come into sight.
  await page.locator('#cards').evaluate((list) => list.scrollIntoView());
  await page.waitForSelector('.card td.predicted:not(:empty)');
  if (PAGE_WARM_S) await pause(1000 * Number(PAGE_WARM_S));
  await checkAccess(page, `list, ${where}`);
  if (colorScheme === 'light') await shoot(page, `list-${screen.name}`);
  await page.locator('#cards h3 a').filter({ hasText: 'cooler-' }).nth(2).click();
  await page.waitForFunction(() => document.querySelectorAll('.inputs tbody tr').length >= 20);
  const rows = await page.locator('.latest tbody tr').count();
  assert.equal(await page.locator('.chart canvas').count(), 2 * rows);
  // Two instants make a curve; units report every 5 s.
  const deadline = Date.now() + PATIENCE_MS;
  while (await drawn(page, 0, '--predicted') < 50 || await drawn(page, 0, '--measured') < 20) {
    assert.ok(Date.now() < deadline, `no curves are drawn: ${where}`);
    await pause(1000);
  }
  const label = await page.locator('.chart [role=img]').first().getAttribute('aria-label');
  assert.match(label, /now predicted [\d.-]+ .*measured [\d.-]+/);
  const values = await page.locator('.inputs tbody td:nth-child(2)').allTextContents();
  assert.ok(values.filter((value) => /\d/.test(value)).length >= 20, values.join());
  await checkAccess(page, `unit, ${where}`);
  if (colorScheme === (screen.name === 'phone' ? 'light' : 'dark')) await shoot(page, `unit-${screen.name}`);
  await seen.close();
}

async function keyboard(browser) {
  const seen = await open(browser, { ...SCREENS[0], colorScheme: 'dark' });
  const { page } = seen;
  await waitForUnits(page, UNITS + HOSTILE.length);
  const focus = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  const press = async (key) => { await page.keyboard.press(key); return focus(); };
  assert.equal(await press('Tab'), 'skip');
  assert.equal(await press('Enter'), 'main');
  while (await press('Tab') !== 'filter-name') assert.notEqual(await focus(), '', 'the filter is not reached');
  await page.keyboard.type('cooler-');
  assert.equal(await press('Tab'), 'filter-quality');
  const first = await press('Tab');
  assert.match(first, /^cooler-/);
  assert.equal(await press('Enter'), 'detail-title');
  assert.equal(await page.locator('#detail-title').textContent(), first);
  assert.equal(await press('Shift+Tab'), 'All units');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#list:not([hidden])');
  assert.equal(await focus(), first, 'the focus does not come back to where it was');
  assert.equal(await page.inputValue('#filter-name'), 'cooler-');
  say('keyboard: skip link, filter, unit and back, the focus where one expects it');
  await seen.close();
}

async function loss(browser) {
  const seen = await open(browser, { ...SCREENS[0], colorScheme: 'light' });
  const { page, complaints } = seen;
  await waitForUnits(page, UNITS + HOSTILE.length);
  const isOld = (old) => page.waitForFunction((wanted) => document.body.classList.contains('old') === wanted, old);
  await isOld(false);
  assert.deepEqual(complaints, []);

  daemon.kill('SIGSTOP');
  await isOld(true);
  await waitForText(page, 'link', 'nothing has come for');
  daemon.kill('SIGCONT');
  await isOld(false);
  say('a daemon that hangs is told, and its coming back');

  await endDaemon('SIGKILL');
  await waitForText(page, 'link', 'connection lost');
  await isOld(true);
  await waitForText(page, 'announce', 'lost');
  await shoot(page, 'lost');
  assert.equal(await cards(page), UNITS + HOSTILE.length, 'the last values are still there');
  // The browser itself writes of connections that it was refused.
  complaints.length = 0;

  startDaemon({ COOLTWIN__HTTP__TOKEN: TOKEN });
  await page.waitForSelector('#entry:not([hidden])');
  await checkAccess(page, 'token');
  await page.fill('#token', 'wrong-wrong-wrong');
  await page.keyboard.press('Enter');
  await waitForText(page, 'entry-error', 'does not accept');
  await page.fill('#token', TOKEN);
  await page.keyboard.press('Enter');
  await isOld(false);
  await page.waitForFunction(() => document.querySelectorAll('#cards > li').length > 0);
  await waitForText(page, 'link', 'live');
  const unexpected = complaints.filter((text) => !/401|ERR_CONNECTION_REFUSED/.test(text));
  assert.deepEqual(unexpected, []);
  complaints.length = 0;
  say('a daemon that dies is told; one that comes back with a token is let in with it and not without');
  await seen.close();
}

startDaemon();
const browser = await chromium.launch({ executablePath: process.env.PAGE_CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await fetch(`${BASE}ready`).then((response) => response.ok, () => false))) {
    assert.ok(Date.now() < deadline, 'the daemon does not become ready');
    await pause(200);
  }
  startSimulation();
  if (!PAGE_SHOTS) {
    HOSTILE.forEach(publishFrame);
    await seesAllUnits(browser);
    await measurePaint(browser);
  }
  const walks = SCREENS.flatMap((screen) => ['light', 'dark'].map((scheme) => () => unit(browser, screen, scheme)));
  // All at once: most of the time is waited.
  const others = PAGE_SHOTS ? [] : [names(browser), keyboard(browser)];
  await Promise.all([...others, ...walks.map((walk) => walk())]);
  await loss(browser);
} finally {
  await browser.close();
  simulation?.kill();
  await endDaemon('SIGTERM');
}
