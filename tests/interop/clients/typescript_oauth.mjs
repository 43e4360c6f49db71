// npm @modelcontextprotocol/sdk and its own OAuth: one JSON argument {url, calls, person?}, one JSON line with what happened on the way.
// It starts with nothing: no token, no client, no issuer. Runs in the folder that the package is installed in.
import { createRequire } from 'node:module';

const require = createRequire(process.cwd() + '/');
const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { UnauthorizedError } = require('@modelcontextprotocol/sdk/client/auth.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
const sdk = '@modelcontextprotocol/sdk';

const wanted = JSON.parse(process.argv[2]);
const steps = [];
const kept = {};
let code;

// Where the browser comes back to. Nothing listens there: the code is read from the last redirect.
const redirect = 'http://127.0.0.1:1/callback';

/// A browser that follows redirects and keeps cookies, up to the client's own page. Asked who they are, the person follows the link for them.
async function browse(url) {
  const cookies = new Map();
  for (let hops = 0; hops < 20; hops++) {
    const answer = await fetch(url, { redirect: 'manual', headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') } });
    for (const cookie of answer.headers.getSetCookie()) {
      const [name, value] = cookie.split(';')[0].split(/=(.*)/s);
      cookies.set(name, value);
    }
    const page = await answer.text();
    const location = answer.headers.get('location') ?? page.match(`href="([^"]*as=${wanted.person})"`)?.[1];
    if (!location) throw new Error(`${url}: ${answer.status} ${page}`);
    url = new URL(location, url);
    if (url.href.startsWith(redirect)) return url.searchParams;
  }
  throw new Error('redirects without an end');
}

const authProvider = {
  redirectUrl: redirect,
  clientMetadata: {
    client_name: 'interop',
    redirect_uris: [redirect],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  redirectToAuthorization: async (url) => {
    steps.push({ authorize: { scope: url.searchParams.get('scope'), resource: url.searchParams.get('resource') } });
    const back = await browse(url);
    if (!back.has('code')) throw new Error(`no code: ${back}`);
    code = back.get('code');
  },
};

const watched = async (url, init) => {
  const answer = await fetch(url, init);
  const challenge = answer.headers.get('www-authenticate');
  if (challenge) steps.push({ status: answer.status, challenge });
  return answer;
};

async function authorized(run) {
  for (let rounds = 0; rounds < 3; rounds++) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof UnauthorizedError)) throw error;
      await transport.finishAuth(code);
    }
  }
  throw new Error('still not authorized');
}

let client, transport;
await authorized(async () => {
  client = new Client({ name: 'interop', version: '0.1.0' }, { capabilities: {} });
  transport = new StreamableHTTPClientTransport(new URL(wanted.url), { authProvider, fetch: watched });
  await client.connect(transport);
});
const results = {};
for (const [name, given] of Object.entries(wanted.calls)) {
  results[name] = await authorized(() => client.callTool({ name, arguments: given }));
  steps.push({ called: name });
}
await client.close();

const manifest = require(process.cwd() + `/node_modules/${sdk}/package.json`);
console.log(JSON.stringify({ sdk: `npm ${sdk} ${manifest.version}`, steps, results, token: kept.tokens.access_token }));
