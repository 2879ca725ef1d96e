-- Beside the EC key, which signs access tokens, each row holds an RSA key for ID tokens. Null where a version that knows
-- of none, running beside this one, has made the row; this one then gives it one.
ALTER TABLE signing_keys ADD COLUMN rsa_public_jwk jsonb, ADD COLUMN rsa_private_sealed bytea;
