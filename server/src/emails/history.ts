/** What callers read: one letter with its recipients and timeline, and lists of letters. */
import type { Queryable } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import { normalizeEmail, parseAddress } from './address.ts';
import type { Attachment } from './attachments.ts';
import { seesWholeTenant } from './check-email.ts';
import { attachmentNotFound, emailNotFound } from './errors.ts';
import { findAttachment, findDetail, listEmails, type Scope } from './history-store.ts';
import type { EmailDetail, EmailSummary } from './schemas.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Which letters a caller may see: all of the tenant for mail administrators, else what it handed in itself. */
export function scopeOf(caller: Caller): Scope {
  return { tenantId: caller.tenantId, submittedBy: seesWholeTenant(caller) ? null : caller.name };
}

/** @throws emailNotFound, in the same words whether the id is malformed, absent, or someone else's (S41) */
export async function readEmail(db: Queryable, caller: Caller, id: string): Promise<EmailDetail> {
  const email = uuid.test(id) ? await findDetail(db, scopeOf(caller), id) : undefined;
  if (!email) throw missing();
  return email;
}

/** @throws attachmentNotFound, also where there is no such letter */
export async function describeAttachment(
  db: Queryable,
  caller: Caller,
  id: string,
  position: string,
): Promise<Attachment> {
  const isPlace = uuid.test(id) && /^\d{1,3}$/.test(position);
  const found = isPlace ? await findAttachment(db, scopeOf(caller), id, Number(position)) : undefined;
  if (!found) throw attachmentNotFound({ detail: 'No email of yours has this attachment.' });
  return found;
}

/** @throws emailNotFound as readEmail does */
export function checkId(id: string): string {
  if (!uuid.test(id)) throw missing();
  return id;
}

export function missing() {
  return emailNotFound({ detail: 'No email of yours has this id.' });
}

export interface ListFilter {
  status?: string;
  to?: string;
  tag?: string;
  limit?: number;
  after?: string;
  created_after?: string;
  created_before?: string;
}

export async function pageOfEmails(
  db: Queryable,
  caller: Caller,
  { status, to, tag, limit = 20, after, created_after: from, created_before: before }: ListFilter,
): Promise<{ data: EmailSummary[]; has_more: boolean }> {
  // No tag holds one, and PostgreSQL refuses to look.
  if (tag?.includes('\0')) return { data: [], has_more: false };
  const [name = '', ...value] = tag?.split(':') ?? [];
  const rows = await listEmails(db, {
    ...scopeOf(caller),
    status: status ?? null,
    to: to === undefined ? null : comparable(to),
    tag: tag === undefined ? null : [value.length === 0 ? { name } : { name, value: value.join(':') }],
    after: after ?? null,
    createdFrom: instant('created_after', from),
    createdBefore: instant('created_before', before),
    limit: limit + 1,
  });
  return { data: rows.slice(0, limit), has_more: rows.length > limit };
}

/** @throws invalidRequest */
function instant(path: string, text: string | undefined): Date | null {
  if (text === undefined) return null;
  const milliseconds = Date.parse(text);
  if (milliseconds >= 0 && milliseconds < Date.UTC(9999, 0)) return new Date(milliseconds);
  const message = 'must be an RFC 3339 instant with offset, e.g. 2030-01-31T09:00:00Z';
  throw invalidRequest({ detail: `In the query: ${path} ${message}.`, errors: [{ path, message }] });
}

/** In the form recipients are compared; what is no address matches none. */
function comparable(text: string): string {
  try {
    return normalizeEmail(parseAddress(text));
  } catch {
    return '';
  }
}
