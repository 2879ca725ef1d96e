/** PostgreSQL killed while letters come in and go out, over each queue engine. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Engine, engines, type OpenEngine } from '../support/engines.ts';
import { acquit, type Judge, startJudge, tokenOf } from '../support/judge.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

describe('PostgreSQL is killed under load', { concurrency: true }, () => {
  for (const engine of engines)
    describe(`over ${engine.name}`, { skip: engine.skip, concurrency: false }, () => over(engine));
});

function over(engine: Engine): void {
  let queue: OpenEngine;
  let judge: Judge;
  let postern: Postern;
  before(async () => {
    queue = await engine.open();
    judge = await startJudge();
    postern = await startPostern({
      env: { SMTP_URL: `smtp://127.0.0.1:${judge.port}`, POSTERN_ENV: 'development', ...queue.env },
    });
  });
  after(async () => {
    await postern.dispose();
    await judge.close();
    await queue.close();
  });

  it('F5 callers are told to come back; then all that was accepted arrives, without a restart', async () => {
    const token = await tokenOf(postern);
    const watch = judge.watch(() => postern, token);
    const load = judge.load(() => postern, token, { clients: 6, isOver: () => judge.asked() >= 300 });
    await waitFor(() => judge.accepted() > 100 && judge.inFlight() > 0, { what: 'load', detail: postern.output });
    const [pid] = (await readFile(join(postern.dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(pid), 'SIGKILL');
    // The judge's client insists that whatever is not accepted is a 503 with Retry-After.
    await waitFor(() => judge.refusals() > 0, { what: 'a 503', detail: postern.output });
    await load;
    const verdict = await judge.verdict(postern, token);
    await watch.stop();
    acquit(verdict, { crashes: 1 });
  });
}
