// npm @modelcontextprotocol/client: one JSON argument says what to do, one JSON line says what happened.
// Runs in the folder that the package is installed in.
import { createRequire } from 'node:module';
import { callAll, capabilities, say } from './answers.mjs';

const require = createRequire(process.cwd() + '/');
const { Client, StreamableHTTPClientTransport } = require('@modelcontextprotocol/client');
const { StdioClientTransport } = require('@modelcontextprotocol/client/stdio');
const sdk = '@modelcontextprotocol/client';

const wanted = JSON.parse(process.argv[2]);
const transport = wanted.command
  ? new StdioClientTransport({ command: wanted.command[0], args: wanted.command.slice(1) })
  : new StreamableHTTPClientTransport(new URL(wanted.url), {
      requestInit: wanted.bearer ? { headers: { Authorization: `Bearer ${wanted.bearer}` } } : {},
    });

const mode = { auto: 'auto', legacy: 'legacy', modern: { pin: '2026-07-28' } }[wanted.mode];
const client = new Client(
  { name: 'interop', version: '0.1.0' },
  { versionNegotiation: { mode }, capabilities: capabilities(wanted.answers) },
);
if (wanted.answers) {
  const { elicitation, sampling, roots } = say(wanted.answers);
  client.setRequestHandler('elicitation/create', elicitation);
  client.setRequestHandler('sampling/createMessage', sampling);
  client.setRequestHandler('roots/list', roots);
}
await client.connect(transport);
const { tools } = await client.listTools();
const results = await callAll(wanted, (params, options) => client.callTool(params, options));
const protocolVersion = client.getNegotiatedProtocolVersion();
await client.close();

const manifest = require(process.cwd() + `/node_modules/${sdk}/package.json`);
const names = tools.map((tool) => tool.name);
console.log(JSON.stringify({ sdk: `npm ${sdk} ${manifest.version}`, protocolVersion, tools: names, results }));
