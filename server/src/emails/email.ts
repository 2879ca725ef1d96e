/**
 * Emails: accepting messages, keeping their history, and bringing each recipient to an end.
 *
 * This folder owns the tables `emails`, `email_recipients`, `email_bodies`, `email_events` and `email_queue`. It leaves to
 * `queue/` how the id of a due letter reaches a worker, and to `transport/` how a letter leaves the machine. This file
 * holds the words that the folder and its callers share.
 */

/** One address as it goes into RCPT TO (domain in lower-case A-labels), and the name beside it. */
export interface Mailbox {
  address: string;
  name?: string;
}

/** How urgent: `otp` is for codes and links of Postern's own. */
export type Lane = 'otp' | 'transactional' | 'bulk';

export interface Tag {
  name: string;
  value: string;
}

/** What happens when nobody can know whether the next hop took the letter. */
export type OnUncertain = 'retry' | 'hold';

export interface NewEmail {
  tenantId: string;
  /** The user this letter is about. */
  userId?: string;
  /** `user:<uuid>` or `client:<client_id>`; absent for Postern's own letters. */
  submittedBy?: string;
  from: Mailbox;
  to: Mailbox[];
  cc?: Mailbox[];
  bcc?: Mailbox[];
  replyTo?: Mailbox[];
  subject: string;
  text?: string;
  html?: string;
  headers?: Record<string, string>;
  tags?: Tag[];
  metadata?: Record<string, unknown>;
  lane: Lane;
  scheduledAt?: Date;
  expiresAt?: Date;
  onUncertain?: OnUncertain;
  /** Codes and tokens that must not stay in stored history: shown there as `•••`, sealed until the letter has ended. */
  confidential?: string[];
}

export interface SubmittedEmail {
  id: string;
  status: 'queued' | 'scheduled';
  createdAt: Date;
  /** With angle brackets. */
  messageId: string;
}

export const emailStatuses = [
  'scheduled',
  'queued',
  'sending',
  'sent',
  'delivered',
  'deferred',
  'bounced',
  'failed',
  'expired',
  'canceled',
  'suppressed',
  'complained',
  'uncertain',
] as const;
export type EmailStatus = (typeof emailStatuses)[number];
