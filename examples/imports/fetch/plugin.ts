/** Asks a service of the operator whether a tool may be called. */
import { next, plugin, reject, type Exchange, type Host } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-fetch',
    version: '0.1.0',
    summary: 'Asks a service of the operator whether a tool may be called.',
    configSchema: { type: 'object', properties: { url: { type: 'string' } }, required: ['url'] },
    needs: [{ capability: 'fetch', reason: 'to ask it' }],
    selectors: [{ hook: 'on-request', methods: ['tools/call'] }],
    stateless: true,
  },
  hooks: ['onRequest'],
  init: (settings: { url: string }, host) => ({
    onRequest(head, x) {
      const status = ask(host, x, settings.url, JSON.stringify({ tool: head.name }));
      if (status === 403) return reject(4030, 'the policy does not allow this call');
      // In doubt it does not pass.
      return status >= 200 && status <= 299 ? next : reject(4031, 'the policy cannot be asked just now');
    },
  }),
});

/** What it answers; 0 if it does not. */
function ask(host: Host, x: Exchange, url: string, question: string): number {
  const body = new TextEncoder().encode(question);
  const headers: [string, string][] = [['content-type', 'application/json']];
  try {
    return host.powers.fetch!.send(x.raw, { method: 'POST', url, headers, body, timeoutMs: 2_000 }, [], []).status;
  } catch {
    return 0;
  }
}
