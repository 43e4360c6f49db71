/// <reference path="../contract/everything.d.ts" />
/**
 * Write Sluice plugins in TypeScript. A plugin is the object that `plugin` makes, as the default export of a module:
 * a manifest, and a function from the settings to the hooks that it wants.
 */
import type { Powers } from './exchange.js';
import type { Describe, HookName, Hooks } from './hooks.js';

export { NotImported, Exchange, type Elicited, type Powers } from './exchange.js';
export { HostError } from './errors.js';
export { Batch, type Chunk, type ChunkHit } from './chunk.js';
export { edit, type Edit } from './edit.js';
export { type Head, type Direction, type Kind } from './head.js';
export type { Hooks, HookName, Departure, HttpRequest, HttpResponse, Viewer } from './hooks.js';
export {
  confirm, form, leave, next, notification, openUrl, reject, rejection, reply, secretValue, splice, suspend,
  type ChunkVerdict, type HeaderValue, type NotificationVerdict, type OutboundVerdict, type Rejection, type RejectionOptions, type Splice, type Suspension, type Verdict,
} from './verdict.js';
export type Hit = import('sluice:filter/patterns@0.1.0').Hit;
export type Pattern = import('sluice:filter/patterns@0.1.0').Pattern;

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** What a plugin says about itself. */
export interface Manifest {
  /** Lower-case letters, digits and `-`. */
  name: string;
  /** Semantic version. */
  version: string;
  summary: string;
  /** JSON Schema 2020-12 of the settings; the host fills in its defaults. */
  configSchema?: object;
  /** Capabilities, by names of the contract such as `kv:shared-bucket`. */
  needs?: { capability: string; reason: string; optional?: boolean }[];
  /** Narrow a hook to methods and names: globs with `*`; none means all. */
  selectors?: { hook: Describe.Hook; methods?: string[]; names?: string[] }[];
  /** Where `onHttp` answers: below `/.well-known/` or `/-/<plugin's name>/`, with `*` at its end for all that begins so. */
  routes?: { path: string; methods?: string[] }[];
  /** Paths the plugin edits, as globs over JSON pointers. */
  edits?: string[];
  /** Nothing of one principal is kept between calls. */
  stateless?: boolean;
  /** Of `onChunk`: how many bytes at the end of a window come again with the next one. At most 16,384. */
  overlap?: number;
  more?: Record<string, Json>;
}

/** What is lent to a plugin when it is made. What is not imported throws `NotImported`. */
export interface Host {
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Record<string, string>): void;
  /** Imports "metrics". */
  count(name: string, by?: number, labels?: Record<string, string>): void;
  recordMs(name: string, ms: number): void;
  /** Imports "patterns". Regular expressions of the Rust crate `regex`. Throws what is wrong with them. */
  definePatterns(name: string, regexes: string[], caseInsensitive?: boolean): void;
  /** The contract's own functions, of what is imported: `host.powers.fetch?.send(x.raw, …)`. */
  readonly powers: Powers;
  /** Imports "kv". Its methods throw the contract's errors. */
  openBucket(name: string): import('sluice:filter/kv@0.1.0').Bucket;
}

export interface Plugin<Config = unknown, Name extends HookName = HookName> {
  manifest: Manifest;
  /** Which hooks the component has; a hook that is not named costs nothing. */
  hooks: readonly Name[];
  /** Makes the hooks from the settings. What it throws is the message that the operator gets. */
  init(config: Config, host: Host): Required<Pick<Hooks, Name>>;
}

/** Says that this is a plugin, for the types. */
export function plugin<Config, Name extends HookName>(it: Plugin<Config, Name>): Plugin<Config, Name> {
  return it;
}
