// An OpenID Connect provider for tests: the package oidc-provider with its own pages for development, over TLS on loopback.
//
//   node provider.mjs '{"port": 1, "cert": "…", "key": "…", "callback": "https://…"}'
//
// On stdout it says {"ready": ISSUER}. For each line {"header": {…}, "claims": {…}} on stdin it signs a token with the provider's key and
// prints it; "key": "other" takes a key that is not published, and "rotate": true publishes a new key and signs with it from then on.

import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';

const { port, cert, key, callback } = JSON.parse(process.argv[2]);
const issuer = `https://127.0.0.1:${port}`;

async function pair(kid, alg) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const mark = { kid, alg, use: 'sig' };
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(privateKey)), ...mark }, open: { ...(await exportJWK(publicKey)), ...mark } };
}

const [rsa, ec, other, later] = await Promise.all([
  pair('rsa', 'RS256'), pair('ec', 'ES256'), pair('rsa', 'RS256'), pair('later', 'RS256'),
]);

const people = {
  ana: { email: 'ana@example.org', email_verified: true, groups: ['klio-ops'] },
  mallory: { email: 'ana@example.org', email_verified: false, groups: ['klio-ops'] },
  eve: { email: 'eve@example.org', email_verified: true, groups: [] },
};

const provider = new Provider(issuer, {
  clients: [
    { client_id: 'klio', client_secret: 'a secret: with+signs', redirect_uris: [callback] },
    {
      client_id: 'klio-public', redirect_uris: [callback], token_endpoint_auth_method: 'none',
      id_token_signed_response_alg: 'ES256',
    },
    { client_id: 'cli', redirect_uris: ['https://127.0.0.1:9/cli'], token_endpoint_auth_method: 'none' },
    { client_id: 'stranger', redirect_uris: ['https://127.0.0.1:9/cli'], token_endpoint_auth_method: 'none' },
  ],
  jwks: { keys: [rsa.jwk, ec.jwk] },
  // All that the scopes give stands in the ID token.
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['groups'] },
  pkce: { required: () => true },
  cookies: { keys: ['for tests'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
});

const handle = provider.callback();
let rotated = false;
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  if (rotated && request.url === '/jwks') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys: [later.open] }));
    return;
  }
  handle(request, response);
});
server.listen(port, '127.0.0.1', () => console.log(JSON.stringify({ ready: issuer })));

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  rotated ||= asked.rotate === true;
  const by = asked.key === 'other' ? other : rotated ? later : rsa;
  const header = { alg: by.alg, kid: by.kid, ...asked.header };
  console.log(await new SignJWT(asked.claims).setProtectedHeader(header).sign(by.privateKey));
}
process.exit(0);
