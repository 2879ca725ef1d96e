/**
 * Invitations: somebody with the right to write users asks the owner of an address to have an account, also where nobody
 * registers by themselves. This folder owns the table `invitations`. The link, its end and the count of letters are a
 * challenge's (`challenges/`), held by nobody until the account is made; what an account is, it leaves to `users/`.
 */
import { Type } from 'typebox';

export const statuses = ['pending', 'accepted', 'revoked', 'expired'] as const;

export interface Invitation {
  id: string;
  tenantId: string;
  email: string;
  emailNormalized: string;
  name: string | null;
  /** What whoever accepts is to have. */
  roles: string[];
  /** `user:<uuid>`, `client:<client_id>` or `key:<uuid>`. */
  invitedBy: string;
  status: (typeof statuses)[number];
  challengeId: string;
  createdAt: Date;
  expiresAt: Date;
}

export const InvitationAnswer = Type.Object({
  id: Type.String({ format: 'uuid' }),
  email: Type.String(),
  name: Type.Union([Type.String(), Type.Null()]),
  roles: Type.Array(Type.String()),
  status: Type.Unsafe<string>({ type: 'string', enum: statuses }),
  invited_by: Type.String({ description: '`user:…`, `client:…` or `key:…`' }),
  created_at: Type.String({ format: 'date-time' }),
  expires_at: Type.String({ format: 'date-time', description: "End of the newest letter's link" }),
});

export function presentInvitation(invitation: Invitation): Type.Static<typeof InvitationAnswer> {
  const { id, email, name, roles, status, invitedBy, createdAt, expiresAt } = invitation;
  return {
    id,
    email,
    name,
    roles,
    status,
    invited_by: invitedBy,
    created_at: createdAt.toISOString(),
    expires_at: expiresAt.toISOString(),
  };
}
