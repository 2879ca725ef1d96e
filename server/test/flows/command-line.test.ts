/** The command line as a person meets it: help, wrong calls, exit codes. What its commands do is told with the features. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runMain } from '../support/start-postern.ts';

describe('the command line', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-cli-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  const run = (...args: string[]) => runMain(args, {}, folder);

  it('lists its commands, and explains each', async () => {
    const all = await run('--help');
    assert.equal(all.code, 0);
    const commands = [...all.stdout.matchAll(/^ {2}([a-z]+(?: [a-z]+)?)\b/gm)].map(([, name = '']) => name);
    for (const name of [
      'start',
      'migrate',
      'doctor',
      'tenants create',
      'tenants update',
      'clients rotate',
      'users list',
      'emails send',
    ]) {
      assert.ok(commands.includes(name), name);
    }
    const helps = await Promise.all(commands.slice(0, 6).map((name) => run(...name.split(' '), '--help')));
    for (const { code, stdout } of helps) {
      assert.equal(code, 0);
      assert.match(stdout, /^Usage: postern [\s\S]*--json/);
    }
    assert.match((await run('--version')).stdout, /^\d+\.\d+\.\d+/);
  });

  it('answers a wrong call with 2 and a sentence, before it touches anything', async () => {
    const calls = [
      ['bogus'],
      ['clients'],
      ['clients', 'bogus'],
      ['start', '--bogus'],
      ['start', '--role', 'nope'],
      ['clients', 'create', '--scope'],
      ['clients', 'create', '--id', 'x'],
      ['clients', 'delete'],
      ['clients', 'delete', 'one', 'two'],
      ['users', 'delete', 'a@one.example', 'b@one.example'],
      ['tenants', 'create', 'a', 'b'],
      ['users', 'disable'],
      ['users', 'enable', 'a@one.example', 'b@one.example'],
      ['users', 'list', 'extra'],
      ['users', 'create'],
    ];
    for (const args of calls) {
      const { code, stdout, stderr } = await run(...args);
      assert.deepEqual([code, stdout], [2, ''], args.join(' '));
      assert.match(stderr, /There is no command|--help/, args.join(' '));
    }
    assert.deepEqual(await readdir(folder), []);
  });
});
