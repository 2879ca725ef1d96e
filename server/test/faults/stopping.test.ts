/** Stopping on a signal: nobody is cut off, and nobody can hold it up (quality F17). */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../support/free-ports.ts';
import { type Postern, removeData, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'Password@123';

/** A client with many kept connections that asks without pause until nobody listens any more. */
function load(postern: Postern, connections: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const failures: string[] = [];
  let answered = 0;
  const ask = (method: string, path: string, json?: object) =>
    new Promise<'answered' | 'refused'>((resolve) => {
      const headers = json ? { 'content-type': 'application/json' } : {};
      const asked = request({ host: '127.0.0.1', port: postern.port, method, path, headers, agent }, (reply) => {
        reply.resume();
        reply.once('end', () => {
          answered++;
          if ((reply.statusCode ?? 0) >= 500) failures.push(`${method} ${path}: ${reply.statusCode}`);
          resolve('answered');
        });
        reply.once('error', (error) => failures.push(`${method} ${path}: ${error}`));
      });
      asked.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ECONNREFUSED') failures.push(`${method} ${path}: ${error}`);
        resolve('refused');
      });
      asked.end(json && JSON.stringify(json));
    });
  const calls = [
    () => ask('GET', '/livez'),
    () => ask('GET', '/.well-known/jwks.json'),
    () => ask('GET', '/auth/me'),
    () => ask('POST', '/register', { username: crypto.randomUUID(), password }),
  ];
  const one = async (i: number) => {
    for (let turn = i; ; turn++) {
      // One client in twenty hashes passwords, so that a stop always finds calls that take a while, but never so many that
      // a slow machine sends some away.
      const call = calls[i % 20 === 0 ? 3 : turn % 3];
      if ((await call?.()) !== 'answered') return;
    }
  };
  const done = Promise.all(Array.from({ length: connections }, (_, i) => one(i))).then(() => agent.destroy());
  return { done, failures, answered: () => answered };
}

const bareConnection = (postern: Postern, text: string) =>
  new Promise<Socket>((resolve) => {
    const socket = connect(postern.port, '127.0.0.1', () => socket.write(text, () => resolve(socket)));
    socket.on('error', () => {});
  });

describe('stopping', () => {
  for (const [signal, moment, answers] of [
    ['SIGTERM', 'under way', 500],
    // Then most connections wait to be accepted, and closing would reset them.
    ['SIGINT', 'just made', 1],
  ] as const) {
    it(`F17 fails no request of 60 kept connections, ${moment}, on ${signal}, and ends with 0`, async () => {
      const postern = await startPostern();
      try {
        const clients = load(postern, 60);
        await waitFor(() => clients.answered() >= answers, { what: 'the load to run' });
        const ended = new Promise((resolve) => postern.process.once('exit', (...how) => resolve(how)));
        postern.process.kill(signal);
        await clients.done;
        assert.deepEqual(clients.failures, []);
        assert.deepEqual(await ended, [0, null]);
      } finally {
        await postern.dispose();
      }
    });
  }

  it('F17 is not held up by connections that ask nothing, or never finish asking', async () => {
    const postern = await startPostern();
    try {
      // Browsers open some ahead of need; the deadline for requests in flight (30 s) is not theirs.
      const sockets = await Promise.all(
        ['', '', 'GET /livez HTTP/1.1\r\nHost: x\r\n', 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'].map((text) =>
          bareConnection(postern, text),
        ),
      );
      let ended = false;
      postern.process.once('exit', () => (ended = true));
      postern.process.kill('SIGTERM');
      await waitFor(() => ended, { what: 'Postern to end', seconds: 15, detail: postern.output });
      assert.equal(postern.process.exitCode, 0);
      for (const socket of sockets) socket.destroy();
    } finally {
      await postern.dispose();
    }
  });
});

describe('npm start', () => {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`leaves nothing behind when npm itself gets ${signal}`, async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'postern-npm-'));
      const [port, inboxPort] = await freePorts(2);
      const npm = spawn('npm', ['start'], {
        cwd: fileURLToPath(new URL('../../../', import.meta.url)),
        env: { ...process.env, PORT: String(port), INBOX_PORT: String(inboxPort), DATA_DIR: dataDir },
        stdio: 'ignore',
      });
      const answers = () =>
        fetch(`http://127.0.0.1:${port}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        );
      try {
        await waitFor(answers, { what: 'the service to be ready' });
        npm.kill(signal);
        await waitFor(async () => !(await answers()), { what: 'the service to end' });
        // Its database ends with it.
        await waitFor(() => !existsSync(join(dataDir, 'postgres', 'postmaster.pid')), { what: 'the database to end' });
      } finally {
        await removeData(dataDir);
      }
    });
  }
});
