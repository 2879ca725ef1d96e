/**
 * Emails: accepting messages and keeping their history.
 *
 * This folder owns the tables `emails`, `email_recipients`, `email_bodies`, `email_attachments`, `email_events` and
 * `email_queue`. It leaves to `delivery/` to bring each recipient to an end. This file holds the words that both and
 * their callers share.
 */
import type { TemplateUse } from '../templates/renderer.ts';
import type { RenderedText } from '../templates/template.ts';
import type { NewAttachment } from './attachments.ts';

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
  /** A UUIDv7, where something was stored under it before. */
  id?: string;
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
  attachments?: NewAttachment[];
  headers?: Record<string, string>;
  tags?: Tag[];
  metadata?: Record<string, unknown>;
  lane: Lane;
  scheduledAt?: Date;
  expiresAt?: Date;
  onUncertain?: OnUncertain;
  /** What subject, text and html are made of before the letter is accepted. */
  template?: TemplateUse;
  /** What history shows in place of subject, text and html, which are sealed until the letter has ended. */
  redacted?: RenderedText;
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
