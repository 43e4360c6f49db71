/**
 * A fake host in the process, so that a plugin is tested like any other code. Regular expressions are JavaScript's here and
 * Rust's in the real host: keep to what both read alike.
 */
import { Batch, type Chunk, type ChunkHit } from './chunk.js';
import { apply, eachText, permit, valueAt } from './document.js';
import type { Edit } from './edit.js';
import { Exchange, type Powers } from './exchange.js';
import { host } from './guest.js';
import type { Head } from './head.js';
import type { HookName, Hooks } from './hooks.js';
import type { Plugin } from './index.js';

type Raw = import('sluice:filter/types@0.1.0').Exchange;
type Op = import('sluice:filter/kv@0.1.0').Op;
type Outcome = import('sluice:filter/kv@0.1.0').Outcome;
type Bucket = import('sluice:filter/kv@0.1.0').Bucket;
type Hit = import('sluice:filter/patterns@0.1.0').Hit;

/** The real host's bound on what one scan may find. */
const HITS_MAX = 10_000;

/** How the contract's errors come out of a call. */
function thrown(tag: string, val?: string): Error {
  return Object.assign(new Error(tag), { payload: val === undefined ? { tag } : { tag, val } });
}

/** What the real host keeps outside of exchanges. One a test. */
export class FakeHost {
  clockMs = 0;
  /** Level, text, fields of each line that was logged. */
  readonly lines: [string, string, Record<string, string>][] = [];
  readonly counts: [string, number, Record<string, string>][] = [];
  readonly timings: [string, number][] = [];
  /** If set, kv answers `unavailable` with it. */
  kvBroken: string | undefined;
  private readonly sets = new Map<string, RegExp[]>();
  private readonly values = new Map<string, { value: Uint8Array; endsMs: number }>();
  private readonly tokens = new Map<string, { left: number; atMs: number }>();

  /** Makes a plugin's hooks from settings. Defaults of the schema are not filled in here: give them. */
  start<Config, Name extends HookName>(plugin: Plugin<Config, Name>, config: Config): Required<Pick<Hooks, Name>> {
    return plugin.init(config, host(this.powers));
  }

  /** An exchange with its message (a parsed one), the request it answers, and attributes. */
  exchange(message: unknown, given: { asked?: unknown; upstream?: string; attrs?: Record<string, string> } = {}): FakeExchange {
    return new FakeExchange(message, given, this.powers);
  }

  readonly powers: Required<Omit<Powers, 'secrets' | 'fetch' | 'upstream'>> = {
    log: { log: (level: string, message: string, fields: [string, string][]) => void this.lines.push([level, message, Object.fromEntries(fields)]) },
    metrics: {
      add: (name: string, by: bigint, labels: [string, string][]) => void this.counts.push([name, Number(by), Object.fromEntries(labels)]),
      recordMs: (name: string, ms: number) => void this.timings.push([name, ms]),
    },
    payload: {
      get: (x: Raw, pointer: string) => text(valueAt(of(x).message, pointer)),
      getMany: (x: Raw, pointers: string[]) => pointers.map((pointer) => text(valueAt(of(x).message, pointer))),
      text: (x: Raw) => JSON.stringify(of(x).message),
      stage: (x: Raw, edits: Edit[]) => {
        for (const edit of edits) if (!permit(edit)) throw thrown('denied', Array.isArray(edit.val) ? edit.val[0] : edit.val);
        of(x).staged.push(...edits);
      },
      asked: (x: Raw, pointer: string) => text(valueAt(of(x).asked, pointer)),
    },
    patterns: {
      define: (name: string, patterns: { regex: string; caseInsensitive: boolean }[]) => {
        if (patterns.length < 1 || patterns.length > 1000) throw Object.assign(new Error(), { payload: `a set has 1 to 1000 patterns, not ${patterns.length}` });
        this.sets.set(name, patterns.map(({ regex, caseInsensitive }) => new RegExp(regex, caseInsensitive ? 'gui' : 'gu')));
      },
      scan: (x: Raw, set: string, roots: string[]) => this.scan(of(x).message, set, roots),
    },
    kv: { Bucket: { open: (name: string) => this.bucket(name) } },
  } as unknown as Required<Omit<Powers, 'secrets' | 'fetch' | 'upstream'>>;

  private scan(message: unknown, name: string, roots: string[]): Hit[] {
    const set = this.sets.get(name);
    if (set === undefined) throw thrown('denied', `no set ${name}`);
    const hits: Hit[] = [];
    for (const root of roots.length > 0 ? roots : ['/params', '/result', '/error']) {
      for (const { pointer, inKey, text } of eachText(root, valueAt(message, root))) {
        for (const [pattern, regex] of set.entries()) {
          for (const found of text.matchAll(regex)) {
            const start = Buffer.byteLength(text.slice(0, found.index));
            hits.push({ pointer, inKey, start, end: start + Buffer.byteLength(found[0]), pattern, text: found[0] });
          }
        }
      }
    }
    if (hits.length > HITS_MAX) throw thrown('too-large');
    return hits;
  }

  /** A batch of a long answer. */
  batch(chunks: Chunk[], ends = false): Batch {
    const raw = { chunks: () => chunks, scan: (set: string) => this.scanChunks(chunks, set), ends: () => ends };
    return new Batch(raw as unknown as Batch['raw']);
  }

  private scanChunks(chunks: Chunk[], name: string): ChunkHit[] {
    const set = this.sets.get(name);
    if (set === undefined) throw thrown('denied', `no set ${name}`);
    const hits: ChunkHit[] = [];
    for (const [chunk, { pointer, key, text, held, last }] of chunks.entries()) {
      const size = Buffer.byteLength(text);
      for (const [pattern, regex] of set.entries()) {
        for (const found of text.matchAll(regex)) {
          const start = Buffer.byteLength(text.slice(0, found.index));
          const end = start + Buffer.byteLength(found[0]);
          if (last || start < size - held) hits.push({ chunk, pointer, key, start, end, pattern, text: found[0], cut: !last && end === size });
        }
      }
    }
    if (hits.length > HITS_MAX) throw thrown('too-large');
    return hits;
  }

  private bucket(name: string): Bucket {
    const place = (key: string) => {
      if (this.kvBroken !== undefined) throw thrown('unavailable', this.kvBroken);
      return `${name}\0${key}`;
    };
    const get = (key: string) => {
      const found = this.values.get(place(key));
      return found !== undefined && this.clockMs < found.endsMs ? found : undefined;
    };
    const put = (key: string, value: Uint8Array, endsMs: number) => void this.values.set(place(key), { value, endsMs });
    const ends = (ttlMs: number | undefined) => (ttlMs === undefined ? Infinity : this.clockMs + ttlMs);
    const number = (value: bigint) => new Uint8Array(BigInt64Array.of(value).buffer);
    place('');
    const bucket: Omit<Bucket, never> = {
      get: (key) => get(key)?.value,
      set: (key, value, ttlMs) => put(key, value, ends(ttlMs)),
      delete: (key) => void this.values.delete(place(key)),
      incr: (key, by, ttlMs) => {
        const old = get(key);
        const sum = (old === undefined ? 0n : new DataView(old.value.buffer).getBigInt64(0, true)) + by;
        put(key, number(sum), old?.endsMs ?? ends(ttlMs));
        return sum;
      },
      take: (key, cost, burst, perSecond) => this.take(place(key), cost, burst, perSecond),
      swap: (key, expect, value, ttlMs) => {
        const old = get(key)?.value;
        const fits = old === undefined || expect === undefined ? old === expect : Buffer.compare(old, expect) === 0;
        if (fits) put(key, value, ends(ttlMs));
        return fits;
      },
      batch: (ops) => {
        if (ops.length > 256) throw thrown('too-large');
        place('');
        return ops.map((op) => ({ tag: 'ok', val: one(bucket as Bucket, op) }));
      },
      [Symbol.dispose]: () => {},
    };
    return bucket as Bucket;
  }

  private take(place: string, cost: number, burst: number, perSecond: number): number {
    const before = this.tokens.get(place) ?? { left: burst, atMs: this.clockMs };
    const left = Math.min(before.left + ((this.clockMs - before.atMs) * perSecond) / 1000, burst);
    const isEnough = left >= cost;
    this.tokens.set(place, { left: isEnough ? left - cost : left, atMs: this.clockMs });
    // A millionth of a millisecond is rounding, not waiting.
    return isEnough ? 0 : Math.max(1, Math.ceil(((cost - left) / perSecond) * 1000 - 1e-6));
  }
}

/** One operation of a batch. */
function one(bucket: Bucket, op: Op): Outcome {
  switch (op.tag) {
    case 'get':
      return { tag: 'value', val: bucket.get(op.val) };
    case 'set':
      bucket.set(...op.val);
      return { tag: 'done' };
    case 'delete':
      bucket.delete(op.val);
      return { tag: 'done' };
    case 'incr':
      return { tag: 'count', val: bucket.incr(...op.val) };
    case 'take':
      return { tag: 'wait-ms', val: bucket.take(...op.val) };
    case 'swap':
      return { tag: 'swapped', val: bucket.swap(...op.val) };
  }
}

interface State {
  message: unknown;
  asked: unknown;
  staged: Edit[];
}

function of(x: Raw): State {
  return x as unknown as State;
}

function text(value: unknown): string | undefined {
  return value === undefined ? undefined : JSON.stringify(value);
}

/** An exchange in a test. */
export class FakeExchange extends Exchange {
  /** What the plugin staged. */
  readonly staged: Edit[];
  /** What the plugin set, without the prefix of its name. */
  readonly setAttrs: Record<string, string>;
  private readonly message: unknown;

  constructor(message: unknown, given: { asked?: unknown; upstream?: string; attrs?: Record<string, string> }, powers: Powers) {
    const staged: Edit[] = [];
    const own: Record<string, string> = {};
    const attrs = given.attrs ?? {};
    const raw = {
      message, staged, asked: given.asked,
      upstream: () => given.upstream,
      protocol: () => '2026-07-28',
      attr: (key: string) => attrs[key],
      attrs: (prefix: string) => Object.entries(attrs).filter(([key]) => key.startsWith(prefix)).sort(),
      setAttr: (key: string, value: string) => {
        if (Buffer.byteLength(value) > 4096 || (Object.keys(own).length === 64 && !(key in own))) throw thrown('too-large');
        own[key] = value;
      },
    };
    super(raw as unknown as Raw, powers);
    this.staged = staged;
    this.setAttrs = own;
    this.message = message;
  }

  /** The message with everything staged applied. Throws where the real host would call it a fault. */
  edited(): unknown {
    return apply(this.message, this.staged);
  }
}

/** A string that is a chunk of its own. */
export function whole(pointer: string, text: string): Chunk {
  return { pointer, key: false, offset: 0n, text, held: 0, last: true };
}

/** A window that is not the last of its string, of which so many bytes come again. */
export function window(pointer: string, offset: bigint, text: string, held: number): Chunk {
  return { pointer, key: false, offset, text, held, last: false };
}

/** The head of a request with this method, from a modern client. */
export function head(method: string, name?: string): Head {
  return { exchange: 1n, round: 0, direction: 'to-server', kind: 'request', method, name, bodyBytes: 0 };
}

/** The head of the answer to a request. */
export function answered(request: Head): Head {
  return { ...request, direction: 'to-client', kind: 'response' };
}
