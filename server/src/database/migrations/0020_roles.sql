-- Roles of a tenant: names for scopes that users have together.
--
-- A revision stands for one state of something that gives rights. Tokens name the revisions they were made from, so
-- that revoking one ends every token that was, however many users and sessions there are.
CREATE SEQUENCE rights_revisions;

CREATE TABLE roles (
  tenant_id   uuid NOT NULL REFERENCES tenants,
  name        text NOT NULL,
  scopes      text[] NOT NULL,
  description text,
  revision    text NOT NULL DEFAULT 'r' || nextval('rights_revisions'),
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, name)
);

CREATE TABLE user_roles (
  user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
  tenant_id  uuid NOT NULL,
  role       text NOT NULL,
  revision   text NOT NULL DEFAULT 'r' || nextval('rights_revisions'),
  granted_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, role),
  FOREIGN KEY (tenant_id, role) REFERENCES roles ON DELETE CASCADE
);
CREATE INDEX user_roles_by_role ON user_roles (tenant_id, role);

-- What every user's own session may do; null is basic and email.
ALTER TABLE tenants ADD COLUMN user_scopes text[];
ALTER TABLE tenants ADD COLUMN user_scopes_revision text NOT NULL DEFAULT 'r' || nextval('rights_revisions');

-- What whoever accepts is to have.
ALTER TABLE invitations ADD COLUMN roles text[] NOT NULL DEFAULT '{}';
