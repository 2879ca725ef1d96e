/** Clients that sign assertions in the place of a secret (`private_key_jwt`, RFC 7523). */
import assert from 'node:assert/strict';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { publicKeyAlgorithms } from '../../src/crypto/algorithms.ts';
import { type OpenDatabase, openDatabase } from '../../src/database/open.ts';
import { type KeyHolder, newKeyHolder } from '../support/proof.ts';
import { type CallOptions, type Postern, startPostern } from '../support/start-postern.ts';
import { type Receiver, startReceiver } from '../support/webhook-receiver.ts';

const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const secret = 'secret';

describe('clients that sign assertions', () => {
  let one: Postern;
  let two: Postern;
  let database: OpenDatabase;
  let holder: KeyHolder;
  let receiver: Receiver;
  let publicUrl: string;
  /** What the client's own server publishes. */
  let published: object = { keys: [] };
  before(async () => {
    const SECRET_KEY = randomBytes(32).toString('base64');
    one = await startPostern({ env: { SECRET_KEY } });
    publicUrl = `http://localhost:${one.port}`;
    two = await startPostern({ dataDir: one.dataDir, env: { SECRET_KEY, PUBLIC_URL: publicUrl } });
    const where = { databaseUrl: undefined, dataDir: one.dataDir };
    database = await openDatabase(where, pino({ level: 'silent' }), { max: 2, name: 'postern test' });
    receiver = await startReceiver(({ path }, response) => {
      if (path === '/keys') response.writeHead(200).end(JSON.stringify(published));
      if (path === '/moved') response.writeHead(302, { location: `${receiver.url}/keys` }).end();
    });
    holder = await newKeyHolder();
    await makeClient('signer', { jwks: { keys: [holder.publicJwk] } });
    const made = await one.cli('clients', 'create', '--id', 'teller', '--secret', secret, '--scope', 'basic');
    assert.equal(made.code, 0, made.stderr);
  });
  after(async () => {
    await receiver.close();
    await database.close();
    await two.dispose();
    await one.dispose();
  });

  async function makeClient(id: string, metadata: Record<string, unknown>): Promise<void> {
    const made = await one.cli('clients', 'create', '--id', id, '--scope', 'basic users:read');
    assert.equal(made.code, 0, made.stderr);
    const whole = JSON.stringify({ token_endpoint_auth_method: 'private_key_jwt', ...metadata });
    await database.db`
      UPDATE clients SET secret_hash = NULL, metadata = ${whole}::text::jsonb WHERE client_id = ${id}`;
  }
  const now = () => Math.floor(Date.now() / 1000);
  const good = (id = 'signer') => ({
    ...{ iss: id, sub: id, aud: publicUrl, jti: randomUUID() },
    ...{ iat: now(), exp: now() + 60 },
  });
  const form = (assertion: string, more: Record<string, string> = {}) => ({
    grant_type: 'client_credentials',
    client_assertion_type: type,
    client_assertion: assertion,
    ...more,
  });
  const ask = (assertion: string, more: Record<string, string> = {}, node = one) =>
    node.call('POST', '/oauth/token', { form: form(assertion, more) });
  async function refused(assertion: string, about: string, options: CallOptions = { form: form(assertion) }) {
    const reply = await one.call('POST', '/oauth/token', options);
    assert.deepEqual([reply.status, reply.body.error], [401, 'invalid_client'], `${about}: ${reply.text}`);
  }

  it('get tokens, with or without their client_id beside the assertion, in a form or JSON', async () => {
    const first = await ask(await holder.sign(good()));
    assert.equal(first.status, 200, first.text);
    assert.equal(first.body.scope, 'basic users:read');
    assert.equal((await one.call('GET', '/users', { token: first.body.access_token })).status, 200);
    assert.equal((await ask(await holder.sign(good()), { client_id: 'signer' })).status, 200);
    const json = form(await holder.sign(good()));
    assert.equal((await one.call('POST', '/authorize', { json })).status, 200);
  });

  it('are known by each algorithm of public keys', async () => {
    const { body: metadata } = await one.call('GET', '/.well-known/openid-configuration');
    assert.deepEqual(metadata.token_endpoint_auth_signing_alg_values_supported, [...publicKeyAlgorithms]);
    assert.deepEqual(metadata.dpop_signing_alg_values_supported, [...publicKeyAlgorithms], 'and proofs by the same');
    for (const alg of publicKeyAlgorithms) {
      const of = await newKeyHolder(alg);
      const only = { token_endpoint_auth_signing_alg: alg };
      await makeClient(`with-${alg}`, { ...only, jwks: { keys: [{ ...of.publicJwk, kid: 'k' }] } });
      const reply = await ask(await of.sign(good(`with-${alg}`), { kid: 'k' }));
      assert.equal(reply.status, 200, `${alg}: ${reply.text}`);
    }
  });

  it('name the server, its token endpoint or the endpoint at hand as the audience', async () => {
    const introspect = (assertion: string) =>
      one.call('POST', '/oauth/introspect', { form: { ...form(assertion), token: 'x' } });
    for (const aud of [publicUrl, `${publicUrl}/oauth/token`, ['https://other.example', publicUrl]]) {
      const reply = await ask(await holder.sign({ ...good(), aud }));
      assert.equal(reply.status, 200, reply.text);
      assert.equal((await introspect(await holder.sign({ ...good(), aud }))).status, 200, String(aud));
    }
    const here = { ...good(), aud: `${publicUrl}/oauth/introspect` };
    assert.equal((await introspect(await holder.sign(here))).status, 200);
    for (const aud of [
      `${publicUrl}/oauth/introspect`,
      `${publicUrl}/`,
      one.url,
      'https://other.example',
      [],
      undefined,
    ]) {
      await refused(await holder.sign({ ...good(), aud }), String(aud));
    }
  });

  it('use each assertion once, on all nodes, also at the same time', async () => {
    const assertion = await holder.sign(good());
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(assertion, {}, i % 2 === 0 ? one : two)));
    assert.deepEqual(all.map(({ status }) => status).sort(), [200, ...Array(19).fill(401)]);
    const other = await newKeyHolder();
    await makeClient('namesake', { jwks: { keys: [other.publicJwk] } });
    const jti = randomUUID();
    assert.equal((await ask(await holder.sign({ ...good(), jti }))).status, 200);
    assert.equal((await ask(await other.sign({ ...good('namesake'), jti }))).status, 200, 'the name is of its client');
    assert.equal((await ask(await holder.sign({ ...good(), jti }))).status, 401);
  });

  it('S27 are refused what has no end, is over, ends in more than an hour, or is not yet good', async () => {
    for (const times of [
      { exp: undefined },
      { exp: now() - 31 },
      { exp: now() + 3_700 },
      { exp: String(now() + 60) },
      { exp: 1e300 },
      { nbf: now() + 40 },
    ]) {
      await refused(await holder.sign({ ...good(), ...times }), JSON.stringify(times));
    }
    for (const times of [{ exp: now() - 20 }, { exp: now() + 3_600 }, { nbf: now() + 20 }]) {
      const reply = await ask(await holder.sign({ ...good(), ...times }));
      assert.equal(reply.status, 200, reply.text);
    }
  });

  it('S25 are refused what is signed by another key or by none, or says that it is of another', async () => {
    const other = await newKeyHolder();
    await refused(await other.sign(good()), 'another key');
    await refused(await other.sign(good(), { jwk: other.publicJwk }), 'a key in the header');
    await refused(await other.sign(good(), { jku: `${receiver.url}/keys` }), 'a key somewhere');
    await refused(await holder.sign(good(), { kid: 'unknown' }), 'a key of no name of theirs');
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    await refused(`${part({ alg: 'none' })}.${part(good())}.`, 'no signature');
    const input = `${part({ alg: 'HS256' })}.${part(good())}`;
    const mac = createHmac('sha256', JSON.stringify(holder.publicJwk)).update(input).digest('base64url');
    await refused(`${input}.${mac}`, 'an HMAC');
    for (const claims of [
      { iss: 'teller' },
      { iss: undefined },
      { sub: 'teller' },
      { sub: undefined },
      { sub: 'nobody', iss: 'nobody' },
      { sub: ['signer'] },
      { jti: undefined },
      { jti: '' },
      { jti: 7 },
      { jti: 'x'.repeat(257) },
    ]) {
      await refused(await holder.sign({ ...good(), ...claims }), JSON.stringify(claims));
    }
    for (const junk of ['rubbish', 'a.b.c', 'x'.repeat(10_000)]) await refused(junk, junk.slice(0, 9));
    assert.equal(receiver.calls.length, 0);
  });

  it('use the algorithm that they have said, and a key that can be told from others', async () => {
    const rsa = await newKeyHolder('RS256');
    const metadata = { jwks: { keys: [holder.publicJwk, rsa.publicJwk] } };
    await makeClient('strict', { ...metadata, token_endpoint_auth_signing_alg: 'RS256' });
    assert.equal((await ask(await rsa.sign(good('strict')))).status, 200);
    await refused(await holder.sign(good('strict')), 'another algorithm');
    const second = await newKeyHolder();
    const keys = [
      { ...holder.publicJwk, kid: 'a' },
      { ...second.publicJwk, kid: 'b' },
    ];
    await makeClient('several', { jwks: { keys } });
    await refused(await second.sign(good('several')), 'no kid among several');
    await refused(await second.sign(good('several'), { kid: 'a' }), 'the wrong kid');
    assert.equal((await ask(await second.sign(good('several'), { kid: 'b' }))).status, 200);
    await makeClient('careless', { jwks: { keys: [holder.privateJwk] } });
    await refused(await holder.sign(good('careless')), 'a private key is no public one');
    await makeClient('keyless', {});
    await refused(await holder.sign(good('keyless')), 'no keys');
  });

  it('authenticate in no other way, and others not in theirs', async () => {
    await database.db`
      UPDATE clients SET secret_hash = (SELECT secret_hash FROM clients WHERE client_id = 'teller')
      WHERE client_id = 'several'`;
    const body = { grant_type: 'client_credentials', client_id: 'signer' };
    await refused('', 'nothing', { form: body });
    await refused('', 'a secret', { form: { ...body, client_secret: secret } });
    await refused('', 'a secret where one is known', {
      form: { ...body, client_id: 'several', client_secret: secret },
    });
    const introspection = await one.call('POST', '/oauth/introspect', { form: { client_id: 'signer', token: 'x' } });
    assert.equal(introspection.status, 401);
    await database.db`
      UPDATE clients SET metadata = ${JSON.stringify({ jwks: { keys: [holder.publicJwk] } })}::text::jsonb
      WHERE client_id = 'teller'`;
    await refused(await holder.sign(good('teller')), 'an assertion of one that has a secret');
  });

  it('authenticate in one way at a time (RFC 6749 §2.3)', async () => {
    const assertion = await holder.sign(good());
    const { client_assertion_type: _, ...typeless } = form(assertion);
    for (const [options, status, error] of [
      [{ form: form(assertion, { client_secret: secret }) }, 400, 'invalid_request'],
      [{ form: form(assertion), basic: 'signer:x' }, 400, 'invalid_request'],
      [{ form: typeless }, 400, 'invalid_request'],
      [{ form: { grant_type: 'client_credentials', client_assertion_type: type } }, 400, 'invalid_request'],
      [{ form: form(assertion, { client_assertion_type: 'urn:other' }) }, 401, 'invalid_client'],
      [{ form: form(assertion, { client_id: 'teller' }) }, 401, 'invalid_client'],
    ] as [CallOptions, number, string][]) {
      const reply = await one.call('POST', '/oauth/token', options);
      assert.deepEqual([reply.status, reply.body.error], [status, error], JSON.stringify(options));
    }
    assert.equal((await ask(assertion)).status, 200, 'what was refused for its company was not used');
  });

  it('may publish their keys at an address of theirs, and change them', async () => {
    await makeClient('remote', { jwks_uri: `${receiver.url}/keys` });
    published = { keys: [{ ...holder.publicJwk, kid: 'first' }] };
    const sign = (of: KeyHolder, kid: string) => of.sign(good('remote'), { kid });
    const all = await Promise.all([1, 2, 3].map(async () => ask(await sign(holder, 'first'))));
    assert.deepEqual(
      all.map(({ status }) => status),
      [200, 200, 200],
    );
    assert.equal(receiver.calls.length, 1);
    assert.equal(receiver.calls[0]?.headers.accept, 'application/json');
    // Another node has not asked in this minute, and finds the new key.
    const next = await newKeyHolder();
    published = { keys: [{ ...next.publicJwk, kid: 'next' }] };
    assert.equal((await ask(await sign(next, 'next'), {}, two)).status, 200);
    for (let i = 0; i < 3; i++) assert.equal((await ask(await sign(next, 'unknown'), {}, two)).status, 401);
    assert.equal(receiver.calls.length, 2);
    await makeClient('moved', { jwks_uri: `${receiver.url}/moved` });
    await refused(await next.sign(good('moved'), { kid: 'next' }), 'a redirect');
    await makeClient('inside', { jwks_uri: 'http://169.254.169.254/keys' });
    await refused(await next.sign(good('inside')), 'an address inside');
  });
});
