/** Webhooks, as a tenant's own program meets them. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Refusal, type Sink, startSink } from '../support/smtp-sink.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';
import { type Call, isSignedWith, type Receiver, startReceiver } from '../support/webhook-receiver.ts';

async function tokenOf(postern: Postern, scope: string, tenant = 'default'): Promise<string> {
  const id = `${tenant}-${scope.replaceAll(/\W/g, '-')}`;
  const made = await postern.cli('clients', 'create', '--id', id, '--scope', scope, '--tenant', tenant, '--json');
  assert.equal(made.code, 0, made.stderr);
  const credentials = { grant_type: 'client_credentials', ...JSON.parse(made.stdout), scope };
  return (await postern.call('POST', '/oauth/token', { json: credentials })).body.access_token;
}

const letter = { from: 'shop@example.com', subject: 'Hello', text: 'Hi, the secret is 4711.' };

describe('webhooks', () => {
  let sink: Sink;
  let postern: Postern;
  let receiver: Receiver;
  let token: string;
  let answer: (call: Call) => number = () => 204;
  before(async () => {
    sink = await startSink({
      onRecipient: (address) => {
        if (address.startsWith('gone')) throw new Refusal(550, '5.1.1 no such user');
        if (address.startsWith('busy')) throw new Refusal(451, '4.2.1 later');
      },
    });
    receiver = await startReceiver((call, response) => {
      response.writeHead(answer(call)).end('as told');
    });
    postern = await startPostern({ env: { SMTP_URL: sink.url, POSTERN_ENV: 'development' } });
    token = await tokenOf(postern, 'mail:admin');
  });
  after(async () => {
    await postern.dispose();
    await receiver.close();
    await sink.close();
  });

  const get = (path: string, as = token) => postern.call('GET', path, { token: as });
  const post = (path: string, json?: object, as = token) =>
    postern.call('POST', path, { token: as, ...(json === undefined ? {} : { json }) });
  const patch = (id: string, json: object) => postern.call('PATCH', `/webhooks/${id}`, { token, json });
  const subscribe = async (path: string, events: string[] | null = null, as = token) => {
    const { status, body, text } = await post('/webhooks', { url: receiver.url + path, events }, as);
    assert.equal(status, 201, text);
    return body as { id: string; secret: string };
  };
  const send = async (json: object, as = token) => {
    const { status, body } = await post('/emails', { ...letter, ...json }, as);
    assert.equal(status, 202);
    return body.id as string;
  };
  const callsTo = (path: string) => receiver.calls.filter((call) => call.path === path);
  const callOf = (path: string, type: string, count = 1) =>
    waitFor(() => callsTo(path).filter(({ body }) => body.type === type)[count - 1], {
      what: `${type} at ${path}`,
      detail: () => `${JSON.stringify(callsTo(path))}\n${postern.output()}`,
    });
  const deliveryOf = (id: string, delivery: string, status: string) =>
    waitFor(
      async () => {
        const { body } = await get(`/webhooks/${id}/deliveries/${delivery}`);
        return body.status === status && body;
      },
      { what: `the delivery to be ${status}`, detail: postern.output },
    );
  const remove = (id: string) => postern.call('DELETE', `/webhooks/${id}`, { token });

  it('are made, read, changed, listed and deleted; the secret is shown once', async () => {
    const made = await post('/webhooks', { url: `${receiver.url}/crud`, events: ['email.sent'], description: 'mine' });
    assert.equal(made.status, 201);
    const { secret, ...shown } = made.body;
    assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
    assert.equal(made.headers.get('location'), `/webhooks/${shown.id}`);
    assert.deepEqual((await get(`/webhooks/${shown.id}`)).body, shown);
    assert.deepEqual([shown.enabled, shown.events, shown.description], [true, ['email.sent'], 'mine']);
    assert.ok((await get('/webhooks')).body.data.some(({ id }: { id: string }) => id === shown.id));

    const changed = await patch(shown.id, { events: null, description: null, enabled: false });
    assert.equal(changed.status, 200);
    assert.deepEqual(
      [changed.body.enabled, changed.body.disabled_reason, changed.body.events],
      [false, 'manual', null],
    );
    assert.equal((await post(`/webhooks/${shown.id}/test`)).body.code, 'webhooks.disabled');
    assert.equal((await patch(shown.id, { enabled: true })).body.disabled_at, null);
    assert.equal((await remove(shown.id)).status, 204);
    for (const path of ['', '/deliveries']) assert.equal((await get(`/webhooks/${shown.id}${path}`)).status, 404);
  });

  it('refuse what they cannot call, and say so', async () => {
    for (const url of [
      'http://10.0.0.1/',
      'http://169.254.169.254/latest/',
      'http://[::ffff:7f00:1]/',
      'ftp://x.example/',
    ]) {
      const { status, body } = await post('/webhooks', { url });
      assert.deepEqual([status, body.code, body.errors[0].path], [400, 'webhooks.url_refused', 'url'], url);
    }
    const { id } = await subscribe('/stays');
    assert.equal((await patch(id, { url: 'http://192.168.0.1/' })).body.code, 'webhooks.url_refused');
    for (const json of [{}, { url: receiver.url, secret: 'x' }, { url: receiver.url, events: ['email.read'] }]) {
      assert.equal((await post('/webhooks', json)).status, 400);
    }
    assert.equal((await patch(id, {})).status, 400);
    await remove(id);
  });

  it('tell what becomes of letters, signed, and neither their subject nor their text', async () => {
    const { id: webhook, secret } = await subscribe('/mail');
    const id = await send({
      to: ['ok@example.com', 'gone@example.com', 'busy@example.com'],
      tags: [{ name: 'kind', value: 'greeting' }],
      metadata: { order: 7 },
    });
    const queued = await callOf('/mail', 'email.queued');
    const sent = await callOf('/mail', 'email.sent');
    const bounced = await callOf('/mail', 'email.bounced');
    const delayed = await callOf('/mail', 'email.delivery_delayed');
    for (const call of [queued, sent, bounced, delayed]) {
      assert.ok(isSignedWith(secret, call));
      assert.equal(call.headers['content-type'], 'application/json');
      assert.match(call.headers['user-agent'] ?? '', /^Postern\//);
      assert.ok(!/Hello|4711|whsec/.test(call.raw));
      assert.deepEqual(Object.keys(call.body), ['type', 'timestamp', 'data']);
      assert.equal(call.body.data.email_id, id);
      assert.equal(call.body.data.server, 'default');
      assert.match(call.body.data.message_id, /^<.+@.+>$/);
      assert.deepEqual(call.body.data.tags, [{ name: 'kind', value: 'greeting' }]);
      assert.deepEqual(call.body.data.metadata, { order: 7 });
    }
    assert.equal(queued.body.data.status, 'queued');
    assert.deepEqual([sent.body.data.recipient, sent.body.data.status], ['ok@example.com', 'sent']);
    const { recipient, status, reply } = bounced.body.data;
    assert.deepEqual([recipient, status, reply.code, reply.enhanced], ['gone@example.com', 'bounced', 550, '5.1.1']);
    assert.equal(delayed.body.data.status, 'deferred');
    assert.ok(Date.parse(delayed.body.data.next_attempt_at) > Date.now());

    await post(`/emails/${id}/cancel`);
    await callOf('/mail', 'email.canceled');
    await send({ to: 'gone@example.com' });
    const suppressed = await callOf('/mail', 'email.suppressed');
    assert.deepEqual([suppressed.body.data.recipient, suppressed.body.data.reason], ['gone@example.com', 'bounced']);
    const later = new Date(Date.now() + 3_600_000).toISOString();
    const scheduled = await send({ to: 'ok@example.com', scheduled_at: later });
    const waits = await waitFor(() => callsTo('/mail').find(({ body }) => body.data.email_id === scheduled), {
      what: 'the scheduled one',
    });
    assert.equal(waits.body.data.status, 'scheduled');
    await remove(webhook);
  });

  it('tell what becomes of users, and neither where they are nor what they know', async () => {
    const { id: webhook, secret } = await subscribe('/users', [
      'user.registered',
      'user.verified',
      'user.logged_in',
      'user.deleted',
    ]);
    const credentials = { email: 'ada@example.com', password: 'correct horse battery' };
    const { user } = (await postern.call('POST', '/auth/register', { json: { ...credentials, name: 'Ada' } })).body;
    const registered = await callOf('/users', 'user.registered');
    assert.ok(isSignedWith(secret, registered));
    assert.deepEqual(registered.body.data, user);
    await postern.call('POST', '/auth/login', { json: credentials });
    await callOf('/users', 'user.logged_in', 2);
    const deleted = await postern.call('DELETE', `/users?email=ada@example.com`, {
      basic: `${credentials.email}:${credentials.password}`,
    });
    assert.equal(deleted.status, 204);
    const last = await callOf('/users', 'user.deleted');
    assert.deepEqual(last.body.data, { uuid: user.uuid, server: 'default' });
    for (const { raw } of callsTo('/users'))
      assert.doesNotMatch(raw, /127\.0\.0\.1|::1|token|horse|hash|email\.(queued|sent)/);
    await remove(webhook);
  });

  it('sign with both secrets while a new one comes into use', async () => {
    const { id, secret } = await subscribe('/rotated', ['email.expired']);
    const test = async (count: number) => {
      assert.equal((await post(`/webhooks/${id}/test`)).status, 202);
      return callOf('/rotated', 'webhook.test', count);
    };
    assert.deepEqual((await test(1)).body.data, { webhook_id: id, server: 'default' });
    const rotated = await post(`/webhooks/${id}/secret/rotate`);
    assert.equal(rotated.status, 200);
    assert.notEqual(rotated.body.secret, secret);
    assert.ok(Date.parse(rotated.body.former_secret_until) > Date.now() + 86_000_000);
    const both = await test(2);
    assert.ok(isSignedWith(secret, both) && isSignedWith(rotated.body.secret, both));
    const at_once = await post(`/webhooks/${id}/secret/rotate`, { overlap_seconds: 0 });
    const after = await test(3);
    assert.deepEqual(
      [secret, rotated.body.secret, at_once.body.secret].map((one) => isSignedWith(one, after)),
      [false, false, true],
    );
    await remove(id);
  });

  it('try again what failed, keep a log of it, and send again when asked, as the same message', async () => {
    answer = ({ path }) => (path === '/shaky' ? 500 : 204);
    const { id } = await subscribe('/shaky', ['email.queued']);
    await send({ to: 'ok@example.com' });
    const first = await callOf('/shaky', 'email.queued');
    const delivery = first.headers['webhook-id'] ?? '';
    const failed = await waitFor(
      async () => {
        const { body } = await get(`/webhooks/${id}/deliveries/${delivery}`);
        return body.tries.length === 1 && body;
      },
      { what: 'the first try in the log' },
    );
    assert.deepEqual([failed.status, failed.attempts], ['pending', 1]);
    assert.deepEqual([failed.tries[0].status_code, failed.tries[0].response], [500, 'as told']);
    assert.ok(Date.parse(failed.next_attempt_at) > Date.now());
    assert.deepEqual(failed.payload, first.body);
    answer = () => 204;
    assert.equal((await post(`/webhooks/${id}/deliveries/${delivery}/redeliver`)).status, 202);
    const delivered = await deliveryOf(id, delivery, 'delivered');
    assert.deepEqual(
      delivered.tries.map((one: { status_code: number }) => one.status_code),
      [500, 204],
    );
    assert.equal((await post(`/webhooks/${id}/deliveries/${delivery}/redeliver`)).status, 202);
    const third = await callOf('/shaky', 'email.queued', 3);
    assert.equal(third.headers['webhook-id'], delivery);
    assert.equal(third.raw, first.raw);
    const list = await waitFor(
      async () => {
        const { body } = await get(`/webhooks/${id}/deliveries?status=delivered`);
        return body.data[0]?.attempts === 3 && body;
      },
      { what: 'the third try in the list' },
    );
    assert.deepEqual([list.data.length, list.data[0].last_try.status_code], [1, 204]);
    assert.equal((await get(`/webhooks/${id}/deliveries?status=failed`)).body.data.length, 0);
    await remove(id);
  });

  it('are disabled by 410, others are told, and what failed goes again once they are enabled', async () => {
    answer = ({ path }) => (path === '/gone' ? 410 : 204);
    const since = new Date(Date.now() - 60_000).toISOString();
    const { id } = await subscribe('/gone', ['email.queued']);
    const witness = await subscribe('/witness', ['webhook.disabled']);
    await send({ to: 'ok@example.com' });
    const told = await callOf('/witness', 'webhook.disabled');
    assert.deepEqual(told.body.data, { webhook_id: id, server: 'default', reason: 'gone' });
    const { body } = await get(`/webhooks/${id}`);
    assert.deepEqual([body.enabled, body.disabled_reason], [false, 'gone']);
    await send({ to: 'ok@example.com' });
    assert.equal((await get(`/webhooks/${id}/deliveries`)).body.data.length, 1);
    assert.equal((await post(`/webhooks/${id}/redeliver`, { since })).body.code, 'webhooks.disabled');
    answer = () => 204;
    await patch(id, { enabled: true });
    assert.deepEqual((await post(`/webhooks/${id}/redeliver`, { since })).body, { count: 1, has_more: false });
    await callOf('/gone', 'email.queued', 2);
    await remove(id);
    await remove(witness.id);
  });

  it('belong to their tenant alone (S41)', async () => {
    assert.equal((await postern.cli('tenants', 'create', 'other')).code, 0);
    const other = await tokenOf(postern, 'mail:admin', 'other');
    const { id } = await subscribe('/mine', null);
    const theirs = await subscribe('/theirs', null, other);
    await send({ to: 'ok@example.com' });
    const { headers } = await callOf('/mine', 'email.sent');
    await send({ to: 'ok@example.com' }, other);
    assert.equal((await callOf('/theirs', 'email.sent')).body.data.server, 'other');
    assert.ok(callsTo('/mine').every(({ body }) => body.data.server === 'default'));
    const absent = await get('/webhooks/018f0000-0000-7000-8000-000000000000', other);
    for (const path of ['', '/deliveries', `/deliveries/${headers['webhook-id']}`]) {
      const reply = await get(`/webhooks/${id}${path}`, other);
      assert.deepEqual({ ...reply.body, request_id: '' }, { ...absent.body, request_id: '' });
    }
    for (const path of ['/test', '/secret/rotate', `/deliveries/${headers['webhook-id']}/redeliver`]) {
      assert.equal((await post(`/webhooks/${id}${path}`, undefined, other)).status, 404);
      assert.equal((await post(`/webhooks/${theirs.id}${path}`, undefined, token)).status, 404);
    }
    assert.equal((await get(`/webhooks/${theirs.id}/deliveries/${headers['webhook-id']}`, other)).status, 404);
    assert.equal((await postern.call('DELETE', `/webhooks/${id}`, { token: other })).status, 404);
    assert.deepEqual(
      (await get('/webhooks', other)).body.data.map((one: { id: string }) => one.id),
      [theirs.id],
    );
    await remove(id);
    await postern.call('DELETE', `/webhooks/${theirs.id}`, { token: other });
  });

  it('are for mail administrators', async () => {
    const email = await tokenOf(postern, 'email');
    for (const path of ['/webhooks', '/webhooks/x', '/webhooks/x/deliveries']) {
      assert.equal((await get(path, email)).status, 403);
      assert.equal((await postern.call('GET', path)).status, 401);
    }
    assert.equal((await post('/webhooks', { url: receiver.url }, email)).status, 403);
  });

  it('are counted for the operator', async () => {
    const { text } = await get('/metrics');
    assert.match(text, /postern_webhook_queue_deliveries\{state="due"\} \d+/);
  });
});

describe('a webhook whose Postern is killed', () => {
  it('is called by the next one: the event was committed with the fact', async () => {
    const receiver = await startReceiver();
    // One that calls nobody, so that it is surely killed between the fact and the call.
    const first = await startPostern({ env: { POSTERN_ENV: 'development' }, args: ['--role', 'api'] });
    const token = await tokenOf(first, 'mail:admin');
    const made = await first.call('POST', '/webhooks', { token, json: { url: receiver.url } });
    const { body } = await first.call('POST', '/emails', { token, json: { ...letter, to: 'ok@example.com' } });
    await first.kill();
    assert.equal(receiver.calls.length, 0);
    const second = await startPostern({ dataDir: first.dataDir, env: { POSTERN_ENV: 'development' } });
    const call = await receiver.called((one) => one.body.type === 'email.queued', 'the event of before the crash');
    assert.equal(call.body.data.email_id, body.id);
    assert.ok(isSignedWith(made.body.secret, call));
    assert.equal((await second.stop()) ?? 0, 0);
    await first.dispose();
    await receiver.close();
  });
});
