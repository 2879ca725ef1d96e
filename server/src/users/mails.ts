import { letter } from '../challenges/mails.ts';
import type { Mailbox, NewEmail } from '../emails/email.ts';
import { html } from '../http/page.ts';
import type { User } from './user.ts';

interface LetterSettings {
  mailFrom: Mailbox;
  publicUrl: string;
}

/** To the owner of an address that somebody tried to register again, where the reply itself must not tell (S3). */
export function alreadyRegisteredLetter(settings: LetterSettings, user: User & { email: string }): NewEmail {
  const { hostname: host } = new URL(settings.publicUrl);
  return notice(settings, user, `You already have an account at ${host}`, [
    `Somebody, perhaps you, tried to register this address at ${host}.`,
    'You already have an account there: log in with it. If it was not you, there is nothing to do.',
  ]);
}

/** To the owner of an address that somebody wants for another account: the reply itself must not tell that it is taken. */
export function addressTakenLetter(settings: LetterSettings, user: User & { email: string }): NewEmail {
  const { hostname: host } = new URL(settings.publicUrl);
  return notice(settings, user, `You already have an account at ${host}`, [
    `Somebody, perhaps you, asked to use this address for another account at ${host}.`,
    'It belongs to your account there and stays with it: log in with it. If it was not you, there is nothing to do.',
  ]);
}

/** To the address that an account had. It does not name the new one: a mailbox one gives up may be somebody else's. */
export function emailChangedLetter(settings: LetterSettings, before: User & { email: string }): NewEmail {
  const { hostname: host } = new URL(settings.publicUrl);
  return notice(settings, before, `The address of your account at ${host} has changed`, [
    `Your account at ${host} now has another e-mail address. This one no longer belongs to it.`,
    'If it was not you, tell those who run the service at once.',
  ]);
}

function notice(
  { mailFrom }: LetterSettings,
  { tenantId, id: userId, email }: User & { email: string },
  subject: string,
  [said, advice]: [string, string],
): NewEmail {
  return {
    tenantId,
    userId,
    from: mailFrom,
    to: [{ address: email }],
    subject,
    text: `${said}\n\n${advice}`,
    html: letter({
      title: subject,
      preview: said,
      body: html`<p style="margin:0 0 16px">${said}</p>
<p style="margin:0">${advice}</p>`,
    }),
    lane: 'otp',
  };
}
