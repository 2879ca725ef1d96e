/** What an operator does with mail from the command line, beside the running server. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import pino from 'pino';
import { type OpenDatabase, openDatabase } from '../../src/database/open.ts';
import { Refusal, type Sink, startSink } from '../support/smtp-sink.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

describe('an operator of mail', () => {
  let sink: Sink;
  let postern: Postern;
  let database: OpenDatabase;
  let key: string;
  let isFull = true;
  before(async () => {
    sink = await startSink({
      onRecipient: (address) => {
        if (address === 'full@example.com' && isFull) throw new Refusal(552, '5.2.2 mailbox full');
      },
    });
    postern = await startPostern({ env: { SMTP_URL: sink.url, POSTERN_ENV: 'development' } });
    const log = pino({ level: 'silent' });
    const where = { databaseUrl: undefined, dataDir: postern.dataDir };
    database = await openDatabase(where, log, { max: 2, name: 'postern test' });
    assert.equal((await postern.cli('tenants', 'create', 'shop')).code, 0);
    const made = await postern.cli('keys', 'create', '--name', 'x', '--scope', 'email', '--tenant', 'shop', '--json');
    key = JSON.parse(made.stdout).key;
  });
  after(async () => {
    await database.close();
    await postern.dispose();
    await sink.close();
  });

  async function send(to: string, status: string): Promise<string> {
    const { body } = await postern.call('POST', '/emails', { token: key, json: { to, subject: 'Hello', text: 'Hi.' } });
    await untilStatus(body.id, status);
    return body.id;
  }
  const untilStatus = (id: string, status: string) =>
    waitFor(async () => (await postern.call('GET', `/emails/${id}`, { token: key })).body.status === status, {
      what: `${id} to be ${status}`,
      detail: postern.output,
    });

  it('retries a letter of any tenant', async () => {
    const id = await send('full@example.com', 'bounced');
    isFull = false;
    const retried = await postern.cli('emails', 'retry', id, '--json');
    assert.deepEqual([retried.code, JSON.parse(retried.stdout || '{}').id], [0, id], retried.stderr);
    await untilStatus(id, 'sent');
    for (const [refused, reason] of [
      [id, /This email is sent/],
      [crypto.randomUUID(), /No email/],
      ['nonsense', /No email/],
    ] as const) {
      const { code, stderr } = await postern.cli('emails', 'retry', refused);
      assert.equal(code, 1);
      assert.match(stderr, reason);
    }
    assert.equal((await postern.cli('emails', 'retry')).code, 2);
  });

  it('purges old history, after having been told what that means', async () => {
    const fresh = await send('ada@example.com', 'sent');
    const old = '018e0000-0000-7000-8000-000000000001'; // accepted in March 2024
    await database.db.unsafe(`
      CREATE TABLE emails_2024_03 PARTITION OF emails
        FOR VALUES FROM ('018df749-0400-0000-0000-000000000000') TO ('018e96ed-f000-0000-0000-000000000000');
      INSERT INTO emails (id, tenant_id, message_id, mail_from, subject, lane, status, on_uncertain, created_at)
      SELECT '${old}', tenant_id, 'x', 'x', 'Old', 'bulk', 'sent', 'retry', '2024-03-03' FROM emails LIMIT 1;`);
    for (const table of ['email_recipients', 'email_bodies', 'email_events']) {
      await database.db.unsafe(`
        CREATE TABLE ${table}_2024_03 PARTITION OF ${table}
          FOR VALUES FROM ('018df749-0400-0000-0000-000000000000') TO ('018e96ed-f000-0000-0000-000000000000')`);
    }
    const count = async () => (await database.db`SELECT FROM emails WHERE id IN (${old}, ${fresh})`).length;

    const asked = await postern.cli('emails', 'purge', '--older-than', '90');
    assert.equal(asked.code, 0, asked.stderr);
    assert.match(asked.stdout, /2024-03 .*\n*.*Would delete 1 letter accepted before .* Do it with --yes\./s);
    assert.equal(await count(), 2);

    const done = await postern.cli('emails', 'purge', '--older-than', '90', '--yes', '--json');
    assert.equal(done.code, 0, done.stderr);
    const { letters, kept, done: isDone } = JSON.parse(done.stdout);
    assert.deepEqual([letters, kept, isDone], [1, 0, true]);
    assert.match(done.stderr, /2024-03: dropped whole, 1 of 1 letters/);
    assert.equal(await count(), 1);
    await send('ada@example.com', 'sent');

    for (const days of ['0', '-1', 'x', '1.5']) {
      assert.equal((await postern.cli('emails', 'purge', '--yes', `--older-than=${days}`)).code, 2, days);
    }
    assert.equal((await postern.cli('emails', 'purge', '--yes')).code, 2);
  });
});
