/** Between the contract's exports and a plugin, in a component. `build` writes the few lines that call this. */
import { Batch } from './chunk.js';
import { told } from './errors.js';
import { Exchange, power, type Powers } from './exchange.js';
import { head } from './head.js';
import type { Departure, Describe, HookName, Hooks, HttpRequest } from './hooks.js';
import type { Host, Manifest, Plugin } from './index.js';

type Hooked = Required<{ [Name in HookName]: (...given: never[]) => unknown }>;
type RawHead = Parameters<typeof head>[0];
type RawExchange = Exchange['raw'];

/** The functions that the component exports. */
export function connect<Config, Name extends HookName>(plugin: Plugin<Config, Name>, powers: Powers) {
  let made: Required<Hooks>;
  // Each of its own: in an engine that interprets, going through what a hook is given takes as long as the hook.
  const calls: Hooked = {
    authenticate: (credential: Parameters<Required<Hooks>['authenticate']>[0], x: RawExchange) => made.authenticate(credential, new Exchange(x, powers)),
    onHttp: (request: HttpRequest, x: RawExchange) => made.onHttp(request, new Exchange(x, powers)),
    onRequest: (raw: RawHead, x: RawExchange) => made.onRequest(head(raw), new Exchange(x, powers)),
    onOutbound: (departure: Departure, x: RawExchange) => made.onOutbound(departure, new Exchange(x, powers)),
    onResponse: (raw: RawHead, x: RawExchange) => made.onResponse(head(raw), new Exchange(x, powers)),
    onChunk: (raw: RawHead, batch: Batch['raw'], x: RawExchange) => made.onChunk(head(raw), new Batch(batch), new Exchange(x, powers)),
    onNotification: (raw: RawHead, x: RawExchange) => made.onNotification(head(raw), new Exchange(x, powers)),
    onCatalog: (...given: Parameters<Required<Hooks>['onCatalog']>) => made.onCatalog(...given),
    onDone: (raw: RawHead, done: Parameters<Required<Hooks>['onDone']>[1], x: RawExchange) => made.onDone(head(raw), done, new Exchange(x, powers)),
  };
  return {
    describe: (): Describe.Manifest => lower(plugin.manifest),
    init(config: string): void {
      try {
        made = plugin.init(JSON.parse(config) as Config, host(powers)) as Partial<Hooks> as Required<Hooks>;
        for (const name of plugin.hooks) if (typeof made[name] !== 'function') throw new Error(`the plugin names the hook ${name} and has none`);
      } catch (error) {
        // An error of `result<_, string>` is thrown as the string.
        throw String(error);
      }
    },
    hook: (name: HookName) => calls[name] as (...given: unknown[]) => unknown,
  };
}

export function host(powers: Powers): Host {
  const pairs = (labels: Record<string, string> = {}) => Object.entries(labels);
  return {
    powers,
    log: (level, message, fields) => power(powers, 'log').log(level, message, pairs(fields)),
    count: (name, by = 1, labels) => power(powers, 'metrics').add(name, BigInt(by), pairs(labels)),
    recordMs: (name, ms) => power(powers, 'metrics').recordMs(name, ms),
    definePatterns: (name, regexes, caseInsensitive = false) =>
      told(() => power(powers, 'patterns').define(name, regexes.map((regex) => ({ regex, caseInsensitive })))),
    openBucket: (name) => told(() => power(powers, 'kv').Bucket.open(name)),
  };
}

function lower(manifest: Manifest): Describe.Manifest {
  const { name, version, summary, configSchema, needs = [], selectors = [], routes = [], edits = [], stateless = false, overlap = 0, more = {} } = manifest;
  return {
    name, version, summary, edits, stateless, overlap,
    configSchema: JSON.stringify(configSchema ?? { type: 'object', additionalProperties: false }),
    needs: needs.map(({ capability, reason, optional = false }) => ({ capability, reason, optional })),
    selectors: selectors.map(({ hook, methods = [], names = [] }) => ({ hook, methods, names })),
    routes: routes.map(({ path, methods = ['GET'] }) => ({ path, methods })),
    more: Object.entries(more).map(([key, value]): [string, string] => [key, JSON.stringify(value)]),
  };
}
