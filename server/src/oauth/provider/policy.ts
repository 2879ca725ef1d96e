/** When a flow waits for a person, beyond what OpenID Connect asks for. */
import { interactionPolicy, type KoaContextWithOIDC } from 'oidc-provider';
import type { FindClient } from '../find-client.ts';
import type { UserAccount } from './account.ts';
import { askedBy, isTrusted } from './existing-grant.ts';

/** Nobody of another tenant, and a second factor where the client would like one. */
export function policy({ findClient }: { findClient: FindClient }) {
  const { Check, base } = interactionPolicy;
  const prompts = base();
  const login = prompts.get('login');
  login?.checks.add(
    new Check('no_account', 'the user of this browser is none of this client', 'login_required', (ctx) => {
      const { session, account } = ctx.oidc;
      return session?.accountId !== undefined && !account;
    }),
  );
  login?.checks.add(
    new Check('acr_values', 'a second factor was asked for', 'login_required', (ctx) => {
      const { session, account, params, result } = ctx.oidc;
      const wanted = String(params?.acr_values ?? '').split(' ');
      if (!wanted.includes('aal2') || wanted.includes('aal1') || session?.acr === 'aal2') return false;
      // It is a wish (OpenID Connect Core §3.1.2.1): who has none cannot fulfil it, and the token says so.
      return (account as UserAccount | undefined)?.user.hasSecondFactor === true && !result?.login;
    }),
  );
  if (login) {
    const { details } = login;
    login.details = async (ctx) => ({ ...(await details(ctx)), ...expected(ctx) });
  }
  const consent = prompts.get('consent');
  const native = consent?.checks.get('native_client_prompt');
  if (consent && native) {
    const { check } = native;
    native.check = (ctx) => !isTrusted(ctx) && check(ctx);
    consent.details = async (ctx) => {
      const client = await findClient(ctx.oidc.client?.clientId ?? '');
      return client && { asks: askedBy(ctx, client) };
    };
  }
  return prompts;
}

/** What a login is held against once it has happened (`interactions.ts`). */
function expected({ oidc: { session, entities, claims } }: KoaContextWithOIDC) {
  const { IdTokenHint } = entities as { IdTokenHint?: { payload: { sub?: string } } };
  const wanted = claims?.id_token?.sub as { value?: string } | null | undefined;
  return {
    session: session?.accountId === undefined ? undefined : session.uid,
    authenticated_at: (session as { authenticatedAt?: number } | undefined)?.authenticatedAt,
    expected_user: IdTokenHint?.payload.sub ?? wanted?.value,
  };
}
