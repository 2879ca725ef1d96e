-- What may be shown once: proofs of DPoP and assertions of clients, as hashes, each until it is too old to be shown. Not
-- logged: it costs no write to the disk, and a crash gives what was shown in the last minutes a second life until its time
-- is over.
CREATE UNLOGGED TABLE used_once (
  key        bytea PRIMARY KEY,
  expires_at timestamptz NOT NULL
);
