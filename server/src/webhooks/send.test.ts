import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Call, hang, type Receiver, startReceiver } from '../../test/support/webhook-receiver.ts';
import { excerpt, makeSender, type Sender } from './send.ts';
import { makeTargetPolicy, type Resolve } from './target.ts';

const never = new AbortController().signal;

describe('a call of a webhook', () => {
  let receiver: Receiver;
  const senders: Sender[] = [];
  /** Of 64 KiB, written by /endless. */
  let pieces = 0;
  before(async () => {
    receiver = await startReceiver(({ path }, response) => {
      if (path === '/hang') hang(response);
      if (path === '/half') response.writeHead(200, { 'content-length': '100' }).write('half');
      if (path === '/endless') {
        response.writeHead(200);
        const more = (error?: Error | null) => {
          if (error) return;
          pieces++;
          response.write(Buffer.alloc(64 * 1024, 'x'), more);
        };
        more();
      }
      if (path === '/redirect') response.writeHead(302, { location: `${receiver.url}/secret` }).end();
      if (path === '/wait') response.writeHead(429, { 'retry-after': '120' }).end('later');
      if (path === '/cut') response.destroy();
    });
  });
  after(async () => {
    for (const sender of senders) sender.close();
    await receiver.close();
  });

  /** One that may call this machine by its name, as an operator may allow it. */
  const make = (options: { resolve?: Resolve; networks?: string[]; timeoutMilliseconds?: number } = {}) => {
    const { networks = [], ...rest } = options;
    const policy = makeTargetPolicy({ environment: 'production', webhookPrivateNetworks: networks });
    const sender = makeSender({ policy, version: '1', ...rest });
    senders.push(sender);
    return sender;
  };
  const local = (options = {}) => make({ networks: ['127.0.0.1'], ...options });
  const to = (path: string, host = '127.0.0.1') => receiver.url.replace('127.0.0.1', host) + path;
  const callsOf = (path: string): Call[] => receiver.calls.filter((call) => call.path === path);

  it('goes to the address that was asked about, although the name means another one the next moment (S49)', async () => {
    const answers = [['127.0.0.1'], ['169.254.169.254'], ['10.0.0.1']];
    let asked = 0;
    const sender = local({ resolve: async () => answers[asked++] ?? [] });
    const first = await sender.send(to('/first', 'rebinds.example'), {}, '{}', never);
    assert.equal(first.statusCode, 204);
    assert.equal(asked, 1);
    assert.equal(callsOf('/first')[0]?.headers.host, new URL(to('', 'rebinds.example')).host);
  });

  it('is not made where the name has turned to this machine since the URL was saved (S49)', async () => {
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '0.0.0.0', '169.254.169.254']) {
      for (const protocol of ['http:', 'https:']) {
        const sender = make({ resolve: async () => [address] });
        const url = to('/rebound', 'rebinds.example').replace('http:', protocol);
        const { statusCode, error } = await sender.send(url, {}, '{}', never);
        assert.deepEqual([statusCode, error], [null, 'the host has no address that webhooks may call'], address);
      }
    }
    assert.equal(callsOf('/rebound').length, 0);
  });

  it('passes over the addresses of a name that may not be called', async () => {
    const sender = local({ resolve: async () => ['10.0.0.1', '::1', '127.0.0.1'] });
    assert.equal((await sender.send(to('/one-of-three', 'mixed.example'), {}, '{}', never)).statusCode, 204);
  });

  it('tells of a name that cannot be resolved what it tells of one that may not be called', async () => {
    const sender = make({ resolve: () => Promise.reject(new Error('ENOTFOUND corp.internal')) });
    const { error } = await sender.send('https://corp.internal/', {}, '{}', never);
    assert.equal(error, 'the host has no address that webhooks may call');
  });

  it('is not made to a literal address that may not be called, however it came to be stored (S49)', async () => {
    const before = receiver.connections();
    for (const host of ['127.0.0.1', '0x7f.1', '2130706433', '[::ffff:127.0.0.1]', '0']) {
      const { error } = await make().send(to('/literal', host), {}, '{}', never);
      assert.equal(error, 'the host has no address that webhooks may call', host);
    }
    assert.equal(receiver.connections(), before);
  });

  it('follows no redirect (S49)', async () => {
    const { statusCode } = await local().send(to('/redirect'), {}, '{}', never);
    assert.equal(statusCode, 302);
    assert.equal(callsOf('/secret').length, 0);
  });

  it('uses no proxy of the environment', async () => {
    process.env.http_proxy = process.env.HTTP_PROXY = 'http://127.0.0.1:1';
    try {
      assert.equal((await local().send(to('/direct'), {}, '{}', never)).statusCode, 204);
    } finally {
      delete process.env.http_proxy;
      delete process.env.HTTP_PROXY;
    }
  });

  it('ends when its time is over, also while the name is looked up', async () => {
    const hanging = await local({ timeoutMilliseconds: 50 }).send(to('/hang'), {}, '{}', never);
    assert.deepEqual([hanging.statusCode, hanging.error], [null, 'no answer within 0.05 s']);
    const lost = local({ timeoutMilliseconds: 50, resolve: () => new Promise<string[]>(() => {}) });
    assert.equal((await lost.send(to('/', 'hangs.example'), {}, '{}', never)).error, 'no answer within 0.05 s');
  });

  it('counts as answered once there is a status, and reads no more of the body than it has to', async () => {
    const half = await local({ timeoutMilliseconds: 200 }).send(to('/half'), {}, '{}', never);
    assert.deepEqual([half.statusCode, half.response], [200, 'half']);
    const endless = await local().send(to('/endless'), {}, '{}', never);
    assert.deepEqual([endless.statusCode, endless.response], [200, 'x'.repeat(1024)]);
    assert.ok(pieces < 1_000, `${pieces} pieces`);
  });

  it('keeps the connection for the next one', async () => {
    const sender = local();
    const before = receiver.connections();
    for (let i = 0; i < 5; i++) await sender.send(to('/again'), {}, '{}', never);
    assert.equal(receiver.connections(), before + 1);
  });

  it('tells why there was no answer, and for how long the endpoint wants to be left alone', async () => {
    assert.equal((await local().send(to('/wait'), {}, '{}', never)).retryAfterSeconds, 120);
    assert.equal(
      (await local().send(to('/cut'), {}, '{}', never)).error,
      'the connection was closed before the answer',
    );
    assert.match(
      (await local().send(to('/').replace('http:', 'https:'), {}, '{}', never)).error ?? '',
      /secure connection|call failed/,
    );
    const refused = await local().send('http://127.0.0.1:1/', {}, '{}', never);
    assert.equal(refused.error, 'the connection was refused');
  });

  it('keeps of the answer what is well-formed text', () => {
    assert.equal(excerpt(Buffer.from('')), null);
    assert.equal(excerpt(Buffer.from('a\0b')), 'ab');
    const cut = excerpt(Buffer.from(`${'x'.repeat(1023)}ä`));
    assert.equal(cut, 'x'.repeat(1023));
    const wrong = excerpt(Buffer.alloc(2_000, 0xff)) ?? '';
    assert.ok(wrong.isWellFormed() && Buffer.byteLength(wrong) <= 1024);
  });
});
