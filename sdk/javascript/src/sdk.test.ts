/** The views on the contract, in the fake host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createContext, runInContext } from 'node:vm';
import { light, splicer } from './bindings.js';
import { apply } from './document.js';
import { connect } from './guest.js';
import { contractName } from './hooks.js';
import { edit, HostError, leave, next, plugin, reject, reply, secretValue, splice } from './index.js';
import { answered, FakeHost, head, whole, window } from './testing.js';

test('values are JavaScript values, and errors say the word of the contract', () => {
  const x = new FakeHost().exchange({ id: 1, params: { a: [1, null] } }, { asked: { params: { q: 'x' } }, upstream: 'files' });
  assert.deepEqual([x.get('/params/a'), x.getMany(['/params/a/1', '/none']), x.asked('/params/q'), x.upstream], [[1, null], [null, undefined], 'x', 'files']);
  assert.throws(() => x.stage([edit.set('/id', 2)]), (error) => error instanceof HostError && error.word === 'denied' && error.detail === '/id');
  assert.throws(() => x.setAttr('long', 'x'.repeat(4097)), (error) => error instanceof HostError && error.word === 'too-large');
});

test('what a person said', () => {
  const x = new FakeHost().exchange({}, { attrs: { 'p.answer.action': 'accept', 'p.answer.content': '{"a":1}' } });
  assert.deepEqual(x.elicited('p'), { action: 'accept', content: { a: 1 } });
  assert.equal(x.elicited('other'), undefined);
});

test('edits speak of the document as it was', () => {
  const edits = [
    edit.splice('/p/a', 0, 3, '1'), edit.splice('/p/a', 4, 7, '2'), edit.spliceKey('/p/a', 0, 1, 'b'),
    edit.remove('/p/k/0'), edit.remove('/p/k/2'), edit.set('/p/new', {}),
  ];
  assert.deepEqual(apply({ p: { a: 'one two', k: [1, 2, 3] } }, edits), { p: { b: '1 2', k: [2], new: {} } });
  assert.deepEqual(apply({ a: 1, b: 2 }, [edit.spliceKey('/a', 0, 1, 'b'), edit.spliceKey('/b', 0, 1, 'a')]), { b: 1, a: 2 });
});

test('overlap is a fault', () => {
  assert.throws(() => apply({ p: 'one' }, [edit.splice('/p', 0, 2, ''), edit.splice('/p', 1, 3, '')]), /overlap/);
  assert.throws(() => apply({ p: 'one' }, [edit.set('/p', 1), edit.splice('/p', 0, 1, '')]), /overlap/);
});

test('a bucket refills with the clock, values end and numbers count', () => {
  const fake = new FakeHost();
  const bucket = fake.powers.kv.Bucket.open('b');
  assert.deepEqual([bucket.take('k', 2, 2, 1), bucket.take('k', 1, 2, 1)], [0, 1000]);
  fake.clockMs += 1000;
  assert.equal(bucket.take('k', 1, 2, 1), 0);
  assert.deepEqual([bucket.incr('n', 2n, 100), bucket.incr('n', 3n, 100)], [2n, 5n]);
  fake.clockMs += 100;
  assert.equal(bucket.incr('n', 1n, 100), 1n);
  assert.deepEqual([bucket.swap('s', undefined, Buffer.from('a'), undefined), bucket.swap('s', undefined, Buffer.from('b'), undefined)], [true, false]);
});

test('a batch has an outcome each', () => {
  const bucket = new FakeHost().powers.kv.Bucket.open('b');
  const said = bucket.batch([{ tag: 'incr', val: ['n', 2n, 100] }, { tag: 'delete', val: 'n' }, { tag: 'get', val: 'n' }]);
  assert.deepEqual(said.map((one) => one.val), [{ tag: 'count', val: 2n }, { tag: 'done' }, { tag: 'value', val: undefined }]);
});

const fussy = plugin({
  manifest: { name: 'fussy', version: '0.1.0', summary: 'x', selectors: [{ hook: 'on-request', methods: ['tools/*'] }], more: { a: 1 } },
  hooks: ['onRequest'],
  init(config: { limit: number }, host) {
    if (typeof config.limit !== 'number') throw new Error('no limit');
    host.log('warn', 'made', { limit: String(config.limit) });
    return { onRequest: (head, x) => reply({ limit: config.limit, method: head.method, upstream: x.upstream }) };
  },
});

test("the contract's own values become views", () => {
  const fake = new FakeHost();
  const guest = connect(fussy, fake.powers);
  guest.init('{"limit":3}');
  const raw = { ...head('x'), method: { tag: 'tools-call' } };
  const verdict = guest.hook('onRequest')(raw, fake.exchange({}, { upstream: 'files' }).raw);
  assert.deepEqual(verdict, reply({ limit: 3, method: 'tools/call', upstream: 'files' }));
  assert.deepEqual(fake.lines, [['warn', 'made', { limit: '3' }]]);
  assert.deepEqual(guest.describe().more, [['a', '1']]);
  assert.deepEqual(guest.describe().selectors, [{ hook: 'on-request', methods: ['tools/*'], names: [] }]);
});

test('what init throws is the message for the operator', () => {
  assert.throws(() => connect(fussy, new FakeHost().powers).init('{}'), (error) => error === 'Error: no limit');
  const none = { ...fussy, init: () => ({}) as never };
  assert.throws(() => connect(none, {}).init('{}'), (error) => error === 'Error: the plugin names the hook onRequest and has none');
});

test('what is not imported says what to do', () => {
  const guest = connect(fussy, {});
  assert.throws(() => guest.init('{"limit":3}'), (error) => /add "log" to sluice.imports/.test(String(error)));
});

test('a request leaves with texts and secrets', () => {
  const secret = {} as Parameters<typeof secretValue>[0];
  const said = leave({ authorization: secretValue(secret, 'Bearer '), 'x-a': '1' });
  assert.deepEqual(said, { tag: 'next', val: [['authorization', { tag: 'secret', val: ['Bearer ', secret] }], ['x-a', { tag: 'text', val: '1' }]] });
  assert.equal(contractName('onOutbound'), 'on-outbound');
});

test('a long answer comes in windows', () => {
  const fake = new FakeHost();
  fake.powers.patterns.define('set', [{ regex: 'a+b', caseInsensitive: false }]);
  const batch = fake.batch([window('/result/a', 5n, 'éaab xaaa', 4), whole('/result/b', 'ab')], true);
  assert.deepEqual(batch.scan('set').map(({ chunk, start, end, cut }) => [chunk, start, end, cut]), [[0, 2, 5, false], [1, 0, 2, false]]);
  assert.equal(batch.ends, true);
  assert.throws(() => batch.scan('none'), (error) => error instanceof HostError && error.word === 'denied');
  assert.deepEqual(splice([]), next);
  assert.equal(splice([{ chunk: 0, start: 2, end: 5, text: '-' }]).tag, 'edit');
});

test('names, heads and verdicts', () => {
  assert.equal(contractName('onNotification'), 'on-notification');
  assert.equal(answered(head('tools/call', 't')).kind, 'response');
  assert.notDeepEqual(reject(4030, 'no'), next);
});

/** The bindings of the whole contract as they are built in, in a component's place, and what their handles were given back as. */
function bound(onRequest: (head: unknown, x: { attr(key: string): string | undefined }) => unknown) {
  const engine = readFileSync(new URL('../lib/starlingmonkey_embedding.wasm', import.meta.resolve('@bytecodealliance/componentize-js')));
  const wit = fileURLToPath(new URL('../wit', import.meta.url));
  const bindings = light(splicer.spliceBindings(engine, [], undefined, wit, 'everything', false).jsBindings);
  const memory = { buffer: new ArrayBuffer(65536) };
  const names = /^let \[(.*)\] = \$bindings;$/m.exec(bindings)?.[1]?.split(', ') ?? [];
  const dropped: [string, unknown][] = [];
  let free = 4096;
  const rooms = new Map<number, number>();
  const calls: Record<string, (...given: never[]) => unknown> = {
    $realloc: (old: number, oldSize: number, _align: number, size: number) => {
      assert.equal(oldSize, rooms.get(old) ?? 0);
      rooms.delete(old);
      free += size;
      rooms.set(free - size, size);
      new Uint8Array(memory.buffer).copyWithin(free - size, old, old + oldSize);
      return free - size;
    },
    $dealloc: () => undefined,
  };
  const hook = (name: string) => [name, { [name]: onRequest }];
  const sources = ['describe', 'authenticate', 'onHttp', 'onRequest', 'onOutbound', 'onResponse', 'onChunk', 'onNotification', 'onCatalog', 'onDone'].map(hook);
  const place: Record<string, unknown> = {
    contentGlobal: { TextEncoder, TextDecoder }, defineBuiltinModule: () => undefined,
    $bindings: names.map((name) => {
      const drop = (handle: unknown) => void dropped.push([name, handle]);
      return name === '$memory' ? memory : name.includes('$drop$') ? drop : (calls[name] ?? (() => 8192));
    }),
    $source_mod: { ...Object.fromEntries(sources), lifecycle: { init: () => undefined } },
  };
  runInContext(bindings, createContext(place));
  runInContext('bindExports("test")', place as never);
  const call = place['export_onRequest_0_1_0$onRequest'] as (...given: unknown[]) => unknown;
  const encode = place._utf8AllocateAndEncode as (text: string, realloc: unknown, memory: unknown) => { ptr: number; len: number };
  const text = (said: string) => {
    const before = rooms.size;
    const { ptr, len } = encode(said, calls.$realloc, memory);
    assert.equal(rooms.size - before, said === '' ? 0 : 1, 'room that was too small is given back');
    return Buffer.from(memory.buffer, ptr, len).toString();
  };
  return { bindings, dropped, memory, text, request: () => call(7n, 1, 0, 0, 1, 0, 0, 0, 0, 0, 120, 5, 64) };
}

test('light bindings call the hook and give back what was lent, whatever happens', () => {
  const seen: unknown[] = [];
  let kept: { attr(key: string): unknown } | undefined;
  const { bindings, dropped, memory, request, text } = bound((head, x) => {
    seen.push(JSON.parse(JSON.stringify(head, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))), x.attr('a'));
    kept = x;
    if (seen.length > 2) throw new Error('no');
    return { tag: 'other', val: ['é', '{}'] };
  });
  const returned = request();
  assert.deepEqual(seen, [{ exchange: 7, round: 1, direction: 'to-server', kind: 'request', method: { tag: 'tools-call' }, bodyBytes: 120 }, undefined]);
  assert.deepEqual(dropped, [['$resource_import$types_0_1_0$drop$exchange', 5]]);
  assert.equal(new Uint8Array(memory.buffer)[64], 4);
  assert.equal(typeof (returned as Promise<unknown>).then, 'function');
  assert.throws(request, /no/);
  assert.equal(dropped.length, 2);
  const [handle] = Object.getOwnPropertySymbols(kept);
  assert.equal((kept as unknown as Record<symbol, unknown>)[handle as symbol], undefined);
  for (const said of ['', 'plain', 'é', 'plain and 𝄞é', '𝄞 and plain', 'x'.repeat(100)]) assert.equal(text(said), said);
  assert.equal(text('\ud800'), '\ufffd');
  assert.doesNotMatch(bindings, /\bawait\b|^async |curResourceBorrows\.|\b_debugLog\('|helper/m);
  // Those that a plugin owns still go when nothing holds them.
  assert.deepEqual([...new Set([...bindings.matchAll(/(\w+)\.register\(/g)].map((found) => found[1]))], ['bucket', 'secret']);
});

test('bindings of another shape are an error', () => {
  assert.throws(() => light('async function export_a() {\n  return;\n}\n'), /componentize-js writes debug output in a way/);
});
