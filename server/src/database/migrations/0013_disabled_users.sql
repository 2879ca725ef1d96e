-- Who is disabled cannot log in; everything about them stays as it is.
ALTER TABLE users ADD COLUMN disabled_at timestamptz;
