/**
 * Joins the folders' setting tables, reads the environment once, applies what depends on several settings, and reports
 * every fault together. Nothing else reads `process.env`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { challengeSettings } from './challenges/config.ts';
import { cryptoSettings } from './crypto/config.ts';
import { databaseSettings } from './database/config.ts';
import { domainSettings } from './domains/config.ts';
import { emailSettings } from './emails/config.ts';
import { httpSettings } from './http/config.ts';
import { identitySettings } from './identities/config.ts';
import { inboxSettings } from './inbox/config.ts';
import { limitSettings } from './limits/config.ts';
import { oauthSettings } from './oauth/config.ts';
import { queueSettings } from './queue/config.ts';
import { redisSettings } from './redis/config.ts';
import { secondFactorSettings } from './second-factors/config.ts';
import { sessionSettings } from './sessions/config.ts';
import { choice, type Setting, type SettingValues } from './settings.ts';
import { tenantSettings } from './tenants/config.ts';
import { transportSettings } from './transport/config.ts';
import { userSettings } from './users/config.ts';
import { webhookSettings } from './webhooks/config.ts';

const generalSettings = {
  environment: choice('POSTERN_ENV', ['development', 'production'], {
    default: undefined,
    defaultText: '`development` when neither `DATABASE_URL` nor `SMTP_URL` is set, else `production`',
    help: 'Production refuses weak or missing secrets and has no dev inbox.',
  }),
  logLevel: choice('LOG_LEVEL', ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    help: 'Pretty on a terminal, JSON otherwise.',
  }),
};

/** In the order of the documentation. */
export const settingTables = {
  General: generalSettings,
  HTTP: httpSettings,
  Limits: limitSettings,
  'Database and Redis': { ...databaseSettings, ...redisSettings },
  Secrets: cryptoSettings,
  Mail: { ...emailSettings, ...domainSettings, ...transportSettings, ...inboxSettings, ...queueSettings },
  Webhooks: webhookSettings,
  Tenants: tenantSettings,
  Users: userSettings,
  Challenges: challengeSettings,
  'Sessions and tokens': sessionSettings,
  'Second factors': secondFactorSettings,
  'Sign-in with providers': identitySettings,
  'OAuth clients': oauthSettings,
};

const table = {
  ...generalSettings,
  ...httpSettings,
  ...databaseSettings,
  ...redisSettings,
  ...cryptoSettings,
  ...emailSettings,
  ...domainSettings,
  ...transportSettings,
  ...inboxSettings,
  ...limitSettings,
  ...queueSettings,
  ...webhookSettings,
  ...tenantSettings,
  ...userSettings,
  ...challengeSettings,
  ...sessionSettings,
  ...secondFactorSettings,
  ...oauthSettings,
  ...identitySettings,
};

export const allSettings: Setting<unknown>[] = Object.values(table);

type Parsed = SettingValues<typeof table>;

/** Every setting, with the defaults that depend on the environment filled in. */
export type Config = Omit<Parsed, 'environment' | 'publicUrl' | 'tenants' | 'senderPolicy' | 'mailFrom'> & {
  environment: 'development' | 'production';
  publicUrl: string;
  tenants: NonNullable<Parsed['tenants']>;
  senderPolicy: NonNullable<Parsed['senderPolicy']>;
  mailFrom: NonNullable<Parsed['mailFrom']>;
};

export class ConfigError extends Error {
  readonly faults: string[];
  constructor(faults: string[]) {
    super(
      `The settings have ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/**
 * Reads the settings from the environment and the `.env` file of `folder`; the environment wins.
 * @throws ConfigError naming every fault
 */
export function loadConfig(environment = process.env, folder = process.cwd()): Config {
  const faults: string[] = [];
  const file = join(folder, '.env');
  const env = { ...(existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {}), ...environment };
  const values: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries<Setting<unknown>>(table)) {
    try {
      const given = readVariable(env, setting.name);
      values[key] = given === undefined ? setting.default : setting.parse(given);
    } catch (error) {
      faults.push(`${setting.name} ${error instanceof Error ? error.message : error}`);
      values[key] = setting.default;
    }
  }
  const config = resolveDefaults(values as Parsed);
  // What is there and wrong has its default by now: that it is missing would be told besides, and would not be true.
  const wrong = new Set(faults.map((fault) => fault.split(' ')[0]));
  faults.push(...crossFaults(values as Parsed, config).filter((fault) => !wrong.has(fault.split(' ')[0])));
  if (faults.length > 0) throw new ConfigError(faults);
  return config;
}

/** The variable, or the content of the file its `_FILE` variant names; empty counts as unset. */
function readVariable(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const direct = env[name]?.trim() || undefined;
  const path = env[`${name}_FILE`]?.trim() || undefined;
  if (path === undefined) return direct;
  if (direct !== undefined) throw new Error(`is set twice, also by ${name}_FILE. Keep one.`);
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch (error) {
    throw new Error(
      `cannot be read from the file that ${name}_FILE names: ${error instanceof Error ? error.message : error}`,
    );
  }
}

function resolveDefaults(parsed: Parsed): Config {
  const bare = parsed.databaseUrl === undefined && parsed.smtpUrls.length === 0;
  const environment = parsed.environment ?? (bare ? 'development' : 'production');
  const isDevelopment = environment === 'development';
  return {
    ...parsed,
    environment,
    publicUrl: (parsed.publicUrl ?? `http://localhost:${parsed.port}`).replace(/\/+$/, ''),
    tenants: parsed.tenants ?? (isDevelopment ? 'open' : 'closed'),
    senderPolicy: parsed.senderPolicy ?? (isDevelopment ? 'any' : 'verified'),
    mailFrom: parsed.mailFrom ?? { name: 'Postern', address: 'no-reply@localhost' },
  };
}

function crossFaults(parsed: Parsed, config: Config): string[] {
  const faults: string[] = [];
  if (config.environment === 'production') {
    if (parsed.secretKeys.length === 0) {
      faults.push('SECRET_KEY is required in production: at least 32 random bytes in base64 (openssl rand -base64 32)');
    }
    if (parsed.mailFrom === undefined) {
      faults.push('MAIL_FROM is required in production: the default sender, e.g. "Example <no-reply@example.com>"');
    }
    if (parsed.smtpUrls.length === 0) {
      faults.push('SMTP_URL is required in production: there is no dev inbox to deliver to');
    }
    if (parsed.rateLimits === 'off') faults.push('RATE_LIMITS cannot be off in production');
  }
  for (const [one, other] of [
    ['googleClientId', 'googleClientSecret'],
    ['bootstrapClientId', 'bootstrapClientSecret'],
    ['bootstrapAdminEmail', 'bootstrapAdminPassword'],
  ] as const) {
    if ((parsed[one] === undefined) !== (parsed[other] === undefined)) {
      const missing = parsed[one] === undefined ? one : other;
      faults.push(`${table[missing].name} is missing: ${table[one].name} and ${table[other].name} go together`);
    }
  }
  return faults;
}

/** Whether an npm script is what runs us. */
export function isStartedByNpm(): boolean {
  return process.env.npm_lifecycle_event !== undefined;
}
