/** Signing users in at a client, by an unmodified client library: what it is told of them, and what it may do then. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import * as client from 'openid-client';
import { openBrowser } from '../support/browser.ts';
import { letterTo, proofIn } from '../support/mailbox.ts';
import {
  begin,
  discover,
  exchange,
  follow,
  hasEnded,
  makePerson,
  makePersonWithApp,
  openStage,
  outcomeOf,
  type Person,
  registerClient,
  type Stage,
  signIn,
} from '../support/relying-party.ts';

const allScopes = 'openid profile email offline_access';
/** Their order says nothing. */
const sorted = (scope: unknown) => String(scope).split(' ').sort().join(' ');
const kidOf = (token: string | undefined) => decodeProtectedHeader(token ?? '').kid;

describe('a client that signs users in', () => {
  let stage: Stage;
  let config: client.Configuration;
  let ann: Person;
  before(async () => {
    stage = await openStage();
    config = await discover(stage.postern, await registerClient(stage));
    // Checks the signatures of ID tokens as well, which the library would take from the server's own connection unseen.
    client.enableNonRepudiationChecks(config);
    ann = await makePerson(stage.postern, { username: 'ann', profile_image_url: 'https://pictures.example/ann.png' });
  });
  after(() => stage.close());

  it('is told who it is, and how and when they came in, in an ID token signed by RS256', async () => {
    const { tokens, back, flow } = await signIn(config, ann);
    const { sub, aud, iss, nonce, acr, amr, auth_time } = tokens.claims() as oauth.IDToken;
    assert.deepEqual([sub, aud, iss, nonce], [ann.uuid, config.clientMetadata().client_id, stage.url, flow.nonce]);
    assert.deepEqual([acr, amr], ['aal1', ['pwd']]);
    assert.ok(Math.abs(Number(auth_time) - Date.now() / 1_000) < 60);
    assert.equal(decodeProtectedHeader(tokens.id_token ?? '').alg, 'RS256');
    assert.deepEqual([back.searchParams.get('iss'), back.searchParams.get('state')], [stage.url, flow.state]);
    assert.deepEqual(
      [tokens.token_type, tokens.expires_in, sorted(tokens.scope)],
      ['bearer', 3600, 'email openid profile'],
    );
  });

  it('gets ID tokens signed by ES256 where it is registered so', async () => {
    const made = await registerClient(stage, { id_token_signed_response_alg: 'ES256' });
    const modern = await client.discovery(new URL(stage.url), made.client_id, { ...made }, undefined, {
      execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
    });
    const { tokens } = await signIn(modern, ann);
    assert.equal(decodeProtectedHeader(tokens.id_token ?? '').alg, 'ES256');
    assert.equal(kidOf(tokens.id_token), kidOf(tokens.access_token), 'by the key of access tokens');
  });

  it('is told of a second factor', async () => {
    const { tokens } = await signIn(config, await makePersonWithApp(stage));
    assert.deepEqual([tokens.claims()?.acr, tokens.claims()?.amr], ['aal2', ['pwd', 'otp', 'mfa']]);
  });

  it('learns what its scopes say and nothing else, from the ID token and from userinfo', async () => {
    const profile = { name: 'Ann', preferred_username: 'ann', picture: 'https://pictures.example/ann.png' };
    const email = { email: ann.email, email_verified: true };
    for (const [scope, expected] of [
      ['openid', {}],
      ['openid profile', profile],
      ['openid email', email],
      ['openid profile email', { ...profile, ...email }],
    ] as const) {
      const { tokens } = await signIn(config, ann, { parameters: { scope } });
      const { iss, aud, iat, exp, nonce, auth_time, acr, amr, ...told } = tokens.claims() as oauth.IDToken;
      assert.deepEqual(told, { sub: ann.uuid, ...expected });
      assert.deepEqual(await client.fetchUserInfo(config, tokens.access_token, ann.uuid), told);
    }
  });

  it('may ask userinfo by POST, with the token in the header or in the form', async () => {
    const { tokens } = await signIn(config, ann);
    const { access_token } = tokens;
    const told = await client.fetchUserInfo(config, access_token, ann.uuid);
    const path = '/oauth/userinfo';
    const byHeader = await stage.postern.call('POST', path, { token: access_token });
    const byForm = await stage.postern.call('POST', path, { form: { access_token } });
    assert.deepEqual([byHeader.body, byForm.body], [told, told]);
    const { status, headers } = await stage.postern.call('POST', path, { token: ann.token });
    assert.equal(status, 401, 'a token of the user themselves is none of a client');
    assert.match(headers.get('www-authenticate') ?? '', /error="invalid_token"/);
  });

  it('gets access tokens that any resource server can check (RFC 9068)', async () => {
    const { tokens } = await signIn(config, ann, { parameters: { scope: 'openid basic' } });
    const { jwks_uri = '' } = config.serverMetadata();
    const { payload, protectedHeader } = await jwtVerify(tokens.access_token, createRemoteJWKSet(new URL(jwks_uri)), {
      issuer: stage.url,
      audience: stage.url,
      typ: 'at+jwt',
      algorithms: ['ES256'],
    });
    assert.equal(protectedHeader.kid, kidOf(tokens.access_token));
    const { sub, client_id, scope, tenant, grant_id, jti, acr } = payload;
    assert.deepEqual(
      { sub, client_id, scope: sorted(scope), tenant, acr },
      {
        ...{ sub: ann.uuid, client_id: config.clientMetadata().client_id },
        ...{ scope: 'basic openid', tenant: 'default', acr: 'aal1' },
      },
    );
    assert.ok(typeof grant_id === 'string' && typeof jti === 'string');

    const server = await oauth.processDiscoveryResponse(
      new URL(stage.url),
      await oauth.discoveryRequest(new URL(stage.url), { [oauth.allowInsecureRequests]: true }),
    );
    const request = new Request('https://api.example', { headers: { authorization: `Bearer ${tokens.access_token}` } });
    const claims = await oauth.validateJwtAccessToken(server, request, stage.url, {
      [oauth.allowInsecureRequests]: true,
    });
    assert.equal(claims.sub, ann.uuid);
    const me = await stage.postern.call('GET', '/auth/me', { token: tokens.access_token });
    assert.deepEqual([me.status, me.body.email], [200, ann.email], 'nor does Postern itself ask for more');
  });

  it('gets a code for one exchange within a minute; the second ends what came of the first', async () => {
    const { tokens, flow, back } = await signIn(config, ann);
    assert.equal(await outcomeOf(exchange(config, flow, back.href)), 'invalid_grant');
    await hasEnded(config, tokens.access_token);
    const late = await begin(config);
    const page = await follow(openBrowser(), late.url.href, ann);
    await stage.db`UPDATE oauth_artifacts SET expires_at = now() WHERE kind = 'AuthorizationCode'`;
    assert.equal(await outcomeOf(exchange(config, late, page.url)), 'invalid_grant');
  });
});

describe('a client that goes on without the user', () => {
  let stage: Stage;
  let config: client.Configuration;
  before(async () => {
    stage = await openStage();
    config = await discover(stage.postern, await registerClient(stage));
  });
  after(() => stage.close());

  const offline = { scope: allScopes, prompt: 'consent' };
  const refresh = (token: string | undefined, parameters: Record<string, string> = {}) =>
    client.refreshTokenGrant(config, token ?? '', parameters);
  async function signedIn(parameters: Record<string, string> = offline) {
    const person = await makePerson(stage.postern);
    return { person, ...(await signIn(config, person, { parameters })) };
  }
  const refreshedAgo = (uuid: string, seconds: number) =>
    stage.db`UPDATE oauth_grants SET refreshed_at = now() - make_interval(secs => ${seconds}) WHERE user_id = ${uuid}`;

  it('needs offline_access for it, which is given with prompt=consent alone', async () => {
    for (const parameters of [{}, { prompt: 'consent' }, { scope: allScopes }]) {
      const { tokens } = await signedIn(parameters as Record<string, string>);
      assert.deepEqual([tokens.refresh_token, sorted(tokens.scope)], [undefined, 'email openid profile']);
    }
    const { tokens } = await signedIn();
    assert.deepEqual([typeof tokens.refresh_token, sorted(tokens.scope)], ['string', sorted(allScopes)]);
  });

  it('gets another refresh token each time, and an ID token that says the same of the user', async () => {
    const { tokens, person } = await signedIn();
    const next = await refresh(tokens.refresh_token);
    assert.notEqual(next.refresh_token, tokens.refresh_token);
    assert.notEqual(next.access_token, tokens.access_token);
    const { iat, exp, nonce, ...told } = tokens.claims() ?? {};
    const { iat: _iat, exp: _exp, nonce: _nonce, ...again } = next.claims() ?? {};
    assert.deepEqual(again, told);
    assert.equal((await client.fetchUserInfo(config, next.access_token, person.uuid)).email, person.email);
    assert.equal((await refresh(next.refresh_token)).scope, tokens.scope);
  });

  it('gets the same next one where the reply was lost, or two of its tabs refresh at once', async () => {
    const { tokens } = await signedIn();
    const all = await Promise.all(Array.from({ length: 5 }, () => refresh(tokens.refresh_token)));
    assert.equal(new Set(all.map(({ refresh_token }) => refresh_token)).size, 1);
    const late = await refresh(tokens.refresh_token);
    assert.equal(late.refresh_token, all[0]?.refresh_token);
    assert.equal(await outcomeOf(refresh(late.refresh_token)), 'done');
  });

  it('loses everything where a refresh token is used again later, or is older still', async () => {
    const later = await signedIn();
    const next = await refresh(later.tokens.refresh_token);
    await refreshedAgo(later.person.uuid, 11);
    assert.equal(await outcomeOf(refresh(later.tokens.refresh_token)), 'invalid_grant');
    assert.equal(await outcomeOf(refresh(next.refresh_token)), 'invalid_grant');
    await hasEnded(config, next.access_token);

    const older = await signedIn();
    const second = await refresh(older.tokens.refresh_token);
    const third = await refresh(second.refresh_token);
    assert.equal(await outcomeOf(refresh(older.tokens.refresh_token)), 'invalid_grant');
    assert.equal(await outcomeOf(refresh(third.refresh_token)), 'invalid_grant');
    await hasEnded(config, third.access_token);
  });

  it('may ask for less than it was granted, once or each time, and never for more', async () => {
    const { tokens, person } = await signedIn({ ...offline, scope: `${allScopes} basic` });
    const less = await refresh(tokens.refresh_token, { scope: 'openid email' });
    assert.equal(sorted(less.scope), 'email openid');
    assert.equal((await stage.postern.call('GET', '/auth/me', { token: less.access_token })).status, 403);
    const { name, email } = await client.fetchUserInfo(config, less.access_token, person.uuid);
    assert.deepEqual([name, email], [undefined, person.email]);
    assert.equal(await outcomeOf(refresh(less.refresh_token, { scope: 'openid users:read' })), 'invalid_scope');
    assert.equal(sorted((await refresh(less.refresh_token)).scope), sorted(`${allScopes} basic`));
  });

  it('may do so as long as the token is not idle too long and the grant has not ended, which no access token outlives', async () => {
    const idle = await signedIn();
    await refreshedAgo(idle.person.uuid, 1_209_601);
    assert.equal(await outcomeOf(refresh(idle.tokens.refresh_token)), 'invalid_grant');
    const { tokens, person } = await signedIn();
    const endIn = (seconds: number) => stage.db`
      UPDATE oauth_grants SET expires_at = now() + make_interval(secs => ${seconds}) WHERE user_id = ${person.uuid}`;
    await endIn(100);
    const last = await refresh(tokens.refresh_token);
    assert.ok(Number(last.expires_in) <= 100, `${last.expires_in}`);
    await endIn(0);
    assert.equal(await outcomeOf(refresh(last.refresh_token)), 'invalid_grant');
  });

  it('ends with the user: disabled, deleted, with a new password, signed out everywhere', async () => {
    const { postern, admin } = stage;
    const ways: Record<string, (person: Person) => Promise<{ status: number; text: string }>> = {
      disabled: ({ uuid }) => postern.call('POST', `/users/${uuid}/disable`, { token: admin, json: {} }),
      deleted: ({ uuid }) => postern.call('DELETE', `/users/${uuid}`, { token: admin }),
      reset: async ({ email }) => {
        await postern.call('POST', '/auth/password/forgot', { json: { email } });
        const letter = await letterTo(postern, email, ({ text }) => text.includes('/auth/password/reset?token='));
        const { token } = proofIn(letter);
        return postern.call('POST', '/auth/password/reset', { json: { token, password: 'Another@123' } });
      },
      everywhere: ({ token }) => postern.call('POST', '/auth/logout', { token, json: { everywhere: true } }),
    };
    for (const [name, end] of Object.entries(ways)) {
      const { person, tokens } = await signedIn();
      const next = await refresh(tokens.refresh_token);
      const { status, text } = await end(person);
      assert.ok(status === 200 || status === 204, `${name}: ${status} ${text}`);
      assert.equal(await outcomeOf(refresh(next.refresh_token)), 'invalid_grant', name);
      for (const token of [tokens.access_token, next.access_token]) await hasEnded(config, token);
      if (name !== 'disabled') continue;
      assert.equal(
        (await postern.call('POST', `/users/${person.uuid}/enable`, { token: admin, json: {} })).status,
        200,
      );
      assert.equal(await outcomeOf(refresh(next.refresh_token)), 'invalid_grant', 'and does not come back with them');
    }
  });

  it('does not end with the session of the browser', async () => {
    const { tokens, browser } = await signedIn();
    await browser.open(`${stage.url}/account/sign-out`, { form: {} });
    assert.equal(await outcomeOf(refresh(tokens.refresh_token)), 'done');
    assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, true);
  });
});
