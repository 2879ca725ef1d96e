/** The letters that carry a code and a link for the same proof. */
import type { Content, Variable } from '../template.ts';
import { button, frame } from './frame.ts';
import type { OwnLetter } from './own-letters.ts';

const variables: Variable[] = [
  { name: 'code', type: 'string', required: true, description: 'The code; it may begin with 0' },
  { name: 'link', type: 'string', required: true, description: 'The page that does the same as the code' },
  { name: 'code_seconds', type: 'number', required: true, description: 'How long the code is good' },
  { name: 'link_seconds', type: 'number', required: true, description: 'How long the link is good' },
  { name: 'host', type: 'string', required: true, description: 'Host name of PUBLIC_URL' },
  { name: 'email', type: 'string', required: true, description: 'The address this letter goes to' },
];
const secrets = ['code', 'link'];

/** What differs from one letter to another. */
interface Wording {
  button: string;
  /** What the code is for, where the code alone does not say it. */
  about?: string;
  /** What to do for who did not ask for it. */
  otherwise: string;
}

/** What all of them say, in one language. */
interface Phrases {
  subject: string;
  title: string;
  yourCode: string;
  codeTime: string;
  codeTimeAtHost: string;
  orLink: string;
  orPage: string;
}

const phrases: Record<'en' | 'de', Phrases> = {
  en: {
    subject: '{{ code }} is your code for {{ host }}',
    title: 'Your code for {{ host }}',
    yourCode: 'Your code is {{ code }}',
    codeTime: 'It is good for {{ code_seconds | duration: language }}.',
    codeTimeAtHost: 'It is good for {{ code_seconds | duration: language }}, at {{ host }}.',
    orLink: 'Or open this link within {{ link_seconds | duration: language }} and press the button there:',
    orPage: 'Or open this page within {{ link_seconds | duration: language }} and press the button there:',
  },
  de: {
    subject: '{{ code }} ist Ihr Code für {{ host }}',
    title: 'Ihr Code für {{ host }}',
    yourCode: 'Ihr Code ist {{ code }}',
    codeTime: 'Gültigkeit: {{ code_seconds | duration: language }}.',
    codeTimeAtHost: 'Gültigkeit: {{ code_seconds | duration: language }}, bei {{ host }}.',
    orLink:
      'Oder öffnen Sie diesen Link und drücken Sie dort den Knopf (Gültigkeit: {{ link_seconds | duration: language }}):',
    orPage:
      'Oder öffnen Sie diese Seite und drücken Sie dort den Knopf (Gültigkeit: {{ link_seconds | duration: language }}):',
  },
};

const nothing = {
  en: 'If you did not ask for this, do nothing: without the code or the link nothing happens.',
  de: 'Wenn Sie das nicht angefordert haben, tun Sie nichts: ohne Code oder Link geschieht nichts.',
};

function letter(words: Record<'en' | 'de', Wording>, more: Variable[] = []): OwnLetter {
  return {
    variables: [...variables, ...more],
    secrets,
    contents: { en: content(phrases.en, words.en), de: content(phrases.de, words.de) },
  };
}

function content(says: Phrases, { button: label, about, otherwise }: Wording): Content {
  const paragraphs = [says.yourCode, says.codeTimeAtHost, says.orLink, '{{ link }}', otherwise];
  return {
    subject: says.subject,
    text: [...(about === undefined ? [] : [about]), ...paragraphs].join('\n\n'),
    html: frame({
      title: says.title,
      preview: about ?? says.codeTime,
      body: `${about === undefined ? '' : `<p style="margin:0 0 24px">${about}</p>\n`}<p style="margin:0 0 8px">${says.title}</p>
<p style="margin:0 0 8px;font:700 36px/1.2 ui-monospace,Consolas,monospace;letter-spacing:8px">{{ code }}</p>
<p style="margin:0 0 24px;color:#6b7480">${says.codeTime}</p>
<p style="margin:0 0 16px">${says.orPage}</p>
${button(label)}
<p style="margin:24px 0 0;color:#6b7480;font-size:13px">${otherwise}</p>`,
    }),
  };
}

export const verifyEmail = letter({
  en: { button: 'Confirm my address', otherwise: nothing.en },
  de: { button: 'Adresse bestätigen', otherwise: nothing.de },
});

export const logIn = letter({
  en: {
    button: 'Log in',
    about: 'With this code you log in to your account at {{ host }}. Give it to nobody.',
    otherwise: nothing.en,
  },
  de: {
    button: 'Anmelden',
    about: 'Mit diesem Code melden Sie sich bei Ihrem Konto bei {{ host }} an. Geben Sie ihn niemandem.',
    otherwise: nothing.de,
  },
});

export const resetPassword = letter({
  en: {
    button: 'Set a new password',
    about: 'Somebody, perhaps you, asked to set a new password for your account at {{ host }}.',
    otherwise: nothing.en,
  },
  de: {
    button: 'Neues Passwort setzen',
    about: 'Jemand, vielleicht Sie, möchte ein neues Passwort für Ihr Konto bei {{ host }} setzen.',
    otherwise: nothing.de,
  },
});

/** To the address that an account is to have. */
export const changeEmailNew = letter({
  en: {
    button: 'Confirm my new address',
    about: 'Somebody, perhaps you, asked to use this address for an account at {{ host }}.',
    otherwise: nothing.en,
  },
  de: {
    button: 'Neue Adresse bestätigen',
    about: 'Jemand, vielleicht Sie, möchte diese Adresse für ein Konto bei {{ host }} verwenden.',
    otherwise: nothing.de,
  },
});

/** To the address that an account has, when it is to have another. Whoever asked knew the password. */
export const changeEmailOld = letter(
  {
    en: {
      button: 'Agree to the change',
      about: 'Somebody, perhaps you, asked to change the address of your account at {{ host }} to {{ new_email }}.',
      otherwise:
        'If you did not ask for this, change your password: whoever asked knew it. Without the code or the link the address stays as it is.',
    },
    de: {
      button: 'Der Änderung zustimmen',
      about: 'Jemand, vielleicht Sie, möchte die Adresse Ihres Kontos bei {{ host }} in {{ new_email }} ändern.',
      otherwise:
        'Wenn Sie das nicht angefordert haben, ändern Sie Ihr Passwort: wer es angefordert hat, kannte es. Ohne Code oder Link bleibt die Adresse, wie sie ist.',
    },
  },
  [{ name: 'new_email', type: 'string', required: true, description: 'The address the account is to have' }],
);
