-- What RFC 7591 and OpenID Registration say of a client and has no column, by the names it has there.
ALTER TABLE clients ADD COLUMN metadata jsonb NOT NULL DEFAULT '{}';

-- The secret before the last rotation, and until when it is good too.
ALTER TABLE clients ADD COLUMN former_secret_hash bytea;
ALTER TABLE clients ADD COLUMN former_secret_until timestamptz;

-- Pages of a tenant's clients, by client id.
CREATE INDEX clients_of_tenant_by_client_id ON clients (tenant_id, client_id);
