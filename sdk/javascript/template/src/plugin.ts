/** Refuses tool calls whose arguments hold a forbidden word. */
import { HostError, next, plugin, reject, type Exchange, type Verdict } from '@sluice/sdk';

export interface Settings {
  words: string[];
}

const configSchema = {
  type: 'object',
  properties: {
    words: {
      description: 'Regular expressions; upper and lower case are the same.',
      type: 'array',
      items: { type: 'string', minLength: 1 },
      minItems: 1,
      default: ['forbidden'],
    },
  },
  additionalProperties: false,
};

export default plugin({
  manifest: {
    name: 'my-plugin',
    version: '0.1.0',
    summary: 'Refuses tool calls whose arguments hold a forbidden word.',
    configSchema,
    selectors: [{ hook: 'on-request', methods: ['tools/call'] }],
    stateless: true,
  },
  hooks: ['onRequest'],
  init(settings: Settings, host) {
    // Regular expressions, run by the host: the arguments never enter the plugin.
    host.definePatterns('words', settings.words, true);
    return { onRequest: (_, x) => look(x) };
  },
});

function look(x: Exchange): Verdict {
  let hits: number;
  try {
    hits = x.scan('words', ['/params/arguments']).length;
  } catch (error) {
    if (error instanceof HostError) return reject(4001, 'these arguments cannot be examined');
    throw error;
  }
  if (hits === 0) return next;
  // A label, for the audit log and for filters that come later.
  x.setAttr('hits', String(hits));
  return reject(4000, 'a word in these arguments is forbidden');
}
