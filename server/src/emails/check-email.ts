/** Turns the body of a mail call into a letter that can be accepted as it is, or says which field is wrong (S43–S46). */
import type { VerifiedDomains } from '../domains/verified-domains.ts';
import { PosternError } from '../errors.ts';
import { type Caller, hasScope } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import type { Rendered } from '../templates/template.ts';
import { checkDisplayName, normalizeEmail, parseAddress, parseMailbox } from './address.ts';
import type { NewAttachment } from './attachments.ts';
import { checkAttachments } from './check-attachments.ts';
import type { Mailbox, NewEmail } from './email.ts';
import {
  emailTooLarge,
  expiredAlready,
  expiresTooEarly,
  invalidHeader,
  scheduleTooFar,
  senderNotAllowed,
  tooManyRecipients,
} from './errors.ts';
import { checkHeaders, checkLine, checkMetadata, checkTags, checkText } from './fields.ts';
import type { NewEmailBody, SendBody } from './schemas.ts';
import type { UploadedContents } from './upload/upload.ts';

export interface SenderRules {
  mailFrom: Mailbox;
  senderPolicy: 'any' | 'verified';
  /** Of the caller's tenant; read only where the policy asks for it. */
  verifiedDomains: ReadonlySet<string>;
}

export interface SenderWorld extends Omit<SenderRules, 'verifiedDomains'> {
  verifiedDomains: Pick<VerifiedDomains, 'of'>;
}

const none: ReadonlySet<string> = new Set();

export async function senderRules(
  { mailFrom, senderPolicy, verifiedDomains }: SenderWorld,
  { tenantId }: Caller,
): Promise<SenderRules> {
  const isAny = senderPolicy === 'any';
  return { mailFrom, senderPolicy, verifiedDomains: isAny ? none : await verifiedDomains.of(tenantId) };
}

const maxRecipients = 50;
/** Of the decoded contents, the bodies, the subject and the headers together. */
const maxBytes = 25 * 1024 * 1024;
const maxDaysAhead = 30;

/**
 * @param uploaded what was taken out of the body while it was read
 * @throws invalidRequest, or an error of errors.ts that says which limit the letter breaks
 */
export function checkEmail(
  rules: SenderRules,
  caller: Caller,
  body: NewEmailBody,
  uploaded: UploadedContents,
): NewEmail {
  const from = body.from === undefined ? rules.mailFrom : at('from', () => parseMailbox(body.from ?? ''));
  checkSender(rules, from);
  if (body.text !== undefined && body.body !== undefined)
    throw fault('body', 'is another name of text; give one of the two');
  const text = bodyText('text', body.text ?? body.body);
  const html = bodyText('html', body.html);
  const { template } = body;
  if (template) checkTemplateAlone(body);
  else if (text === undefined && html === undefined && body.subject === undefined) {
    throw fault('subject', 'is required where there is neither text nor html nor template');
  }
  const subject = at('subject', () => checkLine(body.subject ?? ''));
  const headers = body.headers && at('headers', () => checkHeaders(body.headers ?? {}), invalidHeader);
  const attachments = checkAttachments(body.attachments ?? [], uploaded);
  checkSize({ subject, text, html, headers, attachments });
  return {
    tenantId: caller.tenantId,
    submittedBy: caller.name,
    from,
    ...recipients(body),
    replyTo: replyTo(body),
    subject,
    ...(text === undefined ? {} : { text }),
    ...(html === undefined ? {} : { html }),
    ...(attachments.length === 0 ? {} : { attachments }),
    ...(template && { template }),
    ...(headers === undefined ? {} : { headers }),
    ...(body.tags === undefined ? {} : { tags: at('tags', () => checkTags(body.tags ?? [])) }),
    ...(body.metadata === undefined ? {} : { metadata: at('metadata', () => checkMetadata(body.metadata ?? {})) }),
    lane: body.lane ?? 'transactional',
    onUncertain: body.on_uncertain ?? 'retry',
    ...instants(body),
  };
}

/** A letter with the text its template gave it, or what is wrong with that. */
export function checkRendered(email: NewEmail, { subject, text, html, redacted }: Rendered): NewEmail | PosternError {
  try {
    const written = {
      subject: at('template', () => checkLine(subject)),
      ...(text === undefined ? {} : { text: at('template', () => checkText(text)) }),
      ...(html === undefined ? {} : { html: at('template', () => checkText(html)) }),
    };
    checkSize({ headers: email.headers, attachments: email.attachments ?? [], text, html, ...written });
    return { ...email, ...written, ...(redacted && { redacted }) };
  } catch (error) {
    if (error instanceof PosternError) return error;
    throw error;
  }
}

function checkTemplateAlone(body: NewEmailBody): void {
  const other = (['subject', 'text', 'body', 'html'] as const).find((name) => body[name] !== undefined);
  if (other) throw fault(other, 'is what the template says; leave it out, or leave "template" out');
}

/** B's body, as the same letter `POST /emails` would make of it. */
export function checkSend(rules: SenderRules, caller: Caller, body: SendBody): NewEmail {
  const mailbox = (path: string, address: string, name: string | undefined, namePath: string): Mailbox => {
    const parsed = { address: at(path, () => parseAddress(address)) };
    const trimmed = name === undefined ? '' : at(namePath, () => checkDisplayName(name));
    return trimmed === '' ? parsed : { ...parsed, name: trimmed };
  };
  const { email = rules.mailFrom.address, name = body.email === undefined ? rules.mailFrom.name : undefined } = body;
  const from = mailbox('email', email, name, 'name');
  checkSender(rules, from);
  const to = mailbox('to_email', body.to_email, body.to_name, 'to_name');
  const { subject, text, html } = body;
  const letter = checkEmail(
    { ...rules, mailFrom: from, senderPolicy: 'any' },
    caller,
    { to: to.address, subject, ...(text === undefined ? {} : { text }), ...(html === undefined ? {} : { html }) },
    new Map(),
  );
  return { ...letter, to: [to] };
}

/** Whether the caller may see and change every letter of the tenant. */
export function seesWholeTenant(caller: Caller): boolean {
  return hasScope(caller, 'mail:admin');
}

function checkSender({ mailFrom, senderPolicy, verifiedDomains }: SenderRules, { address }: Mailbox): void {
  if (senderPolicy === 'any' || normalizeEmail(address) === normalizeEmail(mailFrom.address)) return;
  const domain = address.slice(address.lastIndexOf('@') + 1);
  if (verifiedDomains.has(domain)) return;
  throw senderNotAllowed({
    detail:
      `With SENDER_POLICY=verified letters leave from ${mailFrom.address} or from verified domains, and ${domain} is ` +
      'none: verify it (POST /domains), leave "from" out, or use that address with a name of your own; "reply_to" may ' +
      'be any address.',
  });
}

/** Each address once: where it stands twice, the more visible place (to, then cc, then bcc) wins. */
function recipients(body: NewEmailBody): Pick<NewEmail, 'to' | 'cc' | 'bcc'> {
  const count = [body.to, body.cc, body.bcc].flat().filter((one) => one !== undefined).length;
  if (count === 0) throw fault('to', 'is required: a letter needs a recipient in to, cc or bcc');
  if (count > maxRecipients)
    throw fault('to', `and cc and bcc may hold ${maxRecipients} recipients together, not ${count}`, tooManyRecipients);
  const given = { to: mailboxes('to', body.to), cc: mailboxes('cc', body.cc), bcc: mailboxes('bcc', body.bcc) };
  if (count === 1) return given;
  const seen = new Set<string>();
  const isNew = ({ address }: Mailbox) => {
    const key = normalizeEmail(address);
    return !seen.has(key) && seen.add(key);
  };
  return { to: given.to.filter(isNew), cc: given.cc.filter(isNew), bcc: given.bcc.filter(isNew) };
}

function replyTo({ reply_to: given = [] }: NewEmailBody): Mailbox[] {
  if (given.length > maxRecipients && typeof given !== 'string') {
    throw fault('reply_to', `may hold ${maxRecipients} addresses, not ${given.length}`);
  }
  return mailboxes('reply_to', given);
}

function mailboxes(path: string, given: string | string[] | undefined): Mailbox[] {
  if (given === undefined) return [];
  if (typeof given === 'string') return [at(path, () => parseMailbox(given))];
  return given.map((one, index) => at(`${path}.${index}`, () => parseMailbox(one)));
}

function bodyText(path: string, given: string | undefined): string | undefined {
  return given === undefined ? undefined : at(path, () => checkText(given));
}

function checkSize({
  subject,
  text = '',
  html = '',
  headers = {},
  attachments,
}: {
  subject: string;
  text: string | undefined;
  html: string | undefined;
  headers: Record<string, string> | undefined;
  attachments: NewAttachment[];
}): void {
  const attached = attachments.reduce((sum, { size }) => sum + size, 0);
  // No character takes more than three octets in UTF-8, and the headers are few.
  if (attached + (subject.length + text.length + html.length) * 3 < maxBytes * 0.9) return;
  const written = [subject, text, html, ...Object.entries(headers).flat()];
  const bytes = written.reduce((sum, one) => sum + Buffer.byteLength(one), attached);
  if (bytes <= maxBytes) return;
  throw emailTooLarge({
    detail: `A whole email (subject, bodies, headers and attachments, decoded) is at most 25 MiB; this one has ${bytes} octets.`,
  });
}

function instants(body: NewEmailBody): Pick<NewEmail, 'scheduledAt' | 'expiresAt'> {
  const scheduledAt = instant('scheduled_at', body.scheduled_at);
  const expiresAt = instant('expires_at', body.expires_at);
  if (scheduledAt && scheduledAt.getTime() > Date.now() + maxDaysAhead * 86_400_000) {
    throw fault('scheduled_at', `is more than ${maxDaysAhead} days ahead`, scheduleTooFar);
  }
  if (expiresAt && expiresAt.getTime() <= Date.now()) throw fault('expires_at', 'is in the past', expiredAlready);
  if (expiresAt && scheduledAt && expiresAt <= scheduledAt) {
    throw fault('expires_at', 'is not after scheduled_at', expiresTooEarly);
  }
  return { ...(scheduledAt && { scheduledAt }), ...(expiresAt && { expiresAt }) };
}

// Date also reads 24:00 and, by its offset, the year 10000, which no RFC 3339 text can say again.
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;
const lastInstant = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

function instant(path: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const date = new Date(text);
  // Date rolls 30 February over into March.
  const day = Number(text.slice(8, 10));
  const isRealDay = day <= new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
  if (!rfc3339.test(text) || !isRealDay || !(date.getTime() <= lastInstant)) {
    throw fault(path, 'must be an RFC 3339 instant with offset, e.g. 2030-01-31T09:00:00Z');
  }
  return date;
}

/** Runs a check whose message is a sentence, and adds which field it was about. */
function at<T>(path: string, check: () => T, makeError = invalidRequest): T {
  try {
    return check();
  } catch (error) {
    throw fault(path, error instanceof Error ? error.message : String(error), makeError);
  }
}

function fault(path: string, message: string, makeError = invalidRequest) {
  return makeError({ detail: `In the body: ${path}: ${message}`, errors: [{ path, message }] });
}
