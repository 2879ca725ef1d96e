/**
 * Webhooks: telling a tenant's own programs over HTTP what happens to its letters and users, in the format of Standard
 * Webhooks (https://www.standardwebhooks.com). This folder owns the tables `webhooks` (endpoints), `webhook_deliveries`
 * (an event for an endpoint), `webhook_queue` (those not at their end) and `webhook_tries`: managing endpoints, signing,
 * delivering in a lane of its own, and keeping calls away from private networks. When something happens it leaves to
 * `emails/` and `audit/`, which put the SQL of `events.ts` into their own statements.
 */

export type DisabledReason = 'manual' | 'gone' | 'failing';

/** An endpoint, without its secret. */
export interface Webhook {
  id: string;
  tenantId: string;
  url: string;
  /** Null for all. */
  events: string[] | null;
  description: string | null;
  disabledAt: Date | null;
  disabledReason: DisabledReason | null;
  /** Tries that failed in a row. */
  failures: number;
  failingSince: Date | null;
  /** Until when nothing is tried, after failures or because the endpoint asked for it. */
  restUntil: Date | null;
  /** Until when the secret before the last rotation signs too. */
  formerSecretUntil: Date | null;
  createdAt: Date;
}

export const deliveryStatuses = ['pending', 'delivered', 'failed'] as const;
export type DeliveryStatus = (typeof deliveryStatuses)[number];
