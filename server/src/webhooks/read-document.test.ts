import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { hang, type Receiver, startReceiver } from '../../test/support/webhook-receiver.ts';
import { makeReadDocument } from './read-document.ts';
import { makeTargetPolicy, type Resolve } from './target.ts';

describe('a document at a URL that a stranger gave', () => {
  let receiver: Receiver;
  before(async () => {
    receiver = await startReceiver(({ path }, response) => {
      if (path === '/hang') hang(response);
      if (path === '/half') response.writeHead(200, { 'content-length': '100' }).write('half');
      if (path === '/ok') response.writeHead(200, { 'cache-control': 'public, max-age=120' }).end('{"a":"ü"}');
      if (path === '/no-store') response.writeHead(200, { 'cache-control': 'no-store, max-age=120' }).end('{}');
      if (path === '/silent') response.writeHead(200).end('{}');
      if (path === '/most') response.writeHead(200).end('x'.repeat(64 * 1024));
      if (path === '/large') response.writeHead(200).end('x'.repeat(64 * 1024 + 1));
      if (path === '/redirect') response.writeHead(302, { location: `${receiver.url}/ok` }).end();
      if (path === '/cut') response.destroy();
    });
  });
  after(() => receiver.close());

  const make = (environment: 'development' | 'production', resolve?: Resolve) =>
    makeReadDocument({
      policy: { ...makeTargetPolicy({ environment, webhookPrivateNetworks: [] }), allowsHttp: false },
      version: '1',
      timeoutMilliseconds: 300,
      ...(resolve && { resolve }),
    });

  it('is read whole, with what it says of how long it is good', async () => {
    const read = make('development');
    assert.deepEqual(await read(`${receiver.url}/ok`), { text: '{"a":"ü"}', maxAgeSeconds: 120 });
    assert.equal((await read(`${receiver.url}/no-store`)).maxAgeSeconds, 0);
    assert.equal((await read(`${receiver.url}/silent`)).maxAgeSeconds, undefined);
    assert.equal((await read(`${receiver.url}/most`)).text.length, 64 * 1024);
  });

  it('is none where it is too large, too slow, elsewhere, or broken off', async () => {
    const read = make('development');
    for (const path of ['/large', '/hang', '/half', '/redirect', '/cut', '/nothing']) {
      await assert.rejects(read(receiver.url + path), path);
    }
  });

  it('is not asked for at an address of the network that we are in (S49)', async () => {
    const { port } = new URL(receiver.url);
    const before = receiver.connections();
    const read = make('production', async () => ['127.0.0.1']);
    for (const url of [
      `http://127.0.0.1:${port}/ok`,
      `https://127.0.0.1:${port}/ok`,
      `https://client.example:${port}/ok`,
      `http://client.example:${port}/ok`,
      'https://[::1]/ok',
      'https://user:x@client.example/ok',
      'file:///etc/passwd',
      'rubbish',
    ]) {
      await assert.rejects(read(url), url);
    }
    // In development this machine may be called without TLS, and nobody else.
    await assert.rejects(make('development', async () => ['93.184.215.14'])('http://client.example/ok'));
    assert.equal(receiver.connections(), before);
  });
});
