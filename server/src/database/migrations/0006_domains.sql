-- Domains that tenants send from, and the keys that sign their letters.

CREATE TABLE domains (
  id          uuid PRIMARY KEY,
  tenant_id   uuid NOT NULL REFERENCES tenants,
  -- Lower-case A-labels.
  domain      text COLLATE "C" NOT NULL,
  -- What the TXT record that proves ownership holds. Each tenant has its own, so that one's proof is no other's.
  token       text NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  verified_at timestamptz,
  checked_at  timestamptz,
  -- What the last look at the DNS has found, by the name and purpose of the record.
  findings    jsonb,
  UNIQUE (tenant_id, domain)
);

CREATE TABLE dkim_keys (
  domain_id      uuid NOT NULL REFERENCES domains ON DELETE CASCADE,
  selector       text NOT NULL,
  algorithm      text NOT NULL CHECK (algorithm IN ('rsa', 'ed25519')),
  -- As the record's `p=` has it.
  public_key     text NOT NULL,
  -- PKCS #8, sealed with SECRET_KEY; null once the key is retired.
  private_sealed bytea,
  created_at     timestamptz NOT NULL DEFAULT now(),
  -- Since when its record was seen in the DNS; only then does it sign.
  published_at   timestamptz,
  retired_at     timestamptz,
  PRIMARY KEY (domain_id, selector)
);

-- Who has unsubscribed gets no bulk mail, and still does not when the address is listed for another reason as well.
ALTER TABLE suppressions ADD COLUMN unsubscribed_at timestamptz;
UPDATE suppressions SET unsubscribed_at = created_at WHERE reason = 'unsubscribed';
