// A real OpenID provider for the interoperability tests: oidc-provider on a free loopback port, issuing JWT access
// tokens (RFC 9068) for the APIs below https://api.example.com/ (RFC 8707 resource indicators), by client credentials
// (RFC 6749, section 4.4) and to people who log in (section 4.1). Refresh tokens rotate, and the second use of one ends
// its whole family. There is one client per signing algorithm, named after it, with the secret "secret".
//
// One line of JSON on its standard input says the rest, all of it optional:
//
//     clients      more clients, as RFC 7591 describes them
//     tls          key, cert and ca (PEM): a second address over TLS that asks for the client's certificate, which
//                  discovery names in mtls_endpoint_aliases (RFC 8705, section 5)
//     answerDelay  milliseconds between what the token endpoint does and its answer
//
// Everybody who comes to log in is "alice" and agrees to everything. GET /report says what happened to tokens.
//
// It prints its issuer URL on one line when it is ready, and ends when its standard input is closed, so that it cannot
// outlive the test that started it.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTLSServer } from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import Provider, { errors } from 'oidc-provider';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];

const input = createInterface({ input: process.stdin });
input.on('close', () => process.exit());
const config = JSON.parse(await new Promise((resolve) => { input.once('line', resolve); }));

function jwk(type, options, members) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...members };
}

async function listen(server) {
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return `127.0.0.1:${server.address().port}`;
}

const server = createServer();
const issuer = `http://${await listen(server)}`;
let tlsServer;
let aliases;
if (config.tls) {
  // Who shows which certificate is for the provider to judge: a self-signed one is not refused here.
  tlsServer = createTLSServer({ ...config.tls, requestCert: true, rejectUnauthorized: false });
  const base = `https://${await listen(tlsServer)}`;
  aliases = { token_endpoint: `${base}/token`, revocation_endpoint: `${base}/token/revocation` };
}

const provider = new Provider(issuer, {
  jwks: {
    keys: [
      jwk('rsa', { modulusLength: 2048 }, { kid: 'rs', alg: 'RS256' }),
      jwk('rsa', { modulusLength: 2048 }, { kid: 'ps', alg: 'PS256' }),
      jwk('ec', { namedCurve: 'P-256' }, { kid: 'es', alg: 'ES256' }),
      // No alg: the one key signs under both names of the algorithm, EdDSA (RFC 8037) and Ed25519 (RFC 9864).
      jwk('ed25519', {}, { kid: 'ed' }),
    ],
  },
  cookies: { keys: ['not a secret'] },
  clients: [
    ...ALGORITHMS.map((algorithm) => ({
      client_id: algorithm,
      client_secret: 'secret',
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
    })),
    ...config.clients ?? [],
  ],
  clientAuthMethods: [
    'client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none', 'tls_client_auth', 'self_signed_tls_client_auth',
  ],
  discovery: { mtls_endpoint_aliases: aliases },
  scopes: ['openid', 'offline_access', 'orders:read'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches(ctx, property, expected) {
        if (property !== 'tls_client_auth_san_dns') throw new Error(`${property} is not compared here`);
        return ctx.socket.getPeerX509Certificate().subjectAltName === `DNS:${expected}`;
      },
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(ctx, resource, client) {
        if (!resource.startsWith('https://api.example.com/')) throw new errors.InvalidTarget();
        return {
          audience: resource,
          scope: 'orders:read',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: ALGORITHMS.includes(client.clientId) ? client.clientId : 'ES256' } },
        };
      },
    },
  },
});

// How a client proved who it is: oidc-provider takes a secret in the header and in the body, whichever is registered.
function proof({ headers, socket, oidc: { params } }) {
  if (headers.authorization) return headers.authorization.split(' ')[0];
  return ['client_secret', 'client_assertion'].find((name) => params[name]) ?? (socket.encrypted ? 'certificate' : 'none');
}

const report = {
  refreshed: 0, // refresh tokens that were exchanged for another
  revoked: 0, // access tokens of clients that were revoked
  refused: {}, // what was refused: how often, by reason
  proofs: {}, // how each client proved who it is when it last got a token
};
provider.on('grant.success', (ctx) => {
  if (ctx.oidc.params.grant_type === 'refresh_token') report.refreshed += 1;
  report.proofs[ctx.oidc.client.clientId] = proof(ctx);
});
provider.on('grant.error', (ctx, err) => {
  const reason = err.error_detail ?? err.message;
  report.refused[reason] = (report.refused[reason] ?? 0) + 1;
});
provider.on('client_credentials.destroyed', () => { report.revoked += 1; });
provider.on('server_error', (ctx, err) => console.error(err));

// Alice, who has not got all day.
async function agree(req, res) {
  const { params, prompt } = await provider.interactionDetails(req, res);
  const grant = new provider.Grant({ accountId: 'alice', clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, params.scope);
  await provider.interactionFinished(req, res, { login: { accountId: 'alice' }, consent: { grantId: await grant.save() } });
}

provider.use(async (ctx, next) => {
  if (ctx.path === '/report') {
    ctx.body = report;
    return;
  }
  if (ctx.path.startsWith('/interaction/')) {
    ctx.respond = false;
    await agree(ctx.req, ctx.res);
    return;
  }
  await next();
  if (ctx.path === '/token' && config.answerDelay) await delay(config.answerDelay);
});

server.on('request', provider.callback());
tlsServer?.on('request', provider.callback());
console.log(issuer);
