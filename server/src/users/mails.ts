import { letter } from '../challenges/mails.ts';
import type { Mailbox, NewEmail } from '../emails/email.ts';
import { html } from '../http/page.ts';
import type { User } from './user.ts';

/** To the owner of an address that somebody tried to register again, where the reply itself must not tell (S3). */
export function alreadyRegisteredLetter(
  { mailFrom, publicUrl }: { mailFrom: Mailbox; publicUrl: string },
  user: User & { email: string },
): NewEmail {
  const { hostname: host } = new URL(publicUrl);
  const said = `Somebody, perhaps you, tried to register this address at ${host}.`;
  const advice = 'You already have an account there: log in with it. If it was not you, there is nothing to do.';
  return {
    tenantId: user.tenantId,
    userId: user.id,
    from: mailFrom,
    to: [{ address: user.email }],
    subject: `You already have an account at ${host}`,
    text: `${said}\n\n${advice}`,
    html: letter({
      title: `You already have an account at ${host}`,
      preview: said,
      body: html`<p style="margin:0 0 16px">${said}</p>
<p style="margin:0">${advice}</p>`,
    }),
    lane: 'otp',
  };
}
