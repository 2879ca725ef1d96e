import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pino from 'pino';
import { frontPageRoutes } from './front-page.ts';
import { operationRoutes } from './operation.ts';
import { buildServer, type Routes } from './server.ts';

async function ask(routes: Routes, path: string): Promise<{ status: number; text: string }> {
  const options = { log: pino({ level: 'silent' }), publicUrl: 'http://localhost', trustProxy: [], version: '1.2.3' };
  const app = await buildServer({ ...options, routes: [routes] });
  const { statusCode, body } = await app.inject(path);
  await app.close();
  return { status: statusCode, text: body };
}

const works = async () => {};
const fails = async () => {
  throw Object.assign(new Error('connect ECONNREFUSED 10.1.2.3:5432'), { code: 'ECONNREFUSED' });
};

describe('the routes of operation', () => {
  it('are alive whatever else is down', async () => {
    assert.deepEqual(await ask(operationRoutes({ checks: { database: fails } }), '/livez'), {
      status: 200,
      text: '{"status":"ok"}',
    });
  });

  it('are ready when every dependency is, and name each', async () => {
    const { status, text } = await ask(operationRoutes({ checks: { database: works, migrations: works } }), '/readyz');
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(text), {
      status: 'ready',
      checks: { database: { ok: true }, migrations: { ok: true } },
    });
  });

  it('are not ready when one dependency fails, and tell the public no address', async () => {
    const { status, text } = await ask(operationRoutes({ checks: { database: fails, inbox: works } }), '/readyz');
    assert.equal(status, 503);
    assert.deepEqual(JSON.parse(text), {
      status: 'unavailable',
      checks: { database: { ok: false, error: 'failed (ECONNREFUSED)' }, inbox: { ok: true } },
    });
  });

  it('do not wait forever for a dependency', async () => {
    const { status, text } = await ask(
      operationRoutes({ checks: { database: () => new Promise(() => {}) } }),
      '/readyz',
    );
    assert.equal(status, 503);
    assert.match(text, /no answer within 2 s/);
  });

  it('are not ready while draining', async () => {
    const { status, text } = await ask(operationRoutes({ checks: {}, isDraining: () => true }), '/readyz');
    assert.equal(status, 503);
    assert.match(text, /"draining"/);
  });

  it('measure at the scrape, and hide nothing when one figure cannot be had', async () => {
    const gauges = [
      {
        name: 'letters',
        help: 'x',
        labelNames: ['lane'],
        measure: async () => [{ labels: { lane: 'otp' }, value: 7 }],
      },
      { name: 'broken', help: 'x', labelNames: ['lane'], measure: () => fails().then(() => []) },
    ];
    const { status, text } = await ask(operationRoutes({ checks: {}, gauges }), '/metrics');
    assert.equal(status, 200);
    assert.match(text, /^letters\{lane="otp"\} 7$/m);
    assert.match(text, /^process_resident_memory_bytes /m);
    assert.match(text, /^# TYPE postern_http_request_duration_seconds histogram$/m);
    assert.doesNotMatch(text, /^broken\{/m);
  });

  it('say at / where everything is, and nothing of the inbox in production', async () => {
    const place = { publicUrl: 'https://id.example.com', version: '1.2.3' };
    const development = await ask(frontPageRoutes({ ...place, development: true }), '/');
    assert.match(development.text, /curl https:\/\/id\.example\.com\/auth\/register/);
    for (const path of ['/docs', '/openapi.json', '/inbox', '/readyz', '/metrics', '/.well-known/jwks.json']) {
      assert.ok(development.text.includes(`href="${path}"`), path);
    }
    assert.doesNotMatch((await ask(frontPageRoutes({ ...place, development: false }), '/')).text, /inbox/);
  });
});
