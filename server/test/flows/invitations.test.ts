/** Being invited to have an account (quality S2, S16, S18, S24, S37, S41, S42). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type InboxMessage, letterTo } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';
const outcome = ({ status, body }: Reply) => [status, body?.code];
const publicUrl = 'http://postern.example';

describe('an invitation', () => {
  /** Nobody registers here by themselves. */
  let postern: Postern;
  /** The same service, where people do, and where invitations are short. */
  let other: Postern;
  let admin: string;
  let writer: string;
  let foreigner: string;
  let count = 0;
  before(async () => {
    postern = await startPostern({ env: { PUBLIC_URL: publicUrl, REGISTRATION: 'closed' } });
    const env = { PUBLIC_URL: publicUrl, INVITATION_SECONDS: '1' };
    other = await startPostern({ dataDir: postern.dataDir, env });
    await postern.cli('tenants', 'create', 'elsewhere');
    const key = async (scope: string, tenant = 'default') => {
      const made = await postern.cli('keys', 'create', '--name', scope, '--scope', scope, '--tenant', tenant, '--json');
      return JSON.parse(made.stdout).key as string;
    };
    admin = await key('admin');
    writer = await key('users:read users:write');
    foreigner = await key('admin', 'elsewhere');
  });
  after(async () => {
    await other.dispose();
    await postern.dispose();
  });

  const somebody = () => `guest${++count}@invited.example`;
  const invite = (email: string, json: object = {}, { node = postern, token = writer, headers = {} } = {}) =>
    node.call('POST', '/invitations', { token, json: { email, ...json }, headers });
  const accept = (json: object, node = postern) => node.call('POST', '/auth/invitation', { json });
  const login = (email: string, given = password) =>
    postern.call('POST', '/login', { json: { email, password: given } }).then(({ status }) => status);
  const listed = async (token = writer) => (await postern.call('GET', '/invitations?limit=100', { token })).body.data;
  const statusOf = async (id: string) => (await listed()).find((one: { id: string }) => one.id === id)?.status;
  const isGood = (token: string) => postern.call('GET', '/auth/me', { token }).then(({ status }) => status === 200);
  const seen = new Set<string>();
  async function letter(address: string): Promise<InboxMessage & { token: string }> {
    const isNew = ({ id, text }: InboxMessage) => text.includes('/auth/invitation?token=') && !seen.has(id);
    const message = await letterTo(postern, address, isNew);
    seen.add(message.id);
    return { ...message, token: /\/auth\/invitation\?token=([\w-]+)/.exec(message.text)?.[1] ?? '' };
  }
  async function invited(json: object = {}) {
    const email = somebody();
    const made = await invite(email, json);
    assert.equal(made.status, 201, made.text);
    const { token } = await letter(email);
    return { email, token, id: made.body.invitation.id as string };
  }

  it('makes an account, verified, where nobody registers by themselves; opening its page changes nothing', async () => {
    const email = somebody();
    const made = await invite(email, { name: 'Guest' });
    assert.equal(made.status, 201, made.text);
    const { invitation } = made.body;
    assert.deepEqual([invitation.email, invitation.name, invitation.status], [email, 'Guest', 'pending']);
    assert.match(invitation.invited_by, /^key:/);
    const days = (Date.parse(invitation.expires_at) - Date.parse(invitation.created_at)) / 86_400_000;
    assert.ok(Math.abs(days - 7) < 0.01);
    const { token, text, subject } = await letter(email);
    assert.ok(text.includes(`${publicUrl}/auth/invitation?token=${token}`) && text.includes('within 7 days'));
    assert.ok(token.length >= 43 && subject === 'You are invited to postern.example');
    assert.equal(await login(email), 401);
    for (const method of ['HEAD', 'GET', 'GET']) {
      const opened = await postern.call(method, `/auth/invitation?token=${token}`);
      assert.equal(opened.status, 200);
      if (method === 'GET') assert.match(opened.text, /name="name"[\s\S]*name="password" type="password"/);
    }
    assert.deepEqual(outcome(await accept({ token, password: 'short' })), [400, 'http.invalid_request']);
    assert.deepEqual(outcome(await accept({ token, password: 'iloveyou' })), [400, 'users.common_password']);
    assert.equal(await statusOf(invitation.id), 'pending');

    const done = await accept({ token, password });
    assert.equal(done.status, 200, done.text);
    const { user } = done.body;
    assert.deepEqual([user.email, user.name, user.email_verified, user.server], [email, 'Guest', true, 'default']);
    assert.ok(await isGood(done.body.token.access_token));
    assert.equal(await login(email), 200);
    assert.equal(await statusOf(invitation.id), 'accepted');
    assert.deepEqual(outcome(await accept({ token, password })), [410, 'challenges.link_expired']);
    assert.deepEqual(outcome(await accept({ token: 'x'.repeat(43), password })), [400, 'challenges.link_invalid']);
    const audit = await postern.call('GET', `/audit?user=${user.uuid}`, { token: admin });
    assert.deepEqual(audit.body.data.map(({ type }: { type: string }) => type).toSorted(), [
      'user.invitation_accepted',
      'user.logged_in',
      'user.logged_in',
      'user.registered',
    ]);
    const [record] = (await postern.call('GET', '/audit?type=user.invited', { token: admin })).body.data;
    assert.deepEqual([record.actor, record.data], [invitation.invited_by, { invitation: invitation.id }]);
  });

  it('is accepted by a form, as the page sends it, with another name or none', async () => {
    for (const [name, kept] of [
      ['Ada', 'Ada'],
      ['', 'Given'],
    ] as const) {
      const { email, token } = await invited({ name: 'Given' });
      const form = { token, name, password };
      const done = await postern.call('POST', '/auth/invitation', { form, headers: { accept: 'text/html' } });
      assert.equal(done.status, 200, done.text);
      assert.match(done.text, /Your account is ready/);
      const user = await postern.call('GET', `/users?email=${email}`, { basic: `${email}:${password}` });
      assert.deepEqual([user.body.name, user.body.email_verified], [kept, true]);
      const again = await postern.call('POST', '/auth/invitation', { form, headers: { accept: 'text/html' } });
      assert.equal(again.status, 410);
      assert.match(again.text, /<h1>/);
    }
  });

  it('comes in German, in the lane of codes, and S24 leaves its link in no history', async () => {
    const email = somebody();
    await invite(email, {}, { headers: { 'accept-language': 'de-AT' } });
    const { token, subject, text } = await letter(email);
    assert.equal(subject, 'Einladung zu postern.example');
    assert.match(text, /Gültigkeit: 7 Tage/);
    const { body } = await postern.call('GET', `/emails?to=${email}`, { token: admin });
    const stored = await postern.call('GET', `/emails/${body.data[0].id}`, { token: admin });
    assert.ok(stored.body.lane === 'otp' && stored.body.expires_at !== null);
    assert.ok(!stored.text.includes(token) && stored.text.includes('postern.example'));
  });

  it('is sent again with a new link, the old one dead, as often as an address may have letters', async () => {
    const { email, id, token } = await invited();
    const resend = (headers = {}) => postern.call('POST', `/invitations/${id}/resend`, { token: writer, headers });
    const again = await resend({ 'idempotency-key': 'again' });
    assert.deepEqual([again.status, again.body.invitation.status], [200, 'pending']);
    const second = await letter(email);
    assert.equal((await resend({ 'idempotency-key': 'again' })).headers.get('idempotent-replay'), 'true');
    assert.deepEqual(outcome(await accept({ token, password })), [410, 'challenges.link_expired']);
    for (let i = 0; i < 3; i++) assert.equal((await resend()).status, 200);
    const refused = await resend();
    assert.deepEqual(outcome(refused), [429, 'challenges.too_many_letters']);
    assert.ok(refused.headers.has('retry-after'));
    assert.equal((await accept({ token: second.token, password })).status, 410);
    const tokens = [await letter(email), await letter(email), await letter(email)].map((one) => one.token);
    const replies = await Promise.all(tokens.map((one) => accept({ token: one, password })));
    assert.deepEqual(replies.map(({ status }) => status).toSorted(), [200, 410, 410]);
    assert.deepEqual(outcome(await resend()), [409, 'users.already_registered']);
  });

  it('is taken back: its link is dead at once, on every node', async () => {
    const { id, email, token } = await invited();
    const revoke = (of: string) => postern.call('DELETE', `/invitations/${of}`, { token: writer });
    assert.equal((await revoke(id)).status, 204);
    assert.deepEqual(outcome(await accept({ token, password }, other)), [410, 'challenges.link_expired']);
    assert.equal((await revoke(id)).status, 204);
    assert.equal(await statusOf(id), 'revoked');
    const resent = await postern.call('POST', `/invitations/${id}/resend`, { token: writer });
    assert.deepEqual(outcome(resent), [409, 'invitations.ended']);
    assert.equal(await login(email), 401);
    assert.equal((await invite(email)).status, 201, 'another may take its place');

    const taken = await invited();
    await accept({ token: taken.token, password });
    assert.deepEqual(outcome(await revoke(taken.id)), [409, 'invitations.ended']);
    assert.equal(await login(taken.email), 200);
  });

  it('ends by time; then it can be sent again, or another takes its place', async () => {
    const [late, replaced] = [somebody(), somebody()];
    const { id } = (await invite(late, {}, { node: other })).body.invitation;
    const { id: former } = (await invite(replaced, {}, { node: other })).body.invitation;
    const [first, second] = [await letter(late), await letter(replaced)];
    await waitFor(async () => (await statusOf(id)) === 'expired' && (await statusOf(former)) === 'expired', {
      what: 'the invitations to end',
    });
    assert.deepEqual(outcome(await accept({ token: first.token, password })), [410, 'challenges.link_expired']);
    assert.equal((await postern.call('POST', `/invitations/${id}/resend`, { token: writer })).status, 200);
    assert.equal((await accept({ token: (await letter(late)).token, password })).status, 200);

    assert.equal((await invite(replaced)).status, 201);
    assert.equal((await postern.call('POST', `/invitations/${former}/resend`, { token: writer })).status, 409);
    assert.equal((await accept({ token: second.token, password })).status, 410);
    assert.equal((await accept({ token: (await letter(replaced)).token, password })).status, 200);
  });

  it('of parallel calls is one, and makes one account, on however many nodes', async () => {
    const email = somebody();
    const replies = await Promise.all(Array.from({ length: 4 }, () => invite(email)));
    assert.deepEqual(replies.map(({ status }) => status).toSorted(), [201, 409, 409, 409]);
    const { token } = await letter(email);
    const accepted = await Promise.all(
      Array.from({ length: 12 }, (_, i) => accept({ token, password: `Password@${i}00` }, i % 2 ? postern : other)),
    );
    assert.deepEqual(accepted.map(({ status }) => status).toSorted(), [200, ...Array(11).fill(410)]);
  });

  it('is one per key, whatever is repeated', async () => {
    const email = somebody();
    const headers = { 'idempotency-key': `invite ${email}` };
    const first = await invite(email, {}, { headers });
    const again = await invite(email, {}, { headers });
    assert.deepEqual([again.status, again.text], [201, first.text]);
    assert.equal(again.headers.get('idempotent-replay'), 'true');
    assert.equal((await invite(email, { name: 'x' }, { headers })).status, 422);
    assert.deepEqual(outcome(await invite(email)), [409, 'invitations.already_invited']);
  });

  it('S37 takes an account from whoever registered the address meanwhile and never proved it', async () => {
    const { email, token } = await invited({ name: 'Owner' });
    const json = { email, password: 'Stranger@123', name: 'Stranger' };
    const stranger = await other.call('POST', '/register', { json });
    assert.equal(stranger.status, 201);
    assert.ok(await isGood(stranger.body.token.access_token));
    assert.deepEqual(outcome(await invite(email)), [409, 'users.already_registered']);
    const proof = await letterTo(postern, email, ({ text }) => text.includes('/auth/verify?token='));

    const done = await accept({ token, password });
    assert.equal(done.status, 200, done.text);
    const { user } = done.body;
    assert.deepEqual([user.uuid, user.email_verified, user.name], [stranger.body.user.uuid, true, 'Owner']);
    assert.ok(await isGood(done.body.token.access_token));
    assert.equal(await isGood(stranger.body.token.access_token), false);
    assert.deepEqual([await login(email, 'Stranger@123'), await login(email)], [401, 200]);
    const { refresh_token } = stranger.body.token;
    assert.equal((await postern.call('POST', '/auth/refresh', { json: { refresh_token } })).status, 401);
    const old = /token=([\w-]+)/.exec(proof.text)?.[1];
    assert.equal((await postern.call('POST', '/auth/verify', { json: { token: old } })).status, 410);
  });

  it('does not touch an account that is verified, or disabled', async () => {
    for (const what of ['verify', 'disable']) {
      const { email, id, token } = await invited();
      const { body } = await other.call('POST', '/register', { json: { email, password: 'Owner@12345' } });
      await postern.call('POST', `/users/${body.user.uuid}/${what}`, { token: writer });
      assert.deepEqual(outcome(await accept({ token, password })), [409, 'users.already_registered'], what);
      assert.equal(await login(email), 401);
      assert.equal(await isGood(body.token.access_token), what === 'verify');
      assert.equal(await statusOf(id), 'pending');
    }
  });

  it('accepted in the moment of a registration ends in one account, and it is the one of the mailbox', async () => {
    for (let round = 0; round < 4; round++) {
      const { email, token } = await invited();
      const json = { email, password: 'Stranger@123' };
      const [done, ...registered] = await Promise.all([
        accept({ token, password }),
        ...[1, 2, 3].map(() => other.call('POST', '/register', { json })),
      ]);
      assert.equal(done?.status, 200, done?.text);
      assert.deepEqual([await login(email), await login(email, 'Stranger@123')], [200, 401]);
      for (const reply of registered) {
        if (reply.status !== 201) continue;
        assert.equal(reply.body.user.uuid, done?.body.user.uuid);
        await waitFor(async () => !(await isGood(reply.body.token.access_token)), { what: 'the session to end' });
      }
    }
  });

  it('S41 S42 of another tenant is as one that never was, and the same address there is nobody known', async () => {
    const { email, id, token } = await invited();
    const absent = '01890000-0000-7000-8000-000000000000';
    for (const [method, path] of [
      ['DELETE', ''],
      ['POST', '/resend'],
    ] as const) {
      for (const one of [id, absent]) {
        const reply = await postern.call(method, `/invitations/${one}${path}`, { token: foreigner });
        assert.deepEqual(outcome(reply), [404, 'invitations.not_found'], `${method} ${path}`);
      }
    }
    assert.deepEqual(await listed(foreigner), []);
    assert.deepEqual(outcome(await invite(email, { server: 'elsewhere' })), [404, 'tenants.unknown']);
    const theirs = await invite(email, { server: 'elsewhere' }, { token: foreigner });
    assert.equal(theirs.status, 201);
    const second = await letter(email);
    const there = await accept({ token: second.token, password: 'Elsewhere@123' });
    assert.equal(there.body.user.server, 'elsewhere');
    assert.equal((await accept({ token, password })).body.user.server, 'default');
  });

  it('needs the right to write users, and an address', async () => {
    const { body } = await other.call('POST', '/register', { json: { username: 'plain', password } });
    const plain = body.token.access_token;
    assert.equal((await invite(somebody(), {}, { token: plain })).status, 403);
    assert.equal((await postern.call('GET', '/invitations', { token: plain })).status, 403);
    assert.equal((await postern.call('POST', '/invitations', { json: { email: somebody() } })).status, 401);
    assert.deepEqual(outcome(await invite('a@b,c@d')), [400, 'http.invalid_request']);
    assert.deepEqual(outcome(await invite(somebody(), { bogus: 1 })), [400, 'http.invalid_request']);
  });

  it('goes with the user who accepted, and with one of its address', async () => {
    const [accepted, pending] = [await invited(), await invited()];
    await accept({ token: accepted.token, password });
    await other.call('POST', '/register', { json: { email: pending.email, password } });
    for (const { email, id } of [accepted, pending]) {
      assert.equal((await postern.call('DELETE', `/users?email=${email}`, { token: writer })).status, 204);
      assert.equal(await statusOf(id), undefined);
    }
    assert.equal((await accept({ token: pending.token, password })).status, 410);
  });

  it('works where registration is private too', async () => {
    await other.stop();
    other = await other.restart({ REGISTRATION: 'private' });
    const { email, token } = await invited();
    const done = await accept({ token, password }, other);
    assert.deepEqual([done.status, done.body.user.email], [200, email]);
    assert.equal((await other.call('POST', '/login', { json: { email, password } })).status, 200);
  });
});
