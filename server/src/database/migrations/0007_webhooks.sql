-- Webhooks: endpoints, what is to be sent to them, and the log of tries.

-- A UUIDv7 of this moment, for rows that a statement makes by itself.
CREATE FUNCTION new_uuid7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(
    set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
      PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

-- Endpoints. The secrets are sealed with SECRET_KEY; after a rotation the former one signs too until its time is over.
CREATE TABLE webhooks (
  id                   uuid PRIMARY KEY,
  tenant_id            uuid NOT NULL REFERENCES tenants,
  url                  text NOT NULL,
  -- Types of events, or null for all.
  events               text[],
  description          text,
  secret_sealed        bytea NOT NULL,
  former_secret_sealed bytea,
  former_secret_until  timestamptz,
  disabled_at          timestamptz,
  disabled_reason      text CHECK (disabled_reason IN ('manual', 'gone', 'failing')),
  -- The circuit: tries that failed in a row, since when, how often it has rested since, and until when it rests now.
  failures             integer NOT NULL DEFAULT 0,
  failing_since        timestamptz,
  rests                integer NOT NULL DEFAULT 0,
  rest_until           timestamptz,
  created_at           timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX webhooks_by_tenant ON webhooks (tenant_id, id);

-- One event for one endpoint. It says what happened to which letter or user; what else the endpoint is told about them
-- is read when it is sent, so that nothing of a deleted person lies here.
CREATE TABLE webhook_deliveries (
  -- The same for every try: the header `webhook-id`.
  id         uuid NOT NULL,
  webhook_id uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  type       text NOT NULL,
  at         timestamptz NOT NULL,
  email_id   uuid,
  recipient  text,
  user_id    uuid,
  data       jsonb,
  status     text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
  attempts   integer NOT NULL DEFAULT 0,
  ended_at   timestamptz,
  PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, id DESC);
CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (webhook_id, status, id DESC);
CREATE INDEX webhook_deliveries_by_recipient ON webhook_deliveries (tenant_id, lower(recipient))
  WHERE recipient IS NOT NULL;

CREATE TABLE webhook_tries (
  delivery_id  uuid NOT NULL,
  id           uuid NOT NULL,
  at           timestamptz NOT NULL,
  milliseconds integer NOT NULL,
  -- Null where there was no answer; then the error says why.
  status_code  smallint,
  error        text,
  -- How the answer's body begins.
  response     text,
  PRIMARY KEY (delivery_id, id)
) PARTITION BY RANGE (delivery_id);

-- Deliveries not at their end, and nothing else, as email_queue: a claim moves run_at to the end of its lease.
CREATE TABLE webhook_queue (
  delivery_id uuid PRIMARY KEY,
  webhook_id  uuid NOT NULL,
  run_at      timestamptz NOT NULL,
  -- Tries since it was put here: input of the schedule.
  attempts    integer NOT NULL DEFAULT 0,
  lease_token uuid
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX webhook_queue_due ON webhook_queue (webhook_id, run_at, delivery_id);
CREATE INDEX webhook_queue_leased ON webhook_queue (webhook_id) WHERE lease_token IS NOT NULL;

SELECT create_partitions(3);
