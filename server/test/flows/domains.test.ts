import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { type DnsServer, startDnsServer } from '../support/dns-server.ts';
import { type Received, type Sink, startSink } from '../support/smtp-sink.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

interface DnsRecord {
  purpose: string;
  name: string;
  value: string;
  status: string;
  found: string[];
}

describe('domains', () => {
  let dns: DnsServer;
  let sink: Sink;
  let postern: Postern;
  let admin: string;
  let token: string;
  before(async () => {
    dns = await startDnsServer();
    sink = await startSink();
    postern = await startPostern({
      env: {
        SMTP_URL: sink.url,
        POSTERN_ENV: 'development',
        SENDER_POLICY: 'verified',
        MAIL_FROM: 'Postern <no-reply@operator.example>',
        DNS_SERVERS: dns.address,
      },
    });
    admin = await tokenOf('mail:admin');
    token = await tokenOf('email');
  });
  after(async () => {
    await postern.dispose();
    await sink.close();
    await dns.close();
  });

  async function tokenOf(scope: string, tenant?: string): Promise<string> {
    const id = `app-${scope.replaceAll(/\W/g, '-')}-${tenant ?? 'default'}`;
    const more = tenant === undefined ? [] : ['--tenant', tenant];
    const made = await postern.cli('clients', 'create', '--id', id, '--scope', scope, '--json', ...more);
    assert.equal(made.code, 0, made.stderr);
    const { client_id, client_secret } = JSON.parse(made.stdout);
    const { body } = await postern.call('POST', '/oauth/token', {
      json: { grant_type: 'client_credentials', client_id, client_secret, scope },
    });
    return body.access_token;
  }

  const create = (domain: string, by = admin) => postern.call('POST', '/domains', { token: by, json: { domain } });
  const verify = (id: string, by = admin) => postern.call('POST', `/domains/${id}/verify`, { token: by });
  const statuses = (body: { records: DnsRecord[] }) =>
    body.records.map(({ purpose, status }) => `${purpose} ${status}`);
  const keys = (body: { dkim: { algorithm: string; status: string }[] }) =>
    body.dkim.map(({ algorithm, status }) => `${algorithm} ${status}`);
  const publish = (body: { records: DnsRecord[] }) => {
    for (const { name, value } of body.records) dns.records.set(name, [value]);
  };
  const arrived = (subject: string) =>
    waitFor(() => sink.received.find(({ raw }) => raw.includes(`\r\nSubject: ${subject}\r\n`)), {
      what: `"${subject}" to arrive`,
      detail: postern.output,
    });
  const send = async (json: Record<string, unknown>): Promise<Received> => {
    const { status, text } = await postern.call('POST', '/emails', { token, json: { to: 'ada@example.net', ...json } });
    assert.equal(status, 202, text);
    return arrived(String(json.subject));
  };
  const resolver = async (name: string) => {
    const found = dns.records.get(name);
    if (!found) throw Object.assign(new Error('not there'), { code: 'ENOTFOUND' });
    return found.map((text) => [text]);
  };
  const signaturesOf = async (raw: string) => {
    const { results } = await dkimVerify(Buffer.from(raw), { resolver } as Parameters<typeof dkimVerify>[1]);
    return results.map(({ signingDomain, algo, status }) => `${signingDomain} ${algo} ${status.result}`);
  };

  it('are taken up with the records they need, proved by them, and sent from after that', async () => {
    const made = await create(' Shop.EXAMPLE. ');
    assert.equal(made.status, 201);
    const { id, domain, status } = made.body;
    assert.deepEqual([domain, status], ['shop.example', 'pending']);
    assert.deepEqual(statuses(made.body), [
      'ownership unchecked',
      'dkim unchecked',
      'dkim unchecked',
      'spf unchecked',
      'dmarc unchecked',
    ]);
    assert.deepEqual(keys(made.body), ['rsa waiting', 'ed25519 waiting']);

    const early = await postern.call('POST', '/emails', {
      token,
      json: { from: 'a@shop.example', to: 'ada@example.net', text: 'x' },
    });
    assert.deepEqual([early.status, early.body.code], [403, 'emails.sender_not_allowed']);

    dns.records.set('shop.example', ['google-site-verification=x', 'v=spf1 -all', 'v=spf1 ~all']);
    dns.records.set('_dmarc.shop.example', ['v=DMARC1; p=what']);
    dns.records.set('_postern.shop.example', ['postern-verification=another']);
    const missed = await verify(id);
    assert.deepEqual([missed.status, missed.body.status], [200, 'pending']);
    assert.deepEqual(statuses(missed.body), [
      'ownership wrong',
      'dkim missing',
      'dkim missing',
      'spf wrong',
      'dmarc wrong',
    ]);
    assert.deepEqual(missed.body.records[3].found, ['v=spf1 -all', 'v=spf1 ~all']);

    publish(made.body);
    const verified = await verify(id);
    assert.equal(verified.body.status, 'verified');
    assert.ok(
      verified.body.records.every((one: DnsRecord) => one.status === 'ok'),
      JSON.stringify(statuses(verified.body)),
    );
    assert.deepEqual(keys(verified.body), ['rsa signing', 'ed25519 signing']);
    assert.deepEqual((await postern.call('GET', `/domains/${id}`, { token: admin })).body, verified.body);

    const { raw } = await send({ from: 'Shop <any@shop.example>', subject: 'first', text: 'Hi.' });
    assert.deepEqual(await signaturesOf(raw), ['shop.example rsa-sha256 pass', 'shop.example ed25519-sha256 pass']);
  });

  it('sign whatever a letter holds', async () => {
    const letters: Record<string, Record<string, unknown>> = {
      'no body': {},
      'blank lines at the end': { text: 'Hi.\n\n\n\n' },
      'blank lines alone': { text: '\n\n\n' },
      'white space': { text: ' a  b\t\tc \n\t\n  \n d  ' },
      dots: { text: '.\n..\n.x\n.' },
      'other letters': { text: 'Grüße\n', html: '<p>你好 =3D</p>' },
      'long lines': { text: `${'word '.repeat(500)}\n${'x'.repeat(2_000)}` },
      headers: {
        text: 'x',
        to: Array.from({ length: 30 }, (_, i) => `"Recipient, ${i}" <r${i}@example.net>`),
        cc: 'Zoë <zoe@example.net>',
        reply_to: ['a@example.net', 'b@example.net'],
        headers: { 'List-Id': 'Grüße  <list.shop.example>', References: `<a@b>   ${'<c@d> '.repeat(40)}`.trim() },
      },
      files: {
        html: '<img src="cid:a">',
        attachments: [
          { filename: 'a.png', content: Buffer.alloc(700_000, 'abc').toString('base64'), content_id: 'a' },
          { filename: 'leer.txt', content: '' },
        ],
      },
    };
    for (const [subject, letter] of Object.entries(letters)) {
      const { raw } = await send({ from: 'any@shop.example', subject, ...letter });
      assert.deepEqual(
        await signaturesOf(raw),
        ['shop.example rsa-sha256 pass', 'shop.example ed25519-sha256 pass'],
        subject,
      );
    }
  });

  it('sign so that what matters cannot be changed or added', async () => {
    const { raw } = await send({ from: 'any@shop.example', subject: 'as it was', text: 'Pay Ada.', lane: 'bulk' });
    const good = await signaturesOf(raw);
    assert.ok(good.length === 2 && good.every((one) => one.endsWith('pass')));
    const changes: [RegExp, string][] = [
      [/Pay Ada/, 'Pay Eve'],
      [/^Subject: as it was/m, 'Subject: as it is'],
      [/^Subject:/m, 'Subject: another\r\nSubject:'],
      [/^From:/m, 'From: eve@shop.example\r\nFrom:'],
      [/^From:/m, 'Reply-To: eve@example.net\r\nFrom:'],
      [/^List-Unsubscribe: <http/m, 'List-Unsubscribe: <https'],
      [/^List-Unsubscribe-Post: .*\r\n/m, ''],
      [/^Content-Type: text\/plain/m, 'Content-Type: text/html'],
    ];
    for (const [from, to] of changes) {
      const changed = raw.replace(from, to);
      assert.notEqual(changed, raw);
      for (const one of await signaturesOf(changed)) assert.doesNotMatch(one, /pass$/, String(from));
    }
  });

  it('leave letters of other domains unsigned', async () => {
    const { raw } = await send({ subject: 'from MAIL_FROM', text: 'x' });
    assert.doesNotMatch(raw, /dkim-signature/i);
  });

  it('of the operator sign the letters of every tenant from MAIL_FROM', async () => {
    const { body } = await create('operator.example');
    publish(body);
    assert.equal((await verify(body.id)).body.status, 'verified');
    await waitFor(
      async () => {
        await postern.call('POST', '/auth/register', {
          json: { email: `u${Math.random()}@example.net`, password: 'correct horse', server: 'shop' },
        });
        const last = sink.received.findLast(({ mailFrom }) => mailFrom === 'no-reply@operator.example');
        return (
          last &&
          (await signaturesOf(last.raw)).join() ===
            'operator.example rsa-sha256 pass,operator.example ed25519-sha256 pass'
        );
      },
      { what: 'a signed letter with a code', detail: postern.output },
    );
  });

  it('get new keys, which sign once their records are there', async () => {
    const { id } = (await create('rotating.example')).body;
    publish((await postern.call('GET', `/domains/${id}`, { token: admin })).body);
    const first = (await verify(id)).body;
    const rotated = await postern.call('POST', `/domains/${id}/dkim/rotate`, { token: admin });
    assert.deepEqual(keys(rotated.body), ['rsa waiting', 'ed25519 waiting', 'rsa signing', 'ed25519 signing']);
    const again = await postern.call('POST', `/domains/${id}/dkim/rotate`, { token: admin });
    assert.deepEqual(again.body, rotated.body, 'nothing new while the last keys wait');
    const unpublished = (await verify(id)).body;
    assert.deepEqual(keys(unpublished), keys(rotated.body));
    const selectorOf = async () => {
      const { raw } = await send({ from: 'any@rotating.example', subject: `rotation ${Math.random()}`, text: 'x' });
      assert.ok((await signaturesOf(raw)).every((one) => one.endsWith('pass')));
      return /s=(\S+);/.exec(raw)?.[1];
    };
    assert.equal(await selectorOf(), first.dkim[0].selector);

    publish(rotated.body);
    const done = (await verify(id)).body;
    assert.deepEqual(keys(done), ['rsa signing', 'ed25519 signing', 'rsa retired', 'ed25519 retired']);
    assert.equal(done.records.filter(({ purpose }: DnsRecord) => purpose === 'dkim').length, 2);
    await waitFor(async () => (await selectorOf()) === done.dkim[0].selector, { what: 'the new key to sign' });

    // A server that fails says nothing; a record that is gone does.
    for (const { selector } of done.dkim) dns.records.set(`${selector}._domainkey.rotating.example`, null);
    const unreachable = (await verify(id)).body;
    assert.deepEqual(keys(unreachable).slice(0, 2), ['rsa signing', 'ed25519 signing']);
    assert.deepEqual(statuses(unreachable).slice(1, 3), ['dkim unreachable', 'dkim unreachable']);
    for (const { selector } of done.dkim) dns.records.delete(`${selector}._domainkey.rotating.example`);
    dns.records.delete('_postern.rotating.example');
    const gone = (await verify(id)).body;
    assert.deepEqual([gone.status, ...keys(gone).slice(0, 2)], ['verified', 'rsa waiting', 'ed25519 waiting']);
  });

  it('belong to their tenant alone, each by a proof of its own', async () => {
    // A tenant is made by being named.
    await postern.call('POST', '/auth/register', {
      json: { email: 'first@example.net', password: 'correct horse', server: 'other' },
    });
    const other = await tokenOf('mail:admin', 'other');
    const mine = (await create('shared.example')).body;
    publish(mine);
    await verify(mine.id);
    for (const [method, path] of [
      ['GET', ''],
      ['POST', '/verify'],
      ['POST', '/dkim/rotate'],
      ['DELETE', ''],
    ] as const) {
      const reply = await postern.call(method, `/domains/${mine.id}${path}`, { token: other });
      assert.deepEqual([reply.status, reply.body.code], [404, 'domains.not_found'], `${method} ${path}`);
    }
    assert.deepEqual((await postern.call('GET', '/domains', { token: other })).body, { data: [], has_more: false });

    const theirs = (await create('shared.example', other)).body;
    assert.equal((await verify(theirs.id, other)).body.status, 'pending', "another's proof is none");
    const refused = await postern.call('POST', '/emails', {
      token: other,
      json: { from: 'a@shared.example', to: 'ada@example.net', text: 'x' },
    });
    assert.equal(refused.status, 403);
    const proof = theirs.records[0];
    dns.records.set(proof.name, [...(dns.records.get(proof.name) ?? []), proof.value]);
    assert.equal((await verify(theirs.id, other)).body.status, 'verified');
    assert.equal((await verify(mine.id)).body.status, 'verified');
  });

  it('are listed in pages, refused where they are none or there already, and given up', async () => {
    for (const domain of ['', 'localhost', 'a b.example', '127.0.0.1', 'a@b.example', '*.example', 'x'.repeat(300)]) {
      const reply = await create(domain);
      assert.deepEqual([reply.status, reply.body.code], [400, 'http.invalid_request'], domain);
    }
    const made = await create('münchen.example');
    assert.equal(made.body.domain, 'xn--mnchen-3ya.example');
    const again = await create('xn--mnchen-3ya.EXAMPLE');
    assert.deepEqual([again.status, again.body.code], [409, 'domains.exists']);

    const first = await postern.call('GET', '/domains?limit=2', { token: admin });
    assert.deepEqual([first.body.data.length, first.body.has_more], [2, true]);
    const rest = await postern.call('GET', `/domains?after=${first.body.data[1].id}&limit=100`, { token: admin });
    assert.equal(rest.body.has_more, false);
    assert.equal(rest.body.data.at(-1).id, made.body.id);

    assert.equal((await postern.call('DELETE', `/domains/${made.body.id}`, { token: admin })).status, 204);
    assert.equal((await postern.call('GET', `/domains/${made.body.id}`, { token: admin })).status, 404);
  });

  it('are for administrators of mail', async () => {
    const reply = await postern.call('GET', '/domains', { token });
    assert.deepEqual([reply.status, reply.body.code], [403, 'auth.insufficient_scope']);
  });
});
