import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import pino from 'pino';
import { testDatabase } from '../../test/support/database.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { type Call, hang, isSignedWith, type Receiver, startReceiver } from '../../test/support/webhook-receiver.ts';
import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import { makeSecrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { anonymizeEmails } from '../emails/anonymize.ts';
import { submitEmails } from '../emails/submit.ts';
import type { Caller } from '../http/caller.ts';
import { ensureDefaultTenant } from '../tenants/tenants.ts';
import { emailWebhookEvents } from './events.ts';
import { type Claim, claimDeliveries, type Outcome, writeOutcomes } from './lane-store.ts';
import { changeWebhook, createWebhook, deleteWebhook } from './manage.ts';
import { purgeWebhookHistory } from './purge.ts';
import { makeSender } from './send.ts';
import { makeTargetPolicy } from './target.ts';
import { startWebhookWorker, type WebhookWorker } from './worker.ts';

const log = pino({ level: 'silent' });
const secrets = makeSecrets([randomBytes(32)]);
const targetPolicy = makeTargetPolicy({ environment: 'development', webhookPrivateNetworks: [] });

describe('the lane of webhooks', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  let db: Database;
  let receiver: Receiver;
  let caller: Caller;
  let answer: (call: Call) => number | 'hang' | { status: number; retryAfter: string };
  let workers: WebhookWorker[] = [];
  let paths = 0;

  before(async () => {
    database = await testDatabase();
    db = database.db;
    const { id: tenantId } = await ensureDefaultTenant(db);
    caller = { kind: 'client', id: 'x', name: 'client:x', tenantId, scopes: new Set(['mail:admin']) };
    receiver = await startReceiver((call, response) => {
      const told = answer(call);
      if (told === 'hang') hang(response);
      else if (typeof told === 'number') response.writeHead(told).end();
      else response.writeHead(told.status, { 'retry-after': told.retryAfter }).end();
    });
  });
  beforeEach(() => {
    answer = () => 204;
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.stop()));
    workers = [];
    await db`DELETE FROM webhook_queue`;
    await db`DELETE FROM webhooks`;
  });
  after(async () => {
    await receiver.close();
    await database.close();
  });

  const world = () => ({ db, secrets, targetPolicy, recordAudit });
  const subscribe = async (events: string[] | null = null) => {
    const path = `/${++paths}`;
    const webhook = await createWebhook(world(), caller, { url: receiver.url + path, events, description: null });
    return { ...webhook, path };
  };
  const startWorker = ({ timeoutMilliseconds = 15_000, schedule = [0, 0, 0] } = {}) => {
    const sender = makeSender({ policy: targetPolicy, version: 'test', timeoutMilliseconds });
    const worker = startWebhookWorker({ db, secrets, log, sender, recordAudit, schedule });
    workers.push(worker);
    return worker;
  };
  const happen = async (count = 1) => {
    for (let i = 0; i < count; i++) {
      await recordAudit(db, { tenantId: caller.tenantId, type: 'user.logged_in', userId: newId(), ip: '192.0.2.1' });
    }
  };
  const callsTo = (path: string) => receiver.calls.filter((call) => call.path === path);
  const until = <T>(what: string, condition: () => T | Promise<T>) => waitFor(condition, { what });
  const deliveries = (webhookId: string) =>
    db<{ id: string; status: string; attempts: number }[]>`
      SELECT id, status, attempts FROM webhook_deliveries WHERE webhook_id = ${webhookId} ORDER BY id`;
  const statuses = async (webhookId: string) => (await deliveries(webhookId)).map(({ status }) => status);
  const row = async (id: string) => (await db`SELECT * FROM webhooks WHERE id = ${id}`)[0] ?? {};

  it('tries again until it is taken, with the same id and body and a signature of each moment', async () => {
    const webhook = await subscribe();
    let calls = 0;
    answer = () => (++calls < 3 ? 500 : 200);
    await happen();
    startWorker();
    await until('the third try', async () => (await statuses(webhook.id))[0] === 'delivered');
    const seen = callsTo(webhook.path);
    assert.equal(seen.length, 3);
    assert.equal(new Set(seen.map(({ headers, raw }) => `${headers['webhook-id']} ${raw}`)).size, 1);
    assert.ok(seen.every((call) => isSignedWith(webhook.secret, call)));
    const [delivery] = await deliveries(webhook.id);
    assert.equal(delivery?.attempts, 3);
    assert.equal((await row(webhook.id)).failures, 0);
  });

  it('gives a delivery up at the end of its schedule', async () => {
    const webhook = await subscribe();
    answer = () => 302;
    await happen();
    startWorker({ schedule: [0, 0] });
    await until('the end', async () => (await statuses(webhook.id))[0] === 'failed');
    assert.equal(callsTo(webhook.path).length, 3);
    assert.equal((await db`SELECT FROM webhook_queue`).length, 0);
  });

  it('lets an endpoint that keeps failing rest, tries it with one call, and holds up no other', async () => {
    const broken = await subscribe();
    const well = await subscribe();
    answer = ({ path }) => (path === broken.path ? 500 : 204);
    await happen(30);
    startWorker({ schedule: Array.from({ length: 50 }, () => 0) });
    await until('the rest', async () => (await row(broken.id)).rest_until > new Date());
    await until('the other', async () => (await statuses(well.id)).every((status) => status === 'delivered'));
    await until(
      'the calls under way',
      async () => (await db`SELECT FROM webhook_queue WHERE lease_token IS NOT NULL`).length === 0,
    );
    const before = callsTo(broken.path).length;
    assert.ok(before < 30, `${before} calls before the rest`);
    await happen(10);
    await until('the other', async () => (await statuses(well.id)).every((status) => status === 'delivered'));
    assert.equal(callsTo(broken.path).length, before);
    // The rest is over: one call finds out that nothing is better, and the next rest is longer.
    const first = await row(broken.id);
    await db`UPDATE webhooks SET rest_until = now() WHERE id = ${broken.id}`;
    await until('the probe', async () => (await row(broken.id)).rests === first.rests + 1);
    assert.equal(callsTo(broken.path).length, before + 1);
    answer = () => 204;
    await db`UPDATE webhooks SET rest_until = now() WHERE id = ${broken.id}`;
    await until('all of them', async () => (await statuses(broken.id)).every((status) => status === 'delivered'));
    assert.deepEqual([(await row(broken.id)).failures, (await row(broken.id)).rests], [0, 0]);
  });

  it('calls an endpoint that hangs ten times at once and no more, each for as long as a call may take', async () => {
    const slow = await subscribe();
    const well = await subscribe();
    answer = ({ path }) => (path === slow.path ? 'hang' : 204);
    await happen(40);
    startWorker({ timeoutMilliseconds: 1_000, schedule: [3_600] });
    await until('the other', async () => (await statuses(well.id)).every((status) => status === 'delivered'));
    assert.equal(callsTo(slow.path).length, 10);
    await until('the log', async () => {
      const rows = await db`
        SELECT FROM webhook_tries t JOIN webhook_deliveries d ON d.id = t.delivery_id
        WHERE d.webhook_id = ${slow.id} AND t.status_code IS NULL AND t.error = 'no answer within 1 s'`;
      return rows.length === 10;
    });
  });

  it('leaves an endpoint alone for as long as it asks', async () => {
    const webhook = await subscribe();
    answer = () => ({ status: 429, retryAfter: '7200' });
    await happen();
    startWorker();
    await until('the rest', async () => (await row(webhook.id)).rest_until > new Date(Date.now() + 7_000_000));
    const [queued] = await db`SELECT run_at FROM webhook_queue WHERE webhook_id = ${webhook.id}`;
    assert.ok(queued?.run_at > new Date(Date.now() + 7_000_000));
  });

  it('disables an endpoint that has taken nothing for days, tells the others, and ends what waited for it', async () => {
    const webhook = await subscribe(['user.logged_in']);
    const other = await subscribe(['webhook.disabled']);
    await db`UPDATE webhooks SET failing_since = now() - interval '6 days', failures = 20 WHERE id = ${webhook.id}`;
    answer = ({ path }) => (path === webhook.path ? 500 : 204);
    await happen(3);
    startWorker({ schedule: [3_600] });
    await until('the end', async () => (await row(webhook.id)).disabled_reason === 'failing');
    assert.deepEqual(await statuses(webhook.id), ['failed', 'failed', 'failed']);
    await until('the word', () => callsTo(other.path).length === 1);
    assert.deepEqual(callsTo(other.path)[0]?.body.data, {
      webhook_id: webhook.id,
      server: 'default',
      reason: 'failing',
    });
    await happen();
    assert.equal((await deliveries(webhook.id)).length, 3);
  });

  it('takes over what another worker let go of, whose late word then counts as far as it is true', async () => {
    const webhook = await subscribe();
    await happen();
    const [lost] = await claimDeliveries(db, 10);
    assert.ok(lost);
    assert.deepEqual(await claimDeliveries(db, 10), []);
    await db`UPDATE webhook_queue SET run_at = now()`;
    answer = () => 500;
    startWorker({ schedule: [3_600] });
    await until('the other try', async () => (await deliveries(webhook.id))[0]?.attempts === 1);
    await writeOutcomes(db, [outcomeOf(lost, { status_code: 500, next_in: null })]);
    assert.deepEqual(await statuses(webhook.id), ['pending']);
    await writeOutcomes(db, [outcomeOf(lost, { status_code: 204, next_in: null, is_delivered: true })]);
    assert.deepEqual(await statuses(webhook.id), ['delivered']);
  });

  it('gives back at a stop what it cannot end', async () => {
    const webhook = await subscribe();
    answer = () => 'hang';
    await happen();
    const worker = startWorker();
    await until('the call', () => callsTo(webhook.path).length === 1);
    await worker.stop();
    const [queued] = await db`SELECT lease_token, attempts FROM webhook_queue`;
    assert.deepEqual([queued?.lease_token, queued?.attempts], [null, 0]);
  });

  it('takes endpoints in turn, whoever has the larger backlog', async () => {
    const [first, second] = [await subscribe(), await subscribe(['webhook.disabled'])];
    await happen(20);
    await recordAudit(db, {
      tenantId: caller.tenantId,
      type: 'webhook.disabled',
      data: { webhook: 'x', reason: 'gone' },
    });
    const claims = await claimDeliveries(db, 100);
    const count = (id: string) => claims.filter(({ webhookId }) => webhookId === id).length;
    assert.deepEqual([count(first.id), count(second.id)], [10, 1]);
  });

  it('has events of what was committed for whoever asked for it, and of nothing else', async () => {
    const all = await subscribe();
    const some = await subscribe(['email.queued']);
    const none = await subscribe(['user.deleted']);
    const off = await subscribe();
    await changeWebhook(world(), caller, off.id, { isEnabled: false });
    const parts = { secrets, messageIdHost: 'localhost' };
    const mail = {
      tenantId: caller.tenantId,
      from: { address: 'a@example.com' },
      to: [{ address: 'b@example.com' }],
      subject: 's',
      lane: 'transactional' as const,
    };
    await assert.rejects(
      db.begin(async (tx) => {
        await submitEmails(parts, tx, [mail]);
        await recordAudit(tx, { tenantId: caller.tenantId, type: 'user.deleted', userId: newId() });
        throw new Error('rolled back');
      }),
      /rolled back/,
    );
    const counts = async () => Promise.all([all, some, none, off].map(async ({ id }) => (await deliveries(id)).length));
    assert.deepEqual(await counts(), [0, 0, 0, 0]);
    await submitEmails(parts, db, [mail, mail, { ...mail, tenantId: newId() }]);
    assert.deepEqual(await counts(), [2, 2, 0, 0]);
    await deleteWebhook(world(), caller, all.id);
    assert.equal((await db`SELECT FROM webhook_queue WHERE webhook_id = ${all.id}`).length, 0);
  });

  it('costs those without endpoints no more than a look at an empty table', async () => {
    const plan = await db.unsafe(
      `EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) WITH fact AS MATERIALIZED (
         SELECT gen_random_uuid() AS tenant_id, 'email.sent' AS type, now() AS at, gen_random_uuid() AS email_id,
                'a@b' AS recipient, NULL::jsonb AS data FROM generate_series(1, 500)
       ), ${emailWebhookEvents('SELECT * FROM fact')} SELECT`,
    );
    const lines = plan.map((line) => String(line['QUERY PLAN']));
    const scan = lines.find((line) => line.includes('CTE Scan on fact')) ?? '';
    assert.match(scan, /rows=[01](\.\d+)? |never executed/, lines.join('\n'));
  });

  it('forgets the address of a deleted person', async () => {
    const webhook = await subscribe();
    const address = 'Ada.Gone@example.com';
    const userId = newId();
    await db`
      WITH ${db.unsafe(
        emailWebhookEvents(`
          SELECT '${caller.tenantId}'::uuid AS tenant_id, 'email.bounced' AS type, now() AS at,
                 '${newId()}'::uuid AS email_id, '${address}' AS recipient, '{"text": "no ${address}"}'::jsonb AS data`),
      )} SELECT`;
    await submitEmails({ secrets, messageIdHost: 'localhost' }, db, [
      {
        tenantId: caller.tenantId,
        from: { address: 'a@example.com' },
        to: [{ address }],
        subject: 's',
        lane: 'transactional',
      },
    ]);
    await anonymizeEmails(db, { tenantId: caller.tenantId, userId, address });
    const rows = await db`SELECT recipient, data FROM webhook_deliveries WHERE webhook_id = ${webhook.id}`;
    assert.ok(rows.length >= 2);
    assert.ok(!JSON.stringify(rows).toLowerCase().includes('ada.gone'));
  });

  it('keeps secrets sealed (S24)', async () => {
    const { id, secret } = await subscribe();
    const [stored] = await db`SELECT webhooks::text AS text FROM webhooks WHERE id = ${id}`;
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    assert.ok(!stored?.text.includes(key.toString('hex')) && !stored?.text.includes(secret));
    assert.ok(!stored?.text.includes(Buffer.from(secret).toString('hex')));
  });

  it('drops history by the month once it is over, and ends what waits for nobody', async () => {
    const webhook = await subscribe();
    for (const table of ['webhook_deliveries', 'webhook_tries']) {
      const bound = (month: string) => `uuid7_floor('2025-${month}-01T00:00:00Z')`;
      const [bounds] = await db.unsafe(`SELECT ${bound('03')} AS from, ${bound('04')} AS to`);
      await db.unsafe(
        `CREATE TABLE ${table}_2025_03 PARTITION OF ${table} FOR VALUES FROM ('${bounds?.from}') TO ('${bounds?.to}')`,
      );
    }
    await happen();
    await db`UPDATE webhooks SET disabled_at = now() WHERE id = ${webhook.id}`;
    await purgeWebhookHistory(db);
    assert.deepEqual(await statuses(webhook.id), ['failed']);
    const [left] = await db`
      SELECT to_regclass('webhook_deliveries_2025_03') AS deliveries, to_regclass('webhook_tries_2025_03') AS tries`;
    assert.deepEqual({ ...left }, { deliveries: null, tries: null });
  });
});

function outcomeOf({ deliveryId, webhookId, leaseToken }: Claim, some: Partial<Outcome>): Outcome {
  return {
    delivery_id: deliveryId,
    webhook_id: webhookId,
    lease_token: leaseToken,
    try_id: newId(),
    at: new Date().toISOString(),
    milliseconds: 1,
    status_code: null,
    error: null,
    response: null,
    is_delivered: false,
    is_gone: false,
    next_in: 60,
    rest_seconds: null,
    ...some,
  };
}
