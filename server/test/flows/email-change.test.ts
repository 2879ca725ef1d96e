/** Changing the e-mail address of an account: both addresses confirm (quality S2, S9, S11, S14, S16). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { type OpenDatabase, openDatabase } from '../../src/database/open.ts';
import { type InboxMessage, letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, type Reply, startPostern } from '../support/start-postern.ts';

const password = 'Password@123';

describe('a change of e-mail address', () => {
  let postern: Postern;
  let database: OpenDatabase;
  let count = 0;
  before(async () => {
    postern = await startPostern({ env: { VERIFY_CODE_SECONDS: '600' } });
    const log = pino({ level: 'silent' });
    const where = { databaseUrl: undefined, dataDir: postern.dataDir };
    database = await openDatabase(where, log, { max: 2, name: 'postern test' });
  });
  after(async () => {
    await database.close();
    await postern.dispose();
  });

  interface Person {
    uuid: string;
    email: string;
    token: string;
  }
  const fresh = (name = 'user') => `${name}${++count}@change.example`;
  async function register(json: object): Promise<Person> {
    const { status, body, text } = await postern.call('POST', '/auth/register', { json: { ...json, password } });
    assert.equal(status, 201, text);
    return { uuid: body.user.uuid, email: body.user.email, token: body.token.access_token };
  }
  async function verified(): Promise<Person> {
    const person = await register({ email: fresh() });
    const { token } = proofIn(await letterTo(postern, person.email));
    assert.equal((await postern.call('POST', '/auth/verify', { json: { token } })).status, 200);
    return person;
  }
  const change = ({ token }: Person, email: string, given = password) =>
    postern.call('POST', '/auth/email/change', { token, json: { email, password: given } });
  const confirm = (json: object, person?: Person) =>
    postern.call('POST', '/auth/email/confirm', { json, ...(person ? { token: person.token } : {}) });
  const me = async ({ token }: Person) => (await postern.call('GET', '/auth/me', { token })).body;
  const outcome = ({ status, body }: Reply) => [status, body?.code];

  const isChange = ({ text }: InboxMessage) => text.includes('/auth/email/confirm?token=');
  /** Code and link of the newest letter about a change but those already seen. */
  const seen = new Set<string>();
  async function proof(address: string): Promise<{ code: string; token: string; message: InboxMessage }> {
    const message = await letterTo(postern, address, (one) => isChange(one) && !seen.has(one.id));
    seen.add(message.id);
    const code = /Your code is (\d+)/.exec(message.text)?.[1];
    const token = /\/auth\/email\/confirm\?token=([\w-]+)/.exec(message.text)?.[1];
    assert.ok(code && token, message.text);
    return { code, token, message };
  }
  const wrong = (...codes: string[]) => ['0000', '1111', '2222'].find((code) => !codes.includes(code)) ?? '';
  const logins = (email: string) => postern.call('POST', '/login', { json: { email, password } });

  it('is made once both addresses have confirmed by link, and sessions live on', async () => {
    const person = await verified();
    const elsewhere = (await logins(person.email)).body.token.access_token;
    const next = fresh('New.User');
    assert.equal((await change(person, next)).status, 202);
    const [toNew, toOld] = [await proof(next), await proof(person.email)];
    assert.ok(toOld.message.text.includes(next) && !toNew.message.text.includes(person.email));
    assert.ok(toOld.message.html.includes(toOld.code) && toOld.message.subject.includes(toOld.code));

    assert.equal((await confirm({ token: toNew.token })).status, 204);
    assert.deepEqual([(await me(person)).email, (await logins(next)).status], [person.email, 401], 'one side only');
    assert.deepEqual(outcome(await confirm({ token: toNew.token })), [410, 'challenges.link_expired']);
    assert.equal((await confirm({ token: toOld.token })).status, 204);

    const now = await me(person);
    assert.deepEqual([now.email, now.email_verified, now.uuid], [next, true, person.uuid]);
    assert.equal((await postern.call('GET', '/auth/me', { token: elsewhere })).body.email, next);
    assert.deepEqual([(await logins(person.email)).status, (await logins(next.toUpperCase())).status], [401, 200]);
    const told = await letterTo(postern, person.email, ({ subject }) => subject.includes('has changed'));
    assert.ok(!told.text.includes(next));
    const audit = await database.db`
      SELECT actor FROM audit_events WHERE type = 'user.email_changed' AND user_id = ${person.uuid}`;
    assert.deepEqual([audit.length, audit[0]?.actor], [1, `user:${person.uuid}`]);
    assert.equal((await register({ email: person.email })).email, person.email, 'the old address is free again');
  });

  it('is confirmed by the codes of both letters, in either order, with the session', async () => {
    for (const order of ['new first', 'old first']) {
      const person = await verified();
      const next = fresh();
      await change(person, next);
      const codes = [(await proof(next)).code, (await proof(person.email)).code];
      if (order === 'old first') codes.reverse();
      const [first = '', second = ''] = codes;
      assert.equal((await confirm({ code: first })).status, 401, 'a code alone');
      const stranger = await register({ email: fresh() });
      assert.deepEqual(outcome(await confirm({ code: first }, stranger)), [410, 'challenges.code_expired']);
      assert.equal((await confirm({ code: first }, person)).status, 204, order);
      assert.equal((await me(person)).email, person.email);
      if (first !== second) {
        assert.deepEqual(outcome(await confirm({ code: first }, person)), [400, 'challenges.code_invalid']);
      }
      assert.equal((await confirm({ code: second }, person)).status, 204, order);
      assert.equal((await me(person)).email, next);
      assert.deepEqual(outcome(await confirm({ code: second }, person)), [410, 'challenges.code_expired']);
    }
  });

  it('of somebody with a username only, or an address never verified, needs the new address alone', async () => {
    for (const json of [{ username: `name${++count}` }, { email: fresh() }]) {
      const person = await register(json);
      const next = fresh();
      assert.equal((await change(person, next)).status, 202);
      assert.equal((await confirm({ code: (await proof(next)).code }, person)).status, 204);
      const now = await me(person);
      assert.deepEqual([now.email, now.email_verified], [next, true]);
    }
  });

  it('is ended where the address was verified after the letter was written: it has not been asked', async () => {
    const person = await register({ email: fresh() });
    const next = fresh();
    await change(person, next);
    const { token } = proofIn(await letterTo(postern, person.email));
    await postern.call('POST', '/auth/verify', { json: { token } });
    assert.deepEqual(outcome(await confirm({ token: (await proof(next)).token })), [410, 'challenges.link_expired']);
    assert.equal((await me(person)).email, person.email);
  });

  it('needs the password, a session of a user, and another address', async () => {
    const person = await verified();
    const refused = await change(person, fresh(), 'Password@124');
    assert.deepEqual(outcome(refused), [401, 'auth.invalid_credentials']);
    assert.ok(refused.headers.get('www-authenticate'));
    for (const [email, path] of [
      [person.email.toUpperCase(), 'email'],
      ['a@b,c@d', 'email'],
    ] as const) {
      const reply = await change(person, email);
      assert.deepEqual([reply.status, reply.body.errors[0].path], [400, path]);
    }
    assert.equal((await change({ ...person, token: '' }, fresh())).status, 401);
    const { stdout } = await postern.cli('keys', 'create', '--name', 'x', '--scope', 'basic', '--json');
    const program = { ...person, token: JSON.parse(stdout).key };
    assert.deepEqual(outcome(await change(program, fresh())), [403, 'auth.users_only']);
    assert.deepEqual(outcome(await confirm({ code: '0000' }, program)), [403, 'auth.users_only']);
    for (const body of [{}, { code: '0000', token: 'x' }, { code: 7 }, { token: 'x', more: 1 }]) {
      assert.equal((await confirm(body, person)).status, 400);
    }
    assert.deepEqual(outcome(await confirm({ token: 'x'.repeat(43) })), [400, 'challenges.link_invalid']);
    assert.deepEqual(outcome(await confirm({ code: '0000' }, person)), [410, 'challenges.code_expired']);
  });

  it('S2 does not tell whether the new address is taken; its owner hears of it', async () => {
    const owner = await verified();
    const person = await verified();
    const free = await change(person, fresh());
    await proof(person.email);
    const taken = await change(person, owner.email);
    assert.deepEqual([taken.status, taken.text], [free.status, free.text]);
    assert.equal(
      (await confirm({ token: (await proof(person.email)).token })).status,
      204,
      'the old side all the same',
    );
    const told = await letterTo(postern, owner.email, ({ subject }) => subject.includes('already have an account'));
    assert.ok(!isChange(told) && !told.text.includes(person.email));
    assert.deepEqual([(await me(person)).email, (await me(owner)).email], [person.email, owner.email]);
  });

  it('answers 409 where the new address was taken meanwhile, and changes nothing', async () => {
    const person = await verified();
    const next = fresh();
    await change(person, next);
    const [toNew, toOld] = [await proof(next), await proof(person.email)];
    assert.equal((await confirm({ token: toOld.token })).status, 204);
    const quicker = await register({ email: next });
    for (const attempt of [{ token: toNew.token }, { code: toNew.code }]) {
      assert.deepEqual(outcome(await confirm(attempt, person)), [409, 'users.already_registered']);
    }
    assert.equal((await me(person)).email, person.email);
    const deleted = await postern.call('DELETE', `/users/${quicker.uuid}`, { token: quicker.token });
    assert.equal(deleted.status, 204);
    assert.equal((await confirm({ token: toNew.token })).status, 204, 'free again within the life of the link');
    assert.equal((await me(person)).email, next);
  });

  it('of two users to one address is made for one of them', async () => {
    const people = [await verified(), await verified(), await verified()];
    const next = fresh();
    const tokens: string[] = [];
    for (const person of people) {
      await change(person, next);
      tokens.push((await proof(next)).token);
      assert.equal((await confirm({ token: (await proof(person.email)).token })).status, 204);
    }
    const replies = await Promise.all(tokens.map((token) => confirm({ token })));
    assert.deepEqual(replies.map(({ status }) => status).sort(), [204, 409, 409]);
    const owners = (await Promise.all(people.map(me))).filter(({ email }) => email === next);
    assert.equal(owners.length, 1);
  });

  it('S11 is made once when both sides confirm many times in parallel', async () => {
    const person = await verified();
    const next = fresh();
    await change(person, next);
    const tokens = [(await proof(next)).token, (await proof(person.email)).token];
    const replies = await Promise.all(Array.from({ length: 40 }, (_, i) => confirm({ token: tokens[i % 2] })));
    assert.equal(replies.filter(({ status }) => status === 204).length, 2);
    assert.ok(replies.every(({ status }) => [204, 410].includes(status)));
    assert.equal((await me(person)).email, next);
    const audit = await database.db`
      SELECT FROM audit_events WHERE type = 'user.email_changed' AND user_id = ${person.uuid}`;
    assert.equal(audit.length, 1);
  });

  it('S9 is not guessed: three codes for each letter, then none', async () => {
    const person = await verified();
    const next = fresh();
    await change(person, next);
    const [toNew, toOld] = [await proof(next), await proof(person.email)];
    const guess = wrong(toNew.code, toOld.code);
    for (let i = 0; i < 3; i++) {
      assert.deepEqual(outcome(await confirm({ code: guess }, person)), [400, 'challenges.code_invalid']);
    }
    for (const { code } of [toNew, toOld]) {
      const refused = await confirm({ code }, person);
      assert.deepEqual(outcome(refused), [429, 'challenges.too_many_tries']);
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
    }
    assert.equal((await me(person)).email, person.email);
  });

  it('is replaced by the next one: letters about the former confirm nothing', async () => {
    const person = await verified();
    const [first, second] = [fresh(), fresh()];
    await change(person, first);
    const former = [await proof(first), await proof(person.email)];
    assert.equal((await confirm({ token: former[1]?.token })).status, 204);
    await change(person, second);
    const [toNew, toOld] = [await proof(second), await proof(person.email)];
    for (const { token } of former)
      assert.deepEqual(outcome(await confirm({ token })), [410, 'challenges.link_expired']);
    assert.equal((await confirm({ token: toNew.token })).status, 204);
    assert.equal((await me(person)).email, person.email, 'the yes to the former change is no yes to this one');
    assert.equal((await confirm({ token: toOld.token })).status, 204);
    assert.equal((await me(person)).email, second);
  });

  it('asked for many times in parallel, for several addresses, is one that can be completed', async () => {
    const person = await verified();
    const targets = [fresh(), fresh(), fresh()];
    const replies = await Promise.all(targets.map((email) => change(person, email)));
    assert.deepEqual(
      replies.map(({ status }) => status),
      [202, 202, 202],
    );
    const tokens: string[] = [];
    for (const address of [...targets, person.email, person.email, person.email])
      tokens.push((await proof(address)).token);
    const answers = await Promise.all(tokens.map((token) => confirm({ token })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [204, 204, 410, 410, 410, 410]);
    assert.ok(targets.includes((await me(person)).email));
  });

  it('asked for many times in parallel is answered each time', async () => {
    for (const person of await Promise.all(Array.from({ length: 12 }, verified))) {
      const replies = await Promise.all(Array.from({ length: 4 }, () => change(person, fresh())));
      for (const { status, text } of replies) assert.equal(status, 202, text);
    }
  });

  it('is ended by a new password, for a stranger who knew the old one may have asked for it', async () => {
    const person = await register({ username: `name${++count}` });
    const next = fresh();
    await change(person, next);
    const { token } = await proof(next);
    const json = { current_password: password, new_password: 'Another@123' };
    assert.equal((await postern.call('POST', '/auth/password/change', { token: person.token, json })).status, 204);
    assert.deepEqual(outcome(await confirm({ token })), [410, 'challenges.link_expired']);
    assert.equal((await me(person)).email, null);
  });

  it('that the budget of letters does not allow leaves the former one as it was', async () => {
    const person = await verified(); // which took one letter of five in this hour
    const next = fresh();
    await change(person, next);
    const kept = [await proof(next), await proof(person.email)];
    const busy = await register({ email: fresh() });
    await Promise.all(
      Array.from({ length: 6 }, () => postern.call('POST', '/auth/verify/resend', { json: { email: busy.email } })),
    );
    assert.equal((await change(person, busy.email)).status, 202);
    for (const { token } of kept) assert.equal((await confirm({ token })).status, 204);
    assert.equal((await me(person)).email, next);
  });

  it('S14 S16 is nothing to a verification, and opening the link changes nothing', async () => {
    const person = await verified();
    const next = fresh();
    await change(person, next);
    const [toNew, toOld] = [await proof(next), await proof(person.email)];
    for (const { token } of [toNew, toOld]) {
      const elsewhere = await postern.call('POST', '/auth/verify', { json: { token } });
      assert.deepEqual(outcome(elsewhere), [400, 'challenges.link_invalid']);
      for (const method of ['GET', 'HEAD', 'GET']) {
        const opened = await postern.call(method, `/auth/email/confirm?token=${token}`);
        assert.equal(opened.status, 200);
        assert.match(opened.headers.get('content-type') ?? '', /text\/html/);
      }
    }
    assert.equal((await me(person)).email, person.email);
    const escaped = await postern.call('GET', `/auth/email/confirm?token=${encodeURIComponent('"><script>')}`);
    assert.ok(!escaped.text.includes('<script>') && escaped.text.includes('action="/auth/email/confirm"'));

    const press = (token: string) => postern.call('POST', '/auth/email/confirm', { form: { token } });
    const first = await press(toOld.token);
    assert.equal(first.status, 200);
    assert.match(first.text, /other address has to confirm/);
    assert.match((await press(toNew.token)).text, /Your address has changed/);
    const again = await press(toNew.token);
    assert.equal(again.status, 410);
    assert.match(again.headers.get('content-type') ?? '', /text\/html/);
    assert.equal((await me(person)).email, next);
  });

  it('S24 keeps codes and links out of the stored history', async () => {
    const person = await verified();
    const next = fresh();
    await change(person, next);
    const proofs = [await proof(next), await proof(person.email)];
    const stored = await database.db<{ text: string }[]>`
      SELECT e.subject || b.text_body || b.html_body AS text FROM emails e JOIN email_bodies b ON b.email_id = e.id
      WHERE e.user_id = ${person.uuid} AND b.text_body LIKE '%asked to%•••%'`;
    assert.equal(stored.length, 2);
    for (const { text } of stored) {
      for (const { code, token } of proofs) assert.ok(!text.includes(token) && !text.includes(`code is ${code}`));
    }
  });
});
