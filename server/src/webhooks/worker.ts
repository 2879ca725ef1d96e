/**
 * The lane that delivers webhooks, beside that of the letters and with no slot in common: claims what is due, calls the
 * endpoints, several at once, and writes what came of it. A worker that dies leaves leases that run out; whoever calls
 * again uses the same `webhook-id`, by which receivers can tell.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import { type Database, isUnavailable, type Queryable } from '../database/database.ts';
import {
  type Claim,
  claimDeliveries,
  type DueDelivery,
  dropClaims,
  leaseSeconds,
  loadDeliveries,
  type Outcome,
  releaseDeliveries,
  type Verdict,
  writeOutcomes,
} from './lane-store.ts';
import { payloadOf } from './payload.ts';
import { nextTryIn } from './retry-schedule.ts';
import { openSecret, signedHeaders } from './secret.ts';
import type { Answer, Sender } from './send.ts';
import { endWaiting } from './store.ts';

export interface WebhookWorker {
  /** Lets calls that are under way end for a little while, and gives back the others. */
  stop: () => Promise<void>;
}

export interface WebhookWorkerParts {
  db: Database;
  secrets: Secrets;
  log: Logger;
  sender: Sender;
  recordAudit: (db: Queryable, event: DisabledRecord) => Promise<void>;
  /** Seconds between tries. */
  schedule?: readonly number[];
  /** Calls at once. */
  slots?: number;
}

export interface DisabledRecord {
  tenantId: string;
  type: 'webhook.disabled';
  data: { webhook: string; reason: string };
}

const pollMilliseconds = 250;
/** After the end of a call, so that under load the next claim finds more than one free slot. */
const gatherMilliseconds = 10;
const lastCallsMilliseconds = 5_000;

export function startWebhookWorker(parts: WebhookWorkerParts): WebhookWorker {
  const lane = new Lane(parts);
  const ended = lane.run();
  return {
    stop: async () => {
      lane.stop();
      await ended;
    },
  };
}

class Lane {
  readonly #parts: WebhookWorkerParts;
  readonly #slots: number;
  readonly #calls = new Set<Promise<void>>();
  readonly #cutting = new AbortController();
  #outcomes: Outcome[] = [];
  #writing: Promise<void> | undefined;
  #isStopping = false;
  #isDatabaseAway = false;
  #wake = () => {};

  constructor(parts: WebhookWorkerParts) {
    this.#parts = parts;
    this.#slots = parts.slots ?? 100;
  }

  stop(): void {
    this.#isStopping = true;
    this.#wake();
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      await this.#fill();
      await this.#pause();
    }
    await this.#finish();
  }

  async #fill(): Promise<void> {
    const room = this.#slots - this.#calls.size;
    if (room <= 0) return;
    try {
      const claims = await claimDeliveries(this.#parts.db, room);
      if (claims.length > 0) await this.#start(claims);
      this.#isDatabaseAway = false;
    } catch (error) {
      this.#report(error);
    }
  }

  async #start(claims: Claim[]): Promise<void> {
    const { db } = this.#parts;
    const rows = await loadDeliveries(
      db,
      claims.map(({ deliveryId }) => deliveryId),
    );
    const byId = new Map(rows.map((row) => [row.id, row]));
    const gone: Claim[] = [];
    for (const claim of claims) {
      const delivery = byId.get(claim.deliveryId);
      if (!delivery) {
        gone.push(claim);
        continue;
      }
      const call = this.#deliver(claim, delivery).finally(() => {
        this.#calls.delete(call);
        this.#wake();
      });
      this.#calls.add(call);
    }
    if (gone.length > 0) await dropClaims(db, gone);
  }

  async #deliver(claim: Claim, delivery: DueDelivery): Promise<void> {
    const startedAt = new Date();
    const started = performance.now();
    try {
      const answer = await this.#call(delivery, startedAt);
      const milliseconds = Math.round(performance.now() - started);
      await this.#settle(this.#outcomeOf(claim, answer, { at: startedAt.toISOString(), milliseconds }));
    } catch (error) {
      if (this.#cutting.signal.aborted) await this.#attempt(() => releaseDeliveries(this.#parts.db, [claim]));
      else
        this.#parts.log.error({ err: error, delivery: claim.deliveryId }, 'a webhook failed; its lease will run out');
    }
  }

  async #call(delivery: DueDelivery, at: Date): Promise<Answer> {
    const { secrets, sender } = this.#parts;
    const body = JSON.stringify(payloadOf(delivery));
    const sealed = [delivery.secret_sealed, delivery.former_secret_sealed].filter((one) => one !== null);
    const opened = sealed.map((one) => openSecret(secrets, one));
    const headers = signedHeaders(opened, { id: delivery.id, at, body });
    return sender.send(delivery.url, headers, body, this.#cutting.signal);
  }

  #outcomeOf(claim: Claim, answer: Answer, when: { at: string; milliseconds: number }): Outcome {
    const { statusCode, retryAfterSeconds } = answer;
    const isDelivered = statusCode !== null && statusCode >= 200 && statusCode < 300;
    const asksToWait = statusCode === 429 || statusCode === 503;
    const { schedule } = this.#parts;
    const nextIn = nextTryIn(claim.attempts + 1, {
      ...(schedule === undefined ? {} : { schedule }),
      retryAfterSeconds: asksToWait ? retryAfterSeconds : null,
      random: Math.random(),
    });
    return {
      delivery_id: claim.deliveryId,
      webhook_id: claim.webhookId,
      lease_token: claim.leaseToken,
      try_id: newId(),
      ...when,
      status_code: statusCode,
      error: answer.error,
      response: answer.response,
      is_delivered: isDelivered,
      is_gone: statusCode === 410,
      next_in: isDelivered ? null : nextIn,
      rest_seconds: asksToWait ? retryAfterSeconds : null,
    };
  }

  /** Resolves once the outcome is written, together with those that came while others were at the disk. */
  async #settle(outcome: Outcome): Promise<void> {
    this.#outcomes.push(outcome);
    while (this.#outcomes.includes(outcome)) {
      this.#writing ??= this.#write(this.#outcomes.splice(0)).finally(() => {
        this.#writing = undefined;
      });
      await this.#writing;
    }
    await this.#writing;
  }

  async #write(outcomes: Outcome[]): Promise<void> {
    const deadline = performance.now() + leaseSeconds * 1000;
    for (;;) {
      try {
        const verdicts = await this.#parts.db.begin((tx) => this.#judge(tx, outcomes));
        for (const verdict of verdicts as Verdict[]) this.#tell(verdict);
        return;
      } catch (error) {
        this.#report(error);
        // Called again once the leases have run out: at least once, not at most.
        if (!isUnavailable(error) || performance.now() > deadline || this.#cutting.signal.aborted) return;
        await sleep(200);
      }
    }
  }

  async #judge(tx: Queryable, outcomes: Outcome[]): Promise<Verdict[]> {
    const verdicts = await writeOutcomes(tx, outcomes);
    for (const { id, tenantId, disabled } of verdicts) {
      if (disabled === null) continue;
      await endWaiting(tx, id);
      await this.#parts.recordAudit(tx, {
        tenantId,
        type: 'webhook.disabled',
        data: { webhook: id, reason: disabled },
      });
    }
    return verdicts;
  }

  #tell({ id, disabled, restUntil }: Verdict): void {
    const { log } = this.#parts;
    if (disabled === 'gone') log.warn({ webhook: id }, 'a webhook answered 410 and is disabled');
    else if (disabled !== null) log.warn({ webhook: id }, 'a webhook has failed for days and is disabled');
    else log.warn({ webhook: id, until: restUntil }, 'a webhook keeps failing; it gets a rest');
  }

  /** Until a call has ended, or it is time to look. */
  async #pause(): Promise<void> {
    if (this.#isStopping) return;
    const timer = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await Promise.race([woken, sleep(pollMilliseconds, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
    this.#wake = () => {};
    if (!this.#isStopping) await sleep(gatherMilliseconds);
  }

  async #finish(): Promise<void> {
    const last = new AbortController();
    const calls = Promise.all(this.#calls);
    await Promise.race([calls, sleep(lastCallsMilliseconds, undefined, { signal: last.signal }).catch(() => {})]);
    last.abort();
    this.#cutting.abort();
    await calls;
    this.#parts.sender.close();
  }

  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#report(error);
    }
  }

  /** That the database is away is said once; anything else is a fault each time. */
  #report(error: unknown): void {
    const { log } = this.#parts;
    if (!isUnavailable(error)) log.error({ err: error }, 'the webhook worker met a fault');
    else if (!this.#isDatabaseAway) {
      this.#isDatabaseAway = true;
      log.warn('the database is away; webhooks wait');
    }
  }
}
