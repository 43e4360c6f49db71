/** Masks mail addresses in results. */
import { edit, next, plugin, reject, type Edit, type Hit } from '@sluice/sdk';

const ADDRESS = '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\\.[A-Za-z0-9-]+)+';

export default plugin({
  manifest: {
    name: 'example-patterns',
    version: '0.1.0',
    summary: 'Masks mail addresses in results.',
    selectors: [{ hook: 'on-response', methods: ['tools/call'] }],
    edits: ['/result/**'],
    stateless: true,
  },
  hooks: ['onResponse'],
  init(_: object, host) {
    host.definePatterns('addresses', [ADDRESS]);
    return {
      onResponse(_, x) {
        try {
          x.stage(x.scan('addresses', ['/result']).map(masked));
          return next;
        } catch {
          // What cannot be examined does not pass.
          return reject(4033, 'this result cannot be examined');
        }
      },
    };
  },
});

/** What was found is replaced where it stands, in a text or in the name of a member. */
function masked({ pointer, inKey, start, end }: Hit): Edit {
  return (inKey ? edit.spliceKey : edit.splice)(pointer, start, end, '[address]');
}
