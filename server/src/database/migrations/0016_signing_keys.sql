-- A signing key is published first (next), then signs (current), then is published for as long as its tokens live (retired).
ALTER TABLE signing_keys ADD COLUMN activated_at timestamptz;
UPDATE signing_keys SET activated_at = created_at;
ALTER TABLE signing_keys ADD COLUMN state text NOT NULL GENERATED ALWAYS AS (
  CASE WHEN retired_at IS NOT NULL THEN 'retired' WHEN activated_at IS NOT NULL THEN 'current' ELSE 'next' END) STORED;
CREATE UNIQUE INDEX signing_keys_one_of_a_kind ON signing_keys (state) WHERE state <> 'retired';
