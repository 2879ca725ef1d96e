/** The letter to somebody who is to have an account: a link, and no code. */
import type { Content } from '../template.ts';
import { button, frame } from './frame.ts';
import type { OwnLetter } from './own-letters.ts';

interface Wording {
  subject: string;
  said: string;
  how: string;
  button: string;
  otherwise: string;
}

function content({ subject, said, how, button: label, otherwise }: Wording): Content {
  return {
    subject,
    text: [said, how, '{{ link }}', otherwise].join('\n\n'),
    html: frame({
      title: subject,
      preview: said,
      body: `<p style="margin:0 0 16px">${said}</p>
<p style="margin:0 0 16px">${how}</p>
${button(label)}
<p style="margin:24px 0 0;color:#6b7480;font-size:13px">${otherwise}</p>`,
    }),
  };
}

export const invitation: OwnLetter = {
  variables: [
    { name: 'link', type: 'string', required: true, description: 'The page where the invitation is accepted' },
    { name: 'link_seconds', type: 'number', required: true, description: 'How long the link is good' },
    { name: 'host', type: 'string', required: true, description: 'Host name of PUBLIC_URL' },
    { name: 'email', type: 'string', required: true, description: 'The address this letter goes to' },
  ],
  secrets: ['link'],
  contents: {
    en: content({
      subject: 'You are invited to {{ host }}',
      said: 'You are invited to have an account at {{ host }}, with the address {{ email }}.',
      how: 'Open this link within {{ link_seconds | duration: language }} and choose a password there:',
      button: 'Accept the invitation',
      otherwise: 'If you do not want it, do nothing: there is no account unless you accept.',
    }),
    de: content({
      subject: 'Einladung zu {{ host }}',
      said: 'Sie sind eingeladen, ein Konto bei {{ host }} zu haben, mit der Adresse {{ email }}.',
      how: 'Öffnen Sie diesen Link und wählen Sie dort ein Passwort (Gültigkeit: {{ link_seconds | duration: language }}):',
      button: 'Einladung annehmen',
      otherwise: 'Wenn Sie das nicht möchten, tun Sie nichts: ohne Ihre Annahme entsteht kein Konto.',
    }),
  },
};
