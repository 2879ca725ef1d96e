/** What an endpoint is told: `{"type","timestamp","data"}`, as Standard Webhooks has it. */

/** An event with what is known about its letter or user now. */
export interface EventRow {
  type: string;
  at: Date;
  tenant_slug: string;
  email_id: string | null;
  recipient: string | null;
  user_id: string | null;
  data: Record<string, unknown> | null;
  /** Of the letter; null where its history has been purged. */
  message_id: string | null;
  tags: unknown[] | null;
  metadata: Record<string, unknown> | null;
  /** Null where the user has been deleted. */
  user: { email: string | null; username: string | null; name: string | null; profile_image_url: string | null } | null;
  user_verified_at: Date | null;
  user_created_at: Date | null;
}

export interface Payload {
  type: string;
  timestamp: string;
  data: Record<string, unknown>;
}

export function payloadOf(event: EventRow): Payload {
  return { type: event.type, timestamp: event.at.toISOString(), data: dataOf(event) };
}

function dataOf(event: EventRow): Record<string, unknown> {
  if (event.email_id !== null) return emailData(event);
  if (event.user_id !== null) return userData(event);
  const { webhook, invitation, ...rest } = event.data ?? {};
  const about = invitation === undefined ? { webhook_id: webhook } : { invitation_id: invitation };
  return { ...about, server: event.tenant_slug, ...rest };
}

/** Neither subject nor body: they may hold what only the recipient should read. */
function emailData(event: EventRow): Record<string, unknown> {
  const { code, enhanced, text, ...rest } = event.data ?? {};
  const hasReply = code !== undefined || enhanced !== undefined || text !== undefined;
  return {
    email_id: event.email_id,
    message_id: event.message_id,
    server: event.tenant_slug,
    // An event of the whole letter names none.
    ...(event.recipient === null ? {} : { recipient: event.recipient }),
    ...statusOf(event),
    ...(hasReply ? { reply: { code: code ?? null, enhanced: enhanced ?? null, text: text ?? null } } : {}),
    ...rest,
    tags: event.tags ?? [],
    metadata: event.metadata ?? {},
  };
}

/** The recipient's or letter's status, in the words of the mail calls; that somebody unsubscribes changes none. */
function statusOf({ type, data }: EventRow): { status?: string } {
  if (type === 'email.unsubscribed') return {};
  if (data?.scheduled_at !== undefined) return { status: 'scheduled' };
  if (data?.next_attempt_at !== undefined || type === 'email.delivery_delayed') return { status: 'deferred' };
  return { status: type.slice('email.'.length) };
}

/** The User of the users' calls; of one who is deleted only who it was. */
function userData({ user, user_id, tenant_slug, user_verified_at, user_created_at }: EventRow) {
  if (user === null) return { uuid: user_id, server: tenant_slug };
  return {
    uuid: user_id,
    ...user,
    email_verified: user_verified_at !== null,
    server: tenant_slug,
    created_at: user_created_at?.toISOString(),
  };
}
