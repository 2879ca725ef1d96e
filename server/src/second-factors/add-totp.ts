/** Adding an authenticator app: it gets the secret, and shows by a code that it has it. */
import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { type AddWorld, addFactor, requireRoom } from './add-factor.ts';
import { factorNotFound, secondFactorInvalid } from './errors.ts';
import { insertTotp, totpFactors, useStep } from './store.ts';
import { makeTotpSecret, stepOf, type TotpSecret } from './totp.ts';

/**
 * Begins: the app is told the secret. It counts for nothing until it is confirmed.
 * @throws stepUpRequired, addressUnproven, tooManyFactors
 */
export async function beginTotp(
  { db, secrets, publicUrl }: { db: Database; secrets: Secrets; publicUrl: string },
  caller: Caller,
  name: string,
): Promise<Omit<TotpSecret, 'bytes'> & { id: string }> {
  return db.begin(async (tx) => {
    const user = await requireRoom(tx, caller);
    const account = user.email ?? user.username ?? user.id;
    const { bytes, text, uri } = makeTotpSecret({ issuer: new URL(publicUrl).hostname, account });
    const id = newId();
    await insertTotp(tx, { id, userId: user.id, name, secret: secrets.seal('totp-secret', bytes) });
    return { id, text, uri };
  });
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
    const [begun] = await totpFactors(tx, user.id, id);
    if (!begun)
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
