-- The first schema. Ids are UUIDv7: time-ordered, so they index well and carry their month.
-- Mail history is partitioned by month on that id and dropped by partition when retention ends.

CREATE TABLE tenants (
  id         uuid PRIMARY KEY,
  slug       text NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE users (
  id                  uuid PRIMARY KEY,
  tenant_id           uuid NOT NULL REFERENCES tenants,
  email               text,
  -- What uniqueness and look-ups compare: lower case, NFC, domain in A-labels.
  email_normalized    text,
  username            text,
  username_normalized text,
  name                text,
  profile_image_url   text,
  password_hash       text,
  -- Scopes beyond the ones every user session has (basic, email).
  scopes              text[] NOT NULL DEFAULT '{}',
  email_verified_at   timestamptz,
  created_at          timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, email_normalized),
  UNIQUE (tenant_id, username_normalized),
  CHECK (email IS NOT NULL OR username IS NOT NULL)
);
CREATE INDEX users_by_tenant ON users (tenant_id, id);

-- One proof in progress: a short code and a long link token, either of which completes it, once.
CREATE TABLE challenges (
  id               uuid PRIMARY KEY,
  tenant_id        uuid NOT NULL,
  user_id          uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  purpose          text NOT NULL,
  email_normalized text NOT NULL,
  code_hmac        bytea NOT NULL,
  link_hmac        bytea NOT NULL UNIQUE,
  tries            integer NOT NULL DEFAULT 0,
  created_at       timestamptz NOT NULL DEFAULT now(),
  code_expires_at  timestamptz NOT NULL,
  link_expires_at  timestamptz NOT NULL,
  consumed_at      timestamptz,
  superseded_at    timestamptz
);
CREATE INDEX challenges_by_user ON challenges (user_id, purpose, created_at DESC);

-- A change of address that waits for its confirmations; a newer one takes its place. It names its challenges, so that a
-- letter about one change confirms no other.
CREATE TABLE email_changes (
  user_id              uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
  tenant_id            uuid NOT NULL,
  email                text NOT NULL,
  email_normalized     text NOT NULL,
  new_challenge_id     uuid NOT NULL,
  new_confirmed_at     timestamptz,
  -- The verified address that has to agree, if there is one.
  old_email_normalized text,
  old_challenge_id     uuid,
  old_confirmed_at     timestamptz,
  created_at           timestamptz NOT NULL DEFAULT now()
);

-- How many codes went to an address, and how many wrong tries each met. Apart from challenges, so that deleting and
-- registering again resets neither. The id is the challenge's.
CREATE TABLE challenge_letters (
  id               uuid PRIMARY KEY,
  tenant_id        uuid NOT NULL,
  email_normalized text NOT NULL,
  tries            integer NOT NULL DEFAULT 0,
  sent_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX challenge_letters_by_address ON challenge_letters (tenant_id, email_normalized, sent_at DESC);

-- One login of one user on one device. The refresh token is arithmetic over (id, refresh_counter): no row per token.
CREATE TABLE sessions (
  id              uuid PRIMARY KEY,
  tenant_id       uuid NOT NULL,
  user_id         uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  refresh_counter integer NOT NULL DEFAULT 1,
  user_agent      text,
  ip              text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  refreshed_at    timestamptz NOT NULL DEFAULT now(),
  idle_expires_at timestamptz NOT NULL,
  expires_at      timestamptz NOT NULL,
  revoked_at      timestamptz
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- What every node must refuse although its signature is good: a session id, a client id or a token's jti.
-- A row may go when no token it names can still be unexpired.
CREATE TABLE revocations (
  subject    text PRIMARY KEY,
  revoked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz NOT NULL
);
CREATE INDEX revocations_by_time ON revocations (revoked_at);

CREATE TABLE signing_keys (
  kid            text PRIMARY KEY,
  alg            text NOT NULL,
  public_jwk     jsonb NOT NULL,
  private_sealed bytea NOT NULL,
  created_at     timestamptz NOT NULL DEFAULT now(),
  retired_at     timestamptz
);

CREATE TABLE clients (
  id            uuid PRIMARY KEY,
  client_id     text NOT NULL UNIQUE,
  tenant_id     uuid NOT NULL REFERENCES tenants,
  secret_hash   bytea,
  scopes        text[] NOT NULL,
  grants        text[] NOT NULL,
  redirect_uris text[] NOT NULL DEFAULT '{}',
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX clients_by_tenant ON clients (tenant_id, id);

-- Secrets of back ends. Of the key only its HMAC is kept, and how it begins.
CREATE TABLE api_keys (
  id           uuid PRIMARY KEY,
  tenant_id    uuid NOT NULL REFERENCES tenants,
  name         text NOT NULL,
  prefix       text NOT NULL,
  secret_hash  bytea NOT NULL UNIQUE,
  scopes       text[] NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  last_used_at timestamptz,
  revoked_at   timestamptz
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, id);

CREATE TABLE audit_events (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  type       text NOT NULL,
  actor      text,
  user_id    uuid,
  ip         text,
  data       jsonb,
  at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX audit_events_by_tenant ON audit_events (tenant_id, id DESC);

-- ---------------------------------------------------------------------------------------------------------- mail

CREATE TABLE emails (
  id           uuid NOT NULL,
  tenant_id    uuid NOT NULL,
  -- The user this letter is about (Postern's own letters), so that its fate can be shown there.
  user_id      uuid,
  -- Who handed it in: `user:<id>`, `client:<client_id>`, `key:<id>`, or null for Postern itself.
  submitted_by text,
  -- Fixed at acceptance, angle brackets included, so that a repeat can be recognised.
  message_id   text NOT NULL,
  mail_from    text NOT NULL,
  subject      text NOT NULL,
  lane         text NOT NULL,
  status       text NOT NULL,
  tags         jsonb,
  metadata     jsonb,
  on_uncertain text NOT NULL,
  created_at   timestamptz NOT NULL,
  scheduled_at timestamptz,
  expires_at   timestamptz,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX emails_by_tenant ON emails (tenant_id, id DESC);
CREATE INDEX emails_by_status ON emails (tenant_id, status, id DESC);
CREATE INDEX emails_by_user ON emails (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX emails_by_submitter ON emails (submitted_by, id DESC) WHERE submitted_by IS NOT NULL;
CREATE INDEX emails_by_tag ON emails USING gin (tags jsonb_path_ops) WHERE tags IS NOT NULL;

CREATE TABLE email_recipients (
  email_id        uuid NOT NULL,
  position        smallint NOT NULL,
  kind            text NOT NULL,
  -- As it goes into RCPT TO, and the name beside it.
  address         text NOT NULL,
  name            text,
  status          text NOT NULL,
  attempts        integer NOT NULL DEFAULT 0,
  reply_code      smallint,
  reply_enhanced  text,
  reply_text      text,
  next_attempt_at timestamptz,
  PRIMARY KEY (email_id, position)
) PARTITION BY RANGE (email_id);
CREATE INDEX email_recipients_by_address ON email_recipients (lower(address), email_id DESC);

-- Bodies stand apart from state, so that a status change rewrites a narrow row.
CREATE TABLE email_bodies (
  email_id    uuid NOT NULL,
  reply_to    text[],
  headers     jsonb,
  text_body   text,
  html_body   text,
  -- Whether subject, text and HTML are stored with codes and tokens struck out. The real ones are then sealed with
  -- SECRET_KEY below, and set to null once the letter has reached its end.
  redacted    boolean NOT NULL DEFAULT false,
  sealed      bytea,
  PRIMARY KEY (email_id)
) PARTITION BY RANGE (email_id);

CREATE TABLE email_events (
  email_id  uuid NOT NULL,
  id        uuid NOT NULL,
  type      text NOT NULL,
  at        timestamptz NOT NULL,
  recipient text,
  data      jsonb,
  PRIMARY KEY (email_id, id)
) PARTITION BY RANGE (email_id);

-- Narrow and hot: only unfinished work. Claiming moves run_at to the end of the lease, so one index serves both
-- "due" and "lease ran out", and a crashed worker's letters come back by themselves.
CREATE TABLE email_queue (
  email_id    uuid PRIMARY KEY,
  tenant_id   uuid NOT NULL,
  -- 0 otp, 1 transactional, 2 bulk
  lane        smallint NOT NULL,
  run_at      timestamptz NOT NULL,
  expires_at  timestamptz,
  -- Delivery attempts that ended with an outcome; input of the retry policy.
  attempts    integer NOT NULL DEFAULT 0,
  -- Claims since the last outcome; too many of them mean the letter kills its worker.
  claims      integer NOT NULL DEFAULT 0,
  lease_token uuid
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX email_queue_due ON email_queue (lane, run_at);

-- Addresses that a tenant sends nothing to.
CREATE TABLE suppressions (
  tenant_id          uuid NOT NULL,
  -- What recipients are compared with: lower case, of ASCII alone.
  address_normalized text COLLATE "C" NOT NULL,
  address            text NOT NULL,
  reason             text NOT NULL CHECK (reason IN ('bounced', 'manual', 'complained', 'unsubscribed')),
  -- The reply that refused it, or what whoever listed it has to say.
  detail             text,
  -- The letter it was listed over.
  email_id           uuid,
  created_at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, address_normalized)
);

-- What became of recipients, counted by the hour as it is written into history.
CREATE TABLE email_counters (
  tenant_id uuid NOT NULL,
  hour      timestamptz NOT NULL,
  -- A status of recipients.
  type      text NOT NULL,
  -- Of the connection that counted, so that concurrent writers do not wait for one row. Folded into 0 later.
  shard     smallint NOT NULL,
  count     bigint NOT NULL,
  PRIMARY KEY (tenant_id, hour, type, shard)
) WITH (fillfactor = 50);

CREATE TABLE idempotency_keys (
  tenant_id       uuid NOT NULL,
  key             text NOT NULL,
  request_hash    bytea NOT NULL,
  -- The first answer, sealed: it may hold tokens.
  response_sealed bytea NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);

CREATE TABLE inbox_messages (
  id          uuid PRIMARY KEY,
  mail_from   text NOT NULL,
  rcpt_to     text[] NOT NULL,
  subject     text,
  from_header text,
  text_body   text,
  html_body   text,
  raw         bytea NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------------------------------------------- partitions

-- The smallest UUIDv7 of an instant: 48 bits of Unix milliseconds, the rest zero.
CREATE FUNCTION uuid7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- Makes the monthly partitions from this month to `months` ahead. Called at every start and once a day.
CREATE FUNCTION create_partitions(months integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  parent text;
  month_start timestamptz;
  part text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['emails', 'email_recipients', 'email_bodies', 'email_events', 'audit_events'] LOOP
    FOR i IN -1..months LOOP
      month_start := date_trunc('month', now(), 'UTC') + make_interval(months => i);
      part := format('%s_%s', parent, to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM'));
      IF to_regclass(part) IS NULL THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, parent,
          uuid7_floor(month_start), uuid7_floor(date_trunc('month', now(), 'UTC') + make_interval(months => i + 1)));
      END IF;
    END LOOP;
  END LOOP;
END
$$;
SELECT create_partitions(3);
