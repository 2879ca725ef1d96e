import type { Static } from 'typebox';
import { PosternError } from '../errors.ts';
import type { Caller } from '../http/caller.ts';
import { invalidRequest } from '../http/problem.ts';
import { compileValidator } from '../http/validate.ts';
import { checkEmail, type SenderRules } from './check-email.ts';
import type { NewEmail, SubmittedEmail } from './email.ts';
import { batchTooLarge } from './errors.ts';
import { type BatchAnswer, NewEmailBody } from './schemas.ts';
import type { UploadedContents } from './upload/upload.ts';

type ItemAnswer = Static<typeof BatchAnswer>['data'][number];

const maxItems = 500;

const validateItem = compileValidator({ schema: NewEmailBody, method: 'POST', url: '/emails', httpPart: 'body' });

/**
 * Checks the items of a batch, each on its own.
 * @returns in the order of `items`: the letter, or what is wrong with it
 * @throws batchTooLarge
 */
export function checkBatch(
  rules: SenderRules,
  caller: Caller,
  items: unknown[],
  uploaded: UploadedContents,
): (NewEmail | PosternError)[] {
  if (items.length > maxItems) {
    const message = `may hold ${maxItems} emails, not ${items.length}`;
    throw batchTooLarge({ detail: `The batch ${message}.`, errors: [{ path: 'emails', message }] });
  }
  return items.map((item) => checkItem(rules, caller, item, uploaded));
}

/**
 * Accepts the good letters of a batch and says of each bad one what is wrong with it.
 * @param accept accepts letters together
 * @returns in the order of `checked`
 */
export async function acceptBatch(
  checked: (NewEmail | PosternError)[],
  accept: (emails: NewEmail[]) => Promise<(SubmittedEmail | PosternError)[]>,
): Promise<ItemAnswer[]> {
  const letters = lettersOf(checked);
  const answers = (await accept(letters)).values();
  return checked.map((one) => {
    const answer = one instanceof PosternError ? one : answers.next().value;
    if (!answer) throw new Error('A batch was accepted with too few results.');
    if (answer instanceof PosternError) return refusal(answer);
    return { id: answer.id, status: answer.status, created_at: answer.createdAt.toISOString() };
  });
}

/** Those that are good. */
export function lettersOf(checked: (NewEmail | PosternError)[]): NewEmail[] {
  return checked.flatMap((one) => (one instanceof PosternError ? [] : [one]));
}

function checkItem(
  rules: SenderRules,
  caller: Caller,
  item: unknown,
  uploaded: UploadedContents,
): NewEmail | PosternError {
  try {
    const outcome = validateItem(item);
    if (typeof outcome === 'object' && 'error' in outcome && outcome.error) throw outcome.error;
    // What the validator let pass has the schema's shape.
    return checkEmail(rules, caller, item as NewEmailBody, uploaded);
  } catch (error) {
    if (error instanceof PosternError) return error;
    return invalidRequest({ cause: error });
  }
}

function refusal({ code, title, details: { detail, errors } }: PosternError): ItemAnswer {
  return { error: { code, title, ...(detail === undefined ? {} : { detail }), ...(errors && { errors }) } };
}
