import type { Queryable, Transaction } from '../database/database.ts';
import { maxLettersPerDay, maxLettersPerHour, maxTries, maxWrongTriesPerHour, type Purpose } from './challenge.ts';

export interface Addressee {
  tenantId: string;
  emailNormalized: string;
}

/**
 * Takes one letter from the budget of an address, if there is one left. Letters to one address stand in line behind a
 * lock: counting and inserting in one statement alone would let parallel calls all see the same count.
 *
 * @param id of the challenge the letter is for
 */
export async function takeLetter(
  db: Queryable,
  id: string,
  { tenantId, emailNormalized }: Addressee,
): Promise<boolean> {
  const [, rows] = await Promise.all([
    db`SELECT pg_advisory_xact_lock(hashtextextended(${`letters ${tenantId} ${emailNormalized}`}, 0))`,
    db`
      INSERT INTO challenge_letters (id, tenant_id, email_normalized)
      SELECT ${id}, ${tenantId}, ${emailNormalized}
      FROM (SELECT count(*) FILTER (WHERE sent_at > now() - interval '1 hour') AS in_hour, count(*) AS in_day
            FROM challenge_letters
            WHERE tenant_id = ${tenantId} AND email_normalized = ${emailNormalized}
              AND sent_at > now() - interval '1 day') sent
      WHERE in_hour < ${maxLettersPerHour} AND in_day < ${maxLettersPerDay}
      RETURNING id`,
  ]);
  return rows.length > 0;
}

/** Whom a challenge is for: the user of that address, or nobody. */
export interface Holder extends Addressee {
  userId: string | undefined;
}

export interface NewChallenge extends Holder {
  id: string;
  purpose: Purpose;
  codeHmac: Buffer;
  linkHmac: Buffer;
  codeSeconds: number;
  linkSeconds: number;
}

/**
 * Inserts a challenge, which ends the former one of the same holder and purpose.
 * @returns when its link ends, or undefined where the user is gone
 */
export async function insertChallenge(db: Queryable, challenge: NewChallenge): Promise<Date | undefined> {
  const { userId = null, tenantId, emailNormalized, purpose } = challenge;
  const [row] = await db<{ link_expires_at: Date }[]>`
    WITH holder AS MATERIALIZED (
      ${userId === null ? db`SELECT NULL::uuid AS id` : db`SELECT id FROM users WHERE id = ${userId} FOR KEY SHARE`}
    ), superseded AS (
      UPDATE challenges SET superseded_at = now()
      WHERE ${ofHolder(db, challenge)} AND purpose = ${purpose} AND superseded_at IS NULL AND consumed_at IS NULL
        AND EXISTS (SELECT FROM holder))
    INSERT INTO challenges (id, tenant_id, user_id, purpose, email_normalized, code_hmac, link_hmac,
                            code_expires_at, link_expires_at)
    SELECT ${challenge.id}, ${tenantId}, holder.id, ${purpose}, ${emailNormalized}, ${challenge.codeHmac},
           ${challenge.linkHmac},
           now() + make_interval(secs => ${challenge.codeSeconds}),
           now() + make_interval(secs => ${challenge.linkSeconds})
    FROM holder
    RETURNING link_expires_at`;
  return row?.link_expires_at;
}

function ofHolder(db: Queryable, { userId, tenantId, emailNormalized }: Holder) {
  return userId === undefined
    ? db`user_id IS NULL AND tenant_id = ${tenantId} AND email_normalized = ${emailNormalized}`
    : db`user_id = ${userId}`;
}

export interface Attempt extends Holder {
  purpose: Purpose;
}

/** Whom a challenge is for, whether or not it can still be completed. */
export async function findHolder(db: Queryable, purpose: Purpose, id: string): Promise<Holder | undefined> {
  const [row] = await db<{ userId: string | null; tenantId: string; emailNormalized: string }[]>`
    SELECT user_id AS "userId", tenant_id AS "tenantId", email_normalized AS "emailNormalized"
    FROM challenges WHERE id = ${id} AND purpose = ${purpose} AND superseded_at IS NULL`;
  return row && { ...row, userId: row.userId ?? undefined };
}

/**
 * Counts one try against the holder's latest challenge and returns what to compare with, or nothing where no try is left.
 * It commits before anything is compared: of any number of parallel guesses only `maxTries` get as far as that, because
 * each waits for the row and looks again. The letter's count outlives the challenge and, with it, the user.
 */
export async function countTry(db: Queryable, attempt: Attempt): Promise<{ id: string; codeHmac: Buffer } | undefined> {
  const [row] = await db<{ id: string; code_hmac: Buffer }[]>`
    WITH counted AS (
      UPDATE challenges c SET tries = c.tries + 1
      WHERE c.id = ${latestChallenge(db, attempt)}
        AND c.email_normalized = ${attempt.emailNormalized}
        AND c.consumed_at IS NULL AND c.superseded_at IS NULL AND c.code_expires_at > now()
        AND c.tries < ${maxTries}
        AND c.tries + (SELECT coalesce(sum(l.tries), 0) FROM challenge_letters l
                       WHERE l.tenant_id = c.tenant_id AND l.email_normalized = c.email_normalized AND l.id <> c.id
                         AND l.sent_at > now() - interval '1 hour') < ${maxWrongTriesPerHour}
      RETURNING c.id, c.code_hmac),
    noted AS (UPDATE challenge_letters l SET tries = l.tries + 1 FROM counted WHERE l.id = counted.id)
    SELECT id, code_hmac FROM counted`;
  return row && { id: row.id, codeHmac: row.code_hmac };
}

export interface Refusal {
  /** The code was used, replaced or has run out, or there never was one. */
  isOver: boolean;
  tries: number;
  codeSecondsLeft: number;
  /** Until the hour of wrong tries has a place again. */
  budgetSecondsLeft: number;
}

/** Why `countTry` found no try left. */
export async function whyNoTry(db: Queryable, attempt: Attempt): Promise<Refusal> {
  const [row] = await db<Refusal[]>`
    SELECT c.consumed_at IS NOT NULL OR c.superseded_at IS NOT NULL OR c.code_expires_at <= now()
             OR c.email_normalized <> ${attempt.emailNormalized} AS "isOver",
           c.tries,
           extract(epoch FROM c.code_expires_at - now())::float AS "codeSecondsLeft",
           coalesce((SELECT extract(epoch FROM min(l.sent_at) + interval '1 hour' - now())::float
                     FROM challenge_letters l
                     WHERE l.tenant_id = c.tenant_id AND l.email_normalized = c.email_normalized AND l.tries > 0
                       AND l.sent_at > now() - interval '1 hour'), 1) AS "budgetSecondsLeft"
    FROM challenges c WHERE c.id = ${latestChallenge(db, attempt)}`;
  return row ?? { isOver: true, tries: 0, codeSecondsLeft: 0, budgetSecondsLeft: 0 };
}

function latestChallenge(db: Queryable, attempt: Attempt) {
  return db`(SELECT id FROM challenges WHERE ${ofHolder(db, attempt)} AND purpose = ${attempt.purpose}
             ORDER BY created_at DESC, id DESC LIMIT 1)`;
}

export interface ProvenAddress extends Addressee {
  challengeId: string;
}

export interface Proven extends ProvenAddress {
  userId: string;
}

const proven = (db: Queryable) => db`
  c.id AS "challengeId", c.tenant_id AS "tenantId", c.user_id AS "userId", c.email_normalized AS "emailNormalized"`;

/**
 * Uses a challenge up: of parallel callers one gets it. A right try is no wrong one, so it is taken off the count.
 *
 * As everywhere the user's row is locked before what belongs to it. Whoever completes a challenge writes to the user, and
 * whoever deletes the user or begins anew comes to the challenge: in the other order they would wait for each other.
 */
export async function consumeByCode(tx: Transaction, id: string): Promise<Proven | undefined> {
  const [, [row]] = await Promise.all([
    tx`SELECT FROM users WHERE id = (SELECT user_id FROM challenges WHERE id = ${id}) FOR NO KEY UPDATE`,
    tx<Proven[]>`
      WITH consumed AS (
        UPDATE challenges c SET consumed_at = now()
        WHERE c.id = ${id} AND c.consumed_at IS NULL AND c.superseded_at IS NULL AND c.user_id IS NOT NULL
        RETURNING ${proven(tx)}),
      noted AS (UPDATE challenge_letters l SET tries = l.tries - 1 FROM consumed WHERE l.id = consumed."challengeId")
      SELECT * FROM consumed`,
  ]);
  return row;
}

/** Uses up the challenge of a link token: of parallel callers one gets it. It locks in the order of `consumeByCode`. */
export async function consumeByLink(
  tx: Transaction,
  purpose: Purpose,
  linkHmacs: Buffer[],
): Promise<Proven | undefined> {
  const [, [row]] = await Promise.all([
    tx`
      SELECT FROM users
      WHERE id IN (SELECT user_id FROM challenges WHERE link_hmac IN ${tx(linkHmacs)} AND purpose = ${purpose})
      FOR NO KEY UPDATE`,
    tx<Proven[]>`
      UPDATE challenges c SET consumed_at = now()
      WHERE c.link_hmac IN ${tx(linkHmacs)} AND c.purpose = ${purpose} AND c.user_id IS NOT NULL
        AND c.consumed_at IS NULL AND c.superseded_at IS NULL AND c.link_expires_at > now()
      RETURNING ${proven(tx)}`,
  ]);
  return row;
}

/** Uses up the challenge of a link token that nobody holds but an address. */
export async function consumeOfNobody(
  tx: Transaction,
  purpose: Purpose,
  linkHmacs: Buffer[],
): Promise<ProvenAddress | undefined> {
  const [row] = await tx<ProvenAddress[]>`
    UPDATE challenges c SET consumed_at = now()
    WHERE c.link_hmac IN ${tx(linkHmacs)} AND c.purpose = ${purpose} AND c.user_id IS NULL
      AND c.consumed_at IS NULL AND c.superseded_at IS NULL AND c.link_expires_at > now()
    RETURNING c.id AS "challengeId", c.tenant_id AS "tenantId", c.email_normalized AS "emailNormalized"`;
  return row;
}

/** Ends one challenge: neither its code nor its link is good any more. */
export async function endChallenge(db: Queryable, id: string): Promise<void> {
  await db`
    UPDATE challenges SET superseded_at = now() WHERE id = ${id} AND superseded_at IS NULL AND consumed_at IS NULL`;
}

/** Ends whatever waits to be proven about a user. */
export async function endChallenges(db: Queryable, userId: string): Promise<void> {
  await db`
    UPDATE challenges SET superseded_at = now()
    WHERE user_id = ${userId} AND superseded_at IS NULL AND consumed_at IS NULL`;
}

/** Whether a link can be used, could be once, or never could. */
export async function linkState(
  db: Queryable,
  purpose: Purpose,
  linkHmacs: Buffer[],
): Promise<'usable' | 'over' | 'unknown'> {
  const [row] = await db<{ isUsable: boolean }[]>`
    SELECT consumed_at IS NULL AND superseded_at IS NULL AND link_expires_at > now() AS "isUsable"
    FROM challenges WHERE link_hmac IN ${db(linkHmacs)} AND purpose = ${purpose}`;
  if (!row) return 'unknown';
  return row.isUsable ? 'usable' : 'over';
}

/** Removes what no longer counts for anything. */
export async function purgeChallenges(db: Queryable): Promise<void> {
  await db`DELETE FROM challenges WHERE link_expires_at < now() - interval '1 day' AND code_expires_at < now()`;
  await db`DELETE FROM challenge_letters WHERE sent_at < now() - interval '1 day'`;
}
