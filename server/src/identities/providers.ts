/** The providers of the settings. What each says of itself is asked when it is first needed, and kept for a while. */
import type { FastifyBaseLogger } from 'fastify';
import type { Configuration } from 'openid-client';
import type { ProviderSettings } from './config.ts';
import { providerAway, unknownProvider } from './errors.ts';

export interface Provider extends ProviderSettings {
  /** @throws providerAway */
  configuration: () => Promise<Configuration>;
}

export interface Providers {
  all: Provider[];
  /** @throws unknownProvider */
  named: (id: string) => Provider;
}

interface Options {
  googleClientId: string | undefined;
  googleClientSecret: string | undefined;
  googleIssuer: string;
  oidcProviders: ProviderSettings[];
  log: Pick<FastifyBaseLogger, 'error'>;
}

const patienceSeconds = 5;
const freshMs = 3_600_000;

export function makeProviders(options: Options): Providers {
  const known = new Map(settingsOf(options).map((settings) => [settings.id, makeProvider(settings, options.log)]));
  return {
    all: [...known.values()],
    named: (id) => {
      const provider = known.get(id);
      if (!provider) throw unknownProvider({ detail: `There is no sign-in with "${id}" here.` });
      return provider;
    },
  };
}

function settingsOf({ googleClientId, googleClientSecret, googleIssuer, oidcProviders }: Options): ProviderSettings[] {
  if (googleClientId === undefined || googleClientSecret === undefined) return oidcProviders;
  const google: ProviderSettings = {
    id: 'google',
    name: 'Google',
    issuer: googleIssuer,
    clientId: googleClientId,
    clientSecret: googleClientSecret,
    scope: 'openid email profile',
    trustsEmail: false,
  };
  return [google, ...oidcProviders];
}

function makeProvider(settings: ProviderSettings, log: Options['log']): Provider {
  let found: { configuration: Promise<Configuration>; until: number } | undefined;
  return {
    ...settings,
    configuration: async () => {
      const now = performance.now();
      if (!found || found.until < now) found = { configuration: discover(settings), until: now + freshMs };
      try {
        return await found.configuration;
      } catch (error) {
        found = undefined;
        log.error({ err: error }, `the provider "${settings.id}" cannot be reached at ${settings.issuer}`);
        throw providerAway({ detail: 'Try again in a moment.', retryAfterSeconds: 5, cause: error });
      }
    },
  };
}

async function discover({ issuer, clientId, clientSecret }: ProviderSettings): Promise<Configuration> {
  // Loaded by those who have a provider.
  const { allowInsecureRequests, discovery, enableNonRepudiationChecks } = await import('openid-client');
  const configuration = await discovery(new URL(issuer), clientId, { client_secret: clientSecret }, undefined, {
    timeout: patienceSeconds,
    // The signature is checked as well, although the token comes straight from the provider.
    execute: [enableNonRepudiationChecks, ...(issuer.startsWith('http:') ? [allowInsecureRequests] : [])],
  });
  return configuration;
}
