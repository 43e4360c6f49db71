// An authorization server and identity provider: oidc-provider as it is, with short access tokens and refresh tokens that rotate.
//
//   provider.mjs PORT RESOURCE GATEWAY
//
// RESOURCE is the server that its tokens are for, GATEWAY the redirect URI of the gateway, which signs people in as the client "gateway".
// It writes a line of JSON to standard error for each token request, and prints one with its URL once it is ready.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [port, resource, gateway] = process.argv.slice(2);
// Installed beside target, not beside this file.
const require = createRequire(`${process.cwd()}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);
const issuer = `http://localhost:${port}`;

const provider = new Provider(issuer, {
  clients: [{ client_id: 'gateway', redirect_uris: [gateway], token_endpoint_auth_method: 'none', application_type: 'native' }],
  scopes: ['openid', 'offline_access', 'tools'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: 40, RefreshToken: 600, Grant: 600, Session: 600, Interaction: 600, IdToken: 60, AuthorizationCode: 60 },
  features: {
    registration: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, indicator) => {
        if (indicator !== resource) throw new Error('another resource');
        return { scope: 'tools', audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } }, accessTokenTTL: 40 };
      },
      useGrantedResource: () => true,
    },
  },
});
for (const event of ['grant.success', 'grant.error']) {
  provider.on(event, (ctx, error) => {
    const { grant_type, client_id } = ctx.oidc.params;
    console.error(JSON.stringify({ event, grant_type, client_id, error: error?.error }));
  });
}
provider.listen(Number(port), '127.0.0.1', () => console.log(`ready ${issuer}`));
