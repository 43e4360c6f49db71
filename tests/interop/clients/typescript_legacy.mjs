// npm @modelcontextprotocol/sdk: one JSON argument says what to do, one JSON line says what happened.
// Runs in the folder that the package is installed in.
import { createRequire } from 'node:module';
import { callAll, capabilities, say } from './answers.mjs';

const require = createRequire(process.cwd() + '/');
const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { StdioClientTransport } = require('@modelcontextprotocol/sdk/client/stdio.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
const types = require('@modelcontextprotocol/sdk/types.js');
const sdk = '@modelcontextprotocol/sdk';

const wanted = JSON.parse(process.argv[2]);
const transport = wanted.command
  ? new StdioClientTransport({ command: wanted.command[0], args: wanted.command.slice(1) })
  : new StreamableHTTPClientTransport(new URL(wanted.url), {
      requestInit: wanted.bearer ? { headers: { Authorization: `Bearer ${wanted.bearer}` } } : {},
    });

// The client tells its transport which revision was agreed, and nobody else.
let protocolVersion;
const told = transport.setProtocolVersion?.bind(transport);
transport.setProtocolVersion = (version) => {
  protocolVersion = version;
  told?.(version);
};

const client = new Client({ name: 'interop', version: '0.1.0' }, { capabilities: capabilities(wanted.answers) });
if (wanted.answers) {
  const { elicitation, sampling, roots } = say(wanted.answers);
  client.setRequestHandler(types.ElicitRequestSchema, elicitation);
  client.setRequestHandler(types.CreateMessageRequestSchema, sampling);
  client.setRequestHandler(types.ListRootsRequestSchema, roots);
}
await client.connect(transport);
const tools = [];
let cursor;
do {
  const page = await client.listTools(cursor ? { cursor } : undefined);
  tools.push(...page.tools.map((tool) => tool.name));
  cursor = page.nextCursor;
} while (cursor);
const results = await callAll(wanted, (params, options) => client.callTool(params, undefined, options));
await client.close();

const manifest = require(process.cwd() + `/node_modules/${sdk}/package.json`);
console.log(JSON.stringify({ sdk: `npm ${sdk} ${manifest.version}`, protocolVersion, tools, results }));
