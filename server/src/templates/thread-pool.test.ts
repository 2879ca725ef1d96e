import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import pino from 'pino';
import type { Content } from './template.ts';
import type { RenderTask } from './template-thread.ts';
import { makeThreadPool, type ThreadPool } from './thread-pool.ts';

const log = pino({ level: 'silent' });
const sources = {
  calm: { subject: 'Calm {{ n }}' },
  // Sorts two million items in one go, which the engine's own limits look at only afterwards.
  endless: {
    subject:
      '{% assign x = v %}{% for i in (1..9) %}{% assign x = x | concat: x %}{% endfor %}{{ x | sort: "a" | size }}{{ x | sort: "a" | size }}',
  },
  // Within the engine's limits, but no matter of a moment either.
  slow: {
    subject:
      '{% assign x = v %}{% for i in (1..4) %}{% assign x = x | concat: x %}{% endfor %}{{ x | sort: "a" | size }}',
  },
} satisfies Record<string, Content>;
const items = Array.from({ length: 4_000 }, (_, index) => ({ a: `${index}` }));

describe('the threads that render', () => {
  const pools: ThreadPool[] = [];
  after(() => Promise.all(pools.map((pool) => pool.close())));
  const open = (deadlineMs = 1_000) => {
    const pool = makeThreadPool({ log }, { threads: 2, deadlineMs, idleMs: 60_000 });
    pools.push(pool);
    const task = (letter: keyof typeof sources, variables: object): RenderTask => ({
      kind: 'render',
      letter,
      language: 'en',
      variables: { ...variables },
    });
    const calm = async (tenant: string, n = 0) => {
      const result = await pool.run(tenant, task('calm', { n }), { calm: sources.calm });
      return 'value' in result ? result.value.subject : result.fault.kind;
    };
    const endless = async (tenant: string) => {
      const result = await pool.run(tenant, task('endless', { v: items }), { endless: sources.endless });
      return 'value' in result ? result.value.subject : result.fault.kind;
    };
    return { pool, calm, endless };
  };

  it('are killed by a letter that does not end, and the others of its order are rendered all the same', async () => {
    const { calm, endless } = open();
    const results = await Promise.all([calm('a', 1), endless('a'), calm('a', 2), endless('a'), calm('a', 3)]);
    assert.deepEqual(results, ['Calm 1', 'limit', 'Calm 2', 'limit', 'Calm 3']);
  });

  it('are killed by the clock, not by the limits of the engine alone (S47)', async () => {
    const slow = async (deadlineMs: number) => {
      const { pool, calm } = open(deadlineMs);
      await calm('a');
      const work = { kind: 'render', letter: 'slow', language: 'en', variables: { v: items } } as const;
      const result = await pool.run('a', work, { slow: sources.slow });
      return 'value' in result ? result.value.subject : result.fault.kind;
    };
    assert.equal(await slow(60_000), '64000');
    assert.equal(await slow(1), 'limit');
  });

  it('are there for one tenant while another fills them with letters that do not end', async () => {
    const { pool, calm, endless } = open(2_000);
    // Both threads are there, and what is asked for in different turns goes in different orders.
    await Promise.all([calm('one'), calm('another')]);
    let ended = 0;
    const endlessOnes: Promise<unknown>[] = [];
    for (let n = 0; n < 3; n++) {
      endlessOnes.push(
        endless('greedy').then(
          () => ended++,
          () => {},
        ),
      );
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    }
    for (let n = 0; n < 20; n++) assert.equal(await calm('modest', n), `Calm ${n}`);
    assert.equal(ended, 0);
    await pool.close();
    await Promise.all(endlessOnes);
  });

  it('take orders of many, and refuse those beyond what can wait', async () => {
    const { calm } = open();
    const results = await Promise.all(
      Array.from({ length: 2_500 }, (_, n) => calm('a', n).catch((error: { code: string }) => error.code)),
    );
    assert.equal(results[1_999], 'Calm 1999');
    assert.ok(results.slice(2_000).every((one) => one === 'templates.busy'));
  });

  it('answer what waits when they are closed', async () => {
    const { pool, calm } = open();
    const waiting = calm('a');
    await pool.close();
    await assert.rejects(waiting, { code: 'templates.busy' });
    await assert.rejects(calm('a'), { code: 'templates.busy' });
  });
});
