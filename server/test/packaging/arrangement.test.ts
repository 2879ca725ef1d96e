import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { connectDatabase } from '../../src/database/database.ts';
import { type Sink, startSink } from '../support/smtp-sink.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const server = process.env.POSTERN_TEST_POSTGRES_URL;
// As compose.yaml has it, where this machine has one.
const broker = process.env.POSTERN_TEST_RABBITMQ_URL;
const isRequired = process.env.POSTERN_TEST_REQUIRE_SERVICES === '1';

describe('the arrangement of compose.yaml, on a PostgreSQL that is not the embedded one', {
  skip: server === undefined && !isRequired && 'POSTERN_TEST_POSTGRES_URL names no PostgreSQL',
}, () => {
  const name = `postern_test_${randomBytes(6).toString('hex')}`;
  let sink: Sink;
  let api: Postern;
  let worker: Postern;

  before(async () => {
    assert.ok(server, 'POSTERN_TEST_POSTGRES_URL is required here');
    await statement(server, `CREATE DATABASE ${name}`);
    sink = await startSink();
    const database = new URL(server);
    database.pathname = `/${name}`;
    const env = {
      POSTERN_ENV: 'production',
      DATABASE_URL: database.href,
      SMTP_URL: sink.url,
      MAIL_FROM: 'Example <no-reply@example.com>',
      SECRET_KEY: randomBytes(32).toString('base64'),
      ...(broker !== undefined && { QUEUE_URL: broker }),
    };
    // At once, as Compose starts them: whoever comes second waits for the first one's migrations.
    [api, worker] = await Promise.all([
      startPostern({ env, args: ['--role', 'api'] }),
      startPostern({ env, args: ['--role', 'worker'], headless: true }),
    ]);
  });
  after(async () => {
    await Promise.all([api?.dispose(), worker?.dispose()]);
    await sink?.close();
    if (server) await statement(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  });

  it('registers in one process and delivers the letter from another', async () => {
    const account = { email: 'ann@example.com', password: 'a long pass phrase' };
    const { status, text } = await api.call('POST', '/auth/register', { json: account });
    assert.equal(status, 201, text);
    const letter = await waitFor(() => sink.received[0], { what: 'the letter', detail: () => worker.output() });
    assert.deepEqual(letter.rcptTo, ['ann@example.com']);
    assert.equal(letter.mailFrom, 'no-reply@example.com');
  });

  it('is ready with each dependency named, and shows no secret', async () => {
    const { status, body } = await api.call('GET', '/readyz');
    assert.equal(status, 200);
    assert.equal(body.checks.database.ok, true);
    for (const { output, env } of [api, worker]) {
      for (const secret of [env.SECRET_KEY, env.DATABASE_URL, env.QUEUE_URL]) {
        assert.ok(secret === undefined || !output().includes(secret));
      }
    }
  });

  it('ends in order', async () => {
    assert.deepEqual(await Promise.all([api.stop(), worker.stop()]), [0, 0]);
  });
});

async function statement(url: string, sql: string): Promise<void> {
  const db = connectDatabase(url, { max: 1, name: 'postern test' });
  try {
    await db.unsafe(sql);
  } finally {
    await db.end();
  }
}
