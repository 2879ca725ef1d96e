import { checkUrl, list, type Setting, text, url } from '../settings.ts';

export interface ProviderSettings {
  /** In the path `/auth/ID`. */
  id: string;
  /** As people know it. */
  name: string;
  issuer: string;
  clientId: string;
  clientSecret: string;
  scope: string;
  /** Whether each of its addresses counts as verified, also where it does not say so. */
  trustsEmail: boolean;
}

const taken =
  'callback email exchange export identities invitation login logout me otp passkeys password refresh register second-factors sessions verify'.split(
    ' ',
  );
const idPattern = /^[a-z][a-z0-9-]{0,31}$/;

const providers: Setting<ProviderSettings[]> = {
  name: 'OIDC_PROVIDERS',
  default: [],
  defaultText: 'none',
  help:
    'Further providers of OpenID Connect, as a JSON list: `[{"id": "corp", "issuer": "https://…", "client_id": "…", ' +
    '"client_secret": "…"}]`. Optional: `name` (what buttons say), `scope` (`openid email profile`), and `trust_email` ' +
    '(true where each address counts as verified although the provider does not say so). Users sign in at `/auth/ID`.',
  secret: true,
  parse: (value) => {
    let items: unknown;
    try {
      items = JSON.parse(value);
    } catch {
      throw new Error('must be a JSON list');
    }
    if (!Array.isArray(items)) throw new Error('must be a JSON list');
    const read = items.map(readProvider);
    const ids = read.map(({ id }) => id);
    const twice = ids.find((id, index) => ids.indexOf(id) !== index);
    if (twice !== undefined) throw new Error(`names the id "${twice}" twice`);
    return read;
  },
};

function readProvider(item: unknown): ProviderSettings {
  if (typeof item !== 'object' || item === null) throw new Error('must hold objects');
  const {
    id,
    name = id,
    issuer,
    client_id,
    client_secret,
    scope = 'openid email profile',
    trust_email = false,
    ...rest
  } = item as Record<string, unknown>;
  if (typeof id !== 'string' || !idPattern.test(id)) {
    throw new Error('needs an "id" of lower-case letters, digits and hyphens for each provider');
  }
  if (id === 'google' || taken.includes(id)) throw new Error(`cannot use the id "${id}", which means something else`);
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new Error(`has a member "${unknown}" of "${id}" that is not known`);
  for (const [member, value] of Object.entries({ name, issuer, client_id, client_secret, scope })) {
    if (typeof value !== 'string' || value === '') throw new Error(`needs "${member}" of "${id}" as text`);
  }
  if (typeof trust_email !== 'boolean') throw new Error(`needs "trust_email" of "${id}" as true or false`);
  checkUrl(String(issuer), ['https:', 'http:']);
  return {
    id,
    name: String(name),
    issuer: String(issuer),
    clientId: String(client_id),
    clientSecret: String(client_secret),
    scope: String(scope),
    trustsEmail: trust_email,
  };
}

export const identitySettings = {
  googleClientId: text('GOOGLE_CLIENT_ID', {
    default: undefined,
    defaultText: 'unset: no sign-in with Google',
    help: 'Sign-in with Google: the client made in its console, with the redirect URI `PUBLIC_URL/auth/callback`.',
  }),
  googleClientSecret: text('GOOGLE_CLIENT_SECRET', {
    default: undefined,
    defaultText: 'unset',
    help: 'Its secret.',
    secret: true,
  }),
  googleIssuer: url('GOOGLE_ISSUER', ['https:', 'http:'], {
    default: 'https://accounts.google.com',
    help: 'Another issuer for tests.',
  }),
  oidcProviders: providers,
  redirectUrls: list('REDIRECT_URLS', {
    default: [],
    defaultText: 'none',
    help:
      'Where browsers may be sent after a sign-in, comma-separated: URLs, which must be matched exactly, or origins ' +
      '(`https://app.example.com`), which allow every path.',
    check: (item) => checkUrl(item, ['https:', 'http:']),
  }),
};
