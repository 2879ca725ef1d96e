import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseMailbox } from '../emails/address.ts';
import type { Mailbox } from '../emails/email.ts';
import { findDetail } from '../emails/history-store.ts';
import { submitEmails } from '../emails/submit.ts';
import {
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
];

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
