/**
 * better-auth as its documentation sets it up: `pg`, e-mail and password, sessions in the database. Its cookie cache,
 * which spares that read and leaves a session alive after it was ended, is off unless asked for.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import { Pool } from 'pg';

const options = {
  database: new Pool({ connectionString: process.env.PEER_DATABASE_URL ?? '' }),
  baseURL: 'http://localhost',
  secret: randomBytes(32).toString('base64'),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
};
await (await getMigrations(options)).runMigrations();
const auth = betterAuth(options);
const { headers } = await auth.api.signUpEmail({
  body: { name: 'Bench', email: 'bench@example.com', password: 'correct horse battery' },
  returnHeaders: true,
});
const cookie = headers
  .getSetCookie()
  .map((line) => line.split(';')[0])
  .join('; ');

const server = createServer(toNodeHandler(auth));
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port, cookie }));
process.on('disconnect', () => process.exit());
