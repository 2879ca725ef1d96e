import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Refusal, type Sink, startSink } from '../support/smtp-sink.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const letter = { from: 'shop@example.com', subject: 'Hello', text: 'Hi.' };
type Bucket = Record<string, number> & { at: string };

describe('statistics', () => {
  let sink: Sink;
  let postern: Postern;
  let token: string;
  before(async () => {
    sink = await startSink({
      onRecipient: (address) => {
        if (address === 'gone@example.com') throw new Refusal(550, '5.1.1 no such user');
        if (address === 'busy@example.com') throw new Refusal(451, '4.2.1 later');
      },
    });
    postern = await startPostern({ env: { SMTP_URL: sink.url, POSTERN_ENV: 'development' } });
    const made = await postern.cli('clients', 'create', '--id', 'app', '--scope', 'email', '--json');
    token = (
      await postern.call('POST', '/oauth/token', {
        json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
      })
    ).body.access_token;
  });
  after(async () => {
    await postern.dispose();
    await sink.close();
  });

  const stats = (query = '', as = token) => postern.call('GET', `/stats${query}`, { token: as });
  const send = async (json: object) =>
    (await postern.call('POST', '/emails', { token, json: { ...letter, ...json } })).body.id as string;
  /** Sums over all buckets, without what is zero: the clock may strike while a test runs. */
  const totals = async (query: string) => {
    const { body } = await stats(query);
    const sums: Record<string, number> = {};
    for (const { at: _, ...counts } of body.data as Bucket[]) {
      for (const [name, count] of Object.entries(counts)) if (count > 0) sums[name] = (sums[name] ?? 0) + count;
    }
    return sums;
  };

  it('are zero in every hour and day before there is mail', async () => {
    const { status, body } = await stats('?from=2030-01-01T10:20:00Z&to=2030-01-01T13:00:00Z&interval=hour');
    assert.equal(status, 200);
    assert.deepEqual(
      [body.interval, body.from, body.to],
      ['hour', '2030-01-01T10:00:00.000Z', '2030-01-01T13:00:00.000Z'],
    );
    assert.deepEqual(
      body.data.map(({ at }: Bucket) => at),
      ['2030-01-01T10:00:00.000Z', '2030-01-01T11:00:00.000Z', '2030-01-01T12:00:00.000Z'],
    );
    const { at: _, ...counts } = body.data[0];
    assert.deepEqual(Object.keys(counts), [
      'queued',
      'sent',
      'delivered',
      'deferred',
      'bounced',
      'failed',
      'expired',
      'canceled',
      'suppressed',
      'complained',
      'uncertain',
    ]);
    assert.ok(Object.values(counts).every((count) => count === 0));
    assert.equal((await stats()).body.data.length, 30);
    assert.equal((await stats('?interval=hour')).body.data.length, 24);
  });

  it('count recipients as mail is accepted, settled and canceled', async () => {
    const later = new Date(Date.now() + 3_600_000).toISOString();
    const scheduled = await send({ to: ['x@example.com', 'y@example.com'], scheduled_at: later });
    await postern.call('POST', `/emails/${scheduled}/cancel`, { token });
    await postern.call('POST', '/suppressions', { token, json: { address: 'never@example.com' } });
    await send({ to: 'never@example.com' });
    await send({ to: ['ada@example.com', 'gone@example.com', 'busy@example.com'] });
    await Promise.all(Array.from({ length: 50 }, (_, i) => send({ to: `user${i}@example.com` })));
    const expected = { queued: 55, sent: 51, deferred: 1, bounced: 1, canceled: 2, suppressed: 1 };
    for (const interval of ['hour', 'day']) {
      const query = `?interval=${interval}`;
      await waitFor(async () => (await totals(query)).sent === 51 && (await totals(query)).deferred === 1, {
        what: 'the letters to settle',
        detail: postern.output,
      });
      assert.deepEqual(await totals(query), expected);
    }
  });

  it('do not count what did not happen: a letter handed in twice with one key', async () => {
    const options = { token, json: { ...letter, to: 'once@example.com' }, headers: { 'Idempotency-Key': 'one' } };
    const before = (await totals('')).queued ?? 0;
    await postern.call('POST', '/emails', options);
    await postern.call('POST', '/emails', options);
    assert.equal((await totals('')).queued, before + 1);
  });

  it('refuse spans that are too long, empty, or no instants', async () => {
    for (const query of [
      '?from=2030-01-01T00:00:00Z&to=2030-02-02T00:00:00Z&interval=hour',
      '?from=2030-01-01T00:00:00Z&to=2031-03-01T00:00:00Z',
      '?from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z',
      '?from=2030-01-02T00:00:00Z&to=2030-01-02T00:00:00Z',
      '?from=yesterday',
      '?from=2030-01-01T00:00:00',
      '?to=9999-12-31T23:59:59Z',
      '?interval=week',
      '?tenant=other',
    ]) {
      const { status, body } = await stats(query);
      assert.equal(status, 400, query);
      assert.equal(body.code, 'http.invalid_request', query);
    }
    assert.equal((await stats('?from=2030-01-01T00:00:00Z&to=2030-02-01T00:00:00Z&interval=hour')).status, 200);
    assert.equal((await stats('?from=2030-01-01T01:00:00%2B01:00&to=2031-02-05T00:00:00Z')).body.data.length, 400);
  });

  it("are the tenant's own, and not for its users", async () => {
    const { body } = await postern.call('POST', '/auth/register', {
      json: { username: 'curious', password: 'correct horse' },
    });
    assert.equal((await stats('', body.token.access_token)).status, 403);
    await postern.cli('tenants', 'create', 'other');
    const made = await postern.cli('clients', 'create', '--id', 'o', '--scope', 'email', '--tenant', 'other', '--json');
    const foreign = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
    });
    const { body: theirs } = await stats('', foreign.body.access_token);
    assert.ok((theirs.data as Bucket[]).every(({ queued }) => queued === 0));
  });
});
