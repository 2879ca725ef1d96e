import { choice, type Setting } from '../settings.ts';
import { parseMailbox } from './address.ts';
import type { Mailbox } from './email.ts';

const mailFrom: Setting<Mailbox | undefined> = {
  name: 'MAIL_FROM',
  parse: (text) => {
    try {
      return parseMailbox(text);
    } catch (error) {
      throw new Error(
        `must be an address like "Example <no-reply@example.com>": ${error instanceof Error ? error.message : error}`,
      );
    }
  },
  default: undefined,
  defaultText: '`Postern <no-reply@localhost>` in development; required in production',
  help: 'Default sender of every letter, and the sender of Postern\'s own: `"Example" <no-reply@example.com>`.',
};

export const emailSettings = {
  mailFrom,
  senderPolicy: choice('SENDER_POLICY', ['any', 'verified'], {
    default: undefined,
    defaultText: '`any` in development, `verified` in production',
    help: "Which `from` a caller may use: any address, or only the address of `MAIL_FROM` and those of the tenant's verified domains (`/domains`).",
  }),
};
