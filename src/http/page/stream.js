// Server-sent events, read by fetch: EventSource cannot send a token.

// The server says something at least every 15 s; silence of more than two of these is a dead connection.
const STALL_MS = 40_000;
// One event holds at most all units; longer is not of our server.
const MOST_CHARS = 16 * 1024 * 1024;

export class Unauthorised extends Error {}

// Takes text as it comes and gives events as soon as they are whole.
export class EventParser {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.rest = '';
    this.begin();
  }

  begin() {
    this.name = 'message';
    this.data = [];
  }

  push(text) {
    this.rest += text;
    if (this.rest.length > MOST_CHARS) throw new Error('the daemon sent an event that is too long');
    const lines = this.rest.split('\n');
    this.rest = lines.pop();
    for (const line of lines) this.line(line.endsWith('\r') ? line.slice(0, -1) : line);
  }

  line(line) {
    if (line === '') {
      if (this.data.length > 0) this.onEvent(this.name, this.data.join('\n'));
      this.begin();
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.name = value;
    if (field === 'data') this.data.push(value);
  }
}

export function headers(token) {
  return token ? { authorization: `Bearer ${token}` } : {};
}

// Throws with words for whoever looks at the page; the daemon says itself why it refuses.
export async function mustBeGood(response) {
  if (response.ok) return;
  if (response.status === 401) throw new Unauthorised('the daemon wants a token');
  const detail = await response.json().then((problem) => problem.detail, () => null);
  throw new Error(`the daemon answers with ${response.status}${typeof detail === 'string' ? `, ${detail}` : ''}`);
}

// Follows the events until the connection ends; throws when it cannot be had. `onLife` is called with every byte.
export async function follow(url, token, onEvent, onLife) {
  const abort = new AbortController();
  let timer;
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(new Error('nothing comes from the daemon any more')), STALL_MS);
  };
  alive();
  try {
    const response = await fetch(url, { headers: headers(token), cache: 'no-store', signal: abort.signal });
    await mustBeGood(response);
    const parser = new EventParser(onEvent);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      onLife();
      parser.push(value);
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}
