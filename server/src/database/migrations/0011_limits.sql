-- How much has been tried of late, by a hash of what and whose. What is owed is paid off by time alone. Not logged: it
-- costs no write to the disk, and a crash forgives a few tries.
CREATE UNLOGGED TABLE limits (
  key     text PRIMARY KEY,
  paid_at timestamptz NOT NULL
) WITH (fillfactor = 50);
