// npm oidc-provider as the authorization server of tests: dynamic registration, PKCE, resource indicators, and access tokens that are
// JWTs or opaque. One JSON argument: {port, format?: "jwt" | "opaque", people?: {name: {org, roles, scopes}}}. Whoever opens a page agrees,
// and is signed in: as the only one there is, or as whom they choose. Nobody gets more than their scopes, whatever they ask for. Each
// start makes new keys. Prints its issuer once it listens. Runs in the folder that the package is installed in.
import { createRequire } from 'node:module';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.cwd() + '/');
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const wanted = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${wanted.port}`;
const people = wanted.people ?? { ada: { org: 'acme', roles: ['developer'], scopes: ['mcp', 'tools', 'tools:echo'] } };
const names = Object.keys(people);
const scopes = [...new Set(names.flatMap((name) => people[name].scopes))];
const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...key, kid: randomUUID(), use: 'sig', alg: 'RS256' }] },
  cookies: { keys: [randomUUID()] },
  scopes: ['openid', 'offline_access', ...scopes],
  clients: [
    // Asks about opaque tokens.
    { client_id: 'gateway', client_secret: 'gateway-secret-of-tests', redirect_uris: [], response_types: [], grant_types: [] },
    // Gets tokens for whatever resource it names.
    { client_id: 'machine', client_secret: 'machine-secret-of-tests', redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
  ],
  clientDefaults: { token_endpoint_auth_method: 'client_secret_basic' },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, resource) => ({
        scope: scopes.join(' '),
        audience: resource,
        accessTokenFormat: wanted.format ?? 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
  extraTokenClaims(ctx, token) {
    const { roles, org } = people[token.accountId ?? names[0]];
    return { roles, org };
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

// Clients register with the scope they ask for first; this provider lets them ask for more later.
provider.use(async (ctx, next) => {
  if (ctx.method === 'POST' && ctx.path === '/reg') {
    const pieces = [];
    for await (const piece of ctx.req) pieces.push(piece);
    const { scope, ...metadata } = JSON.parse(Buffer.concat(pieces));
    ctx.req.body = metadata;
  }
  return next();
});

// The person in front of the browser.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { prompt, params, session, grantId } = await provider.interactionDetails(ctx.req, ctx.res);
  if (prompt.name === 'login') {
    const accountId = names.length === 1 ? names[0] : ctx.query.as;
    if (Object.hasOwn(people, accountId ?? '')) return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId } });
    const choice = names.map((name) => `<li><a href="?as=${name}">${name}</a>, ${people[name].roles} at ${people[name].org}`);
    ctx.type = 'html';
    ctx.body = `<!doctype html><title>Who are you?</title><h1>Who are you?</h1><ul>${choice.join('')}</ul>`;
    return;
  }
  const found = grantId && (await provider.Grant.find(grantId));
  const grant = found || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  for (const [resource, missing] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    const may = missing.filter((scope) => people[session.accountId].scopes.includes(scope));
    grant.addResourceScope(resource, may.join(' '));
    grant.rejectResourceScope(resource, missing.filter((scope) => !may.includes(scope)).join(' '));
  }
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(ctx.req, ctx.res, { consent }, { mergeWithLastSubmission: true });
});

provider.listen(wanted.port, '127.0.0.1', () => console.log(`issuer ${issuer}`));
