import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Refusal, type Sink, startSink } from '../support/smtp-sink.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

async function tokenOf(postern: Postern, scope: string, tenant = 'default'): Promise<string> {
  const id = `${tenant}-${scope.replaceAll(/\W/g, '-')}`;
  const made = await postern.cli('clients', 'create', '--id', id, '--scope', scope, '--tenant', tenant, '--json');
  assert.equal(made.code, 0, made.stderr);
  const credentials = { grant_type: 'client_credentials', ...JSON.parse(made.stdout), scope };
  return (await postern.call('POST', '/oauth/token', { json: credentials })).body.access_token;
}

const letter = { from: 'shop@example.com', subject: 'Hello', text: 'Hi.' };

describe('suppressions', () => {
  let sink: Sink;
  let postern: Postern;
  let token: string;
  let isBusy = true;
  before(async () => {
    sink = await startSink({
      onRecipient: (address) => {
        if (address.toLowerCase().startsWith('gone')) throw new Refusal(550, '5.1.1 no such user');
        if (address.startsWith('full')) throw new Refusal(552, '5.2.2 mailbox full');
        if (address.startsWith('spam')) throw new Refusal(550, '5.7.1 looks like spam');
        if (address.startsWith('busy') && isBusy) throw new Refusal(451, '4.2.1 later');
      },
    });
    postern = await startPostern({ env: { SMTP_URL: sink.url, POSTERN_ENV: 'development' } });
    token = await tokenOf(postern, 'email');
  });
  after(async () => {
    await postern.dispose();
    await sink.close();
  });

  const get = (path: string, as = token) => postern.call('GET', path, { token: as });
  const suppress = (json: object, as = token) => postern.call('POST', '/suppressions', { token: as, json });
  const detail = async (id: string) => (await get(`/emails/${id}`)).body;
  const send = async (json: object) => {
    const { status, body } = await postern.call('POST', '/emails', { token, json: { ...letter, ...json } });
    assert.equal(status, 202);
    return body.id as string;
  };
  const untilStatus = (id: string, status: string) =>
    waitFor(
      async () => {
        const body = await detail(id);
        return body.status === status && body;
      },
      { what: `${id} to be ${status}`, detail: postern.output },
    );
  const statuses = ({ recipients }: { recipients: { status: string }[] }) => recipients.map(({ status }) => status);
  const types = ({ events }: { events: { type: string }[] }) => events.map(({ type }) => type);
  const wasHandedOver = (address: string) => sink.received.some(({ rcptTo }) => rcptTo.includes(address));

  it('are listed, read and removed by address, however it is written', async () => {
    const made = await suppress({ address: 'Ada.L@Bücher.example', detail: 'asked us to' });
    assert.equal(made.status, 201);
    assert.deepEqual(
      { ...made.body, created_at: null },
      {
        address: 'Ada.L@xn--bcher-kva.example',
        reason: 'manual',
        detail: 'asked us to',
        email_id: null,
        unsubscribed_at: null,
        created_at: null,
      },
    );
    const again = await suppress({ address: 'ada.l@bücher.example', reason: 'complained' });
    assert.equal(again.status, 200);
    assert.deepEqual(again.body, made.body);
    const path = `/suppressions/${encodeURIComponent('ADA.L@bücher.example')}`;
    assert.deepEqual((await get(path)).body, made.body);
    assert.equal((await postern.call('DELETE', path, { token })).status, 204);
    const gone = await postern.call('DELETE', path, { token });
    assert.equal(gone.status, 404);
    assert.equal(gone.body.code, 'suppressions.not_found');
    assert.equal((await get(path)).status, 404);
    assert.equal((await get('/suppressions/nonsense')).status, 404);
  });

  it('come in pages, and by reason or address', async () => {
    for (const name of ['c', 'a', 'b']) await suppress({ address: `page-${name}@example.com`, reason: 'complained' });
    const first = await get('/suppressions?reason=complained&limit=2');
    assert.deepEqual(
      first.body.data.map(({ address }: { address: string }) => address),
      ['page-a@example.com', 'page-b@example.com'],
    );
    assert.equal(first.body.has_more, true);
    const second = await get('/suppressions?reason=complained&limit=2&after=page-b@example.com');
    assert.deepEqual([second.body.data.length, second.body.has_more], [1, false]);
    assert.equal((await get('/suppressions?address=PAGE-A@example.com')).body.data.length, 1);
    assert.equal((await get('/suppressions?address=nobody@example.com')).body.data.length, 0);
  });

  it('refuse what is no address, and say so', async () => {
    for (const json of [{ address: 'a@b,c@d' }, { address: 'Ada <ada@example.com>' }, {}]) {
      assert.equal((await suppress(json)).status, 400, JSON.stringify(json));
    }
    assert.equal((await suppress({ address: 'x@example.com', reason: 'whim' })).status, 400);
    assert.equal((await suppress({ address: 'x@example.com', detail: 'a\0b' })).status, 400);
    assert.equal((await suppress({ address: 'x@example.com', tenant: 'y' })).status, 400);
    assert.equal((await get('/suppressions?after=%00')).status, 400);
    assert.equal((await get('/suppressions?address=%00')).body.data.length, 0);
  });

  it("are a program's business, and the tenant's own", async () => {
    const { body } = await postern.call('POST', '/auth/register', {
      json: { username: 'curious', password: 'correct horse' },
    });
    assert.equal((await get('/suppressions', body.token.access_token)).status, 403);
    assert.equal((await get('/suppressions', '')).status, 401);
    assert.equal((await get('/suppressions', await tokenOf(postern, 'basic'))).status, 403);
    await suppress({ address: 'ours@example.com' });
    await postern.cli('tenants', 'create', 'other');
    const foreign = await tokenOf(postern, 'email', 'other');
    assert.equal((await get('/suppressions/ours@example.com', foreign)).status, 404);
    assert.equal((await postern.call('DELETE', '/suppressions/ours@example.com', { token: foreign })).status, 404);
    const sent = await postern.call('POST', '/emails', { token: foreign, json: { ...letter, to: 'ours@example.com' } });
    await waitFor(async () => (await get(`/emails/${sent.body.id}`, foreign)).body.status === 'sent', {
      what: 'the letter of another tenant',
    });
  });

  it('end a letter at acceptance where nobody else is to get it', async () => {
    await suppress({ address: 'never@example.com', reason: 'complained' });
    const found = await detail(await send({ to: 'Never@example.com' }));
    assert.equal(found.status, 'suppressed');
    assert.deepEqual(statuses(found), ['suppressed']);
    assert.deepEqual(types(found), ['email.suppressed']);
    assert.equal(found.events[0].recipient, 'Never@example.com');
    assert.deepEqual(found.events[0].data, { reason: 'complained' });
    const canceled = await postern.call('POST', `/emails/${found.id}/cancel`, { token });
    assert.equal(canceled.status, 409);
  });

  it('leave the other recipients of a letter alone', async () => {
    const sent = await untilStatus(await send({ to: ['ada@example.com', 'never@example.com'] }), 'sent');
    assert.deepEqual(statuses(sent), ['sent', 'suppressed']);
    assert.deepEqual(types(sent), ['email.queued', 'email.suppressed', 'email.sent']);
    const received = sink.received.find(({ messageId }) => messageId === sent.message_id);
    assert.deepEqual(received?.rcptTo, ['ada@example.com']);
  });

  it('hold for batches and for B’s call', async () => {
    const { body } = await postern.call('POST', '/emails/batch', {
      token,
      json: [
        { ...letter, to: 'never@example.com' },
        { ...letter, to: 'bob@example.com' },
      ],
    });
    assert.equal((await detail(body.data[0].id)).status, 'suppressed');
    await untilStatus(body.data[1].id, 'sent');
    const reply = await postern.call('POST', '/send', {
      token,
      json: { email: 'a@example.com', name: 'A', to_name: 'N', to_email: 'never@example.com', subject: 'Hello' },
    });
    assert.deepEqual([reply.status, reply.text], [202, 'Start Queue Email']);
    const found = (await get(reply.headers.get('location') ?? '')).body;
    assert.equal(found.status, 'suppressed');
    assert.ok(!wasHandedOver('never@example.com'));
  });

  it('hold for codes too, and never fail a registration', async () => {
    await suppress({ address: 'shy@example.com' });
    const registered = await postern.call('POST', '/auth/register', {
      json: { email: 'shy@example.com', password: 'correct horse' },
    });
    assert.equal(registered.status, 201);
    const admin = await tokenOf(postern, 'mail:admin');
    const { body } = await get('/emails?to=shy@example.com', admin);
    assert.deepEqual(
      body.data.map(({ status, lane }: { status: string; lane: string }) => [status, lane]),
      [['suppressed', 'otp']],
    );
    assert.ok(!wasHandedOver('shy@example.com'));
  });

  it('count again at delivery: whoever was suppressed meanwhile gets nothing', async () => {
    const id = await send({ to: ['busy@example.com', 'busy2@example.com'] });
    const alone = await send({ to: 'busy3@example.com' });
    await untilStatus(id, 'deferred');
    await untilStatus(alone, 'deferred');
    await suppress({ address: 'busy@example.com', reason: 'complained' });
    await suppress({ address: 'busy3@example.com' });
    isBusy = false;
    for (const one of [id, alone]) await postern.call('POST', `/emails/${one}/retry`, { token });
    const sent = await untilStatus(id, 'sent');
    assert.deepEqual(
      sent.recipients.map(({ status, attempts }: { status: string; attempts: number }) => [status, attempts]),
      [
        ['suppressed', 1],
        ['sent', 2],
      ],
    );
    assert.deepEqual(types(await untilStatus(alone, 'suppressed')).slice(-1), ['email.suppressed']);
    assert.deepEqual([wasHandedOver('busy@example.com'), wasHandedOver('busy3@example.com')], [false, false]);
  });

  it('grow by the address that a server refuses for good, and by no other', async () => {
    const id = await send({ to: ['Gone@example.com', 'full@example.com', 'spam@example.com', 'ok@example.com'] });
    await untilStatus(id, 'bounced');
    const { status, body } = await get('/suppressions/gone@example.com');
    assert.equal(status, 200);
    assert.deepEqual([body.address, body.reason, body.email_id], ['Gone@example.com', 'bounced', id]);
    assert.equal(body.detail, '550 5.1.1 no such user');
    assert.equal((await get('/suppressions/full@example.com')).status, 404);
    assert.equal((await get('/suppressions/spam@example.com')).status, 404);
    assert.equal((await get('/suppressions/ok@example.com')).status, 404);

    assert.equal((await detail(await send({ to: 'gone@example.com' }))).status, 'suppressed');
    await postern.call('DELETE', '/suppressions/gone@example.com', { token });
    await untilStatus(await send({ to: 'gone@example.com' }), 'bounced');
  });

  it('take the same address from many letters at once', async () => {
    const { body } = await postern.call('POST', '/emails/batch', {
      token,
      json: Array.from({ length: 40 }, (_, i) => ({
        ...letter,
        to: [`gone-${i % 4}@example.com`, 'fine@example.com'],
      })),
    });
    for (const { id } of body.data) {
      await waitFor(async () => ['bounced', 'sent'].includes((await detail(id)).status), { what: `${id} to end` });
    }
    const listed = await get('/suppressions?reason=bounced&limit=100');
    const addresses = listed.body.data.map(({ address }: { address: string }) => address);
    for (let i = 0; i < 4; i++) assert.ok(addresses.includes(`gone-${i}@example.com`));
  });

  describe('by one click', () => {
    const linkTo = async (address: string, json: object = {}) => {
      const id = await send({ to: address, lane: 'bulk', ...json });
      const { message_id } = await untilStatus(id, 'sent');
      const raw = sink.received.find(({ messageId }) => messageId === message_id)?.raw ?? '';
      return { id, raw, link: /^List-Unsubscribe:\s+<(\S+)>\r$/m.exec(raw)?.[1] ?? '' };
    };
    const path = (link: string) => link.slice(postern.url.length);

    it('of a mail program, in either form, bulk mail ends and other mail goes on (RFC 8058)', async () => {
      const { id, raw, link } = await linkTo('Reader@example.com');
      assert.match(raw, /^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r$/m);
      const form = new FormData();
      form.set('List-Unsubscribe', 'One-Click');
      const clicked = await fetch(postern.url + path(link), { method: 'POST', body: form });
      assert.deepEqual([clicked.status, await clicked.json()], [200, { unsubscribed: true }]);
      const again = await postern.call('POST', path(link), { form: { 'List-Unsubscribe': 'One-Click' } });
      assert.equal(again.status, 200);

      const entry = (await get('/suppressions/reader@example.com')).body;
      assert.deepEqual([entry.reason, entry.email_id], ['unsubscribed', id]);
      assert.ok(entry.unsubscribed_at);
      assert.equal(types(await detail(id)).filter((type) => type === 'email.unsubscribed').length, 1);

      const bulk = await detail(await send({ to: 'reader@example.com', lane: 'bulk' }));
      assert.deepEqual([bulk.status, bulk.events.at(-1).data], ['suppressed', { reason: 'unsubscribed' }]);
      await untilStatus(await send({ to: 'reader@example.com' }), 'sent');
    });

    it('counts at delivery too: bulk mail under way is held back', async () => {
      isBusy = true;
      const { link } = await linkTo('calm@example.com');
      const late = await send({ to: 'busy-reader@example.com', lane: 'bulk' });
      const receipt = await send({ to: 'busy-reader@example.com' });
      await untilStatus(late, 'deferred');
      await untilStatus(receipt, 'deferred');
      await suppress({ address: 'busy-reader@example.com', reason: 'unsubscribed' });
      isBusy = false;
      for (const one of [late, receipt]) await postern.call('POST', `/emails/${one}/retry`, { token });
      await untilStatus(late, 'suppressed');
      await untilStatus(receipt, 'sent');
      assert.ok(link);
    });

    it('is a page with a button for people, and opening it changes nothing', async () => {
      const { link } = await linkTo('person@example.com');
      const opened = await postern.call('GET', path(link));
      assert.deepEqual([opened.status, opened.headers.get('content-type')], [200, 'text/html']);
      assert.match(opened.text, /person@example\.com/);
      assert.equal((await get('/suppressions/person@example.com')).status, 404);
      const action = /action="([^"]+)"/.exec(opened.text)?.[1]?.replaceAll('&amp;', '&') ?? '';
      const pressed = await postern.call('POST', action, { form: { token: 'x' } });
      assert.deepEqual([pressed.status, /You are unsubscribed/.test(pressed.text)], [200, true]);
      assert.equal((await get('/suppressions/person@example.com')).body.reason, 'unsubscribed');
    });

    it('works for whom the link was made, and for no one else', async () => {
      const { link } = await linkTo('owner@example.com');
      const token = new URL(link).searchParams.get('token') ?? '';
      const [payload = '', mac = ''] = token.split('.');
      const octets = Buffer.from(payload, 'base64url');
      const another = Buffer.concat([octets.subarray(0, 32), Buffer.from('victim@example.com')]).toString('base64url');
      for (const bad of [
        '',
        'x',
        payload,
        `${payload}.`,
        `.${mac}`,
        `${another}.${mac}`,
        `${payload}.${mac.slice(1)}`,
      ]) {
        for (const method of ['GET', 'POST']) {
          const reply = await postern.call(method, `/unsubscribe?token=${bad}`, {
            headers: { accept: 'application/json' },
          });
          assert.equal(reply.status, 404, `${method} ${bad}`);
        }
      }
      assert.equal((await get('/suppressions/victim@example.com')).status, 404);
      assert.equal((await get('/suppressions/owner@example.com')).status, 404);
    });

    it('is offered in bulk mail to one reader alone, and not beside a way of the caller', async () => {
      assert.equal((await linkTo('one@example.com', { lane: 'transactional' })).link, '');
      assert.equal((await linkTo('one@example.com', { cc: 'two@example.com' })).link, '');
      const own = await linkTo('one@example.com', { headers: { 'list-unsubscribe': '<mailto:leave@example.com>' } });
      assert.equal(own.raw.match(/^list-unsubscribe/gim)?.length, 1);
    });

    it('stays when the address is listed for another reason as well, and stops no more than bulk mail alone', async () => {
      await suppress({ address: 'both@example.com', reason: 'unsubscribed' });
      const { status, body } = await suppress({ address: 'both@example.com', reason: 'complained' });
      assert.deepEqual([status, body.reason], [200, 'complained']);
      assert.ok(body.unsubscribed_at);
      assert.equal((await detail(await send({ to: 'both@example.com' }))).status, 'suppressed');
      const weaker = await suppress({ address: 'both@example.com', reason: 'unsubscribed' });
      assert.deepEqual([weaker.status, weaker.body.reason], [200, 'complained']);

      await suppress({ address: 'gone-reader@example.com', reason: 'unsubscribed' });
      await untilStatus(await send({ to: 'gone-reader@example.com' }), 'bounced');
      const bounced = (await get('/suppressions/gone-reader@example.com')).body;
      assert.equal(bounced.reason, 'bounced');
      assert.ok(bounced.unsubscribed_at);
    });
  });
});
