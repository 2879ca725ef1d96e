import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { configurationFile, configurationPage } from '../configuration-docs.ts';
import { ConfigError, loadConfig } from './config.ts';

const key = 'q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJq80=';

describe('settings', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'postern-config-'));
  });
  after(() => rm(folder, { recursive: true }));

  const load = (env: Record<string, string>) => loadConfig(env, folder);
  const faultsOf = (env: Record<string, string>): string[] => {
    try {
      load(env);
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      return error.faults;
    }
    return [];
  };
  const production = {
    DATABASE_URL: 'postgres://u:p@db/postern',
    SMTP_URL: 'smtp://mail.example.com:587',
    SECRET_KEY: key,
    MAIL_FROM: 'Example <no-reply@example.com>',
  };

  it('starts with nothing set, in development', () => {
    const config = load({});
    assert.equal(config.environment, 'development');
    assert.equal(config.port, 3000);
    assert.equal(config.host, '127.0.0.1');
    assert.equal(config.publicUrl, 'http://localhost:3000');
    assert.equal(config.tenants, 'open');
    assert.equal(config.senderPolicy, 'any');
    assert.deepEqual(config.mailFrom, { name: 'Postern', address: 'no-reply@localhost' });
    assert.deepEqual([config.verifyCodeDigits, config.verifyCodeSeconds, config.verifyLinkSeconds], [4, 60, 86_400]);
    assert.deepEqual(
      [config.accessTokenSeconds, config.refreshTokenSeconds, config.sessionSeconds],
      [3600, 1_209_600, 7_776_000],
    );
  });

  it('is production as soon as a database or an SMTP server is named, and then closed', () => {
    const config = load(production);
    assert.equal(config.environment, 'production');
    assert.equal(config.tenants, 'closed');
    assert.equal(config.senderPolicy, 'verified');
  });

  it('refuses production without its secrets (S54)', () => {
    const faults = faultsOf({ POSTERN_ENV: 'production' }).join('\n');
    for (const name of ['SECRET_KEY', 'MAIL_FROM', 'SMTP_URL']) assert.match(faults, new RegExp(`^${name} `, 'm'));
    assert.match(
      faultsOf({ ...production, SECRET_KEY: 'c2hvcnQ=' }).join(),
      /SECRET_KEY must be at least 32 random bytes/,
    );
    assert.match(
      faultsOf({ ...production, SECRET_KEY: Buffer.alloc(32).toString('base64') }).join(),
      /SECRET_KEY is not random/,
    );
    assert.match(faultsOf({ ...production, RATE_LIMITS: 'off' }).join(), /RATE_LIMITS cannot be off in production/);
  });

  it('reports every fault at once, by name, and shows no secret', () => {
    const faults = faultsOf({
      PORT: 'http',
      PUBLIC_URL: 'example.com',
      VERIFY_CODE_DIGITS: '99',
      REGISTRATION: 'sometimes',
      SECRET_KEY: 'hunter2',
      SMTP_URL: 'http://user:hunter2@mail.example.com',
      TRUST_PROXY: 'everyone',
      LOG_LEVEL: 'loud',
    });
    const names = [
      'PORT',
      'PUBLIC_URL',
      'VERIFY_CODE_DIGITS',
      'REGISTRATION',
      'SECRET_KEY',
      'SMTP_URL',
      'TRUST_PROXY',
      'LOG_LEVEL',
    ];
    for (const name of names)
      assert.ok(
        faults.some((fault) => fault.startsWith(`${name} `)),
        name,
      );
    assert.doesNotMatch(faults.join('\n'), /hunter2/);
  });

  it('does not call required what is there and wrong', () => {
    const faults = faultsOf({ POSTERN_ENV: 'production', SECRET_KEY: 'short', MAIL_FROM: 'nobody', SMTP_URL: 'x' });
    assert.deepEqual(faults.map((fault) => fault.split(' ')[0]).sort(), ['MAIL_FROM', 'SECRET_KEY', 'SMTP_URL']);
  });

  it('reads NAME_FILE, and refuses both at once or a file that is not there', async () => {
    const path = join(folder, 'secret');
    await writeFile(path, `${key}\n`);
    assert.deepEqual(load({ SECRET_KEY_FILE: path }).secretKeys, [key]);
    assert.match(faultsOf({ SECRET_KEY: key, SECRET_KEY_FILE: path }).join(), /SECRET_KEY is set twice/);
    assert.match(faultsOf({ SECRET_KEY_FILE: join(folder, 'none') }).join(), /SECRET_KEY cannot be read/);
  });

  it('reads .env, which the environment overrides', async () => {
    await writeFile(join(folder, '.env'), 'PORT=4000\nLOG_LEVEL="warn"\n');
    try {
      assert.equal(load({}).port, 4000);
      assert.equal(load({}).logLevel, 'warn');
      assert.equal(load({ PORT: '5000' }).port, 5000);
    } finally {
      await rm(join(folder, '.env'));
    }
  });

  it('counts an empty value as unset', () => {
    assert.equal(load({ PORT: '', DATABASE_URL: '' }).environment, 'development');
  });

  it('wants what goes together together', () => {
    assert.match(faultsOf({ BOOTSTRAP_CLIENT_ID: 'app' }).join(), /BOOTSTRAP_CLIENT_SECRET is missing/);
  });

  it('is documented', async () => {
    assert.equal(await readFile(configurationFile, 'utf8'), configurationPage(), 'run: npm run docs');
  });
});
