import { choice, type Setting, text } from '../settings.ts';
import { checkClientId, parseScope } from './client.ts';

const bootstrapClientId: Setting<string | undefined> = {
  ...text('BOOTSTRAP_CLIENT_ID', { default: undefined, defaultText: 'unset', help: '' }),
  parse: (value) => {
    checkClientId(value);
    return value;
  },
  help: 'A client made at start if absent. Remove the three variables once it is there.',
};

const bootstrapClientScope: Setting<string[]> = {
  name: 'BOOTSTRAP_CLIENT_SCOPE',
  default: ['basic', 'email'],
  defaultText: '`basic email`',
  parse: (value) => {
    const scopes = parseScope(value);
    if (!scopes || scopes.length === 0) throw new Error('must be scopes separated by spaces, e.g. "basic email"');
    return scopes;
  },
  help: 'Its scopes, separated by spaces.',
};

export const oauthSettings = {
  bootstrapClientId,
  bootstrapClientSecret: text('BOOTSTRAP_CLIENT_SECRET', {
    default: undefined,
    defaultText: 'unset',
    help: 'Its secret.',
    secret: true,
  }),
  bootstrapClientScope,
  oauthRegistration: choice('OAUTH_REGISTRATION', ['off', 'on'], {
    default: 'off',
    help:
      'Whether programs may register themselves as clients (RFC 7591) at `/oauth/register`, with an access token or an ' +
      'API key that has the scope `clients:register`.',
  }),
};
