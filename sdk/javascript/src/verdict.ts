export type Verdict = import('sluice:filter/types@0.1.0').Verdict;
export type Rejection = import('sluice:filter/types@0.1.0').Rejection;
export type Suspension = import('sluice:filter/types@0.1.0').Suspension;
export type OutboundVerdict = import('sluice:filter/on-outbound@0.1.0').OutboundVerdict;
export type HeaderValue = import('sluice:filter/on-outbound@0.1.0').Value;
export type ChunkVerdict = import('sluice:filter/on-chunk@0.1.0').ChunkVerdict;
export type Splice = import('sluice:filter/on-chunk@0.1.0').Splice;
export type NotificationVerdict = import('sluice:filter/on-notification@0.1.0').NotificationVerdict;

/** Go on, with the staged edits applied. */
export const next: Verdict & ChunkVerdict & NotificationVerdict = { tag: 'next' };

/** Answer with this `result` object; of a request: the upstream is never called. */
export function reply(result: object): Verdict {
  return { tag: 'reply', val: JSON.stringify(result) };
}

export interface RejectionOptions {
  data?: unknown;
  /** Of the HTTP answer, where the transport can still set it. */
  status?: number;
  headers?: Record<string, string>;
  /** For `tools/call`: an `isError` result, which models can read, instead of an error. */
  toolResult?: boolean;
}

/** A policy's no. `code` lies outside -32768..-32000; `message` is for the client and never holds the data that was the reason. */
export function rejection(code: number, message: string, options: RejectionOptions = {}): Rejection {
  const { data, status, headers = {}, toolResult = false } = options;
  const text = data === undefined ? undefined : JSON.stringify(data);
  return { code, message, data: text, httpStatus: status, httpHeaders: Object.entries(headers), asToolResult: toolResult };
}

/** A verdict that is a `rejection`; fits chunks and notifications, too. */
export function reject(code: number, message: string, options: RejectionOptions = {}): { tag: 'reject'; val: Rejection } {
  return { tag: 'reject', val: rejection(code, message, options) };
}

/** A yes or no. `message` says what is about to happen, and what a yes means. 0 ms: what the operator allows. */
export function confirm(message: string, withinMs = 0): Suspension {
  return form(message, { type: 'object', properties: {} }, withinMs);
}

/** A form, given as the JSON Schema of an object with members of primitive types. */
export function form(message: string, schema: object, withinMs = 0): Suspension {
  return { message, ask: { tag: 'form', val: JSON.stringify(schema) }, ttlMs: withinMs };
}

/** Something to be opened in a browser. Accepting says that it was opened, not that anything was done there. */
export function openUrl(message: string, url: string, withinMs = 0): Suspension {
  return { message, ask: { tag: 'url', val: url }, ttlMs: withinMs };
}

/** Of a request: ask the person behind the client. With the answer the chain runs again, and finds it by `Exchange.elicited`. */
export function suspend(question: Suspension): Verdict {
  return { tag: 'suspend', val: question };
}

/** Of a request that is about to leave: go on, with these headers set. */
export function leave(headers: Record<string, string | HeaderValue> = {}): OutboundVerdict {
  const value = (one: string | HeaderValue): HeaderValue => (typeof one === 'string' ? { tag: 'text', val: one } : one);
  return { tag: 'next', val: Object.entries(headers).map(([name, one]): [string, HeaderValue] => [name, value(one)]) };
}

/** Of a batch: go on, with these bytes of the chunks' texts (UTF-8) replaced. */
export function splice(splices: Splice[]): ChunkVerdict {
  return splices.length > 0 ? { tag: 'edit', val: splices } : next;
}

/** A header whose value is a secret behind this text, such as `Bearer `. It is used up: open it anew for another header. */
export function secretValue(secret: import('sluice:filter/secrets@0.1.0').Secret, prefix = ''): HeaderValue {
  return { tag: 'secret', val: [prefix, secret] };
}

/** What only notifications know. */
export const notification = {
  drop: { tag: 'drop' } satisfies NotificationVerdict as NotificationVerdict,
};
