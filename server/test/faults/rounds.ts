/**
 * `npm run test:faults -- --rounds 20`: letters go in and out without a pause while, round after round, something dies at
 * a random time. At the end the judge says what was lost, doubled, made up or taken back, and the exit code is 1 if
 * anything was, beyond the one duplicate of a letter that each crash may cost.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Engine, engines, type FaultyBroker } from '../support/engines.ts';
import { acquit, type Judge, startJudge, tokenOf } from '../support/judge.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const help = `npm run test:faults -- [options]

  --rounds N       how often something dies (default 20)
  --engine NAME    ${engines.map(({ name }) => name).join(', ')} or all (default: all there are; POSTERN_TEST_REDIS_URL and
                   POSTERN_TEST_RABBITMQ_URL name the services)
  --seed N         repeat the faults and times of a run
`;
const lettersPerRound = 200;
const clients = 6;
/** Longer than the longest lease. */
const frozenMilliseconds = 25_000;

/** What a fault may touch. */
interface Scene {
  random: () => number;
  judge: Judge;
  relay: TcpProxy;
  broker: FaultyBroker | undefined;
  /** HTTP and a worker in one process. */
  postern: Postern;
  worker: Postern;
  startWorker: () => Promise<Postern>;
  /** Frozen workers, until they thaw. */
  frozen: Promise<void>[];
}

type Fault = (scene: Scene) => Promise<void>;

const faults: Record<string, Fault> = {
  'a worker is killed': async (scene) => {
    await scene.worker.kill();
    scene.worker = await scene.startWorker();
  },
  'a worker is frozen past its leases': async (scene) => {
    const { worker } = scene;
    worker.process.kill('SIGSTOP');
    const thaw = async () => {
      await sleep(frozenMilliseconds);
      worker.process.kill('SIGCONT');
      await worker.stop();
    };
    scene.frozen.push(thaw());
    scene.worker = await scene.startWorker();
  },
  'Postern is killed': async (scene) => {
    await scene.postern.kill();
    await pause(scene);
    scene.postern = await scene.postern.restart();
  },
  'PostgreSQL is killed': async (scene) => killDatabase(scene.postern),
  'Postern, worker and PostgreSQL are killed': async (scene) => {
    await Promise.all([scene.postern.kill(), scene.worker.kill(), killDatabase(scene.postern)]);
    scene.postern = await scene.postern.restart();
    scene.worker = await scene.startWorker();
  },
  'the relay breaks every connection': async ({ relay }) => relay.reset(),
  'the relay is away': async (scene) => {
    scene.relay.cut();
    await pause(scene);
    scene.relay.mend();
  },
};

const brokerFaults: Record<string, (scene: Scene, broker: FaultyBroker) => Promise<unknown>> = {
  'the broker forgets everything': ({ postern }, broker) => broker.lose(postern),
  'the broker loses its queues': ({ postern }, broker) => broker.remove(postern),
  'the broker says everything twice': ({ postern }, broker) => broker.repeat(postern),
  'the broker is away': async (scene, { network }) => {
    network.cut();
    await pause(scene);
    network.mend();
  },
  'the broker breaks connections and forgets, and Postern is killed': async (scene, broker) => {
    broker.network.reset();
    await broker.lose(scene.postern);
    await scene.postern.kill();
    scene.postern = await scene.postern.restart();
  },
};

const pause = ({ random }: Scene) => sleep(200 + random() * 1_500);

async function killDatabase({ dataDir }: Postern): Promise<void> {
  try {
    const [pid] = (await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(pid), 'SIGKILL');
  } catch {
    // Still dead from the round before.
  }
}

async function run(engine: Engine, rounds: number, random: () => number): Promise<boolean> {
  const queue = await engine.open();
  const judge = await startJudge({ holdMilliseconds: 10 });
  const relay = await startTcpProxy({ host: '127.0.0.1', port: judge.port });
  const env = { POSTERN_ENV: 'development', SMTP_URL: `smtp://127.0.0.1:${relay.port}`, ...queue.env };
  const postern = await startPostern({ env });
  const startWorker = () => startPostern({ env, dataDir: postern.dataDir, args: ['--role', 'worker'], headless: true });
  const scene: Scene = {
    random,
    judge,
    relay,
    broker: queue.broker,
    postern,
    worker: await startWorker(),
    startWorker,
    frozen: [],
  };
  try {
    const token = await tokenOf(postern);
    await injectFaults(scene, token, rounds);
    return await pronounce(engine, scene, token, rounds);
  } finally {
    await Promise.all(scene.frozen);
    await scene.worker.dispose();
    await scene.postern.stop();
    await postern.dispose();
    await judge.close();
    await relay.close();
    await queue.close();
  }
}

/** Resolves once all rounds are over and every letter has been accepted. */
async function injectFaults(scene: Scene, token: string, rounds: number): Promise<void> {
  const { judge, broker, random } = scene;
  let mayAsk = lettersPerRound;
  let isOver = false;
  const client = async () => {
    while (!isOver) {
      const fields = Math.random() < 0.2 ? { on_uncertain: 'hold' } : {};
      if (judge.asked() < mayAsk) await judge.handIn(() => scene.postern, token, fields);
      else await sleep(10);
    }
  };
  const load = Promise.all(Array.from({ length: clients }, client));
  const watch = judge.watch(() => scene.postern, token);
  const choices = [...Object.keys(faults), ...(broker ? Object.keys(brokerFaults) : [])];
  for (let round = 1; round <= rounds; round++) {
    mayAsk = lettersPerRound * round;
    const after = Math.round(random() * 1_500);
    const name = choices[Math.floor(random() * choices.length)] ?? '';
    await sleep(after);
    console.log(`  ${String(round).padStart(3)}  ${name} after ${after} ms; ${judge.accepted()} letters accepted`);
    await faults[name]?.(scene);
    if (broker) await brokerFaults[name]?.(scene, broker);
    while (judge.asked() < mayAsk) await sleep(10);
  }
  isOver = true;
  await load;
  await Promise.all(scene.frozen);
  await watch.stop();
}

/** Returns whether the judge found nothing. */
async function pronounce({ name }: Engine, { judge, postern }: Scene, token: string, rounds: number): Promise<boolean> {
  const verdict = await judge.verdict(postern, token, 600);
  const { accepted, lost, duplicates, mostCopies, uncertain, unexpected, backwards } = verdict;
  console.log(
    `${name}: ${rounds} rounds, ${accepted} accepted (${judge.refusals()} times 503 meanwhile), ${lost.length} lost, ` +
      `${duplicates} duplicated (${(duplicates / rounds).toFixed(1)} a round, ${Math.max(0, mostCopies - 1)} of one letter ` +
      `at most), ${uncertain} uncertain, ${unexpected.length} unexpected, ${backwards.length} taken back`,
  );
  for (const line of [...lost, ...unexpected, ...backwards].slice(0, 20)) console.log(`  ${line}`);
  try {
    acquit(verdict, { crashes: rounds });
    return true;
  } catch {
    return false;
  }
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    engine: { type: 'string', default: 'all' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    help: { type: 'boolean' },
  },
});
const chosen = engines.filter(({ name }) => options.engine === 'all' || options.engine === name);
if (options.help || chosen.length === 0) {
  console.log(help);
  process.exit(options.help ? 0 : 2);
}
let isInnocent = true;
for (const engine of chosen) {
  if (engine.skip) {
    console.log(`${engine.name}: left out, ${engine.skip}`);
    if (options.engine !== 'all') isInnocent = false;
    continue;
  }
  console.log(`${engine.name}, seed ${options.seed}`);
  isInnocent = (await run(engine, Number(options.rounds), randomFrom(Number(options.seed)))) && isInnocent;
}
process.exit(isInnocent ? 0 : 1);
