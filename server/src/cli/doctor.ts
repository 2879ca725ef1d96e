/** Checks each setting and each thing the settings point at, and says what to do about what is wrong. */
import { access, constants, mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { type Config, ConfigError, loadConfig } from '../config.ts';
import { isMigrated } from '../database/migrate.ts';
import { openDatabase } from '../database/open.ts';
import { makeProviders } from '../identities/providers.ts';
import { makeLogger } from '../log.ts';
import { brokerOf } from '../queue/open.ts';
import { redisBroker } from '../queue/redis.ts';
import { verifySmtp } from '../transport/verify.ts';
import type { Command } from './command.ts';

interface Finding {
  what: string;
  state: 'ok' | 'warning' | 'fault';
  found: string;
  /** What to do, unless all is well. */
  advice?: string;
}

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'Check every setting and dependency, with advice. Exit code 1 when something must be mended.',
  run: async ({ print }) => {
    const findings = await examine();
    const lines = findings.map(({ what, state, found, advice }) => {
      const mark = { ok: 'ok     ', warning: 'warning', fault: 'FAULT  ' }[state];
      return `${mark}  ${what}: ${found}${advice === undefined ? '' : `\n         → ${advice}`}`;
    });
    const faults = findings.filter(({ state }) => state === 'fault').length;
    print(
      { ok: faults === 0, findings },
      `${lines.join('\n')}\n\n${faults === 0 ? 'All is well.' : `${faults} to mend.`}`,
    );
    if (faults > 0) throw new Error(faults === 1 ? 'One thing must be mended.' : `${faults} things must be mended.`);
  },
};

async function examine(): Promise<Finding[]> {
  let config: Config;
  try {
    config = loadConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.faults.map((fault) => ({
      what: 'settings',
      state: 'fault',
      found: fault,
      advice: 'See docs/configuration.md.',
    }));
  }
  const settings: Finding = { what: 'settings', state: 'ok', found: `all read, ${config.environment}` };
  return [
    settings,
    ...checkPublicUrl(config),
    await checkDataDir(config),
    ...(await checkDatabase(config)),
    await checkPort(config),
    ...(await checkQueue(config)),
    ...(await checkRedis(config)),
    ...(await checkProviders(config)),
    ...(await checkMail(config)),
  ];
}

function checkPublicUrl({ publicUrl, environment }: Config): Finding[] {
  const what = 'PUBLIC_URL';
  if (environment === 'production' && !publicUrl.startsWith('https:')) {
    return [{ what, state: 'warning', found: publicUrl, advice: 'Links and tokens should name an https:// address.' }];
  }
  return [{ what, state: 'ok', found: publicUrl }];
}

async function checkDataDir({ dataDir }: Config): Promise<Finding> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    await access(dataDir, constants.W_OK);
    return { what: 'DATA_DIR', state: 'ok', found: dataDir };
  } catch (error) {
    return {
      what: 'DATA_DIR',
      state: 'fault',
      found: reason(error),
      advice: 'Name a folder that Postern may write to.',
    };
  }
}

async function checkDatabase(config: Config): Promise<Finding[]> {
  try {
    const database = await openDatabase(config, await makeLogger('silent', false), {
      max: 1,
      name: 'postern doctor',
      wait: false,
    });
    try {
      const [row] = await database.db<{ version: string; fsync: string }[]>`
        SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync`;
      const migrated = await isMigrated(database.db).catch(() => false);
      return [
        { what: 'database', state: 'ok', found: `${database.where}, version ${row?.version}` },
        row?.fsync === 'on'
          ? { what: 'fsync', state: 'ok', found: 'on' }
          : {
              what: 'fsync',
              state: 'fault',
              found: 'off',
              advice: 'A power cut would lose accepted mail: set fsync = on.',
            },
        migrated
          ? { what: 'schema', state: 'ok', found: 'current' }
          : {
              what: 'schema',
              state: 'warning',
              found: 'not current',
              advice: 'Starting brings it up to date, or: postern migrate',
            },
      ];
    } finally {
      await database.close();
    }
  } catch (error) {
    const advice = config.databaseUrl
      ? 'Check host, port, name and password in DATABASE_URL, and that the server runs.'
      : 'See the end of postgres.log in DATA_DIR.';
    return [{ what: 'database', state: 'fault', found: reason(error), advice }];
  }
}

async function checkPort({ port, host, publicUrl }: Config): Promise<Finding> {
  const what = 'PORT';
  const server = createServer();
  const free = await new Promise<boolean>((done) => {
    server.once('error', () => done(false));
    server.listen(port, host, () => done(true));
  });
  await new Promise((done) => server.close(done));
  if (free) return { what, state: 'ok', found: `${host}:${port} is free` };
  const isOurs = await fetch(`http://127.0.0.1:${port}/livez`, { signal: AbortSignal.timeout(2_000) }).then(
    (response) => response.status === 200,
    () => false,
  );
  if (isOurs) return { what, state: 'ok', found: `a Postern answers on ${port} (${publicUrl})` };
  return { what, state: 'fault', found: `another program listens on ${port}`, advice: 'Stop it or set PORT.' };
}

async function checkRedis({ redisUrl }: Config): Promise<Finding[]> {
  if (redisUrl === undefined) return [];
  const what = 'REDIS_URL';
  const where = `Redis at ${new URL(redisUrl).host}`;
  try {
    await redisBroker(redisUrl).check();
    return [{ what, state: 'ok', found: where }];
  } catch (error) {
    const advice = 'Until it answers, PostgreSQL does its work.';
    return [{ what, state: 'warning', found: `${where}: ${reason(error)}`, advice }];
  }
}

async function checkProviders(config: Config): Promise<Finding[]> {
  const providers = makeProviders({ ...config, log: { error: () => {} } });
  return Promise.all(
    providers.all.map(async (provider): Promise<Finding> => {
      const what = `sign-in with ${provider.id}`;
      try {
        await provider.configuration();
        return { what, state: 'ok', found: provider.issuer };
      } catch (error) {
        const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
        const advice = 'Check its issuer, and whether this machine can reach it.';
        return { what, state: 'warning', found: `${provider.issuer}: ${reason(cause)}`, advice };
      }
    }),
  );
}

async function checkQueue({ queueUrl }: Config): Promise<Finding[]> {
  if (queueUrl === undefined) return [];
  const what = 'QUEUE_URL';
  const broker = brokerOf(queueUrl);
  try {
    await broker.check();
    return [{ what, state: 'ok', found: `${broker.name} answers` }];
  } catch (error) {
    const advice = 'Check host, port, name and password; until then letters go over PostgreSQL.';
    return [{ what, state: 'fault', found: `${broker.name}: ${reason(error)}`, advice }];
  }
}

async function checkMail(config: Config): Promise<Finding[]> {
  if (config.smtpUrls.length === 0) {
    return [{ what: 'SMTP_URL', state: 'ok', found: `unset: mail goes to the dev inbox (port ${config.inboxPort})` }];
  }
  return Promise.all(
    config.smtpUrls.map(async (url): Promise<Finding> => {
      const { protocol, host } = new URL(url);
      const found = `${protocol}//${host}`;
      try {
        await verifySmtp(url);
        return {
          what: 'SMTP_URL',
          state: 'ok',
          found: `${found} greets us${new URL(url).username ? ' and takes the login' : ''}`,
        };
      } catch (error) {
        const advice = 'Check host, port and login; port 465 needs smtps://, 587 smtp:// (STARTTLS).';
        return { what: 'SMTP_URL', state: 'fault', found: `${found}: ${reason(error)}`, advice };
      }
    }),
  );
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : String(error);
}
