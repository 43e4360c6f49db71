import type { Batch } from './chunk.js';
import type { Exchange } from './exchange.js';
import type { Head } from './head.js';
import type { ChunkVerdict, NotificationVerdict, OutboundVerdict, Verdict } from './verdict.js';

export namespace Describe {
  export type Hook = import('sluice:filter/describe@0.1.0').Hook;
  export type Manifest = import('sluice:filter/describe@0.1.0').Manifest;
}
type Catalog = typeof import('sluice:filter/on-catalog@0.1.0');
export type Viewer = import('sluice:filter/catalog@0.1.0').Viewer;
export type HttpRequest = import('sluice:filter/on-http@0.1.0').Request;
export type HttpResponse = import('sluice:filter/on-http@0.1.0').Response;
export type Departure = import('sluice:filter/outbound@0.1.0').Departure;
type Done = import('sluice:filter/on-done@0.1.0').Done;
type Credential = import('sluice:filter/authenticate@0.1.0').Credential;
type Outcome = import('sluice:filter/authenticate@0.1.0').Outcome;

/** The hooks a plugin may have. */
export interface Hooks {
  /** Turns a caller's credential into a principal. The only hook that sees one; always a fresh instance. */
  authenticate?(credential: Credential, x: Exchange): Outcome;
  /** Answers HTTP at the routes of the manifest, before anybody has said who they are. A fresh instance, unless the scope is `all`. */
  onHttp?(request: HttpRequest, x: Exchange): HttpResponse;
  /** Sees a request before the upstream does. */
  onRequest?(head: Head, x: Exchange): Verdict;
  /** Gives the HTTP requests toward granted upstreams (`outbound:<upstream>`) what they leave with. */
  onOutbound?(departure: Departure, x: Exchange): OutboundVerdict;
  /** Sees what ends each exchange whose request it let pass, errors included. */
  onResponse?(head: Head, x: Exchange): Verdict;
  /** Sees, piece by piece, answers that are too long to be held: instead of `onResponse`. */
  onChunk?(head: Head, batch: Batch, x: Exchange): ChunkVerdict;
  /** Sees one notification of a running exchange, a question of a server, or its answer. */
  onNotification?(head: Head, x: Exchange): NotificationVerdict;
  /** Shapes one list as one principal sees it: a change an entry, in their order, or none to keep all. */
  onCatalog?(...given: Parameters<Catalog['onCatalog']>): ReturnType<Catalog['onCatalog']>;
  /** Is told once that an exchange has ended. */
  onDone?(head: Head, done: Done, x: Exchange): void;
}
export type HookName = keyof Hooks;

/** `onRequest` as the contract has it: `on-request`. */
export function contractName(hook: string): string {
  return hook.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
