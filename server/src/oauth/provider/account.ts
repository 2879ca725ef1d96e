/** A user as clients are told of it: the claims of OpenID Connect Core §5.1. */
import type { Account, KoaContextWithOIDC } from 'oidc-provider';
import type { Database } from '../../database/database.ts';
import { findUserById } from '../../users/store.ts';
import type { User } from '../../users/user.ts';
import type { FindClient } from '../find-client.ts';

export interface AccountWorld {
  db: Database;
  findClient: FindClient;
}

export type UserAccount = Account & { user: User };

/** By the scope that asks for them. */
export const claimsByScope = {
  // How and when they came in is nobody's secret: what clients are told without asking, they can rely on.
  openid: ['sub', 'auth_time', 'acr', 'amr'],
  profile: ['name', 'preferred_username', 'picture'],
  email: ['email', 'email_verified'],
};

/** The user of that id, in the client's tenant and no other (S41); nobody where they are disabled. */
export function makeFindAccount({ db, findClient }: AccountWorld) {
  return async (ctx: KoaContextWithOIDC, sub: string): Promise<UserAccount | undefined> => {
    const clientId = ctx.oidc.client?.clientId;
    const client = clientId === undefined ? undefined : await findClient(clientId);
    const user = client && (await findUserById(db, client.tenantId, sub));
    if (!user || user.disabledAt !== null) return undefined;
    return { accountId: user.id, user, claims: () => claimsOf(user) };
  };
}

function claimsOf({ id, name, username, profileImageUrl, email, emailVerifiedAt }: User) {
  return {
    sub: id,
    ...(name !== null && { name }),
    ...(username !== null && { preferred_username: username }),
    ...(profileImageUrl !== null && { picture: profileImageUrl }),
    ...(email !== null && { email, email_verified: emailVerifiedAt !== null }),
  };
}
