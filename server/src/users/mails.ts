import type { Queryable } from '../database/database.ts';
import type { Mailbox, NewEmail } from '../emails/email.ts';
import type { OwnLetterName } from '../templates/own/own-letters.ts';
import type { WriteLetter } from '../templates/own/write-letter.ts';
import type { User } from './user.ts';

interface LetterSettings {
  mailFrom: Mailbox;
  publicUrl: string;
  writeLetter: WriteLetter;
  languages?: string[];
}

/** To somebody with an account, about something that carries no challenge. */
export async function noticeLetter(
  { mailFrom, publicUrl, writeLetter, languages = [] }: LetterSettings,
  tx: Queryable,
  { tenantId, id: userId, email }: User & { email: string },
  name: OwnLetterName &
    `postern.${'already_registered' | 'address_taken' | 'email_changed' | 'password_changed' | 'second_factor_added' | 'second_factor_removed' | 'identity_linked'}`,
  more: Record<string, string> = {},
): Promise<NewEmail> {
  const variables = { host: new URL(publicUrl).hostname, email, ...more };
  const written = await writeLetter(tx, { tenantId, name, languages, variables });
  return { tenantId, userId, from: mailFrom, to: [{ address: email }], ...written, lane: 'otp' };
}
