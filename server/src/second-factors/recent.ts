import type { Caller } from '../http/caller.ts';
import { stepUpRequired } from './errors.ts';

const recentSeconds = 900;

/**
 * For what a stolen session must not be enough for: whoever calls has authenticated within the last quarter of an hour,
 * with two factors if they have two (RFC 9470).
 * @throws stepUpRequired
 */
export function requireRecent(caller: Caller, user: { hasSecondFactor: boolean }): void {
  const { authenticatedAt = 0, level } = caller;
  const isRecent = Date.now() / 1000 - authenticatedAt <= recentSeconds;
  if (isRecent && (!user.hasSecondFactor || level === 'aal2')) return;
  const acr = user.hasSecondFactor ? ', acr_values="aal2"' : '';
  throw stepUpRequired({
    detail: `Authenticate again, by POST /auth/step-up or a new login: ${user.hasSecondFactor ? 'with a second factor, ' : ''}not more than ${recentSeconds / 60} minutes ago.`,
    headers: {
      'WWW-Authenticate': `Bearer error="insufficient_user_authentication", max_age="${recentSeconds}"${acr}`,
    },
  });
}
