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

/** To somebody who is to have an account. There is no code in it: it is good for days. */
export async function invitationLetter(
  world: LetterSettings,
  tx: Queryable,
  to: Omit<Addressee, 'userId'>,
  { token, linkExpiresAt }: IssuedChallenge,
): Promise<NewEmail> {
  const link = `${world.publicUrl}/auth/invitation?token=${token}`;
  const variables = { link, link_seconds: world.verifyLinkSeconds };
  return written(world, tx, to, { name: 'postern.invitation', variables, expiresAt: linkExpiresAt });
}

async function challengeLetter(
  world: LetterSettings,
  tx: Queryable,
  to: Addressee,
  { code, token, linkExpiresAt }: IssuedChallenge,
  { name, path, variables }: { name: OwnLetterName; path: string; variables?: Record<string, string> },
): Promise<NewEmail> {
  return written(world, tx, to, {
    name,
    variables: {
      code,
      link: `${world.publicUrl}${path}?token=${token}`,
      code_seconds: world.verifyCodeSeconds,
      link_seconds: world.verifyLinkSeconds,
      ...variables,
    },
    expiresAt: linkExpiresAt,
  });
}

async function written(
  { mailFrom, publicUrl, writeLetter, languages = [] }: LetterSettings,
  tx: Queryable,
  { tenantId, userId, address }: Omit<Addressee, 'userId'> & { userId?: string },
  letter: { name: OwnLetterName; variables: Record<string, string | number>; expiresAt: Date },
): Promise<NewEmail> {
  const { name, expiresAt } = letter;
  const variables = { ...letter.variables, host: new URL(publicUrl).hostname, email: address };
  return {
    tenantId,
    ...(userId === undefined ? {} : { userId }),
    from: mailFrom,
    to: [{ address }],
    ...(await writeLetter(tx, { tenantId, name, languages, variables })),
    lane: 'otp',
    expiresAt,
  };
}
