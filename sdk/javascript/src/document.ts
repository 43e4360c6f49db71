/**
 * Edits applied to a parsed message, with the rules of the real host: all edits address the document as it was, and overlap is a
 * fault. Used by `testing` only.
 */
import type { Edit } from './edit.js';

/** Is it a plugin's to change? */
export function permit(edit: Edit): boolean {
  const at = pointerOf(edit);
  return !['', '/id', '/jsonrpc', '/method'].includes(at) && !at.startsWith('/params/_meta/io.modelcontextprotocol~1');
}

function pointerOf(edit: Edit): string {
  return edit.tag === 'remove' ? edit.val : edit.val[0];
}

function parts(pointer: string): string[] {
  return pointer.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** The value; undefined if there is none. */
export function valueAt(document: unknown, pointer: string): unknown {
  let at = document;
  for (const part of parts(pointer)) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Record<string, unknown>)[part];
  }
  return at;
}

/** Every string and every member's name at or below a value. */
export function* eachText(at: string, value: unknown): Generator<{ pointer: string; inKey: boolean; text: string }> {
  if (typeof value === 'string') yield { pointer: at, inKey: false, text: value };
  else if (Array.isArray(value)) for (const [place, item] of value.entries()) yield* eachText(`${at}/${place}`, item);
  else if (typeof value === 'object' && value !== null) {
    for (const [name, item] of Object.entries(value)) {
      const place = `${at}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      yield { pointer: place, inKey: true, text: name };
      yield* eachText(place, item);
    }
  }
}

/** The document after the edits. */
export function apply(document: unknown, edits: Edit[]): unknown {
  checkOverlap(edits);
  const out = structuredClone(document);
  const splices = edits.filter((edit) => edit.tag === 'splice').sort((a, b) => b.val[1] - a.val[1]);
  for (const { val: [pointer, start, end, text] } of splices) put(out, pointer, spliced(valueAt(out, pointer), start, end, text, pointer));
  for (const edit of edits) if (edit.tag === 'set') put(out, edit.val[0], JSON.parse(edit.val[1]));
  // From the back, so that a removed element does not move those that are still to go.
  const removals = edits.filter((edit) => edit.tag === 'remove').map((edit) => edit.val);
  for (const pointer of removals.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))) remove(out, pointer);
  rename(out, edits.filter((edit) => edit.tag === 'splice-key').map((edit) => edit.val));
  return out;
}

function checkOverlap(edits: Edit[]): void {
  for (const [place, one] of edits.entries()) {
    for (const other of edits.slice(place + 1)) if (overlap(one, other)) throw new Error(`edits overlap at ${pointerOf(one)}`);
  }
}

function overlap(one: Edit, other: Edit): boolean {
  const [a, b] = [pointerOf(one), pointerOf(other)];
  if (one.tag === other.tag && a === b && (one.tag === 'splice' || one.tag === 'splice-key')) {
    const [x, y] = [one.val, other.val as typeof one.val];
    return x[1] < y[2] && y[1] < x[2];
  }
  const replaces = (edit: Edit) => edit.tag === 'set' || edit.tag === 'remove';
  const inside = (replaces(one) && `${b}/`.startsWith(`${a}/`)) || (replaces(other) && `${a}/`.startsWith(`${b}/`));
  return inside && !(a === b && a.endsWith('/-'));
}

function spliced(old: unknown, start: number, end: number, text: string, pointer: string): string {
  if (typeof old !== 'string') throw new Error(`${pointer} is no string`);
  const bytes = Buffer.from(old);
  if (!(start <= end && end <= bytes.length)) throw new Error(`${start}..${end} is not in ${pointer}`);
  const decode = (part: Buffer) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(part);
  return decode(bytes.subarray(0, start)) + text + decode(bytes.subarray(end));
}

function parentOf(document: unknown, pointer: string): [Record<string, unknown> | unknown[], string] {
  const parent = valueAt(document, pointer.slice(0, pointer.lastIndexOf('/')));
  if (typeof parent !== 'object' || parent === null) throw new Error(`${pointer} has no parent`);
  return [parent as Record<string, unknown>, parts(pointer).at(-1) ?? ''];
}

function put(document: unknown, pointer: string, value: unknown): void {
  const [parent, name] = parentOf(document, pointer);
  if (!Array.isArray(parent)) parent[name] = value;
  else if (name === '-') parent.push(value);
  else if (/^\d+$/.test(name) && Number(name) < parent.length) parent[Number(name)] = value;
  else throw new Error(`no ${pointer}`);
}

function remove(document: unknown, pointer: string): void {
  if (valueAt(document, pointer) === undefined) throw new Error(`no ${pointer}`);
  const [parent, name] = parentOf(document, pointer);
  if (Array.isArray(parent)) parent.splice(Number(name), 1);
  else delete parent[name];
}

/** The deepest first, since every pointer speaks of the names as they were. */
function rename(document: unknown, edits: [string, number, number, string][]): void {
  const names = new Map<string, Map<string, string>>();
  for (const [pointer, start, end, text] of edits.sort((a, b) => b[1] - a[1])) {
    const parent = pointer.slice(0, pointer.lastIndexOf('/'));
    const old = parts(pointer).at(-1) ?? '';
    const of = names.get(parent) ?? new Map<string, string>();
    names.set(parent, of.set(old, spliced(of.get(old) ?? old, start, end, text, pointer)));
  }
  const depth = (pointer: string) => pointer.split('/').length;
  for (const [pointer, renamed] of [...names].sort(([a], [b]) => depth(b) - depth(a))) {
    const members = valueAt(document, pointer);
    if (typeof members !== 'object' || members === null || Array.isArray(members)) throw new Error(`${pointer} has no members`);
    const after = Object.entries(members).map(([name, value]): [string, unknown] => [renamed.get(name) ?? name, value]);
    if (new Set(after.map(([name]) => name)).size < after.length) throw new Error(`two members of one name at ${pointer}`);
    for (const name of Object.keys(members)) delete (members as Record<string, unknown>)[name];
    Object.assign(members, Object.fromEntries(after));
  }
}
