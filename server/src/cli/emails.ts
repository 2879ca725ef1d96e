import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../database/database.ts';
import { parseMailbox } from '../emails/address.ts';
import type { Mailbox } from '../emails/email.ts';
import { findDetail } from '../emails/history-store.ts';
import { type MonthToPurge, type Progress, planPurge, purge } from '../emails/purge.ts';
import { retryAsOperator } from '../emails/retry-as-operator.ts';
import { submitEmails } from '../emails/submit.ts';
import {
  asTable,
  type Command,
  type Input,
  listOption,
  requiredOption,
  tenantOf,
  textOption,
  UsageError,
  withDatabase,
} from './command.ts';

const unfinished = new Set(['scheduled', 'queued', 'sending', 'deferred']);

export const emailCommands: Command[] = [
  {
    name: 'emails send',
    summary: 'Accept a letter. A running worker delivers it; without one it waits in the queue.',
    options: {
      to: { type: 'string', multiple: true, value: 'ADDRESS', help: 'Recipient.' },
      from: { type: 'string', value: 'ADDRESS', help: 'Sender; MAIL_FROM if left out.' },
      subject: { type: 'string', help: 'Subject.' },
      text: { type: 'string', help: 'Plain text.' },
      'html-file': { type: 'string', value: 'FILE', help: 'File with the HTML.' },
      tenant: { type: 'string', value: 'SLUG', help: 'The tenant; default if left out.' },
      wait: { type: 'boolean', help: 'Wait until the letter has reached its end, or has failed for now.' },
    },
    run: async (input) => {
      const to = listOption(input, 'to').map((address) => mailbox('to', address));
      if (to.length === 0) throw new UsageError('--to is needed');
      const subject = requiredOption(input, 'subject');
      const text = textOption(input, 'text');
      const htmlFile = textOption(input, 'html-file');
      const html = htmlFile === undefined ? undefined : await readFile(htmlFile, 'utf8');
      const from = textOption(input, 'from');
      await withDatabase(async ({ db, config, secrets }) => {
        const { id: tenantId } = await tenantOf(input, db);
        const [submitted] = await submitEmails({ secrets, messageIdHost: new URL(config.publicUrl).hostname }, db, [
          {
            tenantId,
            from: from === undefined ? config.mailFrom : mailbox('from', from),
            to,
            subject,
            lane: 'transactional',
            ...(text === undefined ? {} : { text }),
            ...(html === undefined ? {} : { html }),
          },
        ]);
        if (!submitted) throw new Error('The letter was not accepted.');
        if (input.options.wait === true)
          return printOutcome(
            input,
            await outcome(() => findDetail(db, { tenantId, submittedBy: null }, submitted.id)),
          );
        input.print({ id: submitted.id, status: submitted.status }, `Queued as ${submitted.id}.`);
      });
    },
  },
  {
    name: 'emails retry',
    positionals: 'ID',
    summary: 'Send a deferred, failed, bounced or uncertain letter again, now, to those who did not get it.',
    run: ({ positionals, print }) =>
      withDatabase(async ({ db }) => {
        const id = positionals[0] ?? '';
        const status = await retryAsOperator(db, id);
        print({ id, status }, `${id} is tried again now.`);
      }),
  },
  {
    name: 'emails purge',
    summary: 'Delete the history of letters accepted long ago. Letters still to be delivered stay.',
    options: {
      'older-than': { type: 'string', value: 'DAYS', help: 'Only letters accepted more than so many days ago.' },
      yes: { type: 'boolean', help: 'Do it; without it the command only says what it would do.' },
    },
    run: async (input) => {
      const days = Number(requiredOption(input, 'older-than'));
      if (!Number.isInteger(days) || days < 1 || days > 36_500) {
        throw new UsageError('--older-than must be 1 to 36500 days');
      }
      await withDatabase(({ db }) => purgeHistory(input, db, new Date(Date.now() - days * 86_400_000)));
    },
  },
];

async function purgeHistory(input: Input, db: Database, before: Date): Promise<void> {
  const plan = await planPurge(db, before);
  const isDone = input.options.yes === true;
  const planned = plan.reduce((sum, { finished }) => sum + finished, 0);
  const kept = plan.reduce((sum, { unfinished }) => sum + unfinished, 0);
  const letters = isDone ? await purge(db, plan, progressOf(plan)) : planned;
  const months = plan.map(({ month, finished, unfinished, isWhole }) => ({
    month: month.replace('_', '-'),
    letters: finished,
    kept: unfinished,
    whole: isWhole,
  }));
  const what = `${letters} letter${letters === 1 ? '' : 's'} accepted before ${before.toISOString()}`;
  const stay = kept === 0 ? '' : `; ${kept} unfinished stay`;
  const text = isDone
    ? `Deleted ${what}${stay}.`
    : `${asTable(months)}\n\nWould delete ${what}${stay}. Do it with --yes.`;
  input.print({ before, letters, kept, months, done: isDone }, text);
}

/** On standard error, so that standard output stays the answer. */
function progressOf(plan: MonthToPurge[]): Progress {
  const planned = new Map(plan.map(({ month, finished }) => [month, finished]));
  return ({ month, letters, dropped }) => {
    const how = dropped ? 'dropped whole, ' : '';
    console.error(`${month.replace('_', '-')}: ${how}${letters} of ${planned.get(month) ?? 0} letters`);
  };
}

type Detail = NonNullable<Awaited<ReturnType<typeof findDetail>>>;

/** Polls until the letter has ended or every recipient was tried once. */
async function outcome(read: () => Promise<Detail | undefined>): Promise<Detail> {
  for (;;) {
    const detail = await read();
    if (!detail) throw new Error('The letter has vanished.');
    const wasTried = detail.recipients.every(({ status, attempts }) => !unfinished.has(status) || attempts > 0);
    if (wasTried) return detail;
    await sleep(100);
  }
}

function printOutcome({ print }: Input, detail: Detail): void {
  const lines = detail.recipients.map(
    ({ address, status, last_reply: reply }) =>
      `${address}: ${status}${reply ? ` (${reply.code ?? ''} ${reply.text})` : ''}`,
  );
  print({ id: detail.id, status: detail.status, recipients: detail.recipients }, `${detail.id}\n${lines.join('\n')}`);
}

function mailbox(option: string, text: string): Mailbox {
  try {
    return parseMailbox(text);
  } catch (error) {
    throw new UsageError(`--${option}: ${error instanceof Error ? error.message : error}`);
  }
}
