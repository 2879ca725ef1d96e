import { recordAudit } from '../audit/record.ts';
import type { Database } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import type { EndSessions } from './delete-user.ts';
import { dropEmailChange } from './email-change-store.ts';
import { invalidCredentials } from './errors.ts';
import { noticeLetter } from './mails.ts';
import type { SettingPasswords } from './register.ts';
import { findUserById, replacePasswordHash } from './store.ts';
import { type PasswordWorld, tryPassword } from './try-password.ts';
import type { LetterWorld } from './verify-email.ts';

/**
 * Changes a user's password, by the one they have; every other session of theirs ends, and so does a change of address
 * that waits to be confirmed.
 * @throws invalidCredentials, commonPassword, the error of a limit, busy
 */
export async function changePassword(
  world: PasswordWorld &
    SettingPasswords &
    LetterWorld & { db: Database; endSessions: EndSessions; wakeWorkers: () => void },
  caller: Caller,
  { current, next, ip }: { current: string; next: string; ip: string },
): Promise<void> {
  const { db, passwords, passwordPolicy, endSessions } = world;
  const wrong = () => invalidCredentials({ detail: 'The current password is wrong.' });
  const user = await findUserById(db, caller.tenantId, caller.id);
  const hash = user?.passwordHash ?? undefined;
  const { ok } = await tryPassword(world, { user, name: caller.id, password: current, ip });
  if (!ok || hash === undefined) throw wrong();
  await passwordPolicy.check(next, 'new_password');
  const newHash = await passwords.hash(next);
  const announce = await db.begin(async (tx) => {
    if (!(await replacePasswordHash(tx, caller.id, hash, newHash))) throw wrong(); // changed meanwhile
    // A change of address that is on its way may be a stranger's who knew the former password.
    await dropEmailChange(tx, caller.id);
    const { tenantId, name: actor, id: userId } = caller;
    await recordAudit(tx, { tenantId, type: 'user.password_changed', actor, userId });
    if (user?.email) {
      const notice = await noticeLetter(world, tx, { ...user, email: user.email }, 'postern.password_changed');
      await world.submitEmails(tx, [notice]);
    }
    return endSessions(tx, caller.id, caller.sessionId);
  });
  announce();
  world.wakeWorkers();
}
