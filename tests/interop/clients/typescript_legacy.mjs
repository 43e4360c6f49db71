// npm @modelcontextprotocol/sdk: one JSON argument says what to do, one JSON line says what happened.
// Runs in the folder that the package is installed in.
import { createRequire } from 'node:module';

const require = createRequire(process.cwd() + '/');
const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { StdioClientTransport } = require('@modelcontextprotocol/sdk/client/stdio.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
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

const client = new Client({ name: 'interop', version: '0.1.0' });
await client.connect(transport);
const tools = [];
let cursor;
do {
  const page = await client.listTools(cursor ? { cursor } : undefined);
  tools.push(...page.tools.map((tool) => tool.name));
  cursor = page.nextCursor;
} while (cursor);
const results = {};
for (const [name, given] of Object.entries(wanted.calls)) {
  results[name] = await client.callTool({ name, arguments: given });
}
await client.close();

const manifest = require(process.cwd() + `/node_modules/${sdk}/package.json`);
console.log(JSON.stringify({ sdk: `npm ${sdk} ${manifest.version}`, protocolVersion, tools, results }));
