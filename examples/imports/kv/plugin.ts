/** Lets each caller call tools three times a minute. */
import { next, plugin, reject } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-kv',
    version: '0.1.0',
    summary: 'Lets each caller call tools three times a minute.',
    selectors: [{ hook: 'on-request', methods: ['tools/call'] }],
    stateless: true,
  },
  hooks: ['onRequest'],
  init: (_: object, host) => ({
    onRequest(_, x) {
      // One text for who asks, which no two callers share.
      const caller = x.attr('principal.id') ?? '';
      try {
        const calls = host.openBucket('calls').incr(caller, 1n, 60_000);
        return calls <= 3n ? next : reject(4290, 'not more than three times a minute');
      } catch {
        host.log('warn', 'calls cannot be counted');
        return reject(4291, 'calls cannot be counted just now');
      }
    },
  }),
});
