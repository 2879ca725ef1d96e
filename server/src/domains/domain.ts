/**
 * Domains: from which addresses a tenant may send, and the DKIM keys that sign its letters. This folder owns the tables
 * `domains` and `dkim_keys`, and what is looked up in the DNS about them. Whoever accepts letters asks it which domains
 * a tenant has proved to own, whoever sends them for the keys.
 *
 * Two tenants may both have a domain, where each has proved it by a token of its own; their selectors differ.
 */

export type DkimAlgorithm = 'rsa' | 'ed25519';

export interface DomainKey {
  selector: string;
  algorithm: DkimAlgorithm;
  /** In base64, as the record's `p=` has it. */
  publicKey: string;
  createdAt: Date;
  /** Since when its record was seen. */
  publishedAt: Date | null;
  retiredAt: Date | null;
}

export type FindingStatus = 'ok' | 'missing' | 'wrong' | 'unreachable';

/** What the DNS had for a record. */
export interface Finding {
  status: FindingStatus;
  found: string[];
}

export interface Domain {
  id: string;
  tenantId: string;
  /** In lower-case A-labels. */
  domain: string;
  token: string;
  createdAt: Date;
  verifiedAt: Date | null;
  checkedAt: Date | null;
  /** Of the last check, by the record's key. */
  findings: Record<string, Finding>;
  /** Newest first. */
  keys: DomainKey[];
}
