/** Hides account numbers in long results. */
import { type Batch, type ChunkVerdict, plugin, reject, splice } from '@sluice/sdk';

function hide(batch: Batch): ChunkVerdict {
  let hits;
  try {
    hits = batch.scan('accounts');
  } catch {
    return reject(4032, 'this result cannot be looked through');
  }
  if (hits.some((hit) => hit.key)) return reject(4031, 'this result holds account numbers where they cannot be hidden');
  return splice(hits.map(({ chunk, start, end }) => ({ chunk, start, end, text: 'ACC-***' })));
}

export default plugin({
  manifest: {
    name: 'example-on-chunk',
    version: '0.1.0',
    summary: 'Hides account numbers in long results.',
    selectors: [{ hook: 'on-chunk', methods: ['tools/call'] }],
    edits: ['/result/**'],
    overlap: 64,
    stateless: true,
  },
  hooks: ['onChunk'],
  init: (_, host) => {
    host.definePatterns('accounts', ['ACC-[0-9]{6,60}']);
    return { onChunk: (_, batch) => hide(batch) };
  },
});
