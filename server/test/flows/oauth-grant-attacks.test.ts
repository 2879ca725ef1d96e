/** Attacks on the calls that give tokens out, and on refresh tokens and codes of devices (quality S33). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { advanceGrant } from '../../src/oauth/grant-store.ts';
import type { Browser } from '../support/browser.ts';
import { newKeyHolder } from '../support/proof.ts';
import {
  age,
  defined,
  fieldsOf,
  named,
  type RawClient,
  type RawUser,
  startTarget,
  type Target,
} from '../support/raw-client.ts';
import { redirectUri } from '../support/relying-party.ts';
import type { CallOptions, Reply } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const deviceCode = 'urn:ietf:params:oauth:grant-type:device_code';

describe('attacks on grants', () => {
  let target: Target;
  let confidential: RawClient;
  let open: RawClient;
  let other: RawClient;
  let elsewhere: RawClient;
  let ann: RawUser;
  let browser: Browser;
  let tokens: Awaited<ReturnType<Target['tokensFor']>>;
  before(async () => {
    target = await startTarget();
    const grant_types = ['authorization_code', 'refresh_token', deviceCode];
    confidential = await target.makeClient({ grant_types });
    open = await target.makeClient({ grant_types, token_endpoint_auth_method: 'none' });
    other = await target.makeClient();
    elsewhere = (await target.makeElsewhere()).client;
    ann = await target.makeUser();
    browser = await target.browserOf(ann);
    tokens = await target.tokensFor(browser, confidential);
  });
  after(() => target.close());

  const post = (path: string, options: CallOptions) => target.postern.call('POST', path, options);
  const outcome = ({ status, body }: Reply) => [status, body?.error];
  const grantOf = (token: string): string =>
    JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).grant_id;

  /** Every call that a client authenticates at, with what is else right about it. */
  const calls = () =>
    [
      ['/oauth/token', { grant_type: 'refresh_token', refresh_token: tokens.refresh_token }],
      ['/oauth/token', { grant_type: 'authorization_code', code: 'x', redirect_uri: redirectUri, code_verifier: 'x' }],
      ['/oauth/token', { grant_type: deviceCode, device_code: 'x' }],
      ['/oauth/par', defined(target.authorizeUrl(confidential).all)],
      ['/oauth/device', { scope: 'openid' }],
      ['/oauth/introspect', { token: tokens.access_token }],
      ['/oauth/revoke', { token: 'x' }],
    ] as [string, Record<string, string>][];

  it('S33 a secret in the address is refused, wherever clients authenticate', async () => {
    const secret = confidential.client_secret ?? '';
    for (const [path, form] of calls()) {
      for (const query of [{ client_secret: secret }, { client_secret: 'x' }, { client_assertion: 'x' }]) {
        const inQuery = new URLSearchParams({ ...query, client_id: confidential.client_id });
        const both = await post(`${path}?${inQuery}`, { form: { ...form, ...named(confidential) } });
        assert.deepEqual(outcome(both), [400, 'invalid_request'], `${path} ${form.grant_type} ${inQuery}`);
        const alone = await post(`${path}?${inQuery}`, { form });
        assert.ok(alone.status === 400 || alone.status === 401, path);
      }
    }
  });

  it('S33 a client authenticates in its own way, and in one', async () => {
    const { client_id: id, client_secret: secret = '' } = confidential;
    for (const [path, form] of calls()) {
      const { client_id: _, ...rest } = form;
      for (const [options, statuses] of [
        [{ form: { ...rest, client_id: id } }, [401]],
        [{ form: { ...rest, client_id: id, client_secret: '' } }, [401]],
        [{ form: { ...rest, client_id: id, client_secret: `${secret}x` } }, [401]],
        [{ form: { ...rest, client_id: id, client_secret: 'kept as an HMAC' } }, [401]],
        [{ form: rest, basic: `${id}:` }, [400, 401]],
        [{ form: rest, basic: `${id}:x` }, [401]],
        [{ form: { ...rest, ...named(confidential) }, basic: `${id}:${secret}` }, [400]],
        [{ form: { ...rest, client_id: other.client_id }, basic: `${id}:${secret}` }, [400]],
        [{ form: { ...rest, client_id: other.client_id, client_secret: secret } }, [401]],
        [{ form: { ...rest, client_id: open.client_id, client_secret: secret } }, [401]],
        [{ form: { ...rest, client_id: open.client_id, client_secret: 'x' } }, [401]],
        [{ form: rest, basic: `${open.client_id}:x` }, [401]],
        [{ form: rest, token: ann.token }, [400, 401]],
        [{ form: { ...rest, client_id: 'nobody' } }, [401]],
        [{ form: rest }, [400, 401]],
      ] as [CallOptions, number[]][]) {
        const reply = await post(path, options);
        const about = `${path} ${form.grant_type} ${JSON.stringify(options)}: ${reply.status} ${reply.text}`;
        assert.ok(statuses.includes(reply.status), about);
        assert.match(reply.body.error, /^invalid_(client|request)$/, about);
        assert.equal(reply.headers.get('cache-control'), 'no-store', about);
      }
    }
    assert.equal((await target.introspect(confidential, tokens.refresh_token)).active, true, 'none of it was used');
  });

  it('S33 a parameter that stands twice is refused, at every call', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    for (const [path, form] of calls()) {
      for (const name of Object.keys({ ...form, ...named(confidential) })) {
        const whole = { ...form, ...named(confidential) };
        for (const value of [whole[name] ?? '', 'other']) {
          const body = `${new URLSearchParams(whole)}&${new URLSearchParams({ [name]: value })}`;
          const reply = await post(path, { body, headers });
          assert.deepEqual(outcome(reply), [400, 'invalid_request'], `${path} ${name}: ${reply.text}`);
        }
      }
    }
    const { url, all } = target.authorizeUrl(confidential, { nonce: 'n', prompt: 'none' });
    for (const name of Object.keys(defined(all))) {
      for (const value of [all[name as 'state'] ?? '', 'other']) {
        const twice = `&${new URLSearchParams({ [name]: value })}`;
        const byGet = await target.knock(browser, `${url}${twice}`);
        const sent = await target.submit(browser, '/oauth/authorize', `${new URL(url).searchParams}${twice}`);
        const byPost = await target.knock(browser, sent.headers.get('location') ?? 'nowhere');
        for (const reply of [byGet, byPost]) {
          const to = reply.headers.get('location');
          const error = to === null ? 'page' : new URL(to).searchParams.get('error');
          assert.ok(['page', 'invalid_request'].includes(error ?? ''), `${name}: ${reply.status} ${to}`);
        }
      }
    }
  });

  it('S33 there are no grants of passwords, and none that give tokens to browsers', async () => {
    for (const grant_type of [
      ...['password', 'implicit', 'none', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
      ...['urn:openid:params:grant-type:ciba', 'urn:ietf:params:oauth:grant-type:token-exchange', 'AUTHORIZATION_CODE'],
    ]) {
      for (const client of [confidential, open]) {
        const more = { username: ann.email, password: 'Password@123', assertion: 'x', scope: 'openid' };
        const reply = await target.ask(client, { grant_type, ...more });
        assert.deepEqual(outcome(reply), [400, 'unsupported_grant_type'], grant_type);
      }
    }
    for (const client of [confidential, other]) {
      const { client_id, client_secret } = client;
      const reply = await target.ask(
        { client_id, ...(client_secret && { client_secret }) },
        { grant_type: 'client_credentials' },
      );
      assert.deepEqual(outcome(reply), [400, 'unauthorized_client'], 'one that it was not given');
    }
    const device = await post('/oauth/device', { form: { ...named(other), scope: 'openid' } });
    assert.equal(device.status, 400);
    for (const response_type of [
      ...['token', 'id_token', 'code token', 'code id_token', 'id_token token', 'code id_token token', 'none', 'CODE'],
      '',
    ]) {
      for (const response_mode of [undefined, 'fragment', 'query', 'form_post']) {
        const { url } = target.authorizeUrl(confidential, { response_type, response_mode, nonce: 'n' });
        const reply = await target.knock(browser, url);
        const said = `${reply.headers.get('location')} ${reply.text}`;
        assert.match(said, /error/, response_type);
        assert.doesNotMatch(said, /eyJ|[?&#]code=|name="code"|access_token|id_token=/, response_type);
      }
    }
  });

  it('S33 a refresh token is of its client alone, and the tries of others do not harm it', async () => {
    const { access_token, refresh_token } = await target.tokensFor(browser, confidential);
    for (const client of [other, open, elsewhere]) {
      assert.deepEqual(outcome(await target.refresh(client, refresh_token)), [400, 'invalid_grant']);
      const revoked = await post('/oauth/revoke', { form: { ...named(client), token: refresh_token } });
      assert.deepEqual(outcome(revoked), [400, 'invalid_request']);
      const access = await post('/oauth/revoke', { form: { ...named(client), token: access_token } });
      assert.equal(access.status, client === elsewhere ? 200 : 400, 'one of another tenant is one that nobody knows');
    }
    const byId = await target.ask(
      { client_id: confidential.client_id },
      { grant_type: 'refresh_token', refresh_token },
    );
    assert.deepEqual(outcome(byId), [401, 'invalid_client']);
    for (const evil of [
      access_token,
      `${refresh_token}x`,
      refresh_token.slice(0, -1),
      ann.token,
      'x',
      `ort_${'A'.repeat(70)}`,
    ]) {
      assert.deepEqual(outcome(await target.refresh(confidential, evil)), [400, 'invalid_grant']);
    }
    const login = await post('/login', { json: { email: ann.email, password: 'Password@123' } });
    const session = login.body.token.refresh_token;
    assert.deepEqual(outcome(await target.refresh(confidential, session)), [400, 'invalid_grant'], 'of a session');
    const ours = await post('/auth/refresh', { json: { refresh_token } });
    assert.equal(ours.status, 401, 'and a client’s is none of a session');
    assert.equal(await target.me(access_token), 200);
    assert.equal((await target.refresh(confidential, refresh_token)).status, 200);
  });

  it('S33 refreshing widens nothing, and gives no more than client and user may have by then', async () => {
    const client = await target.makeClient();
    const { refresh_token } = await target.tokensFor(browser, client, {
      scope: 'openid offline_access basic',
      prompt: 'consent',
    });
    for (const scope of ['openid profile', 'users:read', 'openid basic admin', 'email', '"']) {
      const reply = await target.refresh(client, refresh_token, { scope });
      assert.equal(reply.status, 400, scope);
      assert.match(reply.body.error, /^invalid_(scope|request)$/, scope);
    }
    const resource = await target.refresh(client, refresh_token, { resource: target.resource });
    assert.deepEqual(outcome(resource), [400, 'invalid_target']);
    const narrow = await target.refresh(client, refresh_token, { scope: 'openid' });
    assert.deepEqual([narrow.body.scope, await target.me(narrow.body.access_token)], ['openid', 403]);
    const change = await target.postern.call('PATCH', `/clients/${client.client_id}`, {
      token: target.operator,
      json: { scope: 'openid offline_access' },
    });
    assert.equal(change.status, 200, change.text);
    let current = narrow.body.refresh_token;
    const left = await waitFor(
      async () => {
        const reply = await target.refresh(client, current);
        assert.equal(reply.status, 200, reply.text);
        current = reply.body.refresh_token;
        return reply.body.scope?.includes('basic') ? false : reply;
      },
      { what: 'the client to lose a scope' },
    );
    assert.equal(await target.me(left.body.access_token), 403);
  });

  const passTime = (token: string) =>
    target.db`UPDATE oauth_grants SET refreshed_at = refreshed_at - interval '11 seconds' WHERE id = ${grantOf(token)}`;

  it('S33 a refresh token that comes once more within ten seconds gives what it gave, and later ends all', async () => {
    for (const client of [confidential, open]) {
      const first = await target.tokensFor(browser, client);
      const second = (await target.refresh(client, first.refresh_token)).body;
      const again = (await target.refresh(client, first.refresh_token)).body;
      assert.notEqual(second.refresh_token, first.refresh_token);
      assert.equal(again.refresh_token, second.refresh_token);
      assert.equal((await target.introspect(confidential, second.refresh_token)).active, true);
      await passTime(first.access_token);
      assert.deepEqual(outcome(await target.refresh(client, first.refresh_token)), [400, 'invalid_grant']);
      await allDead(client, [first, second, again]);
    }
  });

  it('S33 one that is older still ends all at once, within the grace too', async () => {
    const first = await target.tokensFor(browser, open);
    const second = (await target.refresh(open, first.refresh_token)).body;
    const third = (await target.refresh(open, second.refresh_token)).body;
    assert.equal(third.token_type, 'Bearer');
    // As where it was found good a moment before: the counter never goes back.
    assert.equal(await advanceGrant(target.db, grantOf(first.access_token), 0), false);
    assert.deepEqual(outcome(await target.refresh(open, first.refresh_token)), [400, 'invalid_grant']);
    await allDead(open, [first, second, third]);
  });

  async function allDead(client: RawClient, family: { access_token: string; refresh_token: string }[]): Promise<void> {
    for (const { access_token, refresh_token } of family) {
      await waitFor(async () => (await target.me(access_token)) === 401, { what: 'the family to end' });
      assert.equal(await target.userinfo(access_token), 401);
      assert.deepEqual(await target.introspect(confidential, access_token), { active: false });
      assert.deepEqual(await target.introspect(confidential, refresh_token), { active: false });
      assert.deepEqual(outcome(await target.refresh(client, refresh_token)), [400, 'invalid_grant']);
    }
  }

  it('S33 twenty refreshes at once get one and the same next token, which is good', async () => {
    const first = await target.tokensFor(browser, confidential);
    const all = await Promise.all(Array.from({ length: 20 }, () => target.refresh(confidential, first.refresh_token)));
    assert.deepEqual([...new Set(all.map(({ status }) => status))], [200]);
    const [next, ...more] = new Set(all.map(({ body }) => body.refresh_token as string));
    assert.equal(more.length, 0);
    const after = await target.refresh(confidential, next ?? '');
    assert.equal(after.status, 200, after.text);
    assert.equal(await target.me(after.body.access_token), 200);
  });

  it('S33 revoking an access token ends it, at userinfo too, and not what it came with', async () => {
    const { access_token, refresh_token } = await target.tokensFor(browser, open);
    assert.equal(await target.userinfo(access_token), 200);
    const reply = await post('/oauth/revoke', { form: { ...named(open), token: access_token } });
    assert.equal(reply.status, 200, reply.text);
    assert.deepEqual([await target.userinfo(access_token), await target.me(access_token)], [401, 401]);
    assert.deepEqual(await target.introspect(confidential, access_token), { active: false });
    assert.equal((await target.refresh(open, refresh_token)).status, 200);
  });

  it('S33 revoking a refresh token ends the family, and what ends the user ends it as well', async () => {
    const revoked = await target.tokensFor(browser, open);
    const reply = await post('/oauth/revoke', { form: { ...named(open), token: revoked.refresh_token } });
    assert.equal(reply.status, 200, reply.text);
    await allDead(open, [revoked]);
    for (const end of ['disable', 'delete'] as const) {
      const user = await target.makeUser();
      const theirs = await target.browserOf(user);
      const family = await target.tokensFor(theirs, confidential);
      const { status } = await (end === 'disable'
        ? post(`/users/${user.uuid}/disable`, { token: target.operator })
        : target.postern.call('DELETE', `/users/${user.uuid}`, { token: target.operator }));
      assert.ok(status < 300, end);
      await allDead(confidential, [family]);
    }
  });

  it('S33 tokens that are bound to a key are refreshed with it alone, and shown with it alone', async () => {
    const holder = await newKeyHolder();
    const thief = await newKeyHolder();
    const at = (path: string) => `${target.issuer}${path}`;
    const proof = async (of = holder) => ({ dpop: await of.prove('POST', at('/oauth/token')) });
    const scope = 'openid offline_access basic';
    const { code, verifier } = await target.codeFor(browser, open, {
      ...{ scope, prompt: 'consent' },
      dpop_jkt: holder.thumbprint,
    });
    const form = { grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri };
    assert.deepEqual(outcome(await target.ask(open, form, await proof(thief))), [400, 'invalid_grant']);
    const held = await target.codeFor(browser, open, { scope, prompt: 'consent', dpop_jkt: holder.thumbprint });
    const bound = await target.ask(open, { ...form, code: held.code, code_verifier: held.verifier }, await proof());
    assert.deepEqual([bound.status, bound.body.token_type], [200, 'DPoP'], bound.text);
    const { access_token, refresh_token } = bound.body;
    const again = { grant_type: 'refresh_token', refresh_token };
    const used = await proof();
    for (const [headers, error] of [
      [{}, 'invalid_grant'],
      [await proof(thief), 'invalid_grant'],
      [{ dpop: 'rubbish' }, 'invalid_dpop_proof'],
      [{ dpop: await holder.prove('GET', at('/oauth/token')) }, 'invalid_dpop_proof'],
      [{ dpop: await holder.prove('POST', 'https://evil.example/oauth/token') }, 'invalid_dpop_proof'],
    ] as [Record<string, string>, string][]) {
      assert.deepEqual(outcome(await target.ask(open, again, headers)), [400, error]);
    }
    assert.equal((await target.ask(open, again, used)).status, 200);
    assert.equal((await target.ask(open, again, used)).status, 400, 'a proof is good once');
    assert.deepEqual([await target.me(access_token), await target.userinfo(access_token)], [401, 401], 'as Bearer');
    const show = async (of = holder) => ({
      authorization: `DPoP ${access_token}`,
      dpop: await of.prove('GET', at('/oauth/userinfo'), { token: access_token }),
    });
    const first = await show();
    const see = async (headers: Record<string, string>) =>
      (await target.postern.call('GET', '/oauth/userinfo', { headers })).status;
    assert.deepEqual([await see(first), await see(first), await see(await show(thief))], [200, 401, 401]);
  });

  it('S33 device codes are of one client, good once, and for ten minutes', async () => {
    const begin = async () => (await post('/oauth/device', { form: { ...named(open), scope: 'openid basic' } })).body;
    const poll = (client: RawClient, device_code: string) =>
      target.ask(client, { grant_type: deviceCode, device_code });
    const approve = async (user_code: string) => {
      const { text } = await browser.open(`${target.issuer}/device`);
      const form = { ...fieldsOf(text), user_code, confirm: 'yes' };
      let page = await browser.open(`${target.issuer}/device`, { form });
      // What she is asked the first time.
      if (page.url.includes('/oauth/interaction/')) {
        page = await browser.open(page.url, { form: { ...fieldsOf(page.text), decision: 'allow' } });
      }
      assert.equal(page.status, 200, page.text);
    };
    const late = await begin();
    await age(target, 'DeviceCode', late.device_code, 601);
    assert.deepEqual(outcome(await poll(open, late.device_code)), [400, 'expired_token']);
    const { device_code, user_code } = await begin();
    assert.deepEqual(outcome(await poll(open, device_code)), [400, 'authorization_pending']);
    await approve(user_code);
    assert.deepEqual(outcome(await poll(confidential, device_code)), [400, 'invalid_grant']);
    assert.deepEqual(outcome(await poll(open, user_code)), [400, 'invalid_grant']);
    const polled = await Promise.all([1, 2, 3, 4].map(() => poll(open, device_code)));
    const won = polled.filter(({ status }) => status === 200);
    assert.ok(won.length <= 1, 'one at most');
    const again = await begin();
    await approve(again.user_code);
    const once = await poll(open, again.device_code);
    assert.equal(once.status, 200, once.text);
    assert.equal(await target.me(once.body.access_token), 200);
    assert.deepEqual(outcome(await poll(open, again.device_code)), [400, 'invalid_grant']);
    await waitFor(async () => (await target.me(once.body.access_token)) === 401, { what: 'the token to end' });
  });
});
