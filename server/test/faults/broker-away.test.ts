import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { freePorts } from '../support/free-ports.ts';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

describe('a Postern whose broker is not there', () => {
  let postern: Postern;
  let port: number | undefined;
  before(async () => {
    [port] = await freePorts(1);
    postern = await startPostern({ env: { QUEUE_URL: `redis://:hunter2@127.0.0.1:${port}` } });
  });
  after(() => postern?.dispose());

  it('delivers all the same', async () => {
    const account = { email: 'ann@example.com', password: 'a long pass phrase' };
    const { status, text } = await postern.call('POST', '/auth/register', { json: account });
    assert.equal(status, 201, text);
    proofIn(await letterTo(postern, 'ann@example.com'));
  });

  it('names the broker at /readyz, but goes on taking requests', async () => {
    const reply = await waitFor(
      async () => {
        const reply = await postern.call('GET', '/readyz');
        return reply.body.status === 'degraded' && reply;
      },
      { what: 'word of the broker', detail: postern.output },
    );
    assert.equal(reply.status, 200);
    assert.deepEqual(reply.body.checks.queue, { ok: false, error: 'bridged over PostgreSQL: Redis cannot be used' });
    assert.deepEqual(reply.body.checks.database, { ok: true });
  });

  it('says so once in the log, and keeps the password to itself', async () => {
    for (let i = 0; i < 3; i++) await postern.call('GET', '/readyz');
    const lines = postern.output().split('\n');
    assert.equal(lines.filter((line) => line.includes(`Redis at 127.0.0.1:${port} cannot be used`)).length, 1);
    assert.equal(lines.filter((line) => /not ready/.test(line)).length, 0);
    assert.ok(!postern.output().includes('hunter2'));
  });

  it('is told by doctor what to do about it', async () => {
    const { code, stdout } = await postern.cli('doctor');
    assert.equal(code, 1);
    assert.match(
      stdout,
      new RegExp(`FAULT {4}QUEUE_URL: Redis at 127\\.0\\.0\\.1:${port}: .*ECONNREFUSED.*\\n.*Check host`),
    );
    assert.ok(!stdout.includes('hunter2'));
  });
});
