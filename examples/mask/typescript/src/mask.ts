/** Masks addresses, card numbers and tokens, and refuses private keys. The same filter as its neighbours in other languages. */
import { edit, HostError, next, plugin, reject, type Edit, type Exchange, type Hit, type Verdict } from '@sluice/sdk';

const DETECTORS = {
  email: '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+',
  card: '\\b[0-9]{4}(?:[ -]?[0-9]{4}){3}\\b',
  token: '\\b(?:ghp|sk)_[A-Za-z0-9]{16,}',
  'private-key': '-----BEGIN [A-Z ]*PRIVATE KEY-----',
};
type Detector = keyof typeof DETECTORS;
const HOOKS = ['on-request', 'on-response'] as const;

export interface Settings {
  detectors: Detector[];
  hooks: (typeof HOOKS)[number][];
  mark: string;
}

export const configSchema = {
  type: 'object',
  properties: {
    detectors: { type: 'array', items: { enum: Object.keys(DETECTORS) }, default: Object.keys(DETECTORS), minItems: 1, uniqueItems: true },
    hooks: { type: 'array', items: { enum: HOOKS }, default: HOOKS },
    mark: { type: 'string', default: 'masked' },
  },
  additionalProperties: false,
};

export default plugin({
  manifest: {
    name: 'mask-typescript',
    version: '0.1.0',
    summary: 'Masks addresses, card numbers and tokens; refuses private keys.',
    configSchema,
    selectors: [
      { hook: 'on-request', methods: ['tools/call'] },
      { hook: 'on-response', methods: ['tools/call'] },
    ],
    edits: ['/params/arguments/**', '/result/**'],
    stateless: true,
  },
  hooks: ['onRequest', 'onResponse'],
  init(settings: Settings, host) {
    host.definePatterns('mask', settings.detectors.map((name) => DETECTORS[name]));
    const look = (hook: Settings['hooks'][number], x: Exchange, root: string) => (settings.hooks.includes(hook) ? judge(settings, x, root) : next);
    return {
      onRequest: (_, x) => look('on-request', x, '/params/arguments'),
      onResponse: (_, x) => look('on-response', x, '/result'),
    };
  },
});

function judge(settings: Settings, x: Exchange, root: string): Verdict {
  let found: Hit[];
  try {
    found = x.scan('mask', [root]);
  } catch (error) {
    if (error instanceof HostError) return reject(4033, `this message cannot be examined (${error.word})`);
    throw error;
  }
  const name = (hit: Hit) => settings.detectors[hit.pattern];
  const hits = found.filter((hit) => name(hit) !== 'card' || luhn(hit.text));
  if (hits.some((hit) => name(hit) === 'private-key')) return reject(4031, 'a private key may not pass here');
  if (hits.some((hit) => hit.inKey)) return reject(4032, 'the name of a member holds what may not pass here');
  if (hits.length > 0) {
    x.stage(edits(hits, (hit) => `[${settings.mark}:${name(hit)}]`));
    x.setAttr('hits', String(hits.length));
  }
  return next;
}

/** What is to go, string by string; hits that overlap go together, under the name of the first. */
function edits(hits: Hit[], veil: (hit: Hit) => string): Edit[] {
  const order = (a: string, b: string) => (a < b ? -1 : Number(a > b));
  hits.sort((a, b) => order(a.pointer, b.pointer) || a.start - b.start || b.end - a.end || a.pattern - b.pattern);
  const spans: { first: Hit; end: number }[] = [];
  for (const hit of hits) {
    const last = spans.at(-1);
    if (last !== undefined && last.first.pointer === hit.pointer && hit.start < last.end) last.end = Math.max(last.end, hit.end);
    else spans.push({ first: hit, end: hit.end });
  }
  return spans.map(({ first, end }) => edit.splice(first.pointer, first.start, end, veil(first)));
}

/** Is this the number of a card? */
function luhn(text: string): boolean {
  const digits = [...text.replace(/[^0-9]/g, '')].reverse().map(Number);
  const weighed = digits.map((digit, place) => (place % 2 === 0 ? digit : digit * 2 - (digit > 4 ? 9 : 0)));
  return weighed.reduce((sum, digit) => sum + digit, 0) % 10 === 0;
}
