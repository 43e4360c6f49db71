import type { Edit } from './edit.js';
import { told } from './errors.js';

type Raw = import('sluice:filter/types@0.1.0').Exchange;
type Hit = import('sluice:filter/patterns@0.1.0').Hit;

/** The contract's imports, by their names; those that the component does not import are not there. */
export interface Powers {
  log?: typeof import('sluice:filter/log@0.1.0');
  metrics?: typeof import('sluice:filter/metrics@0.1.0');
  payload?: typeof import('sluice:filter/payload@0.1.0');
  patterns?: typeof import('sluice:filter/patterns@0.1.0');
  kv?: typeof import('sluice:filter/kv@0.1.0');
  secrets?: typeof import('sluice:filter/secrets@0.1.0');
  fetch?: typeof import('sluice:filter/fetch@0.1.0');
  upstream?: typeof import('sluice:filter/upstream@0.1.0');
}

/** The component was built without an import that it uses now. */
export class NotImported extends Error {
  constructor(power: string) {
    super(`this component does not import ${power}: add "${power}" to sluice.imports in package.json`);
    this.name = 'NotImported';
  }
}

export function power<Name extends keyof Powers>(powers: Powers, name: Name): NonNullable<Powers[Name]> {
  const found = powers[name];
  if (found === undefined) throw new NotImported(name);
  return found as NonNullable<Powers[Name]>;
}

/** What a person said: `accept` with the form filled in, `decline`, or `cancel` (closed, or not answered in time). */
export interface Elicited {
  action: string;
  content: Record<string, unknown>;
}

/**
 * One request with its notifications and its answer, as a hook sees it. Pointers are JSON pointers (RFC 6901) into the
 * JSON-RPC message. Each call of the host costs about 10 µs here, so ask for several things at once.
 */
export class Exchange {
  constructor(
    /** As the contract's functions take it. */
    readonly raw: Raw,
    private readonly powers: Powers,
  ) {}

  /** The operator's id of the server this goes to or comes from, once known. */
  get upstream(): string | undefined {
    return this.raw.upstream();
  }
  /** Revision of the client's side, such as `2026-07-28`. Empty in `authenticate`. */
  get protocol(): string {
    return this.raw.protocol();
  }
  /** An attribute by its whole key: `principal.subject`, `http.header.user-agent`, `guard.score`. */
  attr(key: string): string | undefined {
    return this.raw.attr(key);
  }
  /** All whose key starts so. */
  attrs(prefix: string): Record<string, string> {
    return Object.fromEntries(this.raw.attrs(prefix));
  }
  /** Sets `<this plugin>.<key>`. At most 64 of 4 KiB. */
  setAttr(key: string, value: string): void {
    told(() => this.raw.setAttr(key, value));
  }
  /** What the person behind the client said to the plugin of this name, if it has asked. */
  elicited(plugin: string): Elicited | undefined {
    const action = this.attr(`${plugin}.answer.action`);
    if (action === undefined) return undefined;
    return { action, content: JSON.parse(this.attr(`${plugin}.answer.content`) ?? '{}') as Record<string, unknown> };
  }

  /** The value at a pointer. Imports "payload", as all down to `asked`. */
  get(pointer: string): unknown {
    return parsed(power(this.powers, 'payload').get(this.raw, pointer));
  }
  /** Several at once, much cheaper than one by one. */
  getMany(pointers: string[]): unknown[] {
    return power(this.powers, 'payload').getMany(this.raw, pointers).map(parsed);
  }
  /** The whole message, as JSON text. */
  text(): string {
    return told(() => power(this.powers, 'payload').text(this.raw));
  }
  /** Stages edits (see `edit`); they apply together with `next`. Overlap is a fault. */
  stage(edits: Edit[]): void {
    told(() => power(this.powers, 'payload').stage(this.raw, edits));
  }
  /** In `onResponse` and `onNotification`: part of the request as this filter left it. */
  asked(pointer: string): unknown {
    return parsed(power(this.powers, 'payload').asked(this.raw, pointer));
  }

  /** All hits of a defined set at or below the roots (none: the whole message but its envelope). Imports "patterns". */
  scan(set: string, roots: string[] = []): Hit[] {
    return told(() => power(this.powers, 'patterns').scan(this.raw, set, roots));
  }
}

function parsed(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}
