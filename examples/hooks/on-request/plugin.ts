/** Refuses one tool. */
import { next, plugin, reject } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-on-request',
    version: '0.1.0',
    summary: 'Refuses one tool.',
    configSchema: { type: 'object', properties: { tool: { type: 'string' } }, required: ['tool'] },
    selectors: [{ hook: 'on-request', methods: ['tools/call'] }],
    stateless: true,
  },
  hooks: ['onRequest'],
  init: (settings: { tool: string }) => ({
    onRequest: (head) => (head.name === settings.tool ? reject(4030, 'this tool is switched off') : next),
  }),
});
