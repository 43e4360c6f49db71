/** Lets nothing be sent that a tool of another server finds fault with. */
import { next, plugin, reject } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-upstream',
    version: '0.1.0',
    summary: 'Lets nothing be sent that a tool of another server finds fault with.',
    needs: [{ capability: 'upstream:scanner check', reason: 'to have arguments checked' }],
    selectors: [{ hook: 'on-request', methods: ['tools/call'] }],
    stateless: true,
  },
  hooks: ['onRequest'],
  init: (_: object, host) => ({
    onRequest(_, x) {
      const given = JSON.stringify(x.get('/params/arguments') ?? {});
      try {
        const result = JSON.parse(host.powers.upstream!.callTool(x.raw, 'scanner', 'check', given, 2_000)) as { isError?: boolean };
        return result.isError ? reject(4030, 'the scanner does not let this pass') : next;
      } catch {
        // In doubt it does not pass.
        return reject(4031, 'the scanner cannot be asked just now');
      }
    },
  }),
});
