import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const letter = { from: 'shop@example.com', to: 'ada@example.com', subject: 'Hello', text: 'Hi.' };

describe('quotas', () => {
  let postern: Postern;
  let second: Postern;
  before(async () => {
    postern = await startPostern();
    // Tokens of one are good at the other: they are one issuer.
    second = await startPostern({
      dataDir: postern.dataDir,
      env: { PUBLIC_URL: postern.url.replace('127.0.0.1', 'localhost') },
    });
  });
  after(async () => {
    await second.dispose();
    await postern.dispose();
  });

  /** A tenant with quotas that both nodes know of, and a token of its program. */
  const tenantWith = async (slug: string, ...quotas: string[]) => {
    await postern.cli('tenants', 'create', slug);
    const made = await postern.cli('clients', 'create', '--id', slug, '--scope', 'email', '--tenant', slug, '--json');
    const { body } = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', ...JSON.parse(made.stdout) },
    });
    const updated = await postern.cli('tenants', 'update', slug, ...quotas, '--json');
    assert.equal(updated.code, 0, updated.stderr);
    return { token: body.access_token as string, updated: JSON.parse(updated.stdout) };
  };
  /** Until a node refuses a letter to 50 recipients: it knows by then. */
  const untilKnown = async (node: Postern, token: string, code: string) => {
    const bcc = Array.from({ length: 49 }, (_, i) => `u${i}@example.com`);
    await waitFor(
      async () => (await node.call('POST', '/emails', { token, json: { ...letter, bcc } })).body.code === code,
      { what: 'the quota to be known' },
    );
  };
  const settled = async (token: string) => {
    await untilKnown(postern, token, 'quotas.daily');
    await untilKnown(second, token, 'quotas.daily');
  };

  it('by day are exact however many letters come at once, on whichever node, and say when to come back', async () => {
    // Letters to 50 find out whether it is known yet; until then they are accepted, and not counted.
    const { token, updated } = await tenantWith('daily', '--daily', '20');
    assert.deepEqual(updated, { slug: 'daily', daily_quota: 20, per_second_quota: null });
    await settled(token);
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => {
        const headers: Record<string, string> = i % 3 === 0 ? { 'Idempotency-Key': `${i}` } : {};
        return (i % 2 === 0 ? postern : second).call('POST', '/emails', { token, json: letter, headers });
      }),
    );
    assert.equal(answers.filter(({ status }) => status === 202).length, 20);
    for (const { status, body, headers } of answers.filter(({ status }) => status !== 202)) {
      assert.deepEqual([status, body.code], [429, 'quotas.daily']);
      const seconds = Number(headers.get('retry-after'));
      assert.ok(seconds > 0 && seconds <= 86_400, `${seconds}`);
      assert.match(body.detail, /20 recipients a day/);
    }
    const raised = await postern.cli('tenants', 'update', 'daily', '--daily', '21');
    assert.equal(raised.code, 0);
    const statuses = [];
    for (let i = 0; i < 2; i++) statuses.push((await second.call('POST', '/emails', { token, json: letter })).status);
    assert.deepEqual(statuses, [202, 429]);
  });

  it('count recipients, and in a batch refuse those beyond alone', async () => {
    const { token } = await tenantWith('batches', '--daily', '5');
    await settled(token);
    const three = { ...letter, cc: 'b@example.com', bcc: 'c@example.com' };
    const { status, body } = await postern.call('POST', '/emails/batch', {
      token,
      json: [three, { ...letter, to: 'nonsense' }, three, letter, letter, letter],
    });
    assert.equal(status, 202);
    assert.deepEqual(
      body.data.map((one: { status?: string; error?: { code: string } }) => one.status ?? one.error?.code),
      ['queued', 'http.invalid_request', 'quotas.daily', 'queued', 'queued', 'quotas.daily'],
    );
    const attached = { ...letter, attachments: [{ filename: 'a.txt', content: 'QUJD' }] };
    assert.equal((await postern.call('POST', '/emails', { token, json: attached })).body.code, 'quotas.daily');
    const send = { to_email: 'a@example.com', subject: 'x' };
    assert.equal((await postern.call('POST', '/send', { token, json: send })).body.code, 'quotas.daily');
  });

  it('by second let go on a second later', async () => {
    const { token } = await tenantWith('speed', '--per-second', '2');
    await untilKnown(postern, token, 'quotas.per_second');
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => postern.call('POST', '/emails', { token, json: letter })),
    );
    const refused = answers.find(({ status }) => status === 429);
    assert.deepEqual([refused?.body.code, refused?.headers.get('retry-after')], ['quotas.per_second', '1']);
    await waitFor(async () => (await postern.call('POST', '/emails', { token, json: letter })).status === 202, {
      what: 'the next second',
    });
    const inBatch = await postern.call('POST', '/emails/batch', {
      token,
      json: Array.from({ length: 20 }, () => letter),
    });
    const accepted = inBatch.body.data.filter(({ status }: { status?: string }) => status === 'queued').length;
    assert.ok(accepted <= 2, `${accepted}`);
  });

  it("do not stop Postern's own letters, and can be lifted", async () => {
    const { token } = await tenantWith('codes', '--daily', '1', '--per-second', '1');
    await settled(token);
    for (let i = 0; i < 3; i++) {
      const { status } = await postern.call('POST', '/auth/register', {
        json: { email: `u${i}@example.com`, password: 'correct horse battery', server: 'codes' },
      });
      assert.equal(status, 201);
    }
    await postern.cli('tenants', 'update', 'codes', '--daily', 'none', '--per-second', 'none');
    for (let i = 0; i < 3; i++)
      assert.equal((await postern.call('POST', '/emails', { token, json: letter })).status, 202);
    const listed = JSON.parse((await postern.cli('tenants', 'list', '--json')).stdout);
    const { daily_quota, per_second_quota } = listed.find(({ slug }: { slug: string }) => slug === 'codes');
    assert.deepEqual([daily_quota, per_second_quota], [null, null]);
    for (const wrong of [['--daily', '0'], ['--daily', 'many'], []]) {
      assert.equal((await postern.cli('tenants', 'update', 'codes', ...wrong)).code, 2);
    }
    assert.equal((await postern.cli('tenants', 'update', 'nobody', '--daily', '1')).code, 1);
  });
});
