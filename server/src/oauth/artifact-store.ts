/** SQL of `oauth_artifacts`: what waits between two requests of a flow. */
import type { Queryable } from '../database/database.ts';

export interface StoredArtifact {
  payload: Buffer;
  /** Seconds since 1970. */
  consumedAt: number | null;
  /** Until it ends, by the database's clock; below zero where it has. */
  secondsLeft: number;
}

export interface NewArtifact {
  kind: string;
  idHash: Buffer;
  payload: Buffer;
  userCodeHash: Buffer | null;
  seconds: number;
}

/** Writes what waits, or writes it again: a statement, or a part of a larger one. */
export function writtenArtifact(db: Queryable, { kind, idHash, payload, userCodeHash, seconds }: NewArtifact) {
  return db`
    INSERT INTO oauth_artifacts (kind, id_hash, payload, user_code_hash, expires_at)
    VALUES (${kind}, ${idHash}, ${payload}, ${userCodeHash}, now() + make_interval(secs => ${seconds}))
    ON CONFLICT (kind, id_hash) DO UPDATE SET
      payload = excluded.payload, expires_at = excluded.expires_at`;
}

/** @param idHashes under every key of SECRET_KEY */
export async function findArtifact(
  db: Queryable,
  kind: string,
  idHashes: Buffer[],
): Promise<StoredArtifact | undefined> {
  const [row] = await db<StoredArtifact[]>`
    SELECT payload, extract(epoch FROM consumed_at)::float AS "consumedAt",
           extract(epoch FROM expires_at - now())::float AS "secondsLeft"
    FROM oauth_artifacts WHERE kind = ${kind} AND id_hash IN ${db(idHashes)}`;
  return row;
}

export async function findByUserCode(db: Queryable, hashes: Buffer[]): Promise<StoredArtifact | undefined> {
  const [row] = await db<StoredArtifact[]>`
    SELECT payload, extract(epoch FROM consumed_at)::float AS "consumedAt",
           extract(epoch FROM expires_at - now())::float AS "secondsLeft"
    FROM oauth_artifacts WHERE user_code_hash IN ${db(hashes)}`;
  return row;
}

/** Uses it up; false where that has been done before. */
export async function consumeArtifact(db: Queryable, kind: string, idHashes: Buffer[]): Promise<boolean> {
  const rows = await db`
    UPDATE oauth_artifacts SET consumed_at = now()
    WHERE kind = ${kind} AND id_hash IN ${db(idHashes)} AND consumed_at IS NULL RETURNING kind`;
  return rows.length > 0;
}

export async function removeArtifact(db: Queryable, kind: string, idHashes: Buffer[]): Promise<void> {
  await db`DELETE FROM oauth_artifacts WHERE kind = ${kind} AND id_hash IN ${db(idHashes)}`;
}

/** Used codes are kept for an hour: one that comes back ends what came of it (RFC 6749 §4.1.2). */
export async function purgeArtifacts(db: Queryable): Promise<void> {
  await db`DELETE FROM oauth_artifacts WHERE expires_at < now() - interval '1 hour'`;
}
