import assert from 'node:assert/strict';
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import type { Database } from '../database/database.ts';
import { followSigningKeys } from '../signing-keys/follow-keys.ts';
import { keepSigningKeys } from '../signing-keys/keep-keys.ts';
import {
  makeTokenSigner,
  makeTokenVerifier,
  nowSeconds,
  type TokenSigner,
  type TokenVerifier,
} from './access-tokens.ts';
import { makeSecrets, type Secrets } from './secrets.ts';
import type { SigningKeys } from './signing-keys.ts';

const log = pino({ level: 'silent' });
const publicUrl = 'https://id.example.com';

describe('access tokens', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let secrets: Secrets;
  let keys: SigningKeys & { stop: () => void };
  let signer: TokenSigner;
  let verifier: TokenVerifier;
  const subject = { sub: 'someone', clientId: 'postern', scope: 'basic email', sid: 's1', tenant: 'default' };

  before(async () => {
    database = await testDatabase();
    secrets = makeSecrets([randomBytes(32)]);
    keys = await loadKeys(database.db);
    signer = makeTokenSigner({ keys, publicUrl });
    verifier = makeTokenVerifier({ keys, publicUrl });
  });
  after(() => {
    keys.stop();
    return database.close();
  });

  /** As a node does when it starts. */
  async function loadKeys(db: Database, by = secrets) {
    await keepSigningKeys({ db, secrets: by, accessTokenSeconds: 3_600, signingKeyDays: 90 });
    return followSigningKeys({ db, secrets: by, log });
  }

  it('are RFC 9068 JWTs that any library verifies by the published keys', async () => {
    const token = await signer.sign({ ...subject, lifetimeSeconds: 60 });
    const options = { issuer: publicUrl, audience: publicUrl, typ: 'at+jwt', algorithms: ['ES256'] };
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys.latest().jwks), options);
    assert.deepEqual(Object.keys(payload).sort(), [
      ...['aud', 'client_id', 'exp', 'iat', 'iss', 'jti', 'scope', 'sid', 'sub', 'tenant'],
    ]);
    assert.deepEqual(await verifier.verify(token), payload);
  });

  it('are signed in 64 bytes however short the numbers of a signature are', async () => {
    const jwks = createLocalJWKSet(keys.latest().jwks);
    // One in 128 signatures has a number that is shorter than 32 bytes: among so many there are some, but for once in 10^6.
    for (let i = 0; i < 2_000; i++) {
      const token = await signer.sign({ ...subject, lifetimeSeconds: 60 });
      assert.equal(Buffer.from(token.split('.')[2] ?? '', 'base64url').length, 64);
      await jwtVerify(token, jwks);
    }
  });

  it('are signed with one key by nodes that start together, and by the next start', async () => {
    const empty = await testDatabase();
    const nodes = await Promise.all([loadKeys(empty.db), loadKeys(empty.db), loadKeys(empty.db)]);
    const later = await loadKeys(empty.db);
    assert.equal(new Set([...nodes, later].map((node) => node.latest().current.kid)).size, 1);
    for (const node of [...nodes, later]) node.stop();
    await empty.close();
  });

  it('S24 are signed with a key that a dump does not show', async () => {
    const rows = await database.db`SELECT * FROM signing_keys`;
    const inClear = (value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value);
    const dump = JSON.stringify(rows.flatMap(Object.values).map(inClear));
    const { signing } = keys.latest();
    assert.equal(signing.length, 4);
    for (const { alg, kid, privateKey } of signing) {
      const { d, p, q, dp, dq, qi } = privateKey.export({ format: 'jwk' });
      const numbers = [d, p, q, dp, dq, qi].filter((number) => number !== undefined);
      assert.equal(numbers.length, alg === 'RS256' ? 6 : 1);
      assert.ok(dump.includes(kid) && !numbers.some((number) => dump.includes(number)));
    }
    const others = makeSecrets([randomBytes(32)]);
    await assert.rejects(loadKeys(database.db, others), /SECRET_KEY/);
  });

  describe('are refused', () => {
    const good = () => ({
      iss: publicUrl,
      sub: 'someone',
      aud: publicUrl,
      exp: nowSeconds() + 60,
      iat: nowSeconds(),
      jti: 'j1',
      client_id: 'postern',
      scope: 'basic',
      tenant: 'default',
    });
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const forge = (header: object, claims: unknown, key: KeyObject = keys.latest().current.privateKey) => {
      const input = `${part({ alg: 'ES256', typ: 'at+jwt', kid: keys.latest().current.kid, ...header })}.${part(claims)}`;
      return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
    };

    it('unless they are right, which the forger of these tests can do', async () => {
      assert.ok(await verifier.verify(forge({}, good())));
    });

    it('S25 without a signature, by any spelling of none', async () => {
      for (const alg of ['none', 'None', 'NONE', '']) {
        assert.equal(
          await verifier.verify(`${part({ alg, typ: 'at+jwt', kid: keys.latest().current.kid })}.${part(good())}.`),
          undefined,
        );
      }
      const [header, payload] = forge({}, good()).split('.');
      assert.equal(await verifier.verify(`${header}.${payload}.`), undefined);
      assert.equal(await verifier.verify(`${header}.${payload}`), undefined);
    });

    it('S25 signed by HMAC with the public key', async () => {
      const pem = createPublicKey(keys.latest().current.privateKey).export({ type: 'spki', format: 'pem' });
      const input = `${part({ alg: 'HS256', typ: 'at+jwt', kid: keys.latest().current.kid })}.${part(good())}`;
      const mac = createHmac('sha256', pem).update(input).digest('base64url');
      assert.equal(await verifier.verify(`${input}.${mac}`), undefined);
    });

    it('S25 signed with our own RSA key, which signs ID tokens', async () => {
      const { currentRsa, jwks } = keys.latest();
      assert.ok(currentRsa);
      const { kid, privateKey } = currentRsa;
      const token = forge({ alg: 'RS256', kid }, good(), privateKey);
      const options = { issuer: publicUrl, audience: publicUrl, typ: 'at+jwt' };
      assert.ok(await jwtVerify(token, createLocalJWKSet(jwks), options), 'nothing else is wrong with it');
      assert.equal(await verifier.verify(token), undefined);
      assert.equal(await verifier.verify(forge({ kid }, good(), privateKey)), undefined);
      assert.equal(await verifier.verify(forge({ alg: 'RS256' }, good(), privateKey)), undefined);
    });

    it('S25 signed with a key of their own, wherever the header says it is', async () => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const jwk = publicKey.export({ format: 'jwk' });
      for (const header of [
        {},
        { kid: 'unknown' },
        { kid: undefined },
        { jwk },
        { jwk, kid: undefined },
        { jku: 'http://127.0.0.1:9/keys', kid: 'theirs' },
        { x5u: 'http://127.0.0.1:9/cert' },
      ]) {
        assert.equal(await verifier.verify(forge(header, good(), privateKey)), undefined, JSON.stringify(header));
      }
    });

    it('S26 of another type, issuer or audience', async () => {
      assert.equal(await verifier.verify(forge({ typ: 'JWT' }, good())), undefined);
      assert.equal(await verifier.verify(forge({ typ: undefined }, good())), undefined);
      assert.equal(await verifier.verify(forge({}, { ...good(), iss: 'https://evil.example' })), undefined);
      assert.equal(await verifier.verify(forge({}, { ...good(), aud: 'https://other.example' })), undefined);
      assert.equal(await verifier.verify(forge({}, { ...good(), aud: [publicUrl, 'x'] })), undefined);
    });

    it('S26 for our own API where they are for others, and known to be ours all the same', async () => {
      const theirs = await signer.sign({ ...subject, audience: 'https://api.example.com', lifetimeSeconds: 60 });
      for (let i = 0; i < 2; i++) {
        assert.equal(await verifier.verify(theirs), undefined);
        assert.equal((await verifier.verifyForAnybody(theirs))?.aud, 'https://api.example.com');
      }
      for (const claims of [{ aud: [publicUrl, 'x'] }, { aud: undefined }, { iss: 'https://evil.example' }]) {
        assert.equal(await verifier.verifyForAnybody(forge({}, { ...good(), ...claims })), undefined);
      }
    });

    it('bound in a way that is not known here, or to what is no grant', async () => {
      assert.ok(await verifier.verify(forge({}, { ...good(), cnf: { jkt: 'x' }, grant_id: 'g' })));
      for (const claims of [{ cnf: { 'x5t#S256': 'x' } }, { cnf: null }, { cnf: 'x' }, { cnf: {} }, { grant_id: 7 }]) {
        assert.equal(await verifier.verify(forge({}, { ...good(), ...claims })), undefined, JSON.stringify(claims));
      }
    });

    it('S27 with no end, an odd end, a past end or a start far ahead', async () => {
      const { exp: _, ...endless } = good();
      assert.equal(await verifier.verify(forge({}, endless)), undefined);
      for (const exp of ['9999999999', 1e300, -1, null, nowSeconds() - 31, nowSeconds(), [nowSeconds() + 60]]) {
        assert.equal(await verifier.verify(forge({}, { ...good(), exp })), undefined, String(exp));
      }
      assert.equal(await verifier.verify(forge({}, { ...good(), iat: nowSeconds() + 40 })), undefined);
    });

    it('when they are no tokens at all', async () => {
      for (const junk of ['', '.', '..', 'a.b.c', '💥', 'x'.repeat(20_000), `${part({})}.${part(good())}.`]) {
        assert.equal(await verifier.verify(junk), undefined);
      }
      for (const claims of [null, 7, 'text', [], {}]) assert.equal(await verifier.verify(forge({}, claims)), undefined);
    });

    it('with the signature of another token, also when that one is remembered', async () => {
      const token = forge({}, good());
      assert.ok(await verifier.verify(token));
      assert.ok(await verifier.verify(token));
      const [header, , signature] = token.split('.');
      assert.equal(await verifier.verify(`${header}.${part({ ...good(), scope: 'admin' })}.${signature}`), undefined);
    });
  });
});
