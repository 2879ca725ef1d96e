/** Workers and brokers that die, freeze and forget while letters are on their way, over each queue engine. */
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { type Engine, engines, type OpenEngine } from '../support/engines.ts';
import { acquit, type Judge, startJudge, tokenOf } from '../support/judge.ts';
import { call, type Postern, startPostern } from '../support/start-postern.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

// Most of the time is spent waiting for leases to run out, so the engines wait together.
describe('of several workers on one database', { concurrency: true }, () => {
  for (const engine of engines)
    describe(`over ${engine.name}`, { skip: engine.skip, concurrency: false }, () => over(engine));
});

function over(engine: Engine): void {
  let queue: OpenEngine;
  let judge: Judge;
  let relay: TcpProxy;
  let api: Postern;
  let token: string;
  let workers: Postern[] = [];

  before(async () => {
    queue = await engine.open();
    judge = await startJudge();
    relay = await startTcpProxy({ host: '127.0.0.1', port: judge.port });
    api = await startPostern({ env: environment(), args: ['--role', 'api'] });
    token = await tokenOf(api);
  });
  after(async () => {
    await api.dispose();
    await relay.close();
    await judge.close();
    await queue.close();
  });
  beforeEach(async () => {
    workers = [];
    judge.forget();
  });
  afterEach(async () => {
    for (const worker of workers) {
      worker.process.kill('SIGCONT');
      await worker.dispose();
    }
    queue.broker?.network.mend();
  });

  const environment = () => ({
    SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
    POSTERN_ENV: 'development',
    ...queue.env,
  });
  const startWorker = async () => {
    const options = { env: environment(), dataDir: api.dataDir, args: ['--role', 'worker'], headless: true };
    const worker = await startPostern(options);
    workers.push(worker);
    return worker;
  };
  const handIn = (letters: number, to = () => api) => {
    const isOver = () => judge.asked() >= letters;
    return judge.load(to, token, { clients: 8, isOver });
  };

  it('F1 F9 one is killed and one frozen past its leases: a third brings all to its end, and what thaws changes nothing', async () => {
    const [killed, frozen] = await Promise.all([startWorker(), startWorker()]);
    const handingIn = handIn(300);
    await waitFor(() => judge.taken() > 40 && judge.inFlight() > 1, { what: 'deliveries', seconds: 90 });
    killed.process.kill('SIGKILL');
    frozen.process.kill('SIGSTOP');
    // What thaws hears that its letters were cut off, and holds others whose leases have run out meanwhile.
    relay.reset();
    await handingIn;
    await startWorker();
    await judge.verdict(api, token);
    const taken = judge.taken();
    frozen.process.kill('SIGCONT');
    assert.equal(await frozen.stop(), 0, frozen.output());
    assert.equal(judge.taken(), taken, 'it sends nothing any more');
    acquit(await judge.verdict(api, token), { crashes: 1 });
  });

  it('F2 one is killed before DATA: another sends its letters, each once', async () => {
    relay.swallowReplies();
    const killed = await startWorker();
    await handIn(20);
    await waitFor(
      async () => (await api.call('GET', '/emails?status=sending&limit=1', { token })).body.data.length > 0,
      {
        what: 'deliveries to begin',
      },
    );
    await killed.kill();
    relay.mend();
    await startWorker();
    const verdict = await judge.verdict(api, token);
    acquit(verdict, { crashes: 0 });
  });

  it('F3 the API is killed between commit and reply: the same Idempotency-Key makes one letter', async () => {
    const way = await startTcpProxy({ host: '127.0.0.1', port: api.port });
    let reached: Postern = {
      ...api,
      call: (method, path, options) => call(`http://127.0.0.1:${way.port}${path}`, method, options),
    };
    const count = async () => (await api.call('GET', '/emails?limit=100&status=queued', { token })).body.data.length;
    way.swallowReplies();
    const handingIn = handIn(10, () => reached);
    await waitFor(async () => (await count()) >= 8, { what: 'the commits' });
    await api.kill();
    api = await api.restart();
    reached = api;
    await way.close();
    await handingIn;
    assert.equal(await count(), judge.accepted());
    await startWorker();
    acquit(await judge.verdict(api, token), { crashes: 0 });
  });

  it('F4 F6 all are killed with letters handed over and not, and the broker forgets: every letter leaves later, once', async () => {
    // With the relay silent the worker's hands fill up, and what it does not take stays in the broker.
    relay.swallowReplies();
    const worker = await startWorker();
    await handIn(900);
    const { broker } = queue;
    if (broker) await waitFor(async () => (await broker.lose(api)) > 0, { what: 'letters in the broker' });
    await Promise.all([worker.kill(), api.kill()]);
    api = await api.restart();
    await broker?.lose(api);
    relay.mend();
    relay.reset();
    await startWorker();
    acquit(await judge.verdict(api, token), { crashes: 0 });
  });

  it('one is asked to stop: it ends what it began and leaves the rest to others, and nothing comes twice', async () => {
    const first = await startWorker();
    const handingIn = handIn(300);
    await waitFor(() => judge.taken() > 20 && judge.inFlight() > 1, { what: 'deliveries', seconds: 90 });
    assert.equal(await first.stop(), 0, first.output());
    assert.equal(judge.inFlight(), 0);
    await Promise.all([startWorker(), startWorker(), handingIn]);
    acquit(await judge.verdict(api, token), { crashes: 0 });
  });

  if (engine.name === 'postgres') return;

  it('F6 F7 the broker forgets everything, is gone for a while, and loses its queues: nothing is lost, nothing comes twice', async () => {
    const { broker } = queue;
    assert.ok(broker);
    await startWorker();
    const handingIn = handIn(600);
    await waitFor(() => judge.taken() > 50, { what: 'deliveries' });
    await broker.lose(api);
    await waitFor(() => judge.taken() > 150, { what: 'more deliveries' });
    broker.network.cut();
    await waitFor(() => judge.taken() > 250, { what: 'deliveries without the broker' });
    broker.network.mend();
    await waitFor(() => broker.network.open() > 0, { what: 'the broker to be used again' });
    await broker.remove(api);
    await handingIn;
    acquit(await judge.verdict(api, token), { crashes: 0 });
  });

  it('F8 the broker delivers twice: each letter is sent once', async () => {
    const { broker } = queue;
    assert.ok(broker);
    // With the relay silent the workers' hands fill up, and what they do not take stays in the broker.
    relay.swallowReplies();
    await startWorker();
    await handIn(900);
    await waitFor(async () => (await broker.repeat(api)) > 0, { what: 'letters in the broker' });
    relay.mend();
    relay.reset();
    acquit(await judge.verdict(api, token), { crashes: 0 });
  });
}
