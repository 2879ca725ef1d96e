-- Who is invited to have an account. The link is a challenge of nobody's; what it leads to stands here.
CREATE TABLE invitations (
  id               uuid PRIMARY KEY,
  tenant_id        uuid NOT NULL REFERENCES tenants,
  email            text NOT NULL,
  email_normalized text NOT NULL,
  name             text,
  invited_by       text NOT NULL,
  -- pending, accepted, revoked, or expired: written when another takes the place of a pending one that ran out.
  status           text NOT NULL DEFAULT 'pending',
  challenge_id     uuid NOT NULL UNIQUE,
  -- Who accepted; goes with them.
  user_id          uuid REFERENCES users ON DELETE CASCADE,
  created_at       timestamptz NOT NULL DEFAULT now(),
  expires_at       timestamptz NOT NULL
);
CREATE INDEX invitations_by_tenant ON invitations (tenant_id, id);
CREATE INDEX invitations_by_user ON invitations (user_id) WHERE user_id IS NOT NULL;
CREATE UNIQUE INDEX invitations_pending ON invitations (tenant_id, email_normalized) WHERE status = 'pending';
