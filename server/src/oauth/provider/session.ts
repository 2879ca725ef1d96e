/**
 * The browser's session, as `oidc-provider` sees it: ours (`sessions/browser-session.ts`), and no second one beside it. What
 * the library keeps between two pages (the word that its forms carry) lies sealed in a cookie.
 */
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import type { Secrets } from '../../crypto/secrets.ts';
import { type BrowserCaller, type BrowserWorld, browserCaller, sessionCookie } from '../../sessions/browser-session.ts';
import { logout } from '../../sessions/logout.ts';
import type { Revocations } from '../../sessions/revocations.ts';

export interface SessionBridgeWorld extends BrowserWorld {
  revocations: Revocations;
}

/** Of the cookie. Pages of the library stay good for as long. */
export const stateSeconds = 3_600;
const purpose = 'oauth-page-state';

type SessionClass = Provider['Session'];
type SessionObject = InstanceType<SessionClass>;

export function bridgeSessions(provider: Provider, world: SessionBridgeWorld): void {
  const { Session } = provider;
  define(Session, {
    get: async (ctx: KoaContextWithOIDC) => {
      const caller = await browserCaller(world, ctx.req);
      const session = Object.assign(
        (Session as unknown as { instantiate: () => SessionObject }).instantiate(),
        caller && asSession(caller),
        openState(world.secrets, ctx.cookies.get(provider.cookieName('session'))),
      );
      // Which grant this request came to.
      const known = new Map<string, string>();
      define(session, {
        authenticatedAt: caller?.authenticatedAt,
        authorizationFor: () => ({}),
        ensureClientContainer: () => {},
        sidFor: () => session.uid,
        grantIdFor: (clientId: string, grantId?: string) =>
          grantId === undefined ? known.get(clientId) : void known.set(clientId, grantId),
        // Who is signed in says the cookie, as it is now: what an interaction was told of a login may be over.
        loginAccount: () => {},
        // Ours is a new one after every login.
        resetIdentifier: () => {},
        save: async () => {},
        // Where something went wrong: the page that says so has a form with another word.
        persist: async () => {
          ctx.cookies.set(provider.cookieName('session'), sealState(world.secrets, session.state), stateCookie(world));
        },
        destroy: async () => {
          if (caller) await logout(world, caller, false);
          ctx.append('Set-Cookie', sessionCookie(world, ''));
        },
      });
      ctx.oidc?.entity('Session', session);
      return session;
    },
    // Interactions and tokens are not bound to it here: grants are, in the database.
    findByUid: async () => undefined,
  });
  // The value of the library's cookie.
  Object.defineProperty(Session.prototype, 'id', {
    get(this: SessionObject) {
      return sealState(world.secrets, this.state);
    },
  });
}

export function stateCookie({ publicUrl }: { publicUrl: string }) {
  const secure = publicUrl.startsWith('https:');
  return { httpOnly: true, sameSite: 'lax', secure, signed: false, overwrite: true, path: '/' } as const;
}

function asSession({ sessionId, id, authenticatedAt, level, methods }: BrowserCaller) {
  return {
    uid: sessionId,
    accountId: id,
    loginTs: Math.floor(authenticatedAt ?? 0),
    amr: methods,
    ...(level !== undefined && { acr: level }),
  };
}

function sealState(secrets: Secrets, state: unknown): string {
  const until = Date.now() + stateSeconds * 1_000;
  return secrets.seal(purpose, JSON.stringify({ state, until })).toString('base64url');
}

function openState(secrets: Secrets, cookie: string | undefined): { state?: Record<string, unknown> } {
  if (cookie === undefined) return {};
  try {
    const { state, until } = JSON.parse(secrets.open(purpose, Buffer.from(cookie, 'base64url')).toString('utf8'));
    return until > Date.now() && state ? { state } : {};
  } catch {
    return {}; // of a key that is no more, or of nobody
  }
}

function define(target: object, members: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(members)) Object.defineProperty(target, name, { value });
}
