/** The ways in which letters become accepted: most share commits, the others have a transaction of their own. */
import { newId } from '../crypto/ids.ts';
import type { Database, Queryable } from '../database/database.ts';
import { gather } from '../database/gather.ts';
import { PosternError } from '../errors.ts';
import { type Quotas, takeQuota } from '../tenants/quotas.ts';
import type { AcceptEmail } from './accept.ts';
import { writeContents } from './attachments.ts';
import type { NewEmail, SubmittedEmail } from './email.ts';
import type { Gate } from './upload/gate.ts';

export interface Intake {
  db: Database;
  quotas: Quotas;
  /** Where letters wait that are written in pieces. */
  uploads: { writing: Gate };
  submitEmails: (db: Queryable, emails: NewEmail[]) => Promise<SubmittedEmail[]>;
  /** Shares commits among letters that ask for nothing more. */
  acceptEmail: AcceptEmail;
  /** Shares commits among letters of tenants that have a quota. */
  acceptCounted: AcceptEmail;
  wakeWorkers: () => void;
}

/** Bodies of so many characters are written by themselves: JSON of them would hold up everybody else. */
const longBody = 1_000_000;

/**
 * Accepts one letter that needs no transaction of its caller's.
 * @throws the refusal of a quota
 */
export function acceptLetter(intake: Intake, email: NewEmail): Promise<SubmittedEmail> {
  if (isLarge(email)) return acceptSpecially(intake, email, true);
  const hasQuota = intake.quotas.has(email.tenantId);
  return hasQuota === false ? intake.acceptEmail(email) : acceptSpecially(intake, email, hasQuota);
}

async function acceptSpecially(
  intake: Intake,
  email: NewEmail,
  hasQuota: boolean | Promise<boolean>,
): Promise<SubmittedEmail> {
  if (!isLarge(email)) {
    return (await hasQuota) ? intake.acceptCounted(email) : intake.acceptEmail(email);
  }
  const [accepted] = await acceptAlone(intake, [email]);
  return unlessRefused(accepted);
}

/**
 * Accepts letters of one tenant together. Those beyond its quota are refused, the others are not.
 * @returns in the order of `emails`
 */
export async function acceptLetters(intake: Intake, emails: NewEmail[]): Promise<(SubmittedEmail | PosternError)[]> {
  const [first] = emails;
  if (!first) return [];
  if (emails.some(isLarge) || (await intake.quotas.has(first.tenantId))) return acceptAlone(intake, emails);
  const submitted = await intake.submitEmails(intake.db, emails);
  intake.wakeWorkers();
  return submitted;
}

/** Accepts letters of one tenant in the caller's transaction. */
export async function acceptWithin(
  { submitEmails, quotas }: Pick<Intake, 'submitEmails' | 'quotas'>,
  tx: Queryable,
  emails: NewEmail[],
): Promise<(SubmittedEmail | PosternError)[]> {
  const [first] = emails;
  if (!first) return [];
  // What takes long comes first: the rest locks rows that others need too.
  const named = emails.map((email) => (email.attachments ? { ...email, id: newId() } : email));
  for (const { id, attachments } of named) if (id && attachments) await writeContents(tx, id, attachments);
  const refusals = (await quotas.has(first.tenantId))
    ? await takeQuota(tx, first.tenantId, named.map(countRecipients))
    : [];
  const allowed = named.filter((_, index) => !refusals[index]);
  const submitted = await submitEmails(tx, allowed.map(withoutLongBodies));
  const results = submitted.values();
  for (const [index, { id }] of submitted.entries()) await addLarge(tx, id, allowed[index]);
  return named.map((_, index) => refusals[index] ?? unlessMissing(results.next().value));
}

/** For `Intake.acceptCounted`. */
export function makeCountedAcceptor(
  parts: Pick<Intake, 'db' | 'submitEmails' | 'quotas' | 'wakeWorkers'>,
): AcceptEmail {
  const write = async (emails: NewEmail[]) => {
    const tenants = Map.groupBy(emails, ({ tenantId }) => tenantId);
    const results = await parts.db.begin(async (tx) => {
      const answers = new Map<NewEmail, SubmittedEmail | PosternError>();
      // In one order everywhere, so that no two transactions wait for each other's tenants.
      for (const [, own] of [...tenants].sort(([a], [b]) => (a < b ? -1 : 1))) {
        for (const [index, answer] of (await acceptWithin(parts, tx, own)).entries()) {
          const email = own[index];
          if (email) answers.set(email, answer);
        }
      }
      return emails.map((email) => unlessMissing(answers.get(email)));
    });
    parts.wakeWorkers();
    return results as (SubmittedEmail | PosternError)[];
  };
  const accept = gather(write, { writers: 2, maxItems: 500, maxSize: 8_000_000, sizeOf: bodyLength });
  return async (email) => unlessRefused(await accept(email));
}

/** @throws the refusal */
export function unlessRefused(answer: SubmittedEmail | PosternError | undefined): SubmittedEmail {
  if (answer instanceof PosternError) throw answer;
  return unlessMissing(answer);
}

async function acceptAlone(intake: Intake, emails: NewEmail[]): Promise<(SubmittedEmail | PosternError)[]> {
  const answers = await whileThereIsRoom(intake, emails, () =>
    intake.db.begin((tx) => acceptWithin(intake, tx, emails)),
  );
  intake.wakeWorkers();
  return answers as (SubmittedEmail | PosternError)[];
}

/** Runs `work` once there is room for it, if it is about a large letter. */
export async function whileThereIsRoom<T>(
  { uploads }: Pick<Intake, 'uploads'>,
  emails: NewEmail[],
  work: () => Promise<T>,
): Promise<T> {
  if (!emails.some(isLarge)) return work();
  const leave = await uploads.writing.enter(1);
  try {
    return await work();
  } finally {
    leave();
  }
}

function isLarge(email: NewEmail): boolean {
  return email.attachments !== undefined || hasLongBody(email);
}

/** What has secrets is sealed as a whole. */
function hasLongBody(email: NewEmail): boolean {
  return bodyLength(email) > longBody && email.redacted === undefined;
}

function withoutLongBodies(email: NewEmail): NewEmail {
  if (!hasLongBody(email)) return email;
  const { text: _, html: __, ...rest } = email;
  return rest;
}

/** Adds what the statement that accepts letters in bulk was spared. */
async function addLarge(tx: Queryable, id: string, email: NewEmail | undefined): Promise<void> {
  if (!email || !isLarge(email)) return;
  const described = email.attachments?.map(({ content: _, ...attachment }) => attachment);
  await tx`
    UPDATE email_bodies SET
      attachments = ${described === undefined ? null : JSON.stringify(described)}::text::jsonb,
      text_body = ${hasLongBody(email) ? (email.text ?? null) : tx`text_body`},
      html_body = ${hasLongBody(email) ? (email.html ?? null) : tx`html_body`}
    WHERE email_id = ${id}`;
}

function countRecipients({ to, cc = [], bcc = [] }: NewEmail): number {
  return to.length + cc.length + bcc.length;
}

function bodyLength({ text = '', html = '' }: NewEmail): number {
  return text.length + html.length;
}

function unlessMissing<T>(answer: T | undefined): T {
  if (answer === undefined) throw new Error('Letters were accepted with too few results.');
  return answer;
}
