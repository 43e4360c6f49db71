/** Takes the structured part out of results for callers without the scope `raw`. */
import { edit, next, plugin } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-on-response',
    version: '0.1.0',
    summary: 'Takes the structured part out of results for callers without the scope raw.',
    selectors: [{ hook: 'on-response', methods: ['tools/call'] }],
    edits: ['/result/structuredContent'],
    stateless: true,
  },
  hooks: ['onResponse'],
  init: () => ({
    onResponse: (_, x) => {
      const scopes = (x.attr('principal.scopes') ?? '').split(' ');
      if (!scopes.includes('raw') && x.get('/result/structuredContent') !== undefined) x.stage([edit.remove('/result/structuredContent')]);
      return next;
    },
  }),
});
