-- Attachments and inline images. What they are stands with the body, where every reader of a letter looks anyway: letters
-- without any cost nothing for it. What they hold stands apart, in pieces, so that nobody needs the whole in memory.
ALTER TABLE email_bodies ADD COLUMN attachments jsonb;

CREATE TABLE email_attachments (
  email_id uuid NOT NULL,
  -- Of the attachment in its letter, and of the piece in its attachment, from 0.
  position smallint NOT NULL,
  chunk    smallint NOT NULL,
  data     bytea NOT NULL,
  PRIMARY KEY (email_id, position, chunk)
) PARTITION BY RANGE (email_id);
-- Most attachments are compressed by nature; trying again would only cost.
ALTER TABLE email_attachments ALTER COLUMN data SET STORAGE EXTERNAL;
SELECT create_partitions(3);

-- How many recipients a tenant may send to in a day (of UTC) and in a second. Null is as many as it likes.
ALTER TABLE tenants
  ADD COLUMN daily_quota integer CHECK (daily_quota > 0),
  ADD COLUMN per_second_quota integer CHECK (per_second_quota > 0);

-- How much of that is used. One row for each tenant that has a quota: its lock is what makes the count exact.
CREATE TABLE quota_usage (
  tenant_id  uuid PRIMARY KEY REFERENCES tenants,
  day        date NOT NULL,
  in_day     integer NOT NULL,
  second     timestamptz NOT NULL,
  in_second  integer NOT NULL
) WITH (fillfactor = 50);
