/** The embedded PostgreSQL: found, shared, adopted, restarted, stopped by whoever leaves last (F5, F19). */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectDatabase } from '../../src/database/database.ts';
import { databaseUrlOf } from '../support/engines.ts';
import { tokenOf } from '../support/judge.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'correct horse battery';

async function serverPid(dataDir: string): Promise<number | undefined> {
  const text = await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number(text.split('\n')[0]);
}

describe('the embedded PostgreSQL', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());

  const register = (username: string) => postern.call('POST', '/auth/register', { json: { username, password } });
  const login = (username: string) => postern.call('POST', '/auth/login', { json: { username, password } });

  it('F19 keeps what it commits on the disk', async () => {
    const db = connectDatabase(await databaseUrlOf(postern), { max: 1, name: 'postern test' });
    for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes'])
      assert.deepEqual([...(await db`SELECT current_setting(${setting}) AS is`)], [{ is: 'on' }], setting);
    await db.end();
  });

  it('serves a second command beside the running server', async () => {
    const listed = await postern.cli('tenants', 'list', '--json');
    assert.equal(listed.code, 0, listed.stderr);
    assert.deepEqual(
      JSON.parse(listed.stdout).map((tenant: { slug: string }) => tenant.slug),
      ['default'],
    );
    assert.equal((await postern.call('GET', '/readyz')).status, 200);
  });

  it('F19 is adopted by the next start after kill -9, with every acknowledged row', async () => {
    const acknowledged: string[] = [];
    const registering = (async () => {
      for (let i = 0; ; i++) {
        const reply = await register(`user-${i}`).catch(() => undefined);
        if (reply === undefined) return;
        if (reply.status === 201) acknowledged.push(`user-${i}`);
      }
    })();
    await waitFor(() => acknowledged.length >= 5, { what: 'some registrations' });
    const before = await serverPid(postern.dataDir);
    await postern.kill();
    await registering;
    assert.equal(await serverPid(postern.dataDir), before, 'the database outlives its parent');
    postern = await postern.restart();
    assert.equal(await serverPid(postern.dataDir), before, 'and is adopted');
    for (const username of acknowledged) assert.equal((await login(username)).status, 200, username);
  });

  it('F5 is started again when it is killed, and answers are 503 meanwhile', async () => {
    const pid = await serverPid(postern.dataDir);
    assert.ok(pid);
    process.kill(pid, 'SIGKILL');
    const statuses = new Set<number>();
    await waitFor(
      async () => {
        const reply = await login('user-0');
        statuses.add(reply.status);
        if (reply.status === 503) assert.ok(reply.headers.get('retry-after'));
        const now = await serverPid(postern.dataDir);
        return reply.status === 200 && now !== undefined && now !== pid;
      },
      { what: 'the database to come back', detail: postern.output },
    );
    for (const status of statuses) assert.ok(status === 200 || status === 503, `answered ${status}`);
  });

  it('F19 keeps every acknowledged row when both are killed', async () => {
    assert.equal((await register('last')).status, 201);
    const pid = await serverPid(postern.dataDir);
    await postern.kill();
    if (pid) process.kill(pid, 'SIGKILL');
    postern = await postern.restart();
    assert.equal((await login('last')).status, 200);
  });

  it('F19 keeps every acknowledged letter through twenty kill -9', async () => {
    const token = await tokenOf(postern);
    const acknowledged: string[] = [];
    let isOver = false;
    const client = async () => {
      while (!isOver) {
        const json = { to: 'a@example.com', subject: 'x', scheduled_at: new Date(Date.now() + 86_400_000) };
        const { status, body } = await postern.call('POST', '/emails', { token, json });
        if (status === 202) acknowledged.push(body.id);
        else {
          assert.equal(status, 503);
          await sleep(50);
        }
      }
    };
    const clients = Promise.all([client(), client(), client()]);
    let last: number | undefined;
    for (let i = 0; i < 20; i++) {
      const before = acknowledged.length;
      // Each kill finds letters that were acknowledged since the one before.
      await waitFor(() => acknowledged.length > before + 3, { what: 'letters', detail: postern.output });
      last = await waitFor(async () => serverPid(postern.dataDir).then((pid) => pid !== last && pid), {
        what: 'the database',
      });
      process.kill(last, 'SIGKILL');
    }
    await waitFor(async () => (await postern.call('GET', '/readyz')).status === 200, {
      what: 'the database to be back',
    });
    isOver = true;
    await clients;
    for (const id of acknowledged) {
      // Other connections of the pool may still have to find out that they have ended.
      const found = await waitFor(
        async () => {
          const reply = await postern.call('GET', `/emails/${id}`, { token });
          return reply.status !== 503 && reply;
        },
        { what: 'an answer' },
      );
      assert.equal(found.body.status, 'scheduled');
    }
  });

  it('stops with its parent on SIGTERM, which exits 0', async () => {
    assert.equal(await postern.stop(), 0, postern.output());
    assert.equal(await serverPid(postern.dataDir), undefined);
  });

  it('runs for the length of a command when no server runs', async () => {
    const listed = await postern.cli('tenants', 'list', '--json');
    assert.equal(listed.code, 0, listed.stderr);
    assert.equal(await serverPid(postern.dataDir), undefined);
  });
});

describe('two nodes on one data folder', () => {
  it('share the database, and the last one stops it', async () => {
    const first = await startPostern();
    const second = await startPostern({ dataDir: first.dataDir });
    try {
      await first.call('POST', '/auth/register', { json: { username: 'shared', password } });
      assert.equal((await second.call('POST', '/auth/login', { json: { username: 'shared', password } })).status, 200);
      assert.equal(await first.stop(), 0);
      assert.ok(await serverPid(first.dataDir), 'still there for the second');
      assert.equal((await second.call('POST', '/auth/login', { json: { username: 'shared', password } })).status, 200);
      assert.equal(await second.stop(), 0);
      assert.equal(await serverPid(first.dataDir), undefined);
    } finally {
      await second.dispose();
      await first.dispose();
    }
  });

  it('may start at the same time', async () => {
    const first = await startPostern();
    await first.stop();
    const [one, two] = await Promise.all([
      startPostern({ dataDir: first.dataDir }),
      startPostern({ dataDir: first.dataDir }),
    ]);
    await Promise.all([one.dispose(), two.dispose()]);
    await first.dispose();
  });
});
