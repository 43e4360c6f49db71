// npm oidc-provider as the authorization server of tests: dynamic registration, PKCE, resource indicators, and access tokens that are
// JWTs or opaque. Whoever opens a page is signed in and agrees. One JSON argument: {port, format?: "jwt" | "opaque"}. Each start makes
// new keys. Prints its issuer once it listens. Runs in the folder that the package is installed in.
import { createRequire } from 'node:module';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.cwd() + '/');
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const wanted = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${wanted.port}`;
const scopes = ['mcp', 'tools', 'tools:echo'];
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
  extraTokenClaims: () => ({ roles: ['developer'], org: 'acme' }),
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
    return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId: 'ada' } });
  }
  const found = grantId && (await provider.Grant.find(grantId));
  const grant = found || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (prompt.details.missingOIDCScope) grant.addOIDCScope(prompt.details.missingOIDCScope.join(' '));
  for (const [resource, missing] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, missing.join(' '));
  }
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(ctx.req, ctx.res, { consent }, { mergeWithLastSubmission: true });
});

provider.listen(wanted.port, '127.0.0.1', () => console.log(`issuer ${issuer}`));
