-- Letters that are neither on their way nor sent, so that they are found by status without an index on the status: with one,
-- settling a letter would write every index of `emails` anew, for the sake of the few that did not go well. Rows are never
-- wrong to have: whoever reads them compares with the letter.
CREATE TABLE email_exceptions (
  tenant_id uuid NOT NULL,
  status    text NOT NULL,
  email_id  uuid NOT NULL,
  PRIMARY KEY (tenant_id, status, email_id)
) PARTITION BY RANGE (email_id);
SELECT create_partitions(3);

CREATE FUNCTION note_exception() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO email_exceptions (tenant_id, status, email_id) VALUES (NEW.tenant_id, NEW.status, NEW.id)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER note_exception AFTER INSERT OR UPDATE OF status ON emails
  FOR EACH ROW WHEN (NEW.status NOT IN ('scheduled', 'queued', 'deferred', 'sent')) EXECUTE FUNCTION note_exception();

INSERT INTO email_exceptions (tenant_id, status, email_id)
SELECT tenant_id, status, id FROM emails WHERE status NOT IN ('scheduled', 'queued', 'deferred', 'sent');
DROP INDEX emails_by_status;
