import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CompactSign, calculateJwkThumbprint, importJWK } from 'jose';
import { testDatabase } from '../../test/support/database.ts';
import { type KeyHolder, newKeyHolder } from '../../test/support/proof.ts';
import { nowSeconds } from './access-tokens.ts';
import { publicKeyAlgorithms } from './algorithms.ts';
import { InvalidProof, makeProveKey, verifyDpop } from './dpop.ts';
import { onceKey, purgeUsedOnce, useOnce } from './used-once.ts';

const publicUrl = 'https://id.example.com/at';
const here = `${publicUrl}/auth/me`;
const token = 'a.b.c';

describe('a proof of DPoP', () => {
  let holder: KeyHolder;
  before(async () => {
    holder = await newKeyHolder();
  });
  const check = (
    dpop: string | string[] | undefined,
    { method = 'GET', url = '/auth/me?x=1', accessToken = token } = {},
  ) => verifyDpop({ publicUrl }, { method, url, headers: dpop === undefined ? {} : { dpop } }, accessToken);
  const refused = (dpop: string | string[] | undefined, about: string, request = {}) =>
    assert.rejects(check(dpop, request), InvalidProof, about);

  it('tells the key that signed it, by any algorithm of public keys', async () => {
    for (const alg of publicKeyAlgorithms) {
      const one = await newKeyHolder(alg);
      const { thumbprint } = await check(await one.prove('GET', here, { token }));
      assert.equal(thumbprint, await calculateJwkThumbprint(one.publicJwk), alg);
    }
  });

  it('is of the request it comes with: method, address and token', async () => {
    const request = { method: 'POST', url: '/oauth/token' };
    const ofToken = await holder.prove('POST', `${publicUrl}/oauth/token`);
    await verifyDpop({ publicUrl }, { ...request, headers: { dpop: ofToken } });
    await refused(ofToken, 'without ath, with a token', request);
    for (const [htm, htu, about] of [
      ['POST', here, 'another method'],
      ['get', here, 'another spelling of it'],
      ['GET', `${here}/x`, 'another path'],
      ['GET', here.replace('/at', ''), 'the path without that of PUBLIC_URL'],
      ['GET', here.replace('https:', 'http:'), 'another scheme'],
      ['GET', here.replace('id.', 'evil.'), 'another host'],
      ['GET', here.replace('.com', '.com:444'), 'another port'],
      ['GET', '/at/auth/me', 'no host'],
      ['GET', 'rubbish', 'no address'],
    ] as const) {
      await refused(await holder.prove(htm, htu, { token }), about);
    }
    await refused(await holder.prove('GET', here, { token: 'a.b.d' }), 'another token');
    await refused(await holder.prove('GET', 'https://id.example.com/x', { token }), 'a target that joins the host', {
      url: '@id.example.com/x',
    });
  });

  it('may spell its address in all the ways that mean the same', async () => {
    for (const htu of [
      `${here}?other=2`,
      `${here}#there`,
      'HTTPS://ID.Example.com:443/at/auth/me',
      'https://id.example.com/at/./x/../auth/me',
      'https://id.example.com/at/%61uth/me',
    ]) {
      await check(await holder.prove('GET', htu, { token }));
    }
    await check(await holder.prove('GET', `${publicUrl}/users/a%2fb`, { token }), { url: '/users/a%2Fb' });
    await refused(await holder.prove('GET', `${publicUrl}/users/a/b`, { token }), 'a slash is not %2F', {
      url: '/users/a%2Fb',
    });
  });

  it('is of just now', async () => {
    const at = (iat: unknown) => holder.prove('GET', here, { token, claims: { iat } });
    for (const iat of [nowSeconds() - 55, nowSeconds() + 25, nowSeconds() + 0.5]) await check(await at(iat));
    for (const iat of [nowSeconds() - 62, nowSeconds() + 32, undefined, null, String(nowSeconds()), 0, 1e300]) {
      await refused(await at(iat), String(iat));
    }
  });

  it('has a name of 1 to 256 characters', async () => {
    const named = (jti: unknown) => holder.prove('GET', here, { token, claims: { jti } });
    await check(await named('x'.repeat(256)));
    for (const jti of ['x'.repeat(257), '', undefined, 7]) await refused(await named(jti), String(jti));
  });

  it('S25 is signed by the key in its header, a public one, and says what it is', async () => {
    const other = await newKeyHolder();
    const prove = (header: Record<string, unknown>) => holder.prove('GET', here, { token, header });
    await refused(await prove({ jwk: other.publicJwk }), "another's key");
    await refused(await prove({ jwk: undefined }), 'no key');
    await refused(await prove({ jwk: undefined, jku: 'http://127.0.0.1:9/' }), 'a key somewhere else');
    await refused(await prove({ jwk: holder.privateJwk }), 'the private key');
    await refused(await prove({ jwk: { ...holder.publicJwk, p: 'AQ' } }), 'a part of a private key');
    await refused(await prove({ jwk: { ...holder.publicJwk, x: 'AAAA' } }), 'no point of the curve');
    for (const typ of ['JWT', 'at+jwt', undefined]) await refused(await prove({ typ }), String(typ));

    const good = await holder.prove('GET', here, { token });
    const [, payload = '', signature = ''] = good.split('.');
    const header = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    await refused(`${header({ typ: 'dpop+jwt', alg: 'none', jwk: holder.publicJwk })}.${payload}.`, 'none');
    const secret = { kty: 'oct', k: 'c2VjcmV0' };
    await refused(`${header({ typ: 'dpop+jwt', alg: 'HS256', jwk: secret })}.${payload}.${signature}`, 'an HMAC');
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
    const weak = publicKey.export({ format: 'jwk' });
    await refused(`${header({ typ: 'dpop+jwt', alg: 'RS256', jwk: weak })}.${payload}.${signature}`, 'a weak key');
  });

  it('is there once, and is a proof', async () => {
    const good = await holder.prove('GET', here, { token });
    for (const dpop of [
      undefined,
      '',
      `${good}, ${good}`,
      [good, good],
      'a.b.c',
      `${good}.x`,
      `${good} `,
      'x'.repeat(20_000),
    ])
      await refused(dpop, String(dpop).slice(0, 20));
    const key = await importJWK(holder.privateJwk, 'ES256');
    for (const payload of ['null', '7', '[]', 'text', '']) {
      const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: holder.publicJwk };
      await refused(await new CompactSign(Buffer.from(payload)).setProtectedHeader(header).sign(key), payload);
    }
  });

  describe('and what else is good once', () => {
    let database: Awaited<ReturnType<typeof testDatabase>>;
    before(async () => {
      database = await testDatabase();
    });
    after(() => database.close());

    it('is used by one of many at once, and again only when its time is over', async () => {
      const { db } = database;
      const key = onceKey('a', 'b');
      assert.notDeepEqual(onceKey('ab'), onceKey('a', 'b'));
      const all = await Promise.all(Array.from({ length: 20 }, () => useOnce(db, key, 60)));
      assert.equal(all.filter(Boolean).length, 1);
      await db`UPDATE used_once SET expires_at = now() - interval '1 second'`;
      const later = await Promise.all(Array.from({ length: 20 }, () => useOnce(db, key, 60)));
      assert.equal(later.filter(Boolean).length, 1);
      await purgeUsedOnce(db);
      assert.equal(await useOnce(db, key, 60), false);
      await db`UPDATE used_once SET expires_at = now() - interval '1 second'`;
      await purgeUsedOnce(db);
      assert.equal((await db`SELECT 1 FROM used_once`).length, 0);
    });

    it('belongs to its key: the same name of another is another', async () => {
      const proveKey = makeProveKey({ db: database.db, publicUrl });
      const jti = randomUUID();
      const request = async (of: KeyHolder) => ({
        method: 'GET',
        url: '/auth/me',
        headers: { dpop: await of.prove('GET', here, { claims: { jti } }) },
      });
      assert.equal(await proveKey(await request(holder)), holder.thumbprint);
      const other = await newKeyHolder();
      assert.equal(await proveKey(await request(other)), other.thumbprint);
      await assert.rejects(
        request(holder).then((again) => proveKey(again)),
        InvalidProof,
      );
    });
  });
});
