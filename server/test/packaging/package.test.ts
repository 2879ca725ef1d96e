import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePorts } from '../support/free-ports.ts';
import { call, removeData } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';
import { cleanEnvironment, repository, run, withoutRegistry } from './clean-environment.ts';

describe('the npm package, installed into an empty folder', { skip: await withoutRegistry() }, () => {
  let folder: string;
  let installed: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-package-'));
    installed = join(folder, 'installed');
    await mkdir(installed);
    await run('npm', ['pack', '--workspace', 'server', '--pack-destination', folder], repository);
    const [tarball = 'none'] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
    await run('npm', ['install', join(folder, tarball)], installed);
  });
  after(async () => {
    await removeData(join(installed, '.postern'));
    await removeData(folder);
  });

  const environment = () => cleanEnvironment(join(installed, 'node_modules', '.bin'));

  it('gives a command that helps', async () => {
    assert.match(await run('postern', ['--help'], installed, environment()), /start\b/);
  });

  it('holds no sources and no tests', async () => {
    const files = await readdir(join(installed, 'node_modules', 'postern'), { recursive: true });
    assert.ok(files.includes(join('dist', 'LICENSE')));
    assert.ok(files.includes(join('dist', 'inbox', 'inbox.client.js')));
    assert.deepEqual(
      files.filter((name) => /\.test\.|(?<!\.d)\.ts$/.test(name)),
      [],
    );
  });

  for (const node of new Set([process.execPath, machinesNode()])) {
    it(`starts on its own database, serves, and stops, on ${node}`, async () => {
      const [port, inboxPort] = await freePorts(2);
      const env = { ...environment(), PORT: String(port), INBOX_PORT: String(inboxPort) };
      await removeData(join(installed, '.postern'));
      const service = spawn(node, [join(installed, 'node_modules', '.bin', 'postern'), 'start'], {
        cwd: installed,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let output = '';
      service.stdout.on('data', (chunk) => (output += chunk));
      service.stderr.on('data', (chunk) => (output += chunk));
      const ended = once(service, 'close');
      const url = `http://127.0.0.1:${port}`;
      await waitFor(async () => (await call(`${url}/readyz`, 'GET')).status === 200, {
        what: 'the installed Postern to be ready',
        retryOn: () => service.exitCode === null,
        detail: () => output,
      });
      assert.equal((await call(`${url}/inbox/inbox.js`, 'GET')).status, 200);
      assert.equal((await call(`${url}/docs`, 'GET')).status, 200);
      // The letter is delivered by the worker thread, which the build must have found too.
      const account = { email: 'ann@example.com', password: 'a long pass phrase' };
      assert.equal((await call(`${url}/auth/register`, 'POST', { json: account })).status, 201);
      await waitFor(async () => (await call(`${url}/inbox/messages`, 'GET')).body.data.length === 1, {
        what: 'the letter in the inbox',
        detail: () => output,
      });
      service.kill('SIGTERM');
      assert.deepEqual(await ended, [0, null], output);
    });
  }
});

/** The Node.js of the machine, not the one our dependencies bring; from 20 on either must do. */
function machinesNode(): string {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => !folder.includes('node_modules'));
  return folders.map((folder) => join(folder, 'node')).find((path) => existsSync(path)) ?? process.execPath;
}
