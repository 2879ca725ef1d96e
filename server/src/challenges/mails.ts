/** The letters that carry a challenge: text and HTML, readable on a phone, in the dark and without images. */
import type { Mailbox, NewEmail } from '../emails/email.ts';
import { type Html, html } from '../http/page.ts';
import type { ChallengeTimes } from './challenge.ts';
import type { IssuedChallenge } from './issue.ts';

export function verificationLetter(
  {
    mailFrom,
    publicUrl,
    verifyCodeSeconds,
    verifyLinkSeconds,
  }: { mailFrom: Mailbox; publicUrl: string } & ChallengeTimes,
  to: { tenantId: string; userId: string; address: string },
  challenge: IssuedChallenge,
): NewEmail {
  const { hostname: host } = new URL(publicUrl);
  const link = `${publicUrl}/auth/verify?token=${challenge.token}`;
  const codeTime = spell(verifyCodeSeconds);
  const linkTime = spell(verifyLinkSeconds);
  return {
    tenantId: to.tenantId,
    userId: to.userId,
    from: mailFrom,
    to: [{ address: to.address }],
    subject: `${challenge.code} is your code for ${host}`,
    text: [
      `Your code is ${challenge.code}`,
      `It is good for ${codeTime}, at ${host}.`,
      `Or open this link within ${linkTime} and press the button there:`,
      link,
      'If you did not ask for this, do nothing: without the code or the link nothing happens.',
    ].join('\n\n'),
    html: letter({
      title: `Your code for ${host}`,
      preview: `It is good for ${codeTime}.`,
      body: html`
<p style="margin:0 0 8px">Your code for ${host} is</p>
<p style="margin:0 0 8px;font:700 36px/1.2 ui-monospace,Consolas,monospace;letter-spacing:8px">${challenge.code}</p>
<p style="margin:0 0 24px;color:#6b7480">It is good for ${codeTime}.</p>
<p style="margin:0 0 16px">Or open this page within ${linkTime} and press the button there:</p>
<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>
<td style="border-radius:6px;background:#2456c4"><a href="${link}" style="display:inline-block;padding:12px 24px;color:#ffffff;font-weight:600;text-decoration:none">Confirm my address</a></td>
</tr></table>
<p style="margin:16px 0 0;color:#6b7480;font-size:13px;word-break:break-all">${link}</p>
<p style="margin:24px 0 0;color:#6b7480;font-size:13px">If you did not ask for this, do nothing: without the code or the link nothing happens.</p>`,
    }),
    lane: 'otp',
    expiresAt: challenge.linkExpiresAt,
    confidential: [challenge.code, challenge.token],
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
