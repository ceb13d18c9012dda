// The live page: follows the daemon's events, keeps what they say in a store and draws what has changed.

import { Detail } from './detail.js';
import { byId, setText } from './dom.js';
import { Alarms, showHealth, showLink } from './health.js';
import { List } from './list.js';
import { Store } from './store.js';
import { Unauthorised, follow, headers, mustBeGood } from './stream.js';

// Drawn at most four times a second: faster is not read, and hundreds of units must not keep a small computer busy.
const DRAW_MS = 250;
const TICK_MS = 1000;
// Pauses between attempts to connect double from the first to the second.
const RETRY_MS = [1000, 15_000];
const ANSWER_MS = 10_000;
// Inputs of the unit shown are asked for when something came of it, at most so often; and now and then, since they age.
const ASK_MS = 2000;
const ASK_ANYWAY_MS = 10_000;
const TOKEN = 'cooltwin-token';

// Milliseconds on whatever clock went further: one of them may stand while the computer sleeps, the other may be set.
function makeClock() {
  let now = 0;
  let before = [performance.now(), Date.now()];
  return () => {
    const after = [performance.now(), Date.now()];
    now += Math.max(0, after[0] - before[0], after[1] - before[1]);
    before = after;
    return now;
  };
}

const clock = makeClock();
const store = new Store();
const list = new List(store, clock);
const detail = new Detail(store, clock);
const alarms = new Alarms();
const link = { isOpen: false, problem: null, lastWord: null };
let token = sessionStorage.getItem(TOKEN);
let asked = -Infinity;
let isAsking = false;

async function get(path) {
  const response = await fetch(path, { headers: headers(token), cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) });
  await mustBeGood(response);
  return response.json();
}

// --- Drawing ---------------------------------------------------------------------------------------------------

let drawnAt = -Infinity;
let isDue = false;

function schedule() {
  if (isDue) return;
  isDue = true;
  const wait = Math.max(0, drawnAt + DRAW_MS - performance.now());
  setTimeout(() => requestAnimationFrame(draw), wait);
}

function draw() {
  isDue = false;
  drawnAt = performance.now();
  const changed = store.takeChanges();
  if (changed.health) showHealth(store);
  if (changed.alarms) announce(alarms.show(store));
  list.update(changed);
  const { name } = detail;
  if (name !== null && (changed.units.has(name) || changed.list)) {
    if (detail.targets === store.model.targets) detail.update();
    else detail.open(name);
    ask(ASK_MS);
  }
}

function announce(text) {
  if (text !== '') setText(byId('announce'), text);
}

let wasFresh = null;

function tick() {
  const silence = link.lastWord === null ? null : (clock() - link.lastWord) / 1000;
  const isFresh = showLink({ ...link, silence });
  if (wasFresh !== null && isFresh !== wasFresh) {
    announce(isFresh ? 'Connected to the daemon.' : 'Connection to the daemon lost. What is shown is old.');
  }
  if (isFresh || link.lastWord !== null) wasFresh = isFresh;
  list.tick();
  if (detail.name !== null) {
    detail.tick();
    if (link.isOpen) ask(ASK_ANYWAY_MS);
  }
}

// --- Asking ----------------------------------------------------------------------------------------------------

async function ask(pause) {
  const { name } = detail;
  const now = clock();
  if (isAsking || now - asked < pause || !store.units.has(name)) return;
  asked = now;
  isAsking = true;
  try {
    const unit = await get(`units/${encodeURIComponent(name)}`);
    if (detail.name === name) detail.showSensors(unit.sensors ?? [], clock());
  } catch {
    // The unit has gone or the daemon is away; the events tell which.
  } finally {
    isAsking = false;
  }
}

function onEvent(name, text) {
  // A new connection begins with everything there is.
  if (name === 'missed') throw new Error('more came than could be shown; everything is asked for anew');
  store.apply(name, JSON.parse(text), clock());
  schedule();
  if (name === 'health' || name === 'snapshot') followModel().catch(onTrouble);
}

async function takeModel() {
  store.setModel(await get('model'));
  schedule();
}

// After a reload the models may be others. Health tells the first digits of the hash.
async function followModel() {
  const hash = store.health?.bundle?.sha256;
  if (hash && !store.model.sha256?.startsWith(hash)) await takeModel();
}

function onLife() {
  link.lastWord = clock();
  if (!link.isOpen) {
    link.isOpen = true;
    link.problem = null;
    tick();
  }
}

async function run() {
  let pause = RETRY_MS[0];
  for (;;) {
    try {
      await takeModel();
      await follow('events', token, onEvent, () => {
        pause = RETRY_MS[0];
        onLife();
      });
      link.problem = 'the daemon closed the connection';
    } catch (error) {
      onTrouble(error);
      if (error instanceof Unauthorised) {
        tick();
        await askToken();
        continue;
      }
    }
    link.isOpen = false;
    tick();
    // Pages that lost the same daemon shall not all come back in the same instant.
    await new Promise((resolve) => { setTimeout(resolve, pause * (0.5 + Math.random() / 2)); });
    pause = Math.min(2 * pause, RETRY_MS[1]);
  }
}

function onTrouble(error) {
  link.problem = error instanceof TypeError ? 'it cannot be reached' : error.message;
}

// Waits until somebody has given a token.
function askToken() {
  link.isOpen = false;
  const entry = byId('entry');
  const wasAsked = token !== null;
  setText(byId('entry-error'), wasAsked ? 'The daemon does not accept this token.' : '');
  entry.hidden = false;
  byId('token').focus();
  return new Promise((resolve) => {
    byId('entry-form').addEventListener('submit', (event) => {
      event.preventDefault();
      token = byId('token').value;
      sessionStorage.setItem(TOKEN, token);
      byId('token').value = '';
      entry.hidden = true;
      resolve();
    }, { once: true });
  });
}

// --- Where we are ----------------------------------------------------------------------------------------------

function route() {
  const match = /^#\/units\/(.+)$/.exec(location.hash);
  let name = null;
  try {
    if (match) name = decodeURIComponent(match[1]);
  } catch {
    // Not an address of ours: the list it is.
  }
  const before = detail.name;
  byId('list').hidden = name !== null;
  byId('detail').hidden = name === null;
  document.title = name === null ? 'cooltwin' : `${name} – cooltwin`;
  if (name === null) {
    detail.close();
    list.cards.get(before)?.item.querySelector('a').focus();
  } else if (name !== before) {
    asked = -Infinity;
    detail.open(name);
    ask(0);
    scrollTo(0, 0);
  }
}

byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('main').focus();
});
addEventListener('hashchange', route);
setInterval(tick, TICK_MS);
route();
// What stands on the page already is painted first.
requestAnimationFrame(() => setTimeout(run));
