/** What `GET /auth/me` is compared with: the least a Fastify can do, and better-auth with a database of its own. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { openEmbedded } from '../server/src/database/embedded.ts';
import { removeData } from '../server/test/support/start-postern.ts';
import { startChild } from './child.ts';
import { getRequest } from './http-driver.ts';

export interface AuthPeer {
  name: string;
  /** How many times as fast Postern means to be. */
  goal: string;
  port: number;
  /** The bytes of the call that is compared. */
  request: string;
  dispose: () => Promise<void>;
}

/** Answers `json` and knows nobody. `cpuSeconds` tells what it has taken so far. */
export async function startBareFastify(json: string): Promise<AuthPeer & { cpuSeconds: () => Promise<number> }> {
  const child = await startChild('./peers/bare-fastify.ts', { NODE_ENV: 'production', PEER_ANSWER: json });
  return {
    name: 'bare Fastify',
    goal: '≥ 0.6',
    port: Number(child.hello.port),
    request: getRequest('/auth/me', {}),
    cpuSeconds: async () => {
      const { user, system } = await child.ask('cpu');
      return (Number(user) + Number(system)) / 1e6;
    },
    dispose: child.end,
  };
}

/** Reads the session from its database each time. */
export async function startBetterAuth(): Promise<AuthPeer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'postern-bench-auth-'));
  const database = await openEmbedded(dataDir, pino({ level: 'silent' }));
  const child = await startChild('./peers/better-auth.ts', {
    NODE_ENV: 'production',
    PEER_DATABASE_URL: database.url,
  });
  const port = Number(child.hello.port);
  const headers = { Cookie: String(child.hello.cookie) };
  const path = '/api/auth/get-session';
  // Who is nobody gets 200 as well, and quicker.
  const session = await (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).text();
  if (!session.includes('bench@example.com')) throw new Error(`better-auth knows no session: ${session}`);
  return {
    name: 'better-auth',
    goal: '≥ 15',
    port,
    request: getRequest(path, headers),
    dispose: async () => {
      await child.end();
      await database.close();
      await removeData(dataDir);
    },
  };
}
