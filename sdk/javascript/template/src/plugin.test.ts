/** The policy in the SDK's fake host. Run: npm test */
import { FakeHost, head } from '@sluice/sdk/testing';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import plugin from './plugin.js';

test('a forbidden word is refused and others are not', () => {
  const fake = new FakeHost();
  const { onRequest } = fake.start(plugin, { words: ['forbidden'] });
  const call = (text: string) => onRequest(head('tools/call', 'send'), fake.exchange({ params: { arguments: { text } } })).tag;
  assert.equal(call('good morning'), 'next');
  assert.equal(call('this is forbidden'), 'reject');
});
