#!/usr/bin/env node
/**
 * `sluice-js build [FOLDER] [-o FILE]`: makes a component of the plugin in a folder. What its package.json says:
 *
 *     "sluice": { "plugin": "src/mask.ts", "imports": ["payload", "patterns"] }
 *
 * Beside log, nothing else is in the binary than what `imports` names. The hooks are those that the plugin names.
 */
import { componentize, type ComponentizeOptions } from '@bytecodealliance/componentize-js';
import { build } from 'esbuild';
import { mkdtemp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { pathToFileURL, fileURLToPath } from 'node:url';
import { light, splicer } from './bindings.js';
import { contractName } from './hooks.js';

const HOME = dirname(dirname(fileURLToPath(import.meta.url)));
const WIT = join(HOME, 'wit');

/** The project cannot be built as it is; the text says what to do. */
class Mistake extends Error {}

interface Project {
  folder: string;
  plugin: string;
  imports: string[];
}

async function read(folder: string): Promise<Project> {
  const file = join(folder, 'package.json');
  const text = await readFile(file, 'utf8').catch(() => {
    throw new Mistake(`${file} is not there: go to the plugin's folder, or name it`);
  });
  const said = (JSON.parse(text) as { sluice?: { plugin?: unknown; imports?: unknown } }).sluice;
  if (typeof said?.plugin !== 'string') throw new Mistake(`${file} has no "sluice": {"plugin": "src/….ts"}`);
  const imports = Array.isArray(said.imports) ? said.imports.map(String) : [];
  return { folder, plugin: resolve(folder, said.plugin), imports };
}

/** One module without imports but the contract's. */
async function bundle(entry: string, out: string, resolveDir: string): Promise<void> {
  await build({
    stdin: { contents: entry, resolveDir, loader: 'ts' },
    bundle: true, format: 'esm', platform: 'neutral', mainFields: ['module', 'main'], conditions: ['import'],
    external: ['sluice:filter/*'], outfile: out, logLevel: 'silent',
  }).catch((error: Error) => {
    throw new Mistake(`the plugin does not bundle: ${error.message}`);
  });
}

/** The names of the hooks, asked of the plugin itself. */
async function hooksOf(project: Project, work: string): Promise<string[]> {
  const out = join(work, 'plugin.mjs');
  await bundle(`export { default } from ${JSON.stringify(project.plugin)};`, out, project.folder);
  const { default: plugin } = (await import(pathToFileURL(out).href)) as { default?: { hooks?: unknown } };
  if (!Array.isArray(plugin?.hooks) || plugin.hooks.length === 0) {
    throw new Mistake(`the default export of ${project.plugin} is no plugin({...}) with hooks`);
  }
  return plugin.hooks.map(String);
}

/** As componentize-js makes it, but for its bindings. */
async function lightComponent(options: ComponentizeOptions): Promise<Uint8Array> {
  const splice = splicer.spliceBindings;
  let isLight = false;
  splicer.spliceBindings = (...given) => {
    const spliced = splice(...given);
    isLight = true;
    return { ...spliced, jsBindings: light(spliced.jsBindings) };
  };
  try {
    const { component } = await componentize(options);
    if (!isLight) throw new Error('componentize-js makes bindings in a way that this SDK does not know');
    return component;
  } finally {
    splicer.spliceBindings = splice;
  }
}

async function contractVersion(): Promise<string> {
  for (const file of (await readdir(WIT)).filter((name) => name.endsWith('.wit'))) {
    const found = /^package sluice:filter@(.*);/m.exec(await readFile(join(WIT, file), 'utf8'));
    if (found?.[1] !== undefined) return found[1];
  }
  throw new Mistake(`${WIT} holds no package sluice:filter`);
}

/** The contract in a folder, with a world of just these exports and imports beside it. */
async function world(work: string, hooks: string[], imports: string[], version: string): Promise<string> {
  const folder = join(work, 'wit');
  const contract = join(folder, 'deps', 'contract');
  await mkdir(contract, { recursive: true });
  for (const file of await readdir(WIT)) await writeFile(join(contract, file), await readFile(join(WIT, file)));
  const lines = [...imports.map((name) => `import sluice:filter/${name}@${version};`)];
  lines.push(...['describe', 'lifecycle', ...hooks.map(contractName)].map((name) => `export sluice:filter/${name}@${version};`));
  await writeFile(join(folder, 'world.wit'), `package sluice:project;\nworld plugin {\n${lines.join('\n')}\n}\n`);
  return folder;
}

/** The contract's exports, handed on to the plugin. */
function glue(project: Project, hooks: string[], imports: string[], version: string): string {
  return [
    `import plugin from ${JSON.stringify(project.plugin)};`,
    `import { connect } from ${JSON.stringify(join(HOME, 'dist', 'guest.js'))};`,
    ...imports.map((name) => `import * as ${camel(name)} from 'sluice:filter/${name}@${version}';`),
    `const guest = connect(plugin, { ${imports.map(camel).join(', ')} });`,
    'export const describe = { describe: guest.describe };',
    'export const lifecycle = { init: guest.init };',
    ...hooks.map((hook) => `export const ${hook} = { ${hook}: guest.hook('${hook}') };`),
  ].join('\n');
}

function camel(name: string): string {
  return name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

async function component(folder: string, out: string | undefined): Promise<string> {
  const project = await read(folder);
  const work = await mkdtemp(join(tmpdir(), 'sluice-js-'));
  try {
    const version = await contractVersion();
    const imports = [...new Set(['log', ...project.imports])];
    const hooks = await hooksOf(project, work);
    const sourcePath = join(work, 'component.js');
    await bundle(glue(project, hooks, imports, version), sourcePath, project.folder);
    const witPath = await world(work, hooks, imports, version);
    const disableFeatures: ('stdio' | 'random' | 'clocks' | 'http' | 'fetch-event')[] = ['stdio', 'random', 'clocks', 'http', 'fetch-event'];
    const made = await lightComponent({ sourcePath, witPath, worldName: 'plugin', disableFeatures });
    const file = out ?? join(folder, 'dist', `${basename(project.plugin, extname(project.plugin))}.wasm`);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, made);
    return `${file} (${(made.length / 1e6).toFixed(1)} MB)`;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const [command, ...rest] = process.argv.slice(2);
  const flag = rest.indexOf('-o');
  const out = flag < 0 ? undefined : rest[flag + 1];
  const folder = rest.find((_, place) => flag < 0 || (place !== flag && place !== flag + 1)) ?? '.';
  if (command !== 'build' || (flag >= 0 && out === undefined)) throw new Mistake('usage: sluice-js build [FOLDER] [-o FILE]');
  console.log(await component(resolve(folder), out === undefined ? undefined : resolve(out)));
}

main().catch((error: unknown) => {
  console.error(error instanceof Mistake ? `error: ${error.message}` : error);
  process.exitCode = 1;
});
