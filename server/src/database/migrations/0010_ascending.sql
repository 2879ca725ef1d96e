-- Letters are added at the end of time. In an index that begins with the latest, each came before all others of its
-- tenant, so that pages were split in halves that nothing filled again; read backwards, this order serves as well.
DROP INDEX emails_by_tenant;
CREATE INDEX emails_by_tenant ON emails (tenant_id, id);
DROP INDEX emails_by_submitter;
CREATE INDEX emails_by_submitter ON emails (submitted_by, id) WHERE submitted_by IS NOT NULL;
DROP INDEX email_recipients_by_address;
CREATE INDEX email_recipients_by_address ON email_recipients (lower(address), email_id);
