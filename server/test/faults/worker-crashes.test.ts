/** Workers that die, freeze and leave while letters are on their way. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { type BusySink, judge, startBusySink, tokenOf } from '../support/judge.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const letters = 300;

describe('of several workers on one database', () => {
  let sink: BusySink;
  let api: Postern;
  let token: string;
  let workers: Postern[] = [];

  before(async () => {
    sink = await startBusySink();
    api = await startPostern({ env: environment(), args: ['--role', 'api'] });
    token = await tokenOf(api);
  });
  after(async () => {
    await api.dispose();
    await sink.close();
  });
  beforeEach(() => {
    sink.received.length = 0;
    workers = [];
  });
  afterEach(async () => {
    for (const worker of workers) {
      worker.process.kill('SIGCONT');
      await worker.dispose();
    }
  });

  const environment = () => ({ SMTP_URL: sink.url, POSTERN_ENV: 'development' });
  const startWorker = async () => {
    const options = { env: environment(), dataDir: api.dataDir, args: ['--role', 'worker'], headless: true };
    const worker = await startPostern(options);
    workers.push(worker);
    return worker;
  };
  const accept = async () => {
    const emails = Array.from({ length: letters }, (_, i) => ({ to: `r${i}@example.com`, subject: `${i}`, text: 'x' }));
    const { body } = await api.call('POST', '/emails/batch', { token, json: emails });
    return body.data.map(({ id }: { id: string }) => id) as string[];
  };

  it('one is killed and one frozen past its leases: a third brings all to its end, and what thaws changes nothing (F1, F9)', async () => {
    const [killed, frozen] = await Promise.all([startWorker(), startWorker()]);
    const ids = await accept();
    await waitFor(() => sink.received.length > 40 && sink.inFlight() > 4, { what: 'deliveries' });
    killed.process.kill('SIGKILL');
    frozen.process.kill('SIGSTOP');
    await startWorker();
    await judge(api, token, sink, ids);
    frozen.process.kill('SIGCONT');
    assert.equal(await frozen.stop(), 0, frozen.output());
    const { copies, others } = await judge(api, token, sink, ids);
    assert.ok(
      copies.every((count) => count === 1 || count === 2),
      `${copies}`,
    );
    assert.equal(others, 0);
  });

  it('one is asked to stop: it ends what it began and leaves the rest to others, and nothing comes twice', async () => {
    const first = await startWorker();
    const ids = await accept();
    await waitFor(() => sink.received.length > 20 && sink.inFlight() > 4, { what: 'deliveries' });
    assert.equal(await first.stop(), 0, first.output());
    assert.equal(sink.inFlight(), 0);
    await Promise.all([startWorker(), startWorker()]);
    const { copies, others } = await judge(api, token, sink, ids);
    assert.deepEqual(new Set(copies), new Set([1]));
    assert.equal(others, 0);
  });
});
