// A real OpenID provider for the interoperability tests: oidc-provider on a free loopback port, issuing JWT access
// tokens (RFC 9068) for one API (RFC 8707 resource indicators) to clients that authenticate as themselves (RFC 6749,
// section 4.4). There is one client per signing algorithm, named after it, with the secret "secret".
//
// It prints its issuer URL on one line when it is ready, and ends when its standard input is closed, so that it cannot
// outlive the test that started it.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

import Provider, { errors } from 'oidc-provider';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];

function jwk(type, options, members) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...members };
}

const server = createServer();
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const issuer = `http://127.0.0.1:${server.address().port}`;

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
  clients: ALGORITHMS.map((algorithm) => ({
    client_id: algorithm,
    client_secret: 'secret',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  })),
  scopes: ['orders:read'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(ctx, resource, client) {
        if (!resource.startsWith('https://api.example.com/')) throw new errors.InvalidTarget();
        return {
          audience: resource,
          scope: 'orders:read',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: client.clientId } },
        };
      },
    },
  },
});

server.on('request', provider.callback());
process.stdin.resume().on('end', () => process.exit());
console.log(issuer);
