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
//     oddSeed      the seed of a random sequence, by which a third of the answers to refreshes become odd ones; see ODD
//
// Everybody who comes to log in is "alice" and agrees to everything. GET /report says what happened to tokens. POST /sign
// makes a JWT of any header and claims, with the signature of the provider's RSA key.
//
// It prints its issuer URL on one line when it is ready, and ends when its standard input is closed, so that it cannot
// outlive the test that started it.

import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTLSServer } from 'node:https';
import { createInterface } from 'node:readline';
import { json } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';

import Provider, { errors } from 'oidc-provider';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];

const input = createInterface({ input: process.stdin });
input.on('close', () => process.exit());
const config = JSON.parse(await new Promise((resolve) => { input.once('line', resolve); }));

// Answers to a refresh as no server should give them, and as real ones do: each changes the members, or writes them to
// the body in another way than Koa would.
const ODD = {
  'status 201': (ctx) => { ctx.status = 201; },
  'text/html': (ctx, text) => write(ctx, text, 'text/html'),
  form: (ctx) => write(ctx, new URLSearchParams(ctx.body).toString(), 'application/x-www-form-urlencoded'),
  'no token_type': (ctx) => { delete ctx.body.token_type; },
  'expires_in as a string': (ctx) => { ctx.body.expires_in = `${ctx.body.expires_in}`; },
  'a doubled member': (ctx, text) => write(ctx, text.replace('{', `{"refresh_token":"${ctx.body.refresh_token}",`)),
  'a byte order mark': (ctx, text) => write(ctx, `\ufeff${text}`),
  'not UTF-8': (ctx, text) => write(ctx, Buffer.from(text.replace('{', '{"note":"\u00e9",'), 'latin1')),
};

function write(ctx, body, type = 'application/json') {
  ctx.body = body;
  ctx.set('Content-Type', type);
}

// The numbers from 0 to 1 that follow from a seed (mulberry32).
function sequence(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let n = Math.imul(state ^ (state >>> 15), 1 | state);
    n = (n + Math.imul(n ^ (n >>> 7), 61 | n)) ^ n;
    return ((n ^ (n >>> 14)) >>> 0) / 2 ** 32;
  };
}
const random = sequence(config.oddSeed);

function makeOdd(ctx) {
  if (random() > 1 / 3) return;
  const names = Object.keys(ODD);
  const name = names[Math.floor(random() * names.length)];
  ODD[name](ctx, JSON.stringify(ctx.body));
  report.odd[name] = (report.odd[name] ?? 0) + 1;
}

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

const rs = jwk('rsa', { modulusLength: 2048 }, { kid: 'rs', alg: 'RS256' });

const provider = new Provider(issuer, {
  jwks: {
    keys: [
      rs,
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
  assertJwtClientAuthClaimsAndHeader(ctx, claims, header, client) {
    report.assertions[client.clientId] = { audience: claims.aud, keyID: header.kid ?? '' };
  },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
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
  assertions: {}, // audience and key id of the last one that each client signed
  odd: {}, // odd answers: how many, by name
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

function signed({ header, claims }) {
  const input = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign('sha256', Buffer.from(input), createPrivateKey({ key: rs, format: 'jwk' }));
  return `${input}.${signature.toString('base64url')}`;
}

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
  if (ctx.path === '/sign') {
    ctx.body = signed(await json(ctx.req));
    return;
  }
  if (ctx.path.startsWith('/interaction/')) {
    ctx.respond = false;
    await agree(ctx.req, ctx.res);
    return;
  }
  await next();
  if (ctx.path === '/device/auth' && ctx.status === 200) ctx.body.interval = 1; // second between polls, instead of 5
  if (config.oddSeed && ctx.status === 200 && ctx.oidc?.params?.grant_type === 'refresh_token') makeOdd(ctx);
  if (ctx.path === '/token' && config.answerDelay) await delay(config.answerDelay);
});

server.on('request', provider.callback());
tlsServer?.on('request', provider.callback());
console.log(issuer);
