/** Between the contract's exports and a plugin, in a component. `build` writes the few lines that call this. */
import { Batch } from './chunk.js';
import { told } from './errors.js';
import { Exchange, power, type Powers } from './exchange.js';
import { head } from './head.js';
import type { Describe, HookName, Hooks } from './hooks.js';
import type { Host, Manifest, Plugin } from './index.js';

/** The functions that the component exports. */
export function connect<Config, Name extends HookName>(plugin: Plugin<Config, Name>, powers: Powers) {
  let made: Hooks | undefined;
  return {
    describe: (): Describe.Manifest => lower(plugin.manifest),
    init(config: string): void {
      try {
        made = plugin.init(JSON.parse(config) as Config, host(powers));
      } catch (error) {
        // An error of `result<_, string>` is thrown as the string.
        throw String(error);
      }
    },
    hook: (name: HookName) => (...given: unknown[]): unknown => {
      const call = made?.[name] as ((...given: unknown[]) => unknown) | undefined;
      if (call === undefined) throw new Error(`the plugin names the hook ${name} and has none`);
      return call.apply(made, given.map((one) => view(one, powers)));
    },
  };
}

function view(given: unknown, powers: Powers): unknown {
  if (typeof given !== 'object' || given === null) return given;
  if ('setAttr' in given) return new Exchange(given as never, powers);
  if ('ends' in given && 'scan' in given) return new Batch(given as never);
  return 'bodyBytes' in given ? head(given as never) : given;
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
