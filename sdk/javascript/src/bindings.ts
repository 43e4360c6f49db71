/**
 * What componentize-js makes of the contract, as JavaScript text, made lighter. Its engine interprets that text in every call, and most of it is for what no
 * hook needs:
 *
 * - Exports are async functions whose promise the engine waits for. Hooks are not async, so there is one promise, kept.
 * - A handle is registered for the garbage collector to give it back. One that is lent for a call is given back with the call, and its entry stayed for ever.
 * - Each call notes where it is, for a debug output that a component without WASI cannot have.
 * - Each method of a handle makes a function, to call it.
 * - The length of a text is counted letter by letter.
 *
 * A part that is not found is an error: then componentize-js has changed, and this has to be looked at.
 */
export function light(bindings: string): string {
  const text = change(bindings, 'debug output', / *_debugLog\((?:'[^']*'|"[^"]*")(?:, \{[^}]*\})?\);\n/g, '');
  const exports = change(text, 'exports', /^async (function export_\S+\(.*\) \{\n)([^]*?)^\}/gm, (_, head: string, body: string) => `${head}${sync(body)}}`);
  const method = /^(  \S+)\(.*\) \{\n    function helper\(arg0(?:, )?(.*)\) \{\n([^]*?)^    \}\n    return helper\(this.*\);\n/gm;
  const methods = change(exports, 'methods', method, '$1($2) {\n    const arg0 = this;\n$3');
  const looked = change(methods, 'what looks at the memory', /dataView\(\$memory\)/g, '($memory.buffer === viewed ? dv : dataView($memory))');
  const view = change(looked, 'the view of the memory', /^let dv = .*\n.*dv\.buffer === mem\.buffer.*\n/m, MEMORY);
  const encoding = change(view, 'encoding', /^function _utf8AllocateAndEncode\(.*\{\n[^]*?^\}/m, ENCODE);
  return withoutRegistry(encoding);
}

function change(text: string, what: string, from: RegExp, to: string | ((...found: string[]) => string)): string {
  if (text.search(from) < 0) throw new Error(`componentize-js writes ${what} in a way that this SDK does not know`);
  return text.replace(from, to as string);
}

/** An export that returns when the hook does. */
function sync(body: string): string {
  // An i64 of an export comes as a bigint without sign already.
  const whole = body.replace(/BigInt\.asUintN\(64, BigInt\((arg\d+)\)\)/g, '$1');
  const text = change(change(whole, 'a call', /= await /g, '= '), 'a return', /^  return;$/gm, '  return RETURNED;');
  const handles: string[] = [];
  const lend = /var (rsc\d+) = new\.target === (\S+) \? [^;]*;\s*Object\.defineProperty\(.*, value: (handle\d+)\}\);\s*finalizationRegistry_\S+\.register\(.*\);\s*curResourceBorrows\.push\(\{.* drop: (\S+) \}\);/g;
  const lent = text.replace(lend, (_, handle: string, type: string, value: string, drop: string) => {
    handles.push(`if (${handle}[symbolRscHandle]) ${drop}(${handle}[symbolRscHandle]);\n    ${handle}[symbolRscHandle] = undefined;`);
    return `const ${handle} = new ${type}();\n  ${handle}[symbolRscHandle] = ${value};`;
  });
  if (handles.length === 0) return lent;
  const kept = change(lent, 'lent handles', /^  const borrows\d+ = curResourceBorrows;\n  curResourceBorrows= \[\];\n/m, '');
  return change(kept, 'the end of lent handles', /^    for \(const entry of borrows\d+\) \{\n[^]*?^    \}\n/m, `    ${handles.join('\n    ')}\n`);
}

/** Types whose handles nothing registers any more are not looked for among those that are. */
function withoutRegistry(text: string): string {
  return text.replace(/\n *(finalizationRegistry_\S+)\.unregister\(\w+\);/g, (line, registry: string) => (text.includes(`${registry}.register(`) ? line : ''));
}

const MEMORY = `const RETURNED = Promise.resolve();
let dv, viewed;
const dataView = (mem) => dv = new DataView(viewed = mem.buffer);
`;

/** Most texts have as many bytes as letters. Of others the beginning stays where it is, and the rest takes three bytes a letter at most. */
const ENCODE = `function _utf8AllocateAndEncode(s, realloc, memory) {
  if (typeof s !== 'string') throw new TypeError('expected a string, received [' + typeof s + ']');
  if (s.length === 0) return { ptr: 1, len: 0 };
  let ptr = realloc(0, 0, 1, s.length);
  const { read, written } = TEXT_ENCODER_UTF8.encodeInto(s, new Uint8Array(memory.buffer, ptr, s.length));
  if (read === s.length) return { ptr, len: written };
  const room = written + (s.length - read) * 3;
  ptr = realloc(ptr, s.length, 1, room);
  const rest = TEXT_ENCODER_UTF8.encodeInto(s.slice(read), new Uint8Array(memory.buffer, ptr + written, room - written));
  if (read + rest.read !== s.length) throw new Error('failed to encode whole string');
  return { ptr, len: written + rest.written };
}`;

/** What componentize-js makes the bindings with. It has no option to change them, so `build` wraps this. */
export const { splicer } = (await import(new URL('../lib/spidermonkey-embedding-splicer.js', import.meta.resolve('@bytecodealliance/componentize-js')).href)) as {
  splicer: { spliceBindings(engine: Uint8Array, features: string[], wit: undefined, witPath: string, world: string, debug: boolean): { jsBindings: string } };
};
