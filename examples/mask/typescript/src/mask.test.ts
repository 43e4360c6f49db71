/** The filter in the SDK's fake host, on the corpus that all languages share. */
import { answered, FakeHost, head } from '@sluice/sdk/testing';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import mask, { configSchema, type Settings } from './mask.js';

interface Case {
  case: string;
  config?: Partial<Settings>;
  arguments?: unknown;
  raw?: string;
  becomes?: unknown;
  hits?: string;
  refused?: number;
}
const corpus = JSON.parse(readFileSync(new URL('../../corpus.json', import.meta.url), 'utf8')) as Case[];
const defaults = Object.fromEntries(Object.entries(configSchema.properties).map(([name, setting]) => [name, setting.default])) as unknown as Settings;
const start = (fake: FakeHost, config: Partial<Settings> = {}) => fake.start(mask, { ...defaults, ...config });

for (const line of corpus) {
  test(line.case, () => {
    const fake = new FakeHost();
    const x = fake.exchange({ params: { name: 't', arguments: line.raw === undefined ? line.arguments : JSON.parse(line.raw) } });
    const verdict = start(fake, line.config).onRequest(head('tools/call', 't'), x);
    if (verdict.tag === 'reject') return assert.equal(verdict.val.code, line.refused);
    assert.equal(verdict.tag, 'next');
    assert.deepEqual((x.edited() as { params: { arguments: unknown } }).params.arguments, line.becomes);
    assert.equal(x.setAttrs['hits'], line.hits);
  });
}

test('answers are masked too', () => {
  const fake = new FakeHost();
  const x = fake.exchange({ result: { content: [{ type: 'text', text: 'ada@example.com' }] } });
  assert.equal(start(fake).onResponse(answered(head('tools/call', 't')), x).tag, 'next');
  assert.deepEqual(x.edited(), { result: { content: [{ type: 'text', text: '[masked:email]' }] } });
});

test('what cannot be examined does not pass', () => {
  const fake = new FakeHost();
  const verdict = start(fake).onRequest(head('tools/call', 't'), fake.exchange({ params: { arguments: { message: 'a@b.de '.repeat(10_001) } } }));
  assert.ok(verdict.tag === 'reject' && verdict.val.code === 4033);
});
