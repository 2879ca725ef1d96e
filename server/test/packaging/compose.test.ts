import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseEnv } from 'node:util';
import { parse } from 'yaml';
import { allSettings, loadConfig } from '../../src/config.ts';
import { repository } from './clean-environment.ts';

interface Service {
  image: string;
  build?: { target: string };
  environment?: Record<string, string>;
  command?: string[];
  profiles?: string[];
  ports?: string[];
}

const read = (name: string) => readFileSync(join(repository, name), 'utf8');
const files = ['compose.yaml', 'compose.override.yaml'];
const settingNames = new Set(allSettings.map(({ name }) => name));
const example = read('.env.example');
/** Of .env.example, the commented ones too. */
const documented = new Set([...example.matchAll(/^(?:# )?([A-Z][A-Z0-9_]+)=/gm)].map((match) => match[1]));

describe('the Compose files', () => {
  it('name only settings that exist', () => {
    for (const services of [production(), development()]) {
      for (const name of ['api', 'worker']) {
        for (const variable of Object.keys(services[name]?.environment ?? {})) {
          assert.ok(settingNames.has(variable), `${name}: ${variable}`);
        }
      }
    }
    for (const variable of [...usedVariables(), ...documented]) {
      assert.ok(
        variable && (settingNames.has(variable) || /^(POSTGRES|RABBITMQ|REDIS|PGADMIN)_/.test(variable)),
        variable,
      );
    }
  });

  it('use what .env.example documents, all of it and nothing else', () => {
    assert.deepEqual([...usedVariables()].sort(), [...documented].sort());
  });

  it('have no secret of their own', () => {
    const needed = [...read('compose.yaml').matchAll(/\$\{([A-Z_]+):\?/g)].map((match) => match[1]);
    for (const secret of ['SECRET_KEY', 'POSTGRES_PASSWORD', 'RABBITMQ_PASSWORD'])
      assert.ok(needed.includes(secret), secret);
    for (const [variable, value] of Object.entries(parseEnv(example))) {
      if (/SECRET|PASSWORD/.test(variable)) assert.equal(value, '', variable);
    }
    assert.throws(() => services(['compose.yaml'], parseEnv(example)), /SECRET_KEY|POSTGRES_PASSWORD/);
  });

  it('make a production that its own checks accept, from compose.yaml alone', () => {
    const { api, worker } = production();
    for (const service of [api, worker]) {
      assert.equal(service?.build?.target, 'production');
      const config = loadConfig(service?.environment, tmpdir());
      assert.equal(config.environment, 'production');
      assert.match(config.databaseUrl ?? '', /@database:5432\//);
      assert.match(config.queueUrl ?? '', /^amqp:\/\/postern:[0-9a-f]{48}@rabbitmq:5672$/);
    }
    assert.deepEqual(api?.command, ['postern', 'start', '--role', 'api']);
    assert.deepEqual(worker?.command, ['postern', 'start', '--role', 'worker']);
  });

  it('make a development of the sources with the override', () => {
    const { api, worker } = development();
    for (const service of [api, worker]) {
      assert.equal(service?.build?.target, 'development');
      assert.equal(loadConfig(service?.environment, tmpdir()).environment, 'development');
      assert.ok(service?.command?.includes('server/src/main.ts'));
    }
  });

  it('bring database, RabbitMQ and mail catcher, Redis and pgAdmin only when asked for', () => {
    const all = production();
    assert.deepEqual(Object.keys(all).sort(), ['api', 'database', 'mail', 'pgadmin', 'rabbitmq', 'redis', 'worker']);
    assert.deepEqual(all.pgadmin?.profiles, ['tools']);
    assert.deepEqual(all.redis?.profiles, ['redis']);
  });

  it('take another broker from QUEUE_URL', () => {
    const url = 'redis://:a-password@redis:6379';
    const { worker } = services(['compose.yaml'], { ...filledExample(), QUEUE_URL: url });
    assert.equal(loadConfig(worker?.environment, tmpdir()).queueUrl, url);
  });

  it('open ports to this machine alone', () => {
    for (const [name, { ports = [] }] of Object.entries(development())) {
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name);
    }
  });
});

function filledExample(): NodeJS.ProcessEnv {
  const secrets = {
    SECRET_KEY: randomBytes(32).toString('base64'),
    POSTGRES_PASSWORD: randomBytes(24).toString('hex'),
    RABBITMQ_PASSWORD: randomBytes(24).toString('hex'),
  };
  return { ...parseEnv(example), ...secrets };
}

function production(): Record<string, Service> {
  return services(['compose.yaml'], filledExample());
}

function development(): Record<string, Service> {
  return services(files, filledExample());
}

function usedVariables(): Set<string | undefined> {
  return new Set(files.flatMap((name) => [...read(name).matchAll(/\$\{([A-Z0-9_]+)/g)].map((match) => match[1])));
}

/** As `docker compose -f … -f … config`: variables filled in, later files over earlier ones. */
function services(names: string[], env: NodeJS.ProcessEnv): Record<string, Service> {
  const merged: Record<string, Service> = {};
  for (const name of names) {
    const document = parse(read(name), (_key, value) => interpolate(value, env), { merge: true });
    for (const [service, definition] of Object.entries<Service>(document.services)) {
      const before = merged[service];
      const environment: Record<string, string> = { ...before?.environment, ...definition.environment };
      for (const [variable, value] of Object.entries(environment)) environment[variable] = String(value);
      merged[service] = { ...before, ...definition, environment };
    }
  }
  return merged;
}

/** `${NAME:-default}` and `${NAME:?message}`, the two forms the files use, the inner first, in a text of the parsed file. */
function interpolate(value: unknown, env: NodeJS.ProcessEnv): unknown {
  if (typeof value !== 'string') return value;
  const pattern = /(?<!\$)\$\{([A-Z0-9_]+)(?::([-?])([^${}]*))?\}/;
  const filled = value.replace(pattern, (_all, name: string, form: string, rest: string) => {
    const given = env[name];
    if (given) return given;
    if (form === '?') throw new Error(`${name}: ${rest}`);
    return rest ?? '';
  });
  return filled === value ? value : interpolate(filled, env);
}
