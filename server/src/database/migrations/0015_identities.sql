-- A user's account at an outside provider of OpenID Connect. Who it is says the provider, by its subject, and nothing else.
CREATE TABLE identities (
  id           uuid PRIMARY KEY,
  tenant_id    uuid NOT NULL REFERENCES tenants,
  user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  issuer       text NOT NULL,
  subject      text NOT NULL,
  -- As the provider said at the last sign-in; for people to recognise it.
  email        text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, issuer, subject)
);
CREATE INDEX identities_by_user ON identities (user_id);

-- Sign-ins that have come back, so that none comes back twice.
CREATE TABLE finished_sign_ins (
  state_hash bytea PRIMARY KEY,
  expires_at timestamptz NOT NULL
);

-- What a browser takes from here to the application, which trades it for tokens, once.
CREATE TABLE sign_in_codes (
  code_hmac  bytea PRIMARY KEY,
  user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  expires_at timestamptz NOT NULL
);
