/** Adding an authenticator app: it gets the secret, and shows by a code that it has it. */
import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import type { User } from '../users/user.ts';
import { type AddWorld, addFactor, requireRoom } from './add-factor.ts';
import { factorNotFound, secondFactorInvalid } from './errors.ts';
import { findBegunTotp, insertTotp, useStep } from './store.ts';
import { describeTotp, makeTotpSecret, stepOf, type TotpSecret } from './totp.ts';

type World = { db: Database; secrets: Secrets; publicUrl: string };

/** An app that is being set up. */
export type BegunTotp = TotpSecret & { id: string };

/**
 * Begins: the app is told the secret. It counts for nothing until it is confirmed.
 * @throws stepUpRequired, addressUnproven, tooManyFactors
 */
export async function beginTotp(world: World, caller: Caller, name: string): Promise<BegunTotp> {
  const { db, secrets } = world;
  return db.begin(async (tx) => {
    const user = await requireRoom(tx, caller);
    const id = newId();
    const bytes = makeTotpSecret();
    await insertTotp(tx, { id, userId: user.id, name, secret: secrets.seal('totp-secret', bytes) });
    return { id, ...describe(world, user, bytes) };
  });
}

/**
 * What was begun, to be shown once more.
 * @throws factorNotFound
 */
export async function begunTotp(world: World, user: User): Promise<BegunTotp> {
  const begun = await findBegunTotp(world.db, user.id);
  if (!begun) throw factorNotFound({ detail: 'No app was begun with, or more than an hour ago.' });
  return { id: begun.id, ...describe(world, user, world.secrets.open('totp-secret', begun.secret)) };
}

function describe({ publicUrl }: World, { id, email, username }: User, bytes: Uint8Array): TotpSecret {
  return describeTotp(bytes, { issuer: new URL(publicUrl).hostname, account: email ?? username ?? id });
}

/**
 * Confirms by a code that the app shows.
 * @returns recovery codes, where this is the first second factor
 * @throws secondFactorInvalid, factorNotFound, and as beginTotp
 */
export async function confirmTotp(
  world: AddWorld,
  caller: Caller,
  { id, code }: { id: string; code: string },
): Promise<{ recoveryCodes: string[] | undefined }> {
  const done = await world.db.begin(async (tx) => {
    const user = await requireRoom(tx, caller);
    const begun = await findBegunTotp(tx, user.id);
    if (begun?.id !== id)
      throw factorNotFound({ detail: 'It was not begun, or more than an hour ago, or is confirmed already.' });
    const step = stepOf(code.replaceAll(' ', ''), world.secrets.open('totp-secret', begun.secret), begun.now);
    if (step === undefined || !(await useStep(tx, id, step))) {
      throw secondFactorInvalid({ detail: 'This is not the code that the app should show now. Is its clock right?' });
    }
    const { tenantId, name: actor, id: userId } = caller;
    await recordAudit(tx, { tenantId, type: 'second_factor.added', actor, userId, data: { id, kind: 'totp' } });
    return { recoveryCodes: await addFactor(world, tx, user) };
  });
  world.wakeWorkers();
  return done;
}
