import type { Grant, KoaContextWithOIDC } from 'oidc-provider';
import { newId } from '../../crypto/ids.ts';
import type { Database } from '../../database/database.ts';
import { isOpenIdScope } from '../client.ts';
import type { FindClient } from '../find-client.ts';
import { type Consent, findConsent } from '../grant-store.ts';
import type { StoredClient } from '../store.ts';

interface World {
  db: Database;
  findClient: FindClient;
}

/** Requests of clients that the operator vouches for. */
const trusted = new WeakSet<KoaContextWithOIDC>();

export function isTrusted(ctx: KoaContextWithOIDC): boolean {
  return trusted.has(ctx);
}

/**
 * What this authorization may grant without asking: what the user has said yes to before, or all of it where the operator
 * vouches for the client. It is a new grant each time, for each sign-in has its own end, and is written once the code is.
 */
export async function existingGrant({ db, findClient }: World, ctx: KoaContextWithOIDC): Promise<Grant | undefined> {
  const { client: known, account, provider, resourceServers } = ctx.oidc;
  const client = await findClient(known?.clientId ?? '');
  if (!client || !account) return undefined;
  if (client.metadata.skip_consent) trusted.add(ctx);
  const consent = isTrusted(ctx) ? askedBy(ctx, client) : await findConsent(db, account.accountId, client.id);
  if (!consent) return undefined;
  const grant = new provider.Grant({ accountId: account.accountId, clientId: client.clientId });
  grant.jti = newId();
  grant.addOIDCScope(consent.scopes.filter(isOpenIdScope));
  grant.addOIDCClaims(consent.claims);
  for (const resource of Object.keys(resourceServers ?? {})) {
    const there = `${resource} `;
    const scopes = consent.resources.filter((one) => one.startsWith(there)).map((one) => one.slice(there.length));
    if (scopes.length > 0) grant.addResourceScope(resource, scopes);
  }
  return grant;
}

/** What a request asks for and can get: nobody is asked about other scopes, which may be any text. */
export function askedBy(ctx: KoaContextWithOIDC, client: Pick<StoredClient, 'scopes'>): Consent {
  const { requestParamScopes, requestParamClaims, resourceServers = {} } = ctx.oidc;
  const scopes = client.scopes.filter((scope) => requestParamScopes.has(scope));
  return {
    scopes,
    claims: [...requestParamClaims],
    // Each scope where it is asked for: what is allowed at one API is not allowed at another.
    resources: Object.entries(resourceServers).flatMap(([resource, { scopes: known }]) =>
      scopes.filter((scope) => known.has(scope)).map((scope) => `${resource} ${scope}`),
    ),
  };
}
