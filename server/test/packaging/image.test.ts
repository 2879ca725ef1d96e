import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freePorts } from '../support/free-ports.ts';
import { removeData } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';
import { repository, run, withoutRegistry } from './clean-environment.ts';
import { buildImage, runEnvironment, type Stage } from './dockerfile.ts';

describe('the image, its Dockerfile carried out in a clean folder', { skip: await withoutRegistry() }, () => {
  let folder: string;
  let image: Stage;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-image-'));
    image = await buildImage(join(repository, 'Dockerfile'), repository, folder);
  });
  after(async () => {
    if (image) await removeData(join(image.root, image.env.DATA_DIR ?? ''));
    await removeData(folder);
  });

  it('holds what the service runs on and no more', async () => {
    const app = join(image.root, 'app');
    assert.deepEqual((await readdir(join(app, 'server'))).sort(), ['dist', 'package.json']);
    for (const name of ['node', 'typescript', '@biomejs', '@types/node', '@types/nodemailer']) {
      assert.ok(!existsSync(join(app, 'node_modules', name)), name);
    }
  });

  it('does not run as root', () => {
    assert.equal(image.user, 'node');
  });

  it('becomes healthy, and ends in order at SIGTERM', async () => {
    const [port, inboxPort] = await freePorts(2);
    const cwd = join(image.root, image.workdir);
    const env = { ...runEnvironment(image), PORT: String(port), INBOX_PORT: String(inboxPort) };
    const [probe = '', ...probeArgs] = image.healthcheck;
    await assert.rejects(run(probe, probeArgs, cwd, env), /ended with 1/);

    const [program = '', ...args] = image.cmd;
    const service = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    service.stdout.on('data', (chunk) => (output += chunk));
    service.stderr.on('data', (chunk) => (output += chunk));
    const ended = once(service, 'close');
    await waitFor(async () => (await run(probe, probeArgs, cwd, env)) === '', {
      what: 'the health check to pass',
      retryOn: () => service.exitCode === null,
      detail: () => output,
    });
    service.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null], output);
  });
});
