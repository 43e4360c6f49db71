/** Sends the operator's token for an upstream along, unseen. */
import { leave, plugin, reject, secretValue } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-on-outbound',
    version: '0.1.0',
    summary: "Sends the operator's token for an upstream along, unseen.",
    configSchema: { type: 'object', properties: { secret: { type: 'string' } }, required: ['secret'] },
    needs: [
      { capability: 'outbound', reason: 'to set a header' },
      { capability: 'secret', reason: 'the token' },
    ],
    stateless: true,
  },
  hooks: ['onOutbound'],
  init: (settings: { secret: string }, host) => ({
    onOutbound(departure) {
      try {
        const token = host.powers.secrets!.Secret.open(settings.secret);
        // Refused with another, the request may leave once more with this one.
        const isRefused = departure.challenge() !== undefined && departure.refused(token);
        return isRefused ? reject(4040, `${departure.upstream()} does not take the token`) : leave({ authorization: secretValue(token, 'Bearer ') });
      } catch {
        return reject(4041, 'there is no token');
      }
    },
  }),
});
