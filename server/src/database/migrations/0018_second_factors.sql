-- What somebody shows beside a password, a letter or an outside account: a device that counts (TOTP, RFC 6238), or a
-- passkey (WebAuthn), which alone is enough to log in as well.
CREATE TABLE second_factors (
  id            uuid PRIMARY KEY,
  user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  kind          text NOT NULL CHECK (kind IN ('totp', 'passkey')),
  name          text NOT NULL,
  -- Of TOTP: the secret, sealed, and the last time step that was used, which is not good again.
  secret        bytea,
  last_step     bigint,
  -- Of passkeys.
  credential_id bytea UNIQUE,
  public_key    bytea,
  sign_count    bigint,
  transports    text[],
  created_at    timestamptz NOT NULL DEFAULT now(),
  -- Until then it is only being set up and counts for nothing.
  confirmed_at  timestamptz,
  last_used_at  timestamptz
);
CREATE INDEX second_factors_by_user ON second_factors (user_id);

-- Whether there is a confirmed one, so that logging in need not look.
ALTER TABLE users ADD COLUMN has_second_factor boolean NOT NULL DEFAULT false;

-- For who has lost them all. Each goes when it is used.
CREATE TABLE recovery_codes (
  user_id   uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  code_hmac bytea NOT NULL,
  PRIMARY KEY (user_id, code_hmac)
);

-- Who has shown the first factor and owes the second.
CREATE TABLE sign_ins (
  id         uuid PRIMARY KEY,
  user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  -- How they have authenticated so far (RFC 8176).
  methods    text[] NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX sign_ins_by_user ON sign_ins (user_id);

-- A challenge for a passkey to sign; it goes when it is answered.
CREATE TABLE passkey_ceremonies (
  id         uuid PRIMARY KEY,
  purpose    text NOT NULL,
  tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
  -- Whose passkey it has to be; nobody's in particular where somebody logs in with nothing else.
  user_id    uuid REFERENCES users ON DELETE CASCADE,
  sign_in_id uuid REFERENCES sign_ins ON DELETE CASCADE,
  challenge  bytea NOT NULL,
  expires_at timestamptz NOT NULL
);

-- How and when whoever holds a session has authenticated. Older ones: at login, in a way that is not known.
ALTER TABLE sessions ADD COLUMN methods text[] NOT NULL DEFAULT '{}', ADD COLUMN authenticated_at timestamptz;
