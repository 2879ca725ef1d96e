/** The letters that carry a challenge: text and HTML, readable on a phone, in the dark and without images. */
import type { Mailbox, NewEmail } from '../emails/email.ts';
import { type Html, html } from '../http/page.ts';
import type { ChallengeTimes } from './challenge.ts';
import type { IssuedChallenge } from './issue.ts';

export type LetterSettings = { mailFrom: Mailbox; publicUrl: string } & ChallengeTimes;

export interface Addressee {
  tenantId: string;
  userId: string;
  address: string;
}

/** What differs from one challenge's letter to another's. */
interface Wording {
  /** Of the page that the link opens. */
  path: string;
  button: string;
  /** What the code is for, where the code alone does not say it. */
  about?: string;
  /** What to do for who did not ask for it. */
  otherwise: string;
}

const nothing = 'If you did not ask for this, do nothing: without the code or the link nothing happens.';

export function verificationLetter(world: LetterSettings, to: Addressee, challenge: IssuedChallenge): NewEmail {
  const wording = { path: '/auth/verify', button: 'Confirm my address', otherwise: nothing };
  return challengeLetter(world, to, challenge, wording);
}

/** To the address that an account is to have. */
export function newAddressLetter(world: LetterSettings, to: Addressee, challenge: IssuedChallenge): NewEmail {
  const { hostname: host } = new URL(world.publicUrl);
  return challengeLetter(world, to, challenge, {
    path: '/auth/email/confirm',
    button: 'Confirm my new address',
    about: `Somebody, perhaps you, asked to use this address for an account at ${host}.`,
    otherwise: nothing,
  });
}

/** To the address that an account has, when it is to have another. Whoever asked knew the password. */
export function oldAddressLetter(
  world: LetterSettings,
  to: Addressee & { newAddress: string },
  challenge: IssuedChallenge,
): NewEmail {
  const { hostname: host } = new URL(world.publicUrl);
  return challengeLetter(world, to, challenge, {
    path: '/auth/email/confirm',
    button: 'Agree to the change',
    about: `Somebody, perhaps you, asked to change the address of your account at ${host} to ${to.newAddress}.`,
    otherwise:
      'If you did not ask for this, change your password: whoever asked knew it. Without the code or the link the address stays as it is.',
  });
}

function challengeLetter(
  { mailFrom, publicUrl, verifyCodeSeconds, verifyLinkSeconds }: LetterSettings,
  to: Addressee,
  { code, token, linkExpiresAt }: IssuedChallenge,
  { path, button, about, otherwise }: Wording,
): NewEmail {
  const { hostname: host } = new URL(publicUrl);
  const link = `${publicUrl}${path}?token=${token}`;
  const codeTime = spell(verifyCodeSeconds);
  const linkTime = spell(verifyLinkSeconds);
  return {
    tenantId: to.tenantId,
    userId: to.userId,
    from: mailFrom,
    to: [{ address: to.address }],
    subject: `${code} is your code for ${host}`,
    text: [
      ...(about === undefined ? [] : [about]),
      `Your code is ${code}`,
      `It is good for ${codeTime}, at ${host}.`,
      `Or open this link within ${linkTime} and press the button there:`,
      link,
      otherwise,
    ].join('\n\n'),
    html: letter({
      title: `Your code for ${host}`,
      preview: about ?? `It is good for ${codeTime}.`,
      body: html`
${about && html`<p style="margin:0 0 24px">${about}</p>`}
<p style="margin:0 0 8px">Your code for ${host} is</p>
<p style="margin:0 0 8px;font:700 36px/1.2 ui-monospace,Consolas,monospace;letter-spacing:8px">${code}</p>
<p style="margin:0 0 24px;color:#6b7480">It is good for ${codeTime}.</p>
<p style="margin:0 0 16px">Or open this page within ${linkTime} and press the button there:</p>
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>
<td style="border-radius:6px;background:#2456c4"><a href="${link}" style="display:inline-block;padding:12px 24px;color:#ffffff;font-weight:600;text-decoration:none">${button}</a></td>
</tr></table>
<p style="margin:16px 0 0;color:#6b7480;font-size:13px;word-break:break-all">${link}</p>
<p style="margin:24px 0 0;color:#6b7480;font-size:13px">${otherwise}</p>`,
    }),
    lane: 'otp',
    expiresAt: linkExpiresAt,
    confidential: [code, token],
  };
}

/**
 * The frame of a letter: a table of one column, at most 480 pixels wide, because mail programs know nothing else.
 * Colours stand inline; programs that darken letters may, and the grey keeps its contrast on both grounds.
 */
export function letter({ title, preview, body }: { title: string; preview: string; body: Html }): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${title}</title>
</head>
<body style="margin:0;padding:0">
<div style="display:none;max-height:0;overflow:hidden">${preview}</div>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
<tr><td align="center" style="padding:32px 16px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:480px">
<tr><td style="font:16px/1.5 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;text-align:left">
${body}
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
`.html;
}

/** `60` → "1 minute". */
function spell(seconds: number): string {
  for (const [unit, size] of [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ] as const) {
    // A day reads better as 24 hours; two days do not as 48.
    const enough = unit === 'day' ? seconds > size : seconds >= size;
    if (enough && seconds % size === 0) return `${seconds / size} ${unit}${seconds === size ? '' : 's'}`;
  }
  return `${seconds} second${seconds === 1 ? '' : 's'}`;
}
