import type { Queryable } from '../database/database.ts';
import type { FactorKind, SecondFactor } from './second-factor.ts';

const summary = (db: Queryable) => db`id, kind, name, created_at AS "createdAt", last_used_at AS "lastUsedAt"`;

/** Those that count, oldest first. */
export async function factorsOf(db: Queryable, userId: string): Promise<SecondFactor[]> {
  return db<SecondFactor[]>`
    SELECT ${summary(db)} FROM second_factors WHERE user_id = ${userId} AND confirmed_at IS NOT NULL ORDER BY id`;
}

export async function kindsOf(db: Queryable, userId: string): Promise<FactorKind[]> {
  const rows = await db<{ kind: FactorKind }[]>`
    SELECT DISTINCT kind FROM second_factors WHERE user_id = ${userId} AND confirmed_at IS NOT NULL ORDER BY kind`;
  return rows.map(({ kind }) => kind);
}

/** Removes one that counts; false where the user has none of that id. */
export async function removeFactor(db: Queryable, userId: string, id: string): Promise<boolean> {
  const rows = await db`
    DELETE FROM second_factors
    WHERE id = ${id} AND user_id = ${userId} AND confirmed_at IS NOT NULL RETURNING id`;
  return rows.length > 0;
}

export async function removeFactors(db: Queryable, userId: string): Promise<number> {
  const rows = await db`DELETE FROM second_factors WHERE user_id = ${userId} RETURNING id`;
  return rows.length;
}

/** Writes down at the user whether there is one, and drops the codes that stand for none; returns how many there are. */
export async function countFactors(db: Queryable, userId: string): Promise<number> {
  const [row] = await db<{ factors: number }[]>`
    WITH counted AS (
      SELECT count(*)::int AS factors FROM second_factors WHERE user_id = ${userId} AND confirmed_at IS NOT NULL),
    marked AS (UPDATE users SET has_second_factor = factors > 0 FROM counted WHERE id = ${userId}),
    dropped AS (DELETE FROM recovery_codes USING counted WHERE user_id = ${userId} AND factors = 0)
    SELECT factors FROM counted`;
  return row?.factors ?? 0;
}

/** Removes what was begun and never confirmed. */
export async function purgeSecondFactors(db: Queryable): Promise<void> {
  await db`DELETE FROM second_factors WHERE confirmed_at IS NULL AND created_at < now() - interval '1 hour'`;
  await db`DELETE FROM passkey_ceremonies WHERE expires_at < now()`;
}

// -------------------------------------------------------------------------------------------------------- TOTP

/** Begins a device; one that was begun before and not confirmed goes. */
export async function insertTotp(
  db: Queryable,
  { id, userId, name, secret }: { id: string; userId: string; name: string; secret: Buffer },
): Promise<void> {
  await db`
    WITH former AS (
      DELETE FROM second_factors WHERE user_id = ${userId} AND kind = 'totp' AND confirmed_at IS NULL)
    INSERT INTO second_factors (id, user_id, kind, name, secret)
    VALUES (${id}, ${userId}, 'totp', ${name}, ${secret})`;
}

export interface TotpFactor {
  id: string;
  secret: Buffer;
  /** Of the database, in milliseconds since 1970. */
  now: number;
}

/** A user's devices that count. */
export async function totpFactors(db: Queryable, userId: string): Promise<TotpFactor[]> {
  return db<TotpFactor[]>`
    SELECT id, secret, extract(epoch FROM now())::float * 1000 AS now
    FROM second_factors
    WHERE user_id = ${userId} AND kind = 'totp' AND confirmed_at IS NOT NULL`;
}

/** The device that a user is setting up: there is one at most. */
export async function findBegunTotp(db: Queryable, userId: string): Promise<TotpFactor | undefined> {
  const [row] = await db<TotpFactor[]>`
    SELECT id, secret, extract(epoch FROM now())::float * 1000 AS now
    FROM second_factors
    WHERE user_id = ${userId} AND kind = 'totp' AND confirmed_at IS NULL AND created_at > now() - interval '1 hour'`;
  return row;
}

/** Uses up a time step and all before it; false where it was used already. Confirms what was being set up. */
export async function useStep(db: Queryable, id: string, step: number): Promise<boolean> {
  const rows = await db`
    UPDATE second_factors
    SET last_step = ${step}, last_used_at = now(), confirmed_at = coalesce(confirmed_at, now())
    WHERE id = ${id} AND coalesce(last_step, 0) < ${step} RETURNING id`;
  return rows.length > 0;
}

// ---------------------------------------------------------------------------------------------- recovery codes

/** Puts new codes in the place of those there are. */
export async function replaceRecoveryCodes(db: Queryable, userId: string, hmacs: Buffer[]): Promise<void> {
  await db`DELETE FROM recovery_codes WHERE user_id = ${userId}`;
  const inHex = hmacs.map((hmac) => hmac.toString('hex'));
  await db`
    INSERT INTO recovery_codes (user_id, code_hmac)
    SELECT ${userId}, decode(hmac, 'hex') FROM unnest(${inHex}::text[]) AS hmac`;
}

export async function recoveryCodesLeft(db: Queryable, userId: string): Promise<number> {
  const [row] = await db<{ left: number }[]>`
    SELECT count(*)::int AS left FROM recovery_codes WHERE user_id = ${userId}`;
  return row?.left ?? 0;
}

export async function useRecoveryCode(db: Queryable, userId: string, hmacs: Buffer[]): Promise<boolean> {
  const rows = await db`
    DELETE FROM recovery_codes WHERE user_id = ${userId} AND code_hmac IN ${db(hmacs)} RETURNING user_id`;
  return rows.length > 0;
}

// ---------------------------------------------------------------------------------------------------- passkeys

export interface Passkey {
  id: string;
  userId: string;
  tenantId: string;
  credentialId: Buffer;
  publicKey: Buffer;
  signCount: number;
  transports: string[];
}

const passkeyColumns = (db: Queryable) => db`
  f.id, f.user_id AS "userId", u.tenant_id AS "tenantId", f.credential_id AS "credentialId",
  f.public_key AS "publicKey", f.sign_count::float AS "signCount", f.transports`;

/** The new passkey; undefined where some user has it already. */
export async function insertPasskey(
  db: Queryable,
  { id, userId, name, credentialId, publicKey, signCount, transports }: Omit<Passkey, 'tenantId'> & { name: string },
): Promise<SecondFactor | undefined> {
  const [row] = await db<SecondFactor[]>`
    INSERT INTO second_factors (id, user_id, kind, name, credential_id, public_key, sign_count, transports, confirmed_at)
    VALUES (${id}, ${userId}, 'passkey', ${name}, ${credentialId}, ${publicKey}, ${signCount}, ${transports}, now())
    ON CONFLICT (credential_id) DO NOTHING
    RETURNING ${summary(db)}`;
  return row;
}

export async function passkeysOf(db: Queryable, userId: string): Promise<Passkey[]> {
  return db<Passkey[]>`
    SELECT ${passkeyColumns(db)} FROM second_factors f JOIN users u ON u.id = f.user_id
    WHERE f.user_id = ${userId} AND f.kind = 'passkey'`;
}

export async function findPasskey(db: Queryable, credentialId: Buffer): Promise<Passkey | undefined> {
  const [row] = await db<Passkey[]>`
    SELECT ${passkeyColumns(db)} FROM second_factors f JOIN users u ON u.id = f.user_id
    WHERE f.credential_id = ${credentialId}`;
  return row;
}

/** Notes a use; false where its count went past that already, so that of two answers one is a copy's. */
export async function usePasskey(db: Queryable, id: string, signCount: number): Promise<boolean> {
  const rows = await db`
    UPDATE second_factors SET sign_count = ${signCount}, last_used_at = now()
    WHERE id = ${id} AND (sign_count < ${signCount} OR (sign_count = 0 AND ${signCount} = 0)) RETURNING id`;
  return rows.length > 0;
}

export interface Ceremony {
  purpose: 'add' | 'log_in' | 'step_up';
  tenantId: string;
  userId: string | null;
  signInId: string | null;
  challenge: Buffer;
}

export async function insertCeremony(
  db: Queryable,
  { id, purpose, tenantId, userId, signInId, challenge, seconds }: Ceremony & { id: string; seconds: number },
): Promise<void> {
  await db`
    INSERT INTO passkey_ceremonies (id, purpose, tenant_id, user_id, sign_in_id, challenge, expires_at)
    VALUES (${id}, ${purpose}, ${tenantId}, ${userId}, ${signInId}, ${challenge},
            now() + make_interval(secs => ${seconds}))`;
}

/** Ends it: there is one answer to a challenge, right or wrong. */
export async function takeCeremony(
  db: Queryable,
  purpose: Ceremony['purpose'],
  id: string,
): Promise<Ceremony | undefined> {
  const [row] = await db<(Ceremony & { isOver: boolean })[]>`
    DELETE FROM passkey_ceremonies WHERE id = ${id} AND purpose = ${purpose}
    RETURNING purpose, tenant_id AS "tenantId", user_id AS "userId", sign_in_id AS "signInId", challenge,
              expires_at <= now() AS "isOver"`;
  return row && !row.isOver ? row : undefined;
}
