/** Second factors: authenticator apps, recovery codes and passkeys, and what a session alone is not enough for. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectDatabase, type Database } from '../../src/database/database.ts';
import { type Device, openDevice, totpCode } from '../support/authenticator.ts';
import { databaseUrlOf } from '../support/engines.ts';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';

const password = 'Password@123';
const outcome = ({ status, body }: Reply) => [status, body?.code];
const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());

describe('a second factor', () => {
  let postern: Postern;
  let db: Database;
  let admin: string;
  let count = 0;
  before(async () => {
    postern = await startPostern({
      env: {
        VERIFY_CODE_SECONDS: '600',
        BOOTSTRAP_ADMIN_EMAIL: 'admin@factors.example',
        BOOTSTRAP_ADMIN_PASSWORD: password,
      },
    });
    db = connectDatabase(await databaseUrlOf(postern), { max: 1, name: 'postern test' });
    admin = (await login('admin@factors.example')).body.token.access_token;
  });
  after(async () => {
    await db.end();
    await postern.dispose();
  });

  const post = (path: string, json: object = {}, token?: string) =>
    postern.call('POST', path, { json, ...(token !== undefined && { token }) });
  const login = (email: string, given = password) => post('/auth/login', { email, password: given });
  const show = (sign_in_token: string, code: string) => post('/auth/second-factor', { sign_in_token, code });
  /** The next code of an app whose codes so far count as old. */
  async function nextCode(secret: string, uuid: string) {
    await db`UPDATE second_factors SET last_step = 0 WHERE user_id = ${uuid}`;
    return totpCode(secret);
  }

  async function person() {
    const email = `user${++count}@factors.example`;
    const { status, body } = await post('/auth/register', { email, password });
    assert.equal(status, 201);
    assert.equal((await post('/auth/verify', { token: proofIn(await letterTo(postern, email)).token })).status, 200);
    return { email, uuid: body.user.uuid as string, token: body.token.access_token as string };
  }
  async function withApp() {
    const who = await person();
    const begun = await post('/auth/second-factors/totp', { name: 'phone' }, who.token);
    assert.equal(begun.status, 201);
    const { id, secret } = begun.body;
    const confirmed = await post(`/auth/second-factors/totp/${id}/confirm`, { code: totpCode(secret) }, who.token);
    assert.equal(confirmed.status, 200);
    return { ...who, id: id as string, secret: secret as string, codes: confirmed.body.recovery_codes as string[] };
  }
  async function withPasskey(device: Device = openDevice({ origin: origin() })) {
    const who = await person();
    const asked = await post('/auth/passkeys/options', {}, who.token);
    assert.equal(asked.status, 200);
    const { ceremony, options } = asked.body;
    const made = await post('/auth/passkeys', { ceremony, response: device.create(options), name: 'key' }, who.token);
    assert.equal(made.status, 201);
    return { ...who, device, id: made.body.passkey.id as string, codes: made.body.recovery_codes as string[] };
  }
  const origin = () => `http://localhost:${postern.port}`;
  const owed = async (email: string) => {
    const refused = await login(email);
    assert.deepEqual(outcome(refused), [403, 'auth.second_factor_required']);
    return refused.body.sign_in_token as string;
  };

  it('counts from when the app has shown a code; from then on no login opens a session without it', async () => {
    const { email, uuid, token } = await person();
    const begun = await post('/auth/second-factors/totp', {}, token);
    const { id, secret, uri } = begun.body;
    assert.match(uri, new RegExp(`^otpauth://totp/.*secret=${secret}`));
    assert.equal((await login(email)).status, 200, 'begun is not confirmed');
    const removed = await postern.call('DELETE', `/auth/second-factors/${id}`, { token });
    assert.deepEqual(outcome(removed), [404, 'second_factors.not_found'], 'there is nothing yet that could be removed');
    const confirm = (code: string) => post(`/auth/second-factors/totp/${id}/confirm`, { code }, token);
    const wrong = totpCode(secret, Date.now() + 3_600_000);
    assert.deepEqual(outcome(await confirm(wrong)), [401, 'second_factors.invalid']);
    const confirmed = await confirm(totpCode(secret));
    assert.equal(confirmed.body.recovery_codes.length, 10);

    const refused = await login(email);
    assert.deepEqual(outcome(refused), [403, 'auth.second_factor_required']);
    assert.deepEqual(refused.body.accepts, ['totp', 'recovery_code']);
    assert.equal(refused.body.token, undefined);
    assert.deepEqual(outcome(await login(email, 'wrong')), [401, 'auth.invalid_credentials']);
    const [row] = await db`SELECT count(*)::int AS sessions FROM sessions WHERE user_id = ${uuid}`;
    assert.equal(row?.sessions, 2, 'the registration and the login before');
    const shown = await show(refused.body.sign_in_token, await nextCode(secret, uuid));
    assert.equal(shown.status, 200);
    const claims = claimsOf(shown.body.token.access_token);
    assert.deepEqual([claims.acr, claims.amr], ['aal2', ['pwd', 'otp', 'mfa']]);
    assert.ok(Math.abs(claims.auth_time - Date.now() / 1000) < 30);
    const before = claimsOf(token);
    assert.deepEqual([before.acr, before.amr], ['aal1', ['pwd']]);
    const notice = await letterTo(postern, email, ({ subject }) => subject.includes('second factor'));
    assert.match(notice.text, /takes a second factor/);
  });

  it('that was begun more than an hour ago has to be begun anew', async () => {
    const { token } = await person();
    const { id, secret } = (await post('/auth/second-factors/totp', {}, token)).body;
    await db`UPDATE second_factors SET created_at = created_at - interval '61 minutes' WHERE id = ${id}`;
    const late = await post(`/auth/second-factors/totp/${id}/confirm`, { code: totpCode(secret) }, token);
    assert.deepEqual(outcome(late), [404, 'second_factors.not_found']);
  });

  it('is owed however the login begins: by a letter too; and Basic, which cannot carry one, is refused', async () => {
    const { email, uuid, secret } = await withApp();
    const { challenge_id } = (await post('/auth/otp', { email })).body;
    const letter = proofIn(await letterTo(postern, email, ({ text }) => text.includes('/auth/otp/verify')));
    const refused = await post('/auth/otp/verify', { challenge_id, code: letter.code });
    assert.deepEqual(outcome(refused), [403, 'auth.second_factor_required']);
    assert.deepEqual(outcome(await post('/auth/otp/verify', { token: letter.token })), [
      410,
      'challenges.link_expired',
    ]);
    const shown = await show(refused.body.sign_in_token, await nextCode(secret, uuid));
    assert.deepEqual(claimsOf(shown.body.token.access_token).amr, ['email', 'otp', 'mfa']);
    const basic = { basic: `${email}:${password}` };
    assert.equal((await postern.call('GET', `/users?email=${email}`, basic)).status, 401);
    assert.equal((await postern.call('DELETE', `/users?email=${email}`, basic)).status, 401);
  });

  it('S11 takes a code once, of an app or of the list, however many show it at once', async () => {
    const { email, uuid, secret, codes } = await withApp();
    const tokens = await Promise.all(Array.from({ length: 4 }, () => owed(email)));
    const code = await nextCode(secret, uuid);
    const shown = await Promise.all(tokens.map((token) => show(token, code)));
    assert.deepEqual(shown.map(({ status }) => status).sort(), [200, 401, 401, 401]);
    await db`DELETE FROM limits`;
    const others = await Promise.all(Array.from({ length: 4 }, () => owed(email)));
    const [first = ''] = codes;
    const typed = first.toUpperCase().replace('-', ' ');
    const used = await Promise.all(others.map((token) => show(token, typed)));
    assert.deepEqual(used.map(({ status }) => status).sort(), [200, 401, 401, 401]);
    const token = used.find(({ status }) => status === 200)?.body.token.access_token;
    const listed = await postern.call('GET', '/auth/second-factors', { token });
    assert.deepEqual([listed.body.data.length, listed.body.recovery_codes_left], [1, 9]);
    assert.deepEqual([listed.body.data[0].kind, listed.body.data[0].name], ['totp', 'phone']);
  });

  it('S11 one login opens one session, though the codes are two', async () => {
    const { email, codes } = await withApp();
    const token = await owed(email);
    const shown = await Promise.all(codes.slice(0, 2).map((code) => show(token, code)));
    assert.deepEqual(shown.map(({ status }) => status).sort(), [200, 410]);
    assert.deepEqual(outcome(await show(token, codes[2] ?? '')), [410, 'auth.sign_in_over']);
  });

  it('S4 S5 may be guessed five times, however many logins wait and however many guess at once', async () => {
    const { email, uuid, secret } = await withApp();
    const tokens = await Promise.all(Array.from({ length: 3 }, () => owed(email)));
    const wrong = totpCode(secret, Date.now() + 3_600_000);
    const guesses = Array.from({ length: 30 }, (_, i) => show(tokens[i % 3] ?? '', wrong));
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 401).length, 5);
    assert.equal(statuses.filter((status) => status === 429).length, 25);
    const right = await show(tokens[0] ?? '', await nextCode(secret, uuid));
    assert.deepEqual(outcome(right), [429, 'limits.account']);
    assert.ok(Number(right.headers.get('retry-after')) > 60);
  });

  it('that is right is no guess: eight logins in a row are eight sessions', async () => {
    const { email, codes } = await withApp();
    for (const code of codes.slice(0, 8)) assert.equal((await show(await owed(email), code)).status, 200);
  });

  it('is asked of whoever knows the former password no more: a new one ends the logins that wait', async () => {
    const { email, uuid, token, secret } = await withApp();
    const waiting = await owed(email);
    const change = { current_password: password, new_password: 'Another@123' };
    assert.equal((await post('/auth/password/change', change, token)).status, 204);
    assert.deepEqual(outcome(await show(waiting, await nextCode(secret, uuid))), [410, 'auth.sign_in_over']);
    const [head, mac = ''] = waiting.split('.');
    const forged = `${head}.${mac.replace(/^./, mac.startsWith('A') ? 'B' : 'A')}`;
    for (const nonsense of ['', 'x', forged, `${head}.`]) {
      assert.deepEqual(outcome(await show(nonsense, '123456')), [410, 'auth.sign_in_over']);
    }
  });

  it('added while somebody logs in keeps them out, too', async () => {
    const { email, uuid, token } = await person();
    const { id, secret } = (await post('/auth/second-factors/totp', {}, token)).body;
    const logins = Promise.all(Array.from({ length: 40 }, () => login(email)));
    const confirmed = await post(`/auth/second-factors/totp/${id}/confirm`, { code: totpCode(secret) }, token);
    assert.equal(confirmed.status, 200);
    // Those that opened before the factor was committed are there by now; no time tells them from later ones.
    const withoutFactor = async () =>
      (await db`SELECT count(*)::int FROM sessions WHERE user_id = ${uuid} AND NOT 'mfa' = ANY(methods)`)[0]?.count;
    const before = await withoutFactor();
    await logins;
    assert.equal(await withoutFactor(), before);
  });

  it('S37 cannot be added before the address is proven: its owner could then never get in', async () => {
    const email = `user${++count}@factors.example`;
    const { body } = await post('/auth/register', { email, password });
    const { access_token: token } = body.token;
    for (const path of ['/auth/second-factors/totp', '/auth/passkeys/options']) {
      assert.deepEqual(outcome(await post(path, {}, token)), [403, 'second_factors.address_unproven']);
    }
  });

  it('of a passkey logs in alone, or beside a password, and says how', async () => {
    const { email, uuid, device } = await withPasskey();
    const asked = await post('/auth/passkeys/login/options');
    assert.deepEqual(
      [asked.body.options.userVerification, asked.body.options.allowCredentials],
      ['required', undefined],
    );
    const alone = { ceremony: asked.body.ceremony, response: device.get(asked.body.options) };
    const shown = await post('/auth/passkeys/login', alone);
    assert.deepEqual([shown.status, shown.body.user?.uuid], [200, uuid], shown.text);
    const claims = claimsOf(shown.body.token.access_token);
    assert.deepEqual([claims.acr, claims.amr], ['aal2', ['pop', 'user', 'mfa']]);
    assert.deepEqual(outcome(await post('/auth/passkeys/login', alone)), [400, 'second_factors.passkey_invalid']);

    const refused = await login(email);
    assert.deepEqual(refused.body.accepts, ['passkey', 'recovery_code']);
    const { sign_in_token } = refused.body;
    const second = await post('/auth/passkeys/login/options', { sign_in_token });
    assert.equal(second.body.options.allowCredentials.length, 1);
    const answer = { ceremony: second.body.ceremony, response: device.get(second.body.options) };
    assert.deepEqual(outcome(await post('/auth/passkeys/login', answer)), [400, 'second_factors.passkey_invalid']);
    const again = await post('/auth/passkeys/login/options', { sign_in_token });
    const whole = { ceremony: again.body.ceremony, response: device.get(again.body.options), sign_in_token };
    const both = await post('/auth/passkeys/login', whole);
    assert.deepEqual(claimsOf(both.body.token.access_token).amr, ['pwd', 'pop', 'user', 'mfa']);
    assert.deepEqual(outcome(await post('/auth/passkeys/login', whole)), [400, 'second_factors.passkey_invalid']);
    const over = await post('/auth/passkeys/login/options', { sign_in_token });
    assert.deepEqual(outcome(over), [410, 'auth.sign_in_over']);
  });

  it('of a passkey is refused that is for another origin, of nobody, of another tenant, signed wrong, or a copy', async () => {
    const { device } = await withPasskey();
    const options = async (json: object = {}) => (await post('/auth/passkeys/login/options', json)).body;
    const answer = (asked: { ceremony: string }, response: object) =>
      post('/auth/passkeys/login', { ceremony: asked.ceremony, response }).then(outcome);
    const invalid = [400, 'second_factors.passkey_invalid'];
    const first = await options();
    assert.deepEqual(await answer(first, device.get(first.options, { origin: 'https://evil.example' })), invalid);
    const second = await options();
    assert.deepEqual(
      await answer(second, device.get({ ...second.options, challenge: first.options.challenge })),
      invalid,
    );
    const third = await options();
    const { response, ...rest } = device.get(third.options) as { response: Record<string, string> };
    const signature = device.get(third.options, { count: 7 }).response as { signature: string };
    const mixed = { ...rest, response: { ...response, signature: signature.signature } };
    assert.deepEqual(await answer(third, mixed), invalid);
    const fourth = await options();
    const stranger = openDevice({ origin: origin() });
    stranger.create({ challenge: '', rp: { id: 'localhost' }, user: { id: '' } });
    assert.deepEqual(await answer(fourth, stranger.get(fourth.options)), invalid);
    await postern.cli('tenants', 'create', 'elsewhere');
    const elsewhere = await options({ server: 'elsewhere' });
    assert.deepEqual(await answer(elsewhere, device.get(elsewhere.options)), invalid, 'S41');
    const fifth = await options();
    assert.equal((await answer(fifth, device.get(fifth.options, { count: 20 })))[0], 200);
    const copy = await options();
    assert.deepEqual(await answer(copy, device.get(copy.options, { count: 20 })), invalid, 'a copy has not counted on');
    const stale = await options();
    await db`UPDATE passkey_ceremonies SET expires_at = now() WHERE id = ${stale.ceremony}`;
    assert.deepEqual(await answer(stale, device.get(stale.options, { count: 30 })), invalid);
    assert.deepEqual(await answer(await options(), { nonsense: true }), [400, 'http.invalid_request']);
  });

  it('of a passkey which does not ask who holds it is a second factor and no login of its own', async () => {
    const { email, device } = await withPasskey(openDevice({ origin: origin(), verifiesUser: false }));
    const asked = (await post('/auth/passkeys/login/options')).body;
    const alone = { ceremony: asked.ceremony, response: device.get(asked.options) };
    assert.deepEqual(outcome(await post('/auth/passkeys/login', alone)), [400, 'second_factors.passkey_invalid']);
    const sign_in_token = await owed(email);
    const second = (await post('/auth/passkeys/login/options', { sign_in_token })).body;
    const response = device.get(second.options);
    const both = await post('/auth/passkeys/login', { ceremony: second.ceremony, response, sign_in_token });
    assert.deepEqual(claimsOf(both.body.token.access_token).amr, ['pwd', 'pop', 'mfa']);
  });

  it('of another user does not complete a login, though their passkey is good', async () => {
    const victim = await withPasskey();
    const attacker = await withPasskey();
    const sign_in_token = await owed(victim.email);
    const asked = (await post('/auth/passkeys/login/options', { sign_in_token })).body;
    const response = attacker.device.get(asked.options);
    const answered = await post('/auth/passkeys/login', { ceremony: asked.ceremony, response, sign_in_token });
    assert.deepEqual(outcome(answered), [400, 'second_factors.passkey_invalid']);
    const same = await post('/auth/passkeys/options', {}, attacker.token);
    assert.deepEqual(outcome(same), [401, 'auth.step_up_required'], 'a session from before has shown one factor');
  });

  it('is added and removed only by who has authenticated a moment ago, with all they have', async () => {
    const { email, uuid, token, id, secret } = await withApp();
    const refused = await post('/auth/second-factors/totp', {}, token);
    assert.deepEqual(outcome(refused), [401, 'auth.step_up_required']);
    assert.match(
      refused.headers.get('www-authenticate') ?? '',
      /^Bearer error="insufficient_user_authentication", max_age="900", acr_values="aal2"$/,
    );
    assert.equal((await postern.call('DELETE', `/auth/second-factors/${id}`, { token })).status, 401);
    assert.equal((await post('/auth/recovery-codes', {}, token)).status, 401);
    assert.equal((await post('/auth/step-up', { password }, token)).status, 400, 'the password is no second factor');
    const stepped = await post('/auth/step-up', { code: await nextCode(secret, uuid) }, token);
    assert.equal(stepped.status, 200);
    const { access_token: newer } = stepped.body.token;
    const claims = claimsOf(newer);
    assert.deepEqual(
      [claims.acr, claims.sid, [...claims.amr].sort()],
      ['aal2', claimsOf(token).sid, ['mfa', 'otp', 'pwd']],
    );
    const renewed = await post('/auth/recovery-codes', {}, newer);
    assert.equal(renewed.body.recovery_codes.length, 10);
    await db`UPDATE sessions SET authenticated_at = now() - interval '16 minutes' WHERE id = ${claims.sid}`;
    const later = (await post('/auth/refresh', { refresh_token: stepped.body.token.refresh_token })).body.token;
    assert.equal((await post('/auth/recovery-codes', {}, later.access_token)).status, 401, 'it is long ago');
    assert.equal((await postern.call('DELETE', `/auth/second-factors/${id}`, { token: newer })).status, 204);
    assert.equal((await login(email)).status, 200);
    const left = await postern.call('GET', '/auth/second-factors', { token: newer });
    assert.deepEqual(left.body, { data: [], recovery_codes_left: 0 });
    await letterTo(postern, email, ({ subject }) => subject.includes('was removed'));
  });

  it('asks for the password again where there is none yet, and takes a passkey where there is', async () => {
    const { token } = await person();
    await db`UPDATE sessions SET authenticated_at = now() - interval '16 minutes' WHERE id = ${claimsOf(token).sid}`;
    const wrong = await post('/auth/step-up', { password: 'wrong' }, token);
    assert.deepEqual(outcome(wrong), [401, 'auth.invalid_credentials']);
    for (const json of [{}, { password, code: '123456' }, { ceremony: claimsOf(token).sid }]) {
      assert.equal((await post('/auth/step-up', json, token)).status, 400);
    }
    const stepped = await post('/auth/step-up', { password }, token);
    const { access_token: newer } = stepped.body.token;
    assert.equal((await post('/auth/second-factors/totp', {}, newer)).status, 201);

    const other = await withPasskey();
    const asked = (await post('/auth/step-up/passkey', {}, other.token)).body;
    const shown = { ceremony: asked.ceremony, response: other.device.get(asked.options) };
    const up = await post('/auth/step-up', shown, other.token);
    assert.equal(claimsOf(up.body.token.access_token).acr, 'aal2');
    assert.deepEqual(outcome(await post('/auth/step-up', shown, other.token)), [400, 'second_factors.passkey_invalid']);
  });

  it('that is lost an administrator removes; nobody else sees or removes one of another', async () => {
    const { email, uuid, id } = await withApp();
    const stranger = await withApp();
    const strange = await post(
      '/auth/step-up',
      { code: await nextCode(stranger.secret, stranger.uuid) },
      stranger.token,
    );
    const token = strange.body.token.access_token;
    assert.equal((await postern.call('DELETE', `/auth/second-factors/${id}`, { token })).status, 404);
    const path = `/users/${uuid}/second-factors`;
    assert.equal((await postern.call('DELETE', path, { token })).status, 403);
    assert.equal((await postern.call('DELETE', path, { token: admin })).status, 204);
    assert.equal((await login(email)).status, 200);
    const writer = await postern.cli('keys', 'create', '--name', 'writer', '--scope', 'users:write', '--json');
    const { body: me } = await postern.call('GET', '/auth/me', { token: admin });
    const above = await postern.call('DELETE', `/users/${me.uuid}/second-factors`, {
      token: JSON.parse(writer.stdout).key,
    });
    assert.deepEqual(outcome(above), [403, 'auth.insufficient_scope']);
    const audit = await postern.call('GET', `/audit?user=${uuid}`, { token: admin });
    const types = audit.body.data.map((entry: { type: string }) => entry.type);
    assert.ok(types.includes('second_factor.added') && types.includes('second_factor.removed'));
  });

  it('S24 leaves nothing in the database that can be used', async () => {
    const { uuid, secret, codes } = await withApp();
    const rows = await db`
      SELECT f.*, array(SELECT encode(code_hmac, 'escape') FROM recovery_codes WHERE user_id = f.user_id) AS codes
      FROM second_factors f WHERE user_id = ${uuid}`;
    const dump = JSON.stringify(rows) + rows.map(({ secret: sealed }) => Buffer.from(sealed).toString('latin1'));
    assert.ok(!dump.includes(secret));
    for (const code of codes) assert.ok(!dump.includes(code) && !dump.includes(code.replace('-', '')));
  });
});
