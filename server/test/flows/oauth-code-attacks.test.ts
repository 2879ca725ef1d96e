/** Attacks on authorization codes, by requests made by hand (quality S30, S31). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from '../support/browser.ts';
import { age, challengeOf, type Parameters, type RawClient, startTarget, type Target } from '../support/raw-client.ts';
import { redirectUri } from '../support/relying-party.ts';
import { waitFor } from '../support/wait-for.ts';

const web = 'https://client.example/callback';

describe('attacks on codes', () => {
  let target: Target;
  let confidential: RawClient;
  let open: RawClient;
  let other: RawClient;
  let browser: Browser;
  before(async () => {
    target = await startTarget();
    confidential = await target.makeClient({ redirect_uris: [redirectUri, web] });
    open = await target.makeClient({ token_endpoint_auth_method: 'none' });
    other = await target.makeClient();
    browser = await target.browserOf(await target.makeUser());
  });
  after(() => target.close());

  it('S30 a code is worth nothing without the verifier of its challenge', async () => {
    for (const client of [confidential, open]) {
      const { code, verifier } = await target.codeFor(browser, client);
      for (const wrong of [
        ...[undefined, '', 'short', verifier.slice(0, 42), `${verifier}x`, verifier.toUpperCase(), 'x'.repeat(43)],
        ...[challengeOf(verifier), 'x'.repeat(129), `${verifier}=`, 'ü'.repeat(43)],
      ]) {
        const reply = await target.exchange(client, { code, verifier }, { code_verifier: wrong });
        assert.equal(reply.status, 400, wrong);
        assert.match(reply.body.error, /^invalid_(grant|request)$/, wrong);
      }
      assert.equal((await target.exchange(client, { code, verifier })).status, 200, 'and is still the client’s');
      const short = 'v'.repeat(42);
      const weak = await target.codeFor(browser, client, { code_challenge: challengeOf(short) });
      const reply = await target.exchange(client, { code: weak.code, verifier: short });
      assert.match(reply.body.error, /^invalid_(grant|request)$/, 'a verifier must have 43 characters');
    }
  });

  /** Every door that the tokens of a grant open is shut. */
  async function areDead(
    { access_token, refresh_token }: { access_token: string; refresh_token: string },
    client: RawClient,
  ) {
    await waitFor(async () => (await target.me(access_token)) === 401, { what: 'the access token to end' });
    assert.equal(await target.userinfo(access_token), 401);
    const reader = client.client_secret === undefined ? confidential : client;
    assert.deepEqual(await target.introspect(reader, access_token), { active: false });
    assert.deepEqual(await target.introspect(reader, refresh_token), { active: false });
    const refreshed = await target.refresh(client, refresh_token);
    assert.deepEqual([refreshed.status, refreshed.body.error], [400, 'invalid_grant']);
  }

  it('S31 a code that comes twice is refused, and what came of it ends', async () => {
    for (const client of [confidential, open]) {
      const tokens = await target.tokensFor(browser, client);
      const spared = await target.tokensFor(browser, client);
      assert.deepEqual([await target.me(tokens.access_token), await target.userinfo(tokens.access_token)], [200, 200]);
      const again = await target.exchange(client, tokens);
      assert.deepEqual([again.status, again.body.error], [400, 'invalid_grant']);
      await areDead(tokens, client);
      assert.equal(await target.me(spared.access_token), 200, 'of another sign-in');
      assert.equal((await target.refresh(client, spared.refresh_token)).status, 200);
    }
  });

  it('S31 a used code that comes back once it is over ends what came of it as well', async () => {
    const tokens = await target.tokensFor(browser, confidential);
    await age(target, 'AuthorizationCode', tokens.code, 61);
    const again = await target.exchange(confidential, tokens);
    assert.deepEqual([again.status, again.body.error], [400, 'invalid_grant']);
    await areDead(tokens, confidential);
  });

  it('S31 of twenty at once one gets tokens at most, and those end: which of them was the thief nobody knows', async () => {
    const scope = 'openid offline_access basic';
    const code = await target.codeFor(browser, confidential, { scope, prompt: 'consent' });
    const all = await Promise.all(Array.from({ length: 20 }, () => target.exchange(confidential, code)));
    const [won, ...more] = all.filter(({ status }) => status === 200);
    assert.equal(more.length, 0);
    for (const { status, body } of all) if (status !== 200) assert.equal(body.error, 'invalid_grant');
    if (won) await areDead(won.body, confidential);
    assert.equal((await target.exchange(confidential, code)).body.error, 'invalid_grant');
  });

  it('S31 a code is of one client and one redirect_uri', async () => {
    const code = await target.codeFor(browser, confidential, { scope: 'openid basic' });
    for (const [client, more] of [
      [other, {}],
      [open, {}],
      [confidential, { redirect_uri: web }],
      [confidential, { redirect_uri: `${redirectUri}/` }],
      [confidential, { redirect_uri: undefined }],
      [confidential, { code: `${code.code}x` }],
      [confidential, { code: undefined }],
    ] as [RawClient, Parameters][]) {
      const reply = await target.exchange(client, code, more);
      assert.equal(reply.status, 400, reply.text);
      const isLeftOut = Object.values(more).includes(undefined);
      assert.equal(reply.body.error, isLeftOut ? 'invalid_request' : 'invalid_grant', JSON.stringify(more));
    }
    assert.equal((await target.exchange(confidential, code)).status, 200, 'it is not used up by others');
  });

  it('S31 a code is over after 60 seconds, after the consent is taken back, and after the user is gone', async () => {
    const refused = async (code: { code: string; verifier: string }, about: string, client = confidential) => {
      const reply = await target.exchange(client, code);
      assert.deepEqual([reply.status, reply.body.error], [400, 'invalid_grant'], about);
    };
    const late = await target.codeFor(browser, confidential);
    await age(target, 'AuthorizationCode', late.code, 30);
    assert.equal((await target.exchange(confidential, late)).status, 200, 'not yet');
    const tooLate = await target.codeFor(browser, confidential);
    await age(target, 'AuthorizationCode', tooLate.code, 61);
    await refused(tooLate, 'late');

    const bob = await target.makeUser();
    const his = await target.browserOf(bob);
    const withdrawn = await target.codeFor(his, confidential);
    const path = `/auth/consents/${confidential.client_id}`;
    assert.equal((await target.postern.call('DELETE', path, { token: bob.token })).status, 204);
    await refused(withdrawn, 'taken back');
    const again = await target.knock(his, target.authorizeUrl(confidential).url);
    assert.match(again.headers.get('location') ?? '', /\/oauth\/interaction\//, 'he is asked again');

    const beforeLogout = await target.codeFor(his, confidential);
    assert.equal((await his.open(`${target.issuer}/account/sign-out`, { form: {} })).status, 200);
    await refused(beforeLogout, 'signed out');

    const hers = await target.browserOf(bob);
    const beforeDisabling = await target.codeFor(hers, confidential, {
      scope: 'openid offline_access',
      prompt: 'consent',
    });
    const disable = await target.postern.call('POST', `/users/${bob.uuid}/disable`, { token: target.operator });
    assert.ok(disable.status < 300, disable.text);
    await refused(beforeDisabling, 'disabled');
  });
});
