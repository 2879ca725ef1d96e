/** PostgreSQL killed while letters come in and go out. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BusySink, judge, startBusySink, tokenOf } from '../support/judge.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const letters = 300;
const clients = 6;

describe('PostgreSQL is killed under load', () => {
  let sink: BusySink;
  let postern: Postern;
  before(async () => {
    sink = await startBusySink();
    postern = await startPostern({ env: { SMTP_URL: sink.url, POSTERN_ENV: 'development' } });
  });
  after(async () => {
    await postern.dispose();
    await sink.close();
  });

  it('and callers are told to come back; then all that was accepted arrives, without a restart (F5)', async () => {
    const token = await tokenOf(postern);
    const ids: string[] = [];
    let refusals = 0;
    const client = async () => {
      while (ids.length < letters) {
        const json = { to: `r${ids.length}@example.com`, subject: 'x', text: 'x' };
        const { status, headers, body, text } = await postern.call('POST', '/emails', { token, json });
        if (status === 202) {
          ids.push(body.id);
          continue;
        }
        assert.equal(status, 503, text);
        assert.ok(headers.get('retry-after'));
        refusals++;
        await sleep(50);
      }
    };
    const load = Promise.all(Array.from({ length: clients }, client));
    await waitFor(() => ids.length > letters / 3 && sink.inFlight() > 0, { what: 'load' });
    const [pid] = (await readFile(join(postern.dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(pid), 'SIGKILL');
    await load;
    assert.ok(refusals > 0);
    const { copies, others } = await judge(postern, token, sink, ids);
    assert.ok(
      copies.every((count) => count === 1 || count === 2),
      `${copies}`,
    );
    // What was committed just before the kill and never acknowledged may have come too.
    assert.ok(others <= clients, `${others}`);
  });
});
