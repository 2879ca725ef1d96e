/** Attacks with tokens that are not what they seem, and on those that are kept (quality S24–S27). */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { NewToken } from '../../src/crypto/access-tokens.ts';
import type { Browser } from '../support/browser.ts';
import { newKeyHolder } from '../support/proof.ts';
import { defined, named, type RawClient, type RawUser, startTarget, type Target } from '../support/raw-client.ts';
import type { CallOptions, Reply } from '../support/start-postern.ts';
import { type Receiver, startReceiver } from '../support/webhook-receiver.ts';

const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code';
const partOf = (token: string, index: number) =>
  JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString());
const claimsOf = (token: string) => partOf(token, 1);
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('attacks on tokens', () => {
  let target: Target;
  let confidential: RawClient;
  let open: RawClient;
  let other: RawClient;
  let elsewhere: RawClient;
  let receiver: Receiver;
  let ann: RawUser;
  let kim: RawUser;
  let browser: Browser;
  let tokens: Awaited<ReturnType<Target['tokensFor']>>;
  before(async () => {
    target = await startTarget();
    const grant_types = ['authorization_code', 'refresh_token', deviceCode];
    confidential = await target.makeClient({ grant_types });
    open = await target.makeClient({ grant_types, token_endpoint_auth_method: 'none' });
    other = await target.makeClient();
    ({ user: kim, client: elsewhere } = await target.makeElsewhere());
    receiver = await startReceiver();
    ann = await target.makeUser();
    browser = await target.browserOf(ann);
    tokens = await target.tokensFor(browser, confidential);
  });
  after(async () => {
    await receiver?.close();
    await target.close();
  });

  const post = (path: string, options: CallOptions) => target.postern.call('POST', path, options);
  const outcome = ({ status, body }: Reply) => [status, body?.error];
  const grantOf = (token: string): string => claimsOf(token).grant_id;
  /** It opens nothing. */
  async function isNoAccessToken(token: string, about: string): Promise<void> {
    assert.deepEqual([await target.me(token), await target.userinfo(token)], [401, 401], about);
    const inBody = await post('/oauth/userinfo', { form: { access_token: token } });
    assert.equal(inBody.status, 401, about);
    assert.deepEqual(await target.introspect(confidential, token), { active: false }, about);
  }

  it('S25 what another key has signed, or none, opens nothing, and nobody is asked for keys', async () => {
    const good = tokens.access_token;
    const { kid } = partOf(good, 0);
    const claims = claimsOf(good);
    const { keys } = (await target.postern.call('GET', '/.well-known/jwks.json')).body;
    const ec = await newKeyHolder();
    const rsa = await newKeyHolder('RS256');
    const jwks = `${receiver.url}/keys`;
    const evil = [
      ...[{ kid }, { kid: 'unknown' }, {}, { kid, jwk: ec.publicJwk }, { jwk: ec.publicJwk }, { kid, jku: jwks }],
      ...[{ jku: jwks }, { kid: jwks }, { kid, x5u: jwks }, { kid, x5c: ['AAAA'] }, { kid: '../../../dev/null' }],
      ...[
        { kid, crit: ['exp'], exp: 1 },
        { kid, b64: false, crit: ['b64'] },
      ],
    ];
    for (const header of evil) {
      const about = JSON.stringify(header);
      await isNoAccessToken(await ec.sign(claims, { typ: 'at+jwt', ...header }).catch(() => 'a.b.c'), about);
      await isNoAccessToken(await rsa.sign(claims, { typ: 'at+jwt', ...header }).catch(() => 'a.b.c'), about);
    }
    const [header, payload, signature] = good.split('.');
    await isNoAccessToken(`${part({ alg: 'none', typ: 'at+jwt', kid })}.${payload}.`, 'none');
    await isNoAccessToken(
      `${part({ alg: 'none', typ: 'at+jwt', kid })}.${payload}.${signature}`,
      'none with a signature',
    );
    await isNoAccessToken(`${header}.${payload}.`, 'stripped');
    await isNoAccessToken(`${header}.${part({ ...claims, scope: 'openid basic admin' })}.${signature}`, 'changed');
    for (const key of keys) {
      const input = `${part({ alg: 'HS256', typ: 'at+jwt', kid: key.kid })}.${payload}`;
      for (const secret of [JSON.stringify(key), key.x ?? key.n]) {
        const mac = createHmac('sha256', secret).update(input).digest('base64url');
        await isNoAccessToken(`${input}.${mac}`, 'HS256 with a public key');
      }
    }
    assert.equal(receiver.connections(), 0);
    assert.deepEqual([await target.me(good), await target.userinfo(good)], [200, 200]);
  });

  it('S26 an ID token, and whatever else is no access token, is none', async () => {
    for (const alg of ['RS256', 'ES256']) {
      const client = await target.makeClient({ id_token_signed_response_alg: alg });
      const { id_token, refresh_token, code } = await target.tokensFor(browser, client);
      assert.equal(partOf(id_token, 0).alg, alg);
      for (const token of [id_token, code]) await isNoAccessToken(token, alg);
      assert.deepEqual([await target.me(refresh_token), await target.userinfo(refresh_token)], [401, 401]);
      const more = { subject_token: id_token, subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' };
      assert.deepEqual(outcome(await target.refresh(client, id_token)), [400, 'invalid_grant']);
      const exchanged = await target.ask(client, {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        ...more,
      });
      assert.deepEqual(outcome(exchanged), [400, 'unsupported_grant_type']);
    }
  });

  it('S26 a token for another resource opens nothing here, and its holder may ask about it', async () => {
    const scope = 'openid basic';
    const code = await target.codeFor(browser, confidential, { scope, resource: target.resource, prompt: 'consent' });
    const { body } = await target.exchange(confidential, code, { resource: target.resource });
    const token = body.access_token;
    assert.equal(claimsOf(token).aud, target.resource);
    assert.deepEqual([await target.me(token), await target.userinfo(token)], [401, 401]);
    assert.equal((await target.introspect(other, token)).active, true);
    for (const evil of ['https://evil.example', `${target.resource}/`, `${target.issuer}/x`]) {
      const asked = await target.codeFor(browser, confidential, { scope, resource: target.resource });
      const reply = await target.exchange(confidential, asked, { resource: evil });
      assert.deepEqual(outcome(reply), [400, 'invalid_target'], evil);
      const sent = await target.knock(browser, target.authorizeUrl(confidential, { scope, resource: evil }).url);
      assert.match(sent.headers.get('location') ?? '', /[?&]error=invalid_target/, evil);
      const device = await post('/oauth/device', { form: { ...named(confidential), scope, resource: evil } });
      assert.deepEqual(outcome(device), [400, 'invalid_target'], evil);
    }
    const { code: unnamed, verifier } = await target.codeFor(browser, confidential, { scope });
    const widened = await target.exchange(confidential, { code: unnamed, verifier }, { resource: target.resource });
    assert.deepEqual(outcome(widened), [400, 'invalid_target'], 'one that the user was not asked for');
  });

  it('S26 tokens of another tenant are told about to nobody here, and end at nobody’s word here', async () => {
    const hers = await target.browserOf(kim, 'elsewhere');
    const foreign = await target.tokensFor(hers, elsewhere, { scope: 'openid basic offline_access' });
    for (const token of [foreign.access_token, foreign.refresh_token]) {
      assert.deepEqual(await target.introspect(confidential, token), { active: false });
      const revoked = await post('/oauth/revoke', { form: { ...named(confidential), token } });
      assert.ok([200, 400].includes(revoked.status));
      assert.equal((await target.introspect(elsewhere, token)).active, true);
      assert.deepEqual(await target.introspect(elsewhere, tokens.access_token), { active: false });
    }
    assert.deepEqual([await target.me(foreign.access_token), await target.userinfo(foreign.access_token)], [200, 200]);
    assert.equal(claimsOf(foreign.access_token).tenant, 'elsewhere');
    // Signed by us, but of parts that do not belong together: userinfo tells of users of the client’s tenant alone.
    const { tenant, scope, client_id: clientId, grant_id: grantId } = claimsOf(tokens.access_token);
    const real = { tenant, scope, clientId, grantId, lifetimeSeconds: 60 };
    for (const wrong of [
      { sub: kim.uuid },
      { sub: ann.uuid, clientId: elsewhere.client_id, tenant: 'elsewhere' },
      { sub: ann.uuid, clientId: other.client_id },
      { sub: ann.uuid, clientId: 'nobody' },
      { sub: ann.uuid, grantId: grantOf(foreign.access_token) },
      { sub: ann.uuid, grantId: ann.uuid },
      { sub: ann.uuid, grantId: 'rubbish' },
      { sub: ann.uuid, grantId: undefined },
      { sub: ann.uuid, scope: 'basic' },
    ] as (Partial<NewToken> & { sub: string })[]) {
      const status = await target.userinfo(await target.signer.sign({ ...real, ...wrong }));
      assert.ok(status === 401 || status === 403, `${JSON.stringify(wrong)}: ${status}`);
    }
    assert.equal(await target.userinfo(await target.signer.sign({ ...real, sub: ann.uuid })), 200);
    assert.equal(await target.userinfo(ann.token), 401, 'what a user’s own session opens is no client’s');
  });

  it('S27 userinfo takes no token that is over, has no end, or is of more than 30 seconds from now', async () => {
    const { sub, tenant, scope, client_id: clientId, grant_id: grantId } = claimsOf(tokens.access_token);
    const now = Math.floor(Date.now() / 1000);
    const of = (more: Partial<NewToken>) =>
      target.signer.sign({ sub, tenant, scope, clientId, grantId, lifetimeSeconds: 300, ...more });
    for (const times of [
      { iat: now - 300, lifetimeSeconds: 299 },
      { iat: now + 60 },
      { lifetimeSeconds: Number.NaN },
      { lifetimeSeconds: 0 },
      { lifetimeSeconds: -1 },
      { lifetimeSeconds: '300' as never },
      { lifetimeSeconds: 0.5 },
      { iat: '0' as never },
    ]) {
      await isNoAccessToken(await of(times), JSON.stringify(times));
    }
    assert.equal(await target.userinfo(await of({ iat: now + 20 })), 200);
  });

  it('S27 userinfo takes none from the address, or two of them', async () => {
    const token = tokens.access_token;
    const inQuery = await target.postern.call('GET', `/oauth/userinfo?access_token=${token}`);
    assert.ok([400, 401].includes(inQuery.status), inQuery.text);
    const twice = await post('/oauth/userinfo', { form: { access_token: token }, token });
    assert.equal(twice.status, 400);
  });

  it('S24 the database and the log hold nothing of a flow that could be used', async () => {
    const state = 'a-state-that-is-looked-for';
    const pushed = await post('/oauth/par', {
      form: { ...defined(target.authorizeUrl(confidential, { state }).all), ...named(confidential) },
    });
    const device = (await post('/oauth/device', { form: { ...named(open), scope: 'openid' } })).body;
    const waiting = await target.knock(browser, target.authorizeUrl(await target.makeClient(), { state }).url);
    const interaction = (waiting.headers.get('location') ?? '').split('/').at(-1) ?? '';
    const unused = await target.codeFor(browser, confidential);
    const used = await target.tokensFor(browser, confidential);
    const next = (await target.refresh(confidential, used.refresh_token)).body;
    const tables = await target.db<{ name: string }[]>`
      SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public'`;
    let dump = '';
    for (const { name } of tables) {
      const rows = await target.db.unsafe<{ row: string }[]>(`SELECT t::text AS row FROM ${name} t`);
      dump += rows.map(({ row }) => row).join('\n');
    }
    assert.ok(dump.includes(grantOf(used.access_token)) && dump.includes('PushedAuthorizationRequest'));
    const everything = `${dump}${target.postern.output()}`;
    for (const [what, secret] of Object.entries({
      code: unused.code,
      'used code': used.code,
      'refresh token': used.refresh_token,
      'next refresh token': next.refresh_token,
      'access token': used.access_token,
      'ID token': used.id_token,
      'device code': device.device_code,
      'user code': device.user_code,
      'user code without hyphen': device.user_code.replace('-', ''),
      request_uri: pushed.body.request_uri.split(':').at(-1),
      interaction,
      'client secret': confidential.client_secret ?? '',
      state,
    })) {
      assert.ok(secret.length >= 8, what);
      const tail = secret.slice(-24);
      const bytes = Buffer.from(secret.replace(/^ort_/, ''), 'base64url');
      for (const form of [secret, tail, Buffer.from(tail).toString('hex'), bytes.subarray(-16).toString('hex')]) {
        assert.ok(!everything.includes(form), what);
      }
    }
  });
});
