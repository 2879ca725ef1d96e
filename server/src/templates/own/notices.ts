/** The letters that only tell something. */
import type { Content, Variable } from '../template.ts';
import { frame } from './frame.ts';
import type { OwnLetter } from './own-letters.ts';

const variables: Variable[] = [
  { name: 'host', type: 'string', required: true, description: 'Host name of PUBLIC_URL' },
  { name: 'email', type: 'string', required: true, description: 'The address this letter goes to' },
];

type Words = [subject: string, said: string, advice: string];

function notice(en: Words, de: Words, more: Variable[] = []): OwnLetter {
  return { variables: [...variables, ...more], secrets: [], contents: { en: content(en), de: content(de) } };
}

function content([subject, said, advice]: Words): Content {
  return {
    subject,
    text: `${said}\n\n${advice}`,
    html: frame({
      title: subject,
      preview: said,
      body: `<p style="margin:0 0 16px">${said}</p>\n<p style="margin:0">${advice}</p>`,
    }),
  };
}

/** To the owner of an address that somebody tried to register again, where the reply itself must not tell (S3). */
export const alreadyRegistered = notice(
  [
    'You already have an account at {{ host }}',
    'Somebody, perhaps you, tried to register this address at {{ host }}.',
    'You already have an account there: log in with it. If it was not you, there is nothing to do.',
  ],
  [
    'Sie haben schon ein Konto bei {{ host }}',
    'Jemand, vielleicht Sie, wollte diese Adresse bei {{ host }} registrieren.',
    'Sie haben dort schon ein Konto: melden Sie sich damit an. Wenn Sie es nicht waren, ist nichts zu tun.',
  ],
);

/** To the owner of an address that somebody wants for another account: the reply itself must not tell that it is taken. */
export const addressTaken = notice(
  [
    'You already have an account at {{ host }}',
    'Somebody, perhaps you, asked to use this address for another account at {{ host }}.',
    'It belongs to your account there and stays with it: log in with it. If it was not you, there is nothing to do.',
  ],
  [
    'Sie haben schon ein Konto bei {{ host }}',
    'Jemand, vielleicht Sie, wollte diese Adresse für ein anderes Konto bei {{ host }} verwenden.',
    'Sie gehört zu Ihrem Konto dort und bleibt bei ihm: melden Sie sich damit an. Wenn Sie es nicht waren, ist nichts zu tun.',
  ],
);

/** To the address that an account had. It does not name the new one: a mailbox one gives up may be somebody else's. */
export const emailChanged = notice(
  [
    'The address of your account at {{ host }} has changed',
    'Your account at {{ host }} now has another e-mail address. This one no longer belongs to it.',
    'If it was not you, tell those who run the service at once.',
  ],
  [
    'Die Adresse Ihres Kontos bei {{ host }} hat sich geändert',
    'Ihr Konto bei {{ host }} hat jetzt eine andere E-Mail-Adresse. Diese hier gehört nicht mehr dazu.',
    'Wenn Sie das nicht waren, sagen Sie es sofort denen, die den Dienst betreiben.',
  ],
);

/** To whoever has the account: if the change was not theirs, this is how they hear of it. */
export const passwordChanged = notice(
  [
    'The password of your account at {{ host }} has changed',
    'Your account at {{ host }} has a new password. Whoever was logged in elsewhere is logged out.',
    'If it was not you, set a new password at once and tell those who run the service.',
  ],
  [
    'Das Passwort Ihres Kontos bei {{ host }} hat sich geändert',
    'Ihr Konto bei {{ host }} hat ein neues Passwort. Wer anderswo angemeldet war, ist abgemeldet.',
    'Wenn Sie das nicht waren, setzen Sie sofort ein neues Passwort und sagen Sie es denen, die den Dienst betreiben.',
  ],
);

/** To whoever has the account: whoever added it may be somebody who wants to keep the owner out. */
export const secondFactorAdded = notice(
  [
    'A second factor was added to your account at {{ host }}',
    'From now on logging in to your account at {{ host }} takes a second factor that was just added to it.',
    'If it was not you, set a new password at once and tell those who run the service.',
  ],
  [
    'Ihr Konto bei {{ host }} hat einen weiteren zweiten Faktor',
    'Wer sich bei Ihrem Konto bei {{ host }} anmeldet, braucht von jetzt an einen zweiten Faktor, der eben hinzugefügt wurde.',
    'Wenn Sie das nicht waren, setzen Sie sofort ein neues Passwort und sagen Sie es denen, die den Dienst betreiben.',
  ],
);

/** To whoever has the account, which is now easier to get into. */
export const secondFactorRemoved = notice(
  [
    'A second factor was removed from your account at {{ host }}',
    'A second factor of your account at {{ host }} was removed.',
    'If it was not you, set a new password at once and tell those who run the service.',
  ],
  [
    'Von Ihrem Konto bei {{ host }} wurde ein zweiter Faktor entfernt',
    'Ein zweiter Faktor Ihres Kontos bei {{ host }} wurde entfernt.',
    'Wenn Sie das nicht waren, setzen Sie sofort ein neues Passwort und sagen Sie es denen, die den Dienst betreiben.',
  ],
);

/** To whoever has the account, which from now on opens with an account that they have elsewhere. */
export const identityLinked = notice(
  [
    'Your account at {{ host }} can now be signed in to with {{ provider }}',
    'Your account at {{ host }} can now also be signed in to with {{ provider }}, by the account there that has this address.',
    'If it was not you, tell those who run the service at once.',
  ],
  [
    'Ihr Konto bei {{ host }} lässt sich jetzt mit {{ provider }} öffnen',
    'Bei Ihrem Konto bei {{ host }} kann man sich jetzt auch mit {{ provider }} anmelden, über das dortige Konto mit dieser Adresse.',
    'Wenn Sie das nicht waren, sagen Sie es sofort denen, die den Dienst betreiben.',
  ],
  [{ name: 'provider', type: 'string', required: true, description: 'The provider, as people know it' }],
);
