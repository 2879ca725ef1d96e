/** The shapes of the webhook calls: validation, types and OpenAPI in one. */
import { type Static, Type } from 'typebox';
import type { DeliveryRow, TryRow } from './delivery-store.ts';
import { type WebhookEventType, webhookEventTypes } from './events.ts';
import { type DeliveryStatus, deliveryStatuses, type Webhook } from './webhook.ts';

const closed = { additionalProperties: false } as const;
const NullableText = Type.Unsafe<string | null>({ type: ['string', 'null'] });
const NullableTime = Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' });
const Id = Type.String({ format: 'uuid' });

const Url = Type.String({
  maxLength: 2_000,
  description: 'HTTPS, of a host on the Internet; redirects are not followed',
  examples: ['https://example.com/postern'],
});
const EventType = Type.Unsafe<WebhookEventType>({ type: 'string', enum: [...webhookEventTypes] });
const Events = Type.Union([Type.Array(EventType, { minItems: 1, maxItems: 100 }), Type.Null()], {
  description: 'What it is told of; null, or absent when it is made, for everything, also what later versions add',
});
const Description = Type.Union([Type.String({ maxLength: 500 }), Type.Null()]);

export const NewWebhookBody = Type.Object(
  { url: Url, events: Type.Optional(Events), description: Type.Optional(Description) },
  closed,
);
export const WebhookPatch = Type.Object(
  {
    url: Type.Optional(Url),
    events: Type.Optional(Events),
    description: Type.Optional(Description),
    enabled: Type.Optional(
      Type.Boolean({ description: '`false` ends what waits for it; while disabled it misses what happens' }),
    ),
  },
  { ...closed, minProperties: 1 },
);
export const RotateBody = Type.Object(
  {
    overlap_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 604_800,
        default: 86_400,
        description: 'How long the secret so far signs too, beside the new one',
      }),
    ),
  },
  closed,
);
export const RedeliverBody = Type.Object(
  { since: Type.String({ maxLength: 64, description: 'RFC 3339 with offset', examples: ['2030-01-31T09:00:00Z'] }) },
  closed,
);

const webhookFields = {
  id: Id,
  url: Type.String(),
  events: Type.Unsafe<string[] | null>({ type: ['array', 'null'], items: { type: 'string' } }),
  description: NullableText,
  enabled: Type.Boolean(),
  disabled_at: NullableTime,
  disabled_reason: Type.Unsafe<Webhook['disabledReason']>({
    ...NullableText,
    description: '`manual`, `gone` (it answered 410) or `failing` (it took nothing for 5 days)',
  }),
  failures: Type.Integer({ description: 'Tries that failed in a row' }),
  failing_since: NullableTime,
  paused_until: Type.Unsafe<string | null>({
    ...NullableTime,
    description: 'Until when nothing is tried, after 5 failures in a row or because it asked for it',
  }),
  former_secret_until: Type.Unsafe<string | null>({
    ...NullableTime,
    description: 'Until when the secret before the last rotation signs too',
  }),
  created_at: Type.String({ format: 'date-time' }),
};
export const WebhookAnswer = Type.Object(webhookFields);
export const WebhookWithSecret = Type.Object({
  ...webhookFields,
  secret: Type.String({ description: 'Begins with `whsec_`; shown here and never again' }),
});

const deliveryFields = {
  id: Type.Unsafe<string>({ ...Id, description: 'The header `webhook-id` of every try' }),
  type: Type.String({ examples: ['email.sent'] }),
  timestamp: Type.String({ format: 'date-time', description: 'When it happened' }),
  status: Type.Unsafe<DeliveryStatus>({ type: 'string', enum: [...deliveryStatuses] }),
  attempts: Type.Integer(),
  email_id: NullableText,
  user_id: NullableText,
  next_attempt_at: NullableTime,
  ended_at: NullableTime,
};
const Outcome = {
  status_code: Type.Unsafe<number | null>({ type: ['integer', 'null'] }),
  error: Type.Unsafe<string | null>({ ...NullableText, description: 'Why there was no answer' }),
};
export const DeliveryAnswer = Type.Object({
  ...deliveryFields,
  last_try: Type.Unsafe<{ status_code: number | null; error: string | null } | null>({
    type: ['object', 'null'],
    properties: Outcome,
  }),
});
export const DeliveryDetail = Type.Object({
  ...deliveryFields,
  payload: Type.Unsafe<object>({
    type: 'object',
    additionalProperties: true,
    description: 'What is sent, as it would be sent now',
  }),
  tries: Type.Array(
    Type.Object({
      at: Type.String({ format: 'date-time' }),
      milliseconds: Type.Integer(),
      ...Outcome,
      response: Type.Unsafe<string | null>({ ...NullableText, description: 'How the answer begins, at most 1 KiB' }),
    }),
    { description: 'Oldest first' },
  ),
});
export const Queued = Type.Object({ id: Id, status: Type.Literal('pending') });
export const RequeuedMany = Type.Object({ count: Type.Integer(), has_more: Type.Boolean() });

const limit = Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 }));
const after = Type.Optional(
  Type.String({ format: 'uuid', maxLength: 36, description: 'The last `id` of the page before' }),
);
export const ListQuery = Type.Object({ limit, after }, closed);
export const DeliveriesQuery = Type.Object(
  {
    status: Type.Optional(Type.Unsafe<DeliveryStatus>({ type: 'string', enum: [...deliveryStatuses] })),
    limit,
    after,
  },
  closed,
);
export const ById = Type.Object({ id: Type.String() });
export const ByDelivery = Type.Object({ id: Type.String(), delivery: Type.String() });

const time = (at: Date | null) => at?.toISOString() ?? null;

export function shownWebhook(webhook: Webhook): Static<typeof WebhookAnswer> {
  return {
    id: webhook.id,
    url: webhook.url,
    events: webhook.events,
    description: webhook.description,
    enabled: webhook.disabledAt === null,
    disabled_at: time(webhook.disabledAt),
    disabled_reason: webhook.disabledReason,
    failures: webhook.failures,
    failing_since: time(webhook.failingSince),
    paused_until: time(webhook.restUntil),
    former_secret_until: time(webhook.formerSecretUntil),
    created_at: webhook.createdAt.toISOString(),
  };
}

function shownFields(row: DeliveryRow) {
  return {
    id: row.id,
    type: row.type,
    timestamp: row.at.toISOString(),
    status: row.status,
    attempts: row.attempts,
    email_id: row.email_id,
    user_id: row.user_id,
    next_attempt_at: time(row.next_attempt_at),
    ended_at: time(row.ended_at),
  };
}

export function shownDelivery(row: DeliveryRow): Static<typeof DeliveryAnswer> {
  const { attempts, last_status_code: status_code, last_error: error } = row;
  return { ...shownFields(row), last_try: attempts === 0 ? null : { status_code, error } };
}

export function shownDetail(row: DeliveryRow, payload: object, tries: TryRow[]): Static<typeof DeliveryDetail> {
  return { ...shownFields(row), payload, tries: tries.map((one) => ({ ...one, at: one.at.toISOString() })) };
}
