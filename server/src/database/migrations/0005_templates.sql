-- Templates of letters, and every version of them.

CREATE TABLE templates (
  id           uuid PRIMARY KEY,
  tenant_id    uuid NOT NULL REFERENCES tenants,
  name         text NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('letter', 'layout')),
  description  text,
  -- Of the newest version, which is the one that is sent.
  version      integer NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (tenant_id, name)
);

-- A row is never changed, but that a deleted layout goes from old versions too.
CREATE TABLE template_versions (
  id           uuid PRIMARY KEY,
  template_id  uuid NOT NULL REFERENCES templates ON DELETE CASCADE,
  version      integer NOT NULL,
  -- Whichever version the layout has when a letter is rendered.
  layout_id    uuid REFERENCES templates ON DELETE SET NULL,
  -- json keeps the order in which the author wrote languages and variables.
  definition   json NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  created_by   text,
  UNIQUE (template_id, version)
);
CREATE INDEX template_versions_layout ON template_versions (layout_id) WHERE layout_id IS NOT NULL;
