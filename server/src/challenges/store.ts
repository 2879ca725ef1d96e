import type { Queryable } from '../database/database.ts';
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

export interface NewChallenge extends Addressee {
  id: string;
  userId: string;
  purpose: Purpose;
  codeHmac: Buffer;
  linkHmac: Buffer;
  codeSeconds: number;
  linkSeconds: number;
}

/** Inserts a challenge, which ends the user's former one of the same purpose; returns when its link ends. */
export async function insertChallenge(db: Queryable, challenge: NewChallenge): Promise<Date> {
  const [row] = await db<{ link_expires_at: Date }[]>`
    WITH superseded AS (
      UPDATE challenges SET superseded_at = now()
      WHERE user_id = ${challenge.userId} AND purpose = ${challenge.purpose}
        AND superseded_at IS NULL AND consumed_at IS NULL)
    INSERT INTO challenges (id, tenant_id, user_id, purpose, email_normalized, code_hmac, link_hmac,
                            code_expires_at, link_expires_at)
    VALUES (${challenge.id}, ${challenge.tenantId}, ${challenge.userId}, ${challenge.purpose},
            ${challenge.emailNormalized}, ${challenge.codeHmac}, ${challenge.linkHmac},
            now() + make_interval(secs => ${challenge.codeSeconds}),
            now() + make_interval(secs => ${challenge.linkSeconds}))
    RETURNING link_expires_at`;
  if (!row) throw new Error('The challenge was not inserted.');
  return row.link_expires_at;
}

/**
 * Takes hold of a user's challenges before anything else is locked. Whoever completes one holds it first and then what
 * it is about; in the other order the two would wait for each other.
 */
export async function lockChallenges(db: Queryable, userId: string, purposes: Purpose[]): Promise<void> {
  await db`
    SELECT FROM challenges
    WHERE user_id = ${userId} AND purpose IN ${db(purposes)} AND consumed_at IS NULL AND superseded_at IS NULL
    ORDER BY id FOR UPDATE`;
}

export interface Attempt {
  userId: string;
  purpose: Purpose;
  emailNormalized: string;
}

/**
 * Counts one try against the user's latest challenge and returns what to compare with, or nothing where no try is left.
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

function latestChallenge(db: Queryable, { userId, purpose }: Attempt) {
  return db`(SELECT id FROM challenges WHERE user_id = ${userId} AND purpose = ${purpose}
             ORDER BY created_at DESC, id DESC LIMIT 1)`;
}

/** Uses a challenge up: of parallel callers one gets true. A right try is no wrong one, so it is taken off the count. */
export async function consumeByCode(db: Queryable, id: string): Promise<boolean> {
  const rows = await db`
    WITH consumed AS (
      UPDATE challenges SET consumed_at = now()
      WHERE id = ${id} AND consumed_at IS NULL AND superseded_at IS NULL
      RETURNING id),
    noted AS (UPDATE challenge_letters l SET tries = l.tries - 1 FROM consumed WHERE l.id = consumed.id)
    SELECT id FROM consumed`;
  return rows.length > 0;
}

export interface Proven extends Addressee {
  challengeId: string;
  userId: string;
}

/** Uses up the challenge of a link token: of parallel callers one gets it. */
export async function consumeByLink(db: Queryable, purpose: Purpose, linkHmacs: Buffer[]): Promise<Proven | undefined> {
  const [row] = await db<Proven[]>`
    UPDATE challenges SET consumed_at = now()
    WHERE link_hmac IN ${db(linkHmacs)} AND purpose = ${purpose}
      AND consumed_at IS NULL AND superseded_at IS NULL AND link_expires_at > now()
    RETURNING id AS "challengeId", tenant_id AS "tenantId", user_id AS "userId", email_normalized AS "emailNormalized"`;
  return row;
}

export async function linkExists(db: Queryable, purpose: Purpose, linkHmacs: Buffer[]): Promise<boolean> {
  const rows = await db`
    SELECT FROM challenges WHERE link_hmac IN ${db(linkHmacs)} AND purpose = ${purpose}`;
  return rows.length > 0;
}

/** Removes what no longer counts for anything. */
export async function purgeChallenges(db: Queryable): Promise<void> {
  await db`DELETE FROM challenges WHERE link_expires_at < now() - interval '1 day' AND code_expires_at < now()`;
  await db`DELETE FROM challenge_letters WHERE sent_at < now() - interval '1 day'`;
}
