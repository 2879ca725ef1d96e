/** The HTTP door: what every call has in common, whatever it is for (quality S15, S39, S40, S51). */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type CallOptions, type Postern, startPostern } from '../support/start-postern.ts';

interface Operation {
  operationId?: string;
  summary?: string;
  tags?: string[];
  security: object[];
  responses: Record<string, object>;
}

const password = 'Password@123';

describe('the HTTP door', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());
  const json = { 'content-type': 'application/json' };
  const login = (options: CallOptions) => postern.call('POST', '/auth/login', options);

  /** Sends what no HTTP client would, and returns the answer as it comes. */
  const raw = (request: string) =>
    new Promise<string>((resolve, reject) => {
      let answer = '';
      const socket = connect(postern.port, '127.0.0.1', () => socket.write(request));
      socket.on('data', (chunk) => (answer += chunk));
      socket.on('end', () => resolve(answer));
      socket.on('error', reject);
    });

  it('S51 refuses bodies that are not what they say, and changes nothing', async () => {
    const body = JSON.stringify({ email: 'x@door.example', password });
    const repeat = (open: string, close: string) => open.repeat(10_000) + close.repeat(10_000);
    for (const [options, status] of [
      [{ body, headers: { 'content-type': 'text/plain' } }, 415],
      [{ body, headers: { 'content-type': 'application/xml' } }, 415],
      [{ form: { email: 'x@door.example', password } }, 415],
      [{ body: gzipSync(body).toString('latin1'), headers: { ...json, 'content-encoding': 'gzip' } }, 415],
      [{ body: '', headers: json }, 400],
      [{ body: 'null', headers: json }, 400],
      [{ body: '[]', headers: json }, 400],
      [{ body: '{"email":', headers: json }, 400],
      [{ body: repeat('[', ']'), headers: json }, 400],
      [{ body: repeat('{"a":', '}').replace('}', '1}'), headers: json }, 400],
      [{ body: '{"email":"a@door.example","email":"b@door.example"}', headers: json }, 400],
      [{ body: `{"email":"p@door.example","password":"${password}","__proto__":{"a":1}}`, headers: json }, 400],
      [{ body: `{"email":"x@door.example","password":"\\ud800${password}"}`, headers: json }, 400],
      [{ json: { email: ['x@door.example'], password } }, 400],
      [{ json: { email: { a: 1 }, password } }, 400],
      [{ json: { email: 'x@door.example', password: 'p'.repeat(1_000_000) } }, 413],
    ] as [CallOptions, number][]) {
      for (const path of ['/auth/register', '/auth/login', '/users']) {
        const reply = await postern.call('POST', path, options);
        assert.equal(reply.status, status, `${path} ${JSON.stringify(options).slice(0, 90)} ${reply.text}`);
        assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/);
      }
    }
    assert.equal((await login({ json: { email: 'x@door.example', password } })).status, 401, 'nobody was made');
  });

  it('refuses bytes that are not UTF-8, instead of reading something else out of them', async () => {
    const response = await fetch(`${postern.url}/auth/register`, {
      method: 'POST',
      headers: json,
      body: Buffer.concat([
        Buffer.from('{"username":"bytes","password":"'),
        Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x28, 0x28, 0x28, 0x28]),
        Buffer.from('"}'),
      ]),
    });
    assert.equal(response.status, 400);
  });

  it('takes an empty form for no body, as clients send it that have nothing to say', async () => {
    const { body } = await postern.call('POST', '/register', { json: { username: 'leaver', password } });
    const token = body.token.access_token;
    assert.equal((await postern.call('POST', '/logout', { token, form: { everywhere: 'true' } })).status, 415);
    assert.equal((await postern.call('POST', '/logout', { token, form: {} })).status, 204);
  });

  it('S52 closes a connection whose request does not come to its end', async () => {
    const answer = await raw('GET /livez HTTP/1.1\r\nHost: x\r\nX: ');
    assert.match(answer, /^HTTP\/1.1 408 [\s\S]*"http.request_timeout"/);
  });

  it('names every unknown field, however many, beside what is missing', async () => {
    const fields = Array.from({ length: 12 }, (_, i) => `field${i}`);
    const reply = await login({ json: Object.fromEntries([...fields, 'a/b~c'].map((name) => [name, 1])) });
    assert.equal(reply.status, 400);
    const paths = reply.body.errors.map(({ path }: { path: string }) => path);
    assert.deepEqual(paths.sort(), [...fields, 'a/b~c', 'password'].sort());
  });

  it('takes numbers in a query only where they are whole and plain', async () => {
    const { body } = await postern.call('POST', '/register', { json: { username: 'lister', password } });
    const token = body.token.access_token;
    for (const limit of ['0', '-1', '1e9', '1e1', '1.5', '0x10', '%205', '', 'abc', '101', '1&limit=2']) {
      const reply = await postern.call('GET', `/auth/sessions?limit=${limit}`, { token });
      assert.deepEqual([reply.status, reply.body.errors?.[0]?.path], [400, 'limit'], limit);
    }
    assert.equal((await postern.call('GET', '/auth/sessions?limit=100', { token })).status, 200);
    assert.equal((await postern.call('GET', '/auth/sessions?after=garbage', { token })).status, 400);
  });

  it('answers another method with 405 and what the path takes, also where the path holds an id', async () => {
    for (const [method, path, allow] of [
      ['GET', '/auth/register', 'POST'],
      ['PUT', '/register/', 'POST'],
      ['PATCH', '/users/0192f0c1-0000-7000-8000-000000000000', 'DELETE, GET, HEAD'],
      ['POST', '/auth/sessions/abc', 'DELETE'],
      ['DELETE', '/livez', 'GET, HEAD'],
    ] as const) {
      const reply = await postern.call(method, path);
      assert.deepEqual([reply.status, reply.headers.get('allow')], [405, allow], `${method} ${path}`);
    }
    assert.equal((await postern.call('GET', '/nowhere')).status, 404);
    assert.equal((await postern.call('OPTIONS', '/nowhere')).status, 404);
    const options = await postern.call('OPTIONS', '/auth/me');
    assert.deepEqual([options.status, options.headers.get('allow')], [204, 'GET, HEAD, OPTIONS']);
  });

  it('S39 lets pages of any origin call, with every method, and never with credentials of the browser', async () => {
    const preflight = await postern.call('OPTIONS', '/users', {
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'DELETE',
        'access-control-request-headers': 'authorization',
      },
    });
    assert.equal(preflight.status, 204);
    assert.match(preflight.headers.get('access-control-allow-methods') ?? '', /\bDELETE\b/);
    assert.equal(preflight.headers.get('access-control-allow-headers'), 'authorization');
    const reply = await login({ json: {}, headers: { origin: 'https://app.example' } });
    assert.equal(reply.headers.get('access-control-allow-origin'), '*');
    assert.equal(reply.headers.get('access-control-allow-credentials'), null);
    assert.match(reply.headers.get('access-control-expose-headers') ?? '', /Retry-After/);
    for (const path of ['/inbox/messages', '/%69nbox/messages', '/inbox/']) {
      const inbox = await postern.call('GET', path, { headers: { origin: 'https://app.example' } });
      assert.equal(inbox.status, 200);
      assert.equal(inbox.headers.get('access-control-allow-origin'), null, `${path} holds codes`);
      const asked = await postern.call('OPTIONS', path, {
        headers: { origin: 'https://app.example', 'access-control-request-method': 'DELETE' },
      });
      assert.equal(asked.headers.get('access-control-allow-origin'), null);
    }
  });

  it('S40 sends its pages and answers with a strict policy, and lets nobody keep them', async () => {
    for (const path of ['/', '/auth/verify?token=x', '/auth/me', '/inbox', '/nowhere']) {
      const { headers } = await postern.call('GET', path);
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/, path);
      assert.ok(!/script-src[^;]*unsafe/.test(headers.get('content-security-policy') ?? ''), path);
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
      assert.equal(headers.get('cache-control'), 'no-store');
      assert.equal(headers.get('set-cookie'), null);
    }
  });

  it('answers requests it cannot even read with problem+json', async () => {
    for (const [request, status, code] of [
      ['GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400, 'http.invalid_request'],
      ['GET /users/%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 400, 'http.invalid_request'],
      ['FOO / HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'http.invalid_request'],
      ['rubbish\r\n\r\n', 400, 'http.invalid_request'],
      ['POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n{}', 400, 'http.invalid_request'],
      [`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431, 'http.headers_too_large'],
      [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`, 431, 'http.headers_too_large'],
    ] as const) {
      const [head = '', body = ''] = (await raw(request)).split('\r\n\r\n');
      const label = request.slice(0, 40);
      assert.match(head, new RegExp(`^HTTP/1.1 ${status} `), label);
      assert.match(head, /\r\ncontent-type: application\/problem\+json/i, label);
      assert.deepEqual([JSON.parse(body).code, JSON.parse(body).status], [code, status], label);
    }
  });

  it('S15 believes no request that carries two credentials', async () => {
    await postern.call('POST', '/register', { json: { email: 'two@door.example', password } });
    const basic = `Authorization: Basic ${Buffer.from(`two@door.example:${password}`).toString('base64')}\r\n`;
    const read = (credentials: string) =>
      raw(`GET /users?email=two@door.example HTTP/1.1\r\nHost: x\r\n${credentials}Connection: close\r\n\r\n`);
    assert.match(await read(basic), /^HTTP\/1.1 200 /);
    for (const two of [basic + basic, `${basic}authorization: Basic eDp5\r\n`, `${basic}Authorization: Bearer x\r\n`]) {
      assert.match(await read(two), /^HTTP\/1.1 400 /);
    }
  });

  it('documents of every call what credential it takes and how it fails, as it is', async () => {
    const { body } = await postern.call('GET', '/openapi.json');
    assert.equal(body.openapi, '3.1.0');
    const ids = new Set<string>();
    for (const [path, operations] of Object.entries<Record<string, Operation>>(body.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const label = `${method} ${path}`;
        assert.ok(operation.operationId && !ids.has(operation.operationId), label);
        ids.add(operation.operationId);
        assert.ok(operation.summary && operation.tags?.length === 1, label);
        assert.ok(operation.responses.default, label);
        if (path.startsWith('/oauth') || path === '/authorize') continue;
        const reply = await postern.call(method.toUpperCase(), path.replace(/\{\w+\}/g, crypto.randomUUID()));
        const isOpen = operation.security.length === 0 || operation.security.some((one) => !Object.keys(one).length);
        if (isOpen) assert.notEqual(reply.status, 401, label);
        else assert.equal(reply.status, 401, `${label} ${reply.text}`);
      }
    }
  });

  it('takes a path with and without a trailing slash', async () => {
    for (const path of ['/livez', '/readyz', '/metrics', '/docs', '/openapi.json', '/.well-known/jwks.json']) {
      const [plain, slashed] = [await postern.call('GET', path), await postern.call('GET', `${path}/`)];
      assert.deepEqual([plain.status, slashed.status], [200, 200], path);
    }
    assert.equal((await postern.call('POST', '/auth/login/', { json: { username: 'x', password } })).status, 401);
  });
});
