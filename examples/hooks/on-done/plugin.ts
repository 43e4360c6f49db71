/** Counts calls by how they ended. */
import { plugin } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-on-done',
    version: '0.1.0',
    summary: 'Counts calls by how they ended.',
    selectors: [{ hook: 'on-done', methods: ['tools/call'] }],
    stateless: true,
  },
  hooks: ['onDone'],
  init: (_: object, host) => ({
    onDone: (_, done) => host.count('calls', 1, { ended: done.outcome === 'answered' ? 'well' : 'badly' }),
  }),
});
