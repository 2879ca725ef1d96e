/** The last step where a browser was sent back to the application: its back end or page trades a code for tokens. */
import { randomBytes } from 'node:crypto';
import type { Token } from '../crypto/schemas.ts';
import type { Secrets } from '../crypto/secrets.ts';
import type { Database, Transaction } from '../database/database.ts';
import { orRefusal, type SecondFactorOwed } from '../sessions/sign-in.ts';
import type { Tenant } from '../tenants/tenants.ts';
import { lockUser } from '../users/store.ts';
import type { Origin, User } from '../users/user.ts';
import { codeInvalid } from './errors.ts';
import { insertSignInCode, takeSignInCode } from './store.ts';

const codeSeconds = 60;

/** Makes the code, in the transaction of the sign-in. */
export async function makeSignInCode(
  { secrets }: { secrets: Secrets },
  tx: Transaction,
  userId: string,
): Promise<string> {
  const code = randomBytes(32).toString('base64url');
  await insertSignInCode(tx, secrets.hmac('sign-in-code', code), userId, codeSeconds);
  return code;
}

export interface ExchangeWorld {
  db: Database;
  secrets: Secrets;
  tenantSlug: (id: string) => Promise<string>;
  /** Logs a user in who has an account at a provider, or says which second factor is owed. */
  openOutsideSession: (
    tx: Transaction,
    login: { user: User; tenant: Tenant; origin: Origin },
  ) => Promise<Token | SecondFactorOwed>;
}

/** @throws codeInvalid, secondFactorRequired */
export async function exchangeCode(
  world: ExchangeWorld,
  code: string,
  origin: Origin,
): Promise<{ user: User; tenantSlug: string; token: Token }> {
  const invalid = () => codeInvalid({ detail: 'It was used already, or its time is over. Sign in again.' });
  const done = await world.db.begin(async (tx) => {
    const userId = await takeSignInCode(tx, world.secrets.hmacs('sign-in-code', code));
    const user = userId === undefined ? undefined : await lockUser(tx, userId);
    if (!user || user.disabledAt !== null) throw invalid();
    const tenantSlug = await world.tenantSlug(user.tenantId);
    const opened = await world.openOutsideSession(tx, {
      user,
      tenant: { id: user.tenantId, slug: tenantSlug },
      origin,
    });
    return { user, tenantSlug, opened };
  });
  return { user: done.user, tenantSlug: done.tenantSlug, token: orRefusal(done.opened) };
}
