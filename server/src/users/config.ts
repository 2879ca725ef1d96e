import { isUsablePassword } from '../crypto/passwords.ts';
import { parseAddress } from '../emails/address.ts';
import { choice, type Setting, text, url } from '../settings.ts';

const adminEmail: Setting<string | undefined> = {
  ...text('BOOTSTRAP_ADMIN_EMAIL', { default: undefined, defaultText: 'unset', help: '' }),
  parse: (value) => {
    try {
      return parseAddress(value);
    } catch (error) {
      throw new Error(`is not an e-mail address: ${error instanceof Error ? error.message : error}`);
    }
  },
  help: 'E-mail address of the first administrator, made at start if there is none.',
};

const adminPassword: Setting<string | undefined> = {
  ...text('BOOTSTRAP_ADMIN_PASSWORD', { default: undefined, defaultText: 'unset', help: '' }),
  parse: (value) => {
    if (!isUsablePassword(value)) throw new Error('must have 8 to 1024 characters');
    return value;
  },
  help: 'Password of the first administrator.',
  secret: true,
};

export const userSettings = {
  registration: choice('REGISTRATION', ['open', 'private', 'closed'], {
    default: 'open',
    help:
      '`open`: a known address is answered with 409, a new user gets tokens at once. `private`: known and unknown ' +
      'addresses are answered alike, tokens are given after verification. `closed`: nobody registers by themselves.',
  }),
  breachedPasswordsUrl: url('BREACHED_PASSWORDS_URL', ['https:', 'http:'], {
    default: undefined,
    defaultText: 'unset: nobody is asked',
    help:
      'A service that knows passwords from breaches, e.g. `https://api.pwnedpasswords.com/range`. It is told five digits ' +
      'of a hash; where it does not answer, the password passes and the log says so.',
  }),
  bootstrapAdminEmail: adminEmail,
  bootstrapAdminPassword: adminPassword,
};
