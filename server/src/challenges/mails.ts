/** The letters that carry a challenge: which of Postern's own letters they are, and what stands in them. */
import type { Queryable } from '../database/database.ts';
import type { Mailbox, NewEmail } from '../emails/email.ts';
import type { OwnLetterName } from '../templates/own/own-letters.ts';
import type { WriteLetter } from '../templates/own/write-letter.ts';
import type { ChallengeTimes } from './challenge.ts';
import type { IssuedChallenge } from './issue.ts';

export interface LetterSettings extends ChallengeTimes {
  mailFrom: Mailbox;
  publicUrl: string;
  writeLetter: WriteLetter;
  /** In which letters are wished for, as far as the call tells; dearest first. */
  languages?: string[];
}

export interface Addressee {
  tenantId: string;
  userId: string;
  address: string;
}

export function verificationLetter(world: LetterSettings, tx: Queryable, to: Addressee, challenge: IssuedChallenge) {
  return challengeLetter(world, tx, to, challenge, { name: 'postern.verify_email', path: '/auth/verify' });
}

export function logInLetter(world: LetterSettings, tx: Queryable, to: Addressee, challenge: IssuedChallenge) {
  return challengeLetter(world, tx, to, challenge, { name: 'postern.log_in', path: '/auth/otp/verify' });
}

export function resetLetter(world: LetterSettings, tx: Queryable, to: Addressee, challenge: IssuedChallenge) {
  return challengeLetter(world, tx, to, challenge, { name: 'postern.reset_password', path: '/auth/password/reset' });
}

/** To the address that an account is to have. */
export function newAddressLetter(world: LetterSettings, tx: Queryable, to: Addressee, challenge: IssuedChallenge) {
  return challengeLetter(world, tx, to, challenge, { name: 'postern.change_email_new', path: '/auth/email/confirm' });
}

/** To the address that an account has, when it is to have another. */
export function oldAddressLetter(
  world: LetterSettings,
  tx: Queryable,
  to: Addressee & { newAddress: string },
  challenge: IssuedChallenge,
) {
  return challengeLetter(world, tx, to, challenge, {
    name: 'postern.change_email_old',
    path: '/auth/email/confirm',
    variables: { new_email: to.newAddress },
  });
}

async function challengeLetter(
  { mailFrom, publicUrl, verifyCodeSeconds, verifyLinkSeconds, writeLetter, languages = [] }: LetterSettings,
  tx: Queryable,
  { tenantId, userId, address }: Addressee,
  { code, token, linkExpiresAt }: IssuedChallenge,
  { name, path, variables }: { name: OwnLetterName; path: string; variables?: Record<string, string> },
): Promise<NewEmail> {
  const written = await writeLetter(tx, {
    tenantId,
    name,
    languages,
    variables: {
      code,
      link: `${publicUrl}${path}?token=${token}`,
      code_seconds: verifyCodeSeconds,
      link_seconds: verifyLinkSeconds,
      host: new URL(publicUrl).hostname,
      email: address,
      ...variables,
    },
  });
  return {
    tenantId,
    userId,
    from: mailFrom,
    to: [{ address }],
    ...written,
    lane: 'otp',
    expiresAt: linkExpiresAt,
  };
}
