/** Reads the head and lets everything pass: what the Rust guest `facts-only` does, in TypeScript. */
import { next, plugin, reject } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'facts-typescript',
    version: '0.1.0',
    summary: 'Reads the head, changes nothing.',
    stateless: true,
  },
  hooks: ['onRequest'],
  init: () => ({
    onRequest: (head) => (head.name === '\0' ? reject(4000, 'no tool has this name') : next),
  }),
});
