-- Reading the audit log of one user, or for one kind of event.
CREATE INDEX audit_events_by_user ON audit_events (tenant_id, user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_events_by_type ON audit_events (tenant_id, type, id);
