import type { Static } from 'typebox';
import type { Queryable } from '../database/database.ts';
import { PosternError } from '../errors.ts';
import type { Caller } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import { compileValidator } from '../http/validate.ts';
import { checkEmail, type SenderRules } from './check-email.ts';
import type { NewEmail, SubmittedEmail } from './email.ts';
import { type BatchAnswer, NewEmailBody } from './schemas.ts';

interface Parts extends SenderRules {
  submitEmails: (db: Queryable, emails: NewEmail[]) => Promise<SubmittedEmail[]>;
}

type ItemAnswer = Static<typeof BatchAnswer>['data'][number];

const validateItem = compileValidator({ schema: NewEmailBody, method: 'POST', url: '/emails', httpPart: 'body' });

/**
 * Accepts the good letters of a batch, all in one statement, and says of each bad one what is wrong with it.
 * @returns in the order of `items`
 */
export async function acceptBatch(
  parts: Parts,
  db: Queryable,
  caller: Caller,
  items: unknown[],
): Promise<ItemAnswer[]> {
  const checked = items.map((item) => checkItem(parts, caller, item));
  const submitted = await parts.submitEmails(
    db,
    checked.flatMap((one) => (one instanceof PosternError ? [] : [one])),
  );
  const accepted = submitted.values();
  return checked.map((one) => {
    if (one instanceof PosternError) return refusal(one);
    const email = accepted.next().value;
    if (!email) throw new Error('A batch was accepted with too few results.');
    return { id: email.id, status: email.status, created_at: email.createdAt.toISOString() };
  });
}

function checkItem(parts: Parts, caller: Caller, item: unknown): NewEmail | PosternError {
  try {
    const outcome = validateItem(item);
    if (typeof outcome === 'object' && 'error' in outcome && outcome.error) throw outcome.error;
    // What the validator let pass has the schema's shape.
    return checkEmail(parts, caller, item as NewEmailBody);
  } catch (error) {
    if (error instanceof PosternError) return error;
    return invalidRequest({ cause: error });
  }
}

function refusal({ code, title, details: { detail, errors } }: PosternError): ItemAnswer {
  return { error: { code, title, ...(detail === undefined ? {} : { detail }), ...(errors && { errors }) } };
}
