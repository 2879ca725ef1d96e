-- Claims go from tenant to tenant within a lane: one descent into this index finds the next tenant and since when it has
-- work. Who is oldest across tenants is nobody's question any more.
CREATE INDEX email_queue_turns ON email_queue (lane, tenant_id, run_at);
DROP INDEX email_queue_due;

ALTER TABLE email_queue
  -- What a letter counts for where tenants share: its recipients, and more where it is large.
  ADD COLUMN cost smallint NOT NULL DEFAULT 1 CHECK (cost > 0),
  -- A broker was given its id: due, for whoever receives it, and due for all once run_at has come.
  ADD COLUMN is_offered boolean NOT NULL DEFAULT false;

-- Who this is, for names in places that several Posterns may share: queues of a broker.
CREATE TABLE installation (
  id      uuid PRIMARY KEY,
  is_only boolean NOT NULL UNIQUE DEFAULT true CHECK (is_only)
);
INSERT INTO installation (id) VALUES (gen_random_uuid());
