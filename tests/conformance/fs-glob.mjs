// The suite imports `fs.globSync`, which came with Node 22 and which only its tier check calls.
// Under `node --import ./fs-glob.mjs` an import of "fs" gets the name as well, and the rest runs on Node 20.
import fs from 'node:fs';
import { register } from 'node:module';

const url = (source) => 'data:text/javascript,' + encodeURIComponent(source);

const withGlob = url(`
  export * from 'node:fs';
  export { default } from 'node:fs';
  export function globSync() { throw new Error('fs.globSync needs Node 22'); }
`);

if (!fs.globSync) {
  register(url(`
    export const resolve = (specifier, context, next) =>
      specifier === 'fs' ? { url: ${JSON.stringify(withGlob)}, shortCircuit: true } : next(specifier, context);
  `));
}
