/** The shapes of the mail calls: validation, types and OpenAPI in one. */
import { type Static, Type } from 'typebox';
import { TemplateField } from '../templates/schemas.ts';
import { type EmailStatus, emailStatuses } from './email.ts';

const closed = { additionalProperties: false } as const;

const Address = Type.String({ maxLength: 1_000, examples: ['"Ada Lovelace" <ada@example.com>'] });
// How many there may be is checked later: one limit spans three fields.
const Addresses = Type.Union([Address, Type.Array(Address)], {
  description:
    'One address or a list, each `a@b` or `Name <a@b>`; at most 50 recipients in `to`, `cc` and `bcc` together',
});
const Instant = Type.String({ maxLength: 64, description: 'RFC 3339 with offset', examples: ['2030-01-31T09:00:00Z'] });
const nullable = { type: ['string', 'null'] as ['string', 'null'] };

const Attachment = Type.Object(
  {
    filename: Type.String({ maxLength: 255, examples: ['invoice.pdf'] }),
    content: Type.String({ description: 'Base64 (RFC 4648 section 4): padded, without line breaks' }),
    content_type: Type.Optional(
      Type.String({ maxLength: 255, description: 'By the end of the filename when absent', examples: ['image/png'] }),
    ),
    content_id: Type.Optional(
      Type.String({ maxLength: 200, description: 'Makes it an inline image: `<img src="cid:logo">` in the HTML' }),
    ),
  },
  closed,
);

export const NewEmailBody = Type.Object(
  {
    from: Type.Optional(Address),
    to: Type.Optional(Addresses),
    cc: Type.Optional(Addresses),
    bcc: Type.Optional(Addresses),
    reply_to: Type.Optional(Addresses),
    subject: Type.Optional(Type.String({ description: 'Required unless there is a body', examples: ['Hello'] })),
    text: Type.Optional(Type.String({ examples: ['Hello from Postern.'] })),
    body: Type.Optional(Type.String({ description: 'Another name of `text`' })),
    html: Type.Optional(Type.String()),
    attachments: Type.Optional(Type.Array(Attachment, { description: 'The whole email, decoded, is at most 25 MiB' })),
    template: Type.Optional(TemplateField),
    headers: Type.Optional(
      Type.Record(Type.String(), Type.String(), { maxProperties: 100, description: 'Headers of your own' }),
    ),
    tags: Type.Optional(
      Type.Array(Type.Object({ name: Type.String(), value: Type.String() }, closed), { maxItems: 50 }),
    ),
    metadata: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'Any JSON object up to 16 KiB, returned with the email',
      }),
    ),
    scheduled_at: Type.Optional(Instant),
    expires_at: Type.Optional(Instant),
    lane: Type.Optional(
      Type.Union([Type.Literal('transactional'), Type.Literal('bulk')], { default: 'transactional' }),
    ),
    on_uncertain: Type.Optional(
      Type.Union([Type.Literal('retry'), Type.Literal('hold')], {
        default: 'retry',
        description:
          'What happens when the connection is lost after the whole letter was handed over and before the reply: ' +
          'send again (a rare duplicate with the same Message-ID), or hold it with the status `uncertain`',
      }),
    ),
  },
  closed,
);
export type NewEmailBody = Static<typeof NewEmailBody>;

export const Submitted = Type.Object({
  id: Type.String({ format: 'uuid' }),
  status: Type.Union([Type.Literal('queued'), Type.Literal('scheduled')]),
  created_at: Type.String({ format: 'date-time' }),
});

/** B's call: the sender's address and name, the recipient's name and address. */
export const SendBody = Type.Object(
  {
    email: Type.Optional(Type.String({ maxLength: 1_000, description: "Sender's address; `MAIL_FROM` when absent" })),
    name: Type.Optional(Type.String({ description: "Sender's name" })),
    to_name: Type.Optional(Type.String({ description: "Recipient's name" })),
    to_email: Type.String({ maxLength: 1_000, description: "Recipient's address" }),
    subject: Type.String(),
    html: Type.Optional(Type.String()),
    text: Type.Optional(Type.String()),
  },
  closed,
);
export type SendBody = Static<typeof SendBody>;

// Items are checked one by one, so that a bad one is refused alone; here they are only documented.
const BatchItem = Type.Unsafe<unknown>({ description: 'As the body of `POST /emails`' });
// How many there may be is said by an error of its own.
const BatchItems = Type.Array(BatchItem, { minItems: 1, description: 'At most 500' });
export const BatchBody = Type.Union([Type.Object({ emails: BatchItems }, closed), BatchItems]);

export const BatchAnswer = Type.Object({
  data: Type.Array(
    Type.Object({
      id: Type.Optional(Type.String({ format: 'uuid' })),
      status: Type.Optional(Type.String()),
      created_at: Type.Optional(Type.String({ format: 'date-time' })),
      error: Type.Optional(
        Type.Object({
          code: Type.String(),
          title: Type.String(),
          detail: Type.Optional(Type.String()),
          errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
        }),
      ),
    }),
    { description: 'In the order of the request: accepted (`id`, `status`, `created_at`) or refused (`error`)' },
  ),
});

export const AttachmentId = Type.Object({
  id: Type.String(),
  position: Type.String({ description: 'From 0, as `GET /emails/{id}` lists them' }),
});
export const EmailId = Type.Object({ id: Type.String() });

const Status = Type.Unsafe<EmailStatus>({ type: 'string', enum: [...emailStatuses] });

export const ListQuery = Type.Object(
  {
    status: Type.Optional(Status),
    to: Type.Optional(Type.String({ maxLength: 1_000, description: "A recipient's address" })),
    tag: Type.Optional(Type.String({ maxLength: 512, description: '`name` or `name:value`' })),
    created_after: Type.Optional(
      Type.String({ format: 'date-time', maxLength: 64, description: 'Accepted at this instant or later' }),
    ),
    created_before: Type.Optional(
      Type.String({ format: 'date-time', maxLength: 64, description: 'Accepted before this instant' }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(Type.String({ format: 'uuid', description: 'The `id` of the last email of the page before' })),
  },
  closed,
);

const TagList = Type.Array(Type.Object({ name: Type.String(), value: Type.String() }));

const summary = {
  id: Type.String({ format: 'uuid' }),
  status: Status,
  from: Type.String(),
  to: Type.Array(Type.String()),
  cc: Type.Array(Type.String()),
  bcc: Type.Array(Type.String()),
  subject: Type.String(),
  tags: TagList,
  lane: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
  scheduled_at: Type.Unsafe<string | null>(nullable),
  expires_at: Type.Unsafe<string | null>(nullable),
};

export const EmailList = Type.Object({
  data: Type.Array(Type.Object(summary), { description: 'Newest first' }),
  has_more: Type.Boolean(),
});
export type EmailSummary = Static<typeof EmailList>['data'][number];

const Reply = Type.Object({
  code: Type.Unsafe<number | null>({ type: ['integer', 'null'], description: 'Null when no server answered' }),
  enhanced: Type.Unsafe<string | null>({ ...nullable, description: 'RFC 3463, e.g. `5.1.1`' }),
  text: Type.String(),
});

export const EmailDetail = Type.Object({
  ...summary,
  reply_to: Type.Array(Type.String()),
  attachments: Type.Array(
    Type.Object({
      position: Type.Integer(),
      filename: Type.String(),
      content_type: Type.String(),
      content_id: Type.Unsafe<string | null>(nullable),
      size: Type.Integer({ description: 'In octets' }),
    }),
    { description: '`GET /emails/{id}/attachments/{position}` gives what one holds' },
  ),
  text: Type.Unsafe<string | null>(nullable),
  html: Type.Unsafe<string | null>(nullable),
  headers: Type.Record(Type.String(), Type.String()),
  metadata: Type.Record(Type.String(), Type.Unknown()),
  message_id: Type.String(),
  on_uncertain: Type.String(),
  recipients: Type.Array(
    Type.Object({
      address: Type.String(),
      kind: Type.String({ description: '`to`, `cc` or `bcc`' }),
      status: Status,
      attempts: Type.Integer(),
      last_reply: Type.Union([Reply, Type.Null()]),
      next_attempt_at: Type.Unsafe<string | null>(nullable),
    }),
  ),
  events: Type.Array(
    Type.Object({
      type: Type.String(),
      at: Type.String({ format: 'date-time' }),
      recipient: Type.Optional(Type.String()),
      data: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    }),
    { description: 'Oldest first' },
  ),
});
export type EmailDetail = Static<typeof EmailDetail>;
