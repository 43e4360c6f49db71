/** Knows one caller by a bearer token. */
import { plugin, rejection } from '@sluice/sdk';

interface Settings {
  token: string;
  subject: string;
}

export default plugin({
  manifest: {
    name: 'example-authenticate',
    version: '0.1.0',
    summary: 'Knows one caller by a bearer token.',
    configSchema: {
      type: 'object',
      properties: { token: { type: 'string' }, subject: { type: 'string' } },
      required: ['token', 'subject'],
    },
    stateless: true,
  },
  hooks: ['authenticate'],
  init: ({ token, subject }: Settings) => ({
    authenticate({ scheme, value }) {
      if (scheme === 'bearer' && value === token) {
        return { tag: 'identified', val: { subject, tenant: undefined, scopes: [], claims: [], ttlMs: 60_000 } };
      }
      if (scheme !== 'bearer' && scheme !== 'none') return { tag: 'abstain' };
      const no = rejection(4010, 'a bearer token is needed', { status: 401, headers: { 'www-authenticate': 'Bearer' } });
      return { tag: 'challenge', val: no };
    },
  }),
});
