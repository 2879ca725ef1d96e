/** A try at a password, under the limits of wrong ones (S4, S5, S7). */
import type { PasswordHasher } from '../crypto/passwords.ts';
import type { PosternError } from '../errors.ts';
import type { Limit, Limits } from '../limits/limits.ts';
import { sourceOf } from '../limits/source.ts';

export interface PasswordWorld {
  passwords: PasswordHasher;
  limits: Limits;
  /** IP addresses of a user's live sessions. */
  sessionAddresses: (userId: string) => Promise<string[]>;
}

const bySource: Limit = {
  code: 'limits.source',
  what: 'wrong passwords from one address',
  burst: 50,
  refillSeconds: 12,
  isBySource: true,
};
const byAccount: Limit = {
  code: 'limits.account',
  what: 'wrong passwords for one account',
  burst: 20,
  refillSeconds: 30,
};
const inAll: Limit = { code: 'limits.system', what: 'wrong passwords in all', burst: 10_000, refillSeconds: 0.1 };

/**
 * Whoever attacks an account, or all of them, uses up what strangers may try. Its owner still gets in from where they
 * are logged in already: from there an account has tries of its own.
 */
const fromKnownSource: Limit = { ...byAccount, what: 'wrong passwords for one account from where it is in use' };

export interface PasswordTry {
  /** Absent: nobody. Costs the same and fails (S1). */
  user: { id: string; passwordHash: string | null } | undefined;
  /** What tries at nobody's password are counted for. */
  name: string;
  password: string;
  ip: string;
}

export interface TriedPassword {
  ok: boolean;
  /** It is right, but its hash was made with other parameters than today's. */
  needsRehash: boolean;
}

/** @throws the error of a limit, busy */
export function tryPassword(world: PasswordWorld, what: PasswordTry): Promise<TriedPassword> {
  return world.passwords.inTurn(() => tryInTurn(world, what));
}

/** The same for who has waited for their turn to be hashed. */
export async function tryInTurn(
  world: PasswordWorld,
  { user, name, password, ip }: PasswordTry,
): Promise<TriedPassword> {
  const giveBack = await takeTry(world, user?.id, name, sourceOf(ip));
  const result = await world.passwords.verify(user?.passwordHash ?? undefined, password);
  if (result.ok) giveBack();
  return result;
}

async function takeTry(
  { limits, sessionAddresses }: PasswordWorld,
  userId: string | undefined,
  name: string,
  source: string,
): Promise<() => void> {
  const ofSource = { limit: bySource, key: source };
  try {
    return await limits.take([ofSource, { limit: byAccount, key: userId ?? name }, { limit: inAll, key: '' }]);
  } catch (error) {
    const { code } = error as PosternError;
    if (userId === undefined || (code !== byAccount.code && code !== inAll.code)) throw error;
    const known = await sessionAddresses(userId);
    if (!known.some((address) => sourceOf(address) === source)) throw error;
    return limits.take([ofSource, { limit: fromKnownSource, key: `${userId} ${source}` }]);
  }
}
