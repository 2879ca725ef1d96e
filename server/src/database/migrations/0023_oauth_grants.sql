-- What users have let clients do, asked once and remembered.
CREATE TABLE oauth_consents (
  user_id   uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  client_id uuid NOT NULL REFERENCES clients ON DELETE CASCADE,
  scopes    text[] NOT NULL,
  claims    text[] NOT NULL,
  resources text[] NOT NULL,
  given_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, client_id)
);
CREATE INDEX oauth_consents_by_client ON oauth_consents (client_id);

-- One sign-in of a user at a client: what its tokens may say, and the family of its refresh tokens.
CREATE TABLE oauth_grants (
  id              uuid PRIMARY KEY,
  user_id         uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  client_id       uuid NOT NULL REFERENCES clients ON DELETE CASCADE,
  -- The browser session that it ends with; NULL where it goes on without the user (offline_access).
  session_id      uuid REFERENCES sessions ON DELETE CASCADE,
  granted         jsonb NOT NULL,
  refresh_token   jsonb,
  refresh_counter integer NOT NULL DEFAULT 0,
  refreshed_at    timestamptz NOT NULL DEFAULT now(),
  created_at      timestamptz NOT NULL DEFAULT now(),
  expires_at      timestamptz NOT NULL,
  revoked_at      timestamptz
);
CREATE INDEX oauth_grants_by_user ON oauth_grants (user_id, client_id);
CREATE INDEX oauth_grants_by_client ON oauth_grants (client_id);
CREATE INDEX oauth_grants_by_session ON oauth_grants (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX oauth_grants_by_end ON oauth_grants (expires_at);

-- What waits between two requests of a flow: codes, device codes, pushed requests, interactions. Whoever holds the row's
-- name can go on with the flow, so that only its HMAC is kept, and the rest is sealed.
CREATE TABLE oauth_artifacts (
  kind           text NOT NULL,
  id_hash        bytea NOT NULL,
  payload        bytea NOT NULL,
  user_code_hash bytea UNIQUE,
  consumed_at    timestamptz,
  expires_at     timestamptz NOT NULL,
  PRIMARY KEY (kind, id_hash)
);
CREATE INDEX oauth_artifacts_by_end ON oauth_artifacts (expires_at);
