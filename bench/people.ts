/**
 * Users with a session each, in any number, written by SQL. All have the same password, and their ids follow from their
 * numbers, so that a million of them need no list here.
 */
import type postgres from 'postgres';
import { readSecretKeys } from '../server/src/crypto/secret-key-file.ts';
import { makeSecrets } from '../server/src/crypto/secrets.ts';
import { cookieName } from '../server/src/http/cookies.ts';
import { refreshToken } from '../server/src/sessions/session.ts';
import { getRequest, jsonRequest } from './http-driver.ts';
import type { BenchPostern } from './postern.ts';

const password = 'correct horse battery';

export interface People {
  /** Adds to them until there are so many. */
  growTo: (count: number) => Promise<void>;
  /** The bytes of a login of anyone of them. */
  login: () => string;
  /** The bytes of a refresh of anyone whose turn it is on this of so many connections: no two refresh one session at once. */
  refresh: (connection: number, connections: number) => string;
  /** The cookie of a browser at which anyone of them is signed in. */
  cookie: () => string;
  /** Access tokens of so many of them. */
  accessTokens: (count: number) => Promise<string[]>;
}

/** None yet. */
export async function makePeople({ postern, sql }: BenchPostern): Promise<People> {
  const registered = await postern.call('POST', '/auth/register', { json: { username: 'bench', password } });
  if (registered.status !== 201) throw new Error(registered.text);
  const secrets = makeSecrets(await readSecretKeys({ secretKeys: [], dataDir: postern.dataDir }));
  /** Of those who have refreshed. */
  const counters = new Map<number, number>();
  let there = 0;

  const anyone = () => Math.floor(Math.random() * there);
  const nextRefreshToken = (n: number) => {
    const refreshCounter = counters.get(n) ?? 1;
    counters.set(n, refreshCounter + 1);
    return refreshToken(secrets, { id: idOf(n), refreshCounter });
  };
  return {
    growTo: async (count) => {
      await insertPeople(sql, there, count);
      there = count;
    },
    login: () => jsonRequest('/auth/login', { email: `user${anyone()}@example.com`, password }),
    refresh: (connection, connections) => {
      const n = Math.floor(anyone() / connections) * connections + connection;
      return jsonRequest('/auth/refresh', { refresh_token: nextRefreshToken(n < there ? n : connection) });
    },
    cookie: () => {
      const id = idOf(anyone());
      return `${cookieName('session', false)}=${id}.${secrets.hmac('browser-session', id).toString('base64url')}`;
    },
    accessTokens: async (count) => {
      const tokens: string[] = [];
      while (tokens.length < count) {
        const { status, body, text } = await postern.call('POST', '/auth/refresh', {
          json: { refresh_token: nextRefreshToken(anyone()) },
        });
        if (status !== 200) throw new Error(text);
        tokens.push(body.token.access_token);
      }
      return tokens;
    },
  };
}

/** The bytes of `GET /auth/me`. */
export function meRequest(token: string): string {
  return getRequest('/auth/me', { Authorization: `Bearer ${token}` });
}

const firstInstant = Date.UTC(2025, 0);

/** Of the n-th user and of their session: a UUIDv7 of a millisecond of its own, so that they are written in order. */
function idOf(n: number): string {
  const instant = (firstInstant + n).toString(16).padStart(12, '0');
  return `${instant.slice(0, 8)}-${instant.slice(8)}-7000-8000-${n.toString(16).padStart(12, '0')}`;
}

async function insertPeople(sql: postgres.Sql, from: number, to: number): Promise<void> {
  const numbered = sql`
    SELECT n, (lpad(to_hex(${firstInstant}::bigint + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid AS id
    FROM generate_series(${from}::bigint, ${to - 1}::bigint) AS n`;
  await sql`
    INSERT INTO users (id, tenant_id, email, email_normalized, name, password_hash, email_verified_at)
    SELECT person.id, tenant_id, address, address, 'User ' || n, password_hash, now()
    FROM (${numbered}) AS person, format('user%s@example.com', n) AS address,
         (SELECT tenant_id, password_hash FROM users WHERE username = 'bench') AS model`;
  await sql`
    INSERT INTO sessions (id, tenant_id, user_id, user_agent, ip, idle_expires_at, expires_at)
    SELECT person.id, tenant_id, person.id, 'bench', '127.0.0.1', now() + interval '14 days', now() + interval '90 days'
    FROM (${numbered}) AS person, (SELECT tenant_id FROM users WHERE username = 'bench') AS model`;
  // Now, so that neither happens while something is measured.
  await sql`VACUUM (ANALYZE) users, sessions`;
  await sql`CHECKPOINT`;
}
