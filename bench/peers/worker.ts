/** The worker: a pool of kept SMTP connections, and one UPDATE for what became of each mail. */
import { createTransport } from 'nodemailer';
import postgres from 'postgres';
import { brokerOf, type Mail } from './mail.ts';

const { GLUE_DATABASE_URL = '', GLUE_BROKER, GLUE_BROKER_URL = '', GLUE_QUEUE = '', GLUE_SMTP_PORT } = process.env;

const sql = postgres(GLUE_DATABASE_URL, { max: 20 });
const transport = createTransport({
  host: '127.0.0.1',
  port: Number(GLUE_SMTP_PORT),
  ignoreTLS: true,
  pool: true,
  maxConnections: 20,
  maxMessages: Number.POSITIVE_INFINITY,
});
let settled = 0;

async function deliver({ id, from, to, subject, text }: Mail): Promise<void> {
  try {
    const { messageId } = await transport.sendMail({ from, to, subject, text });
    await sql`UPDATE mails SET status = 'sent', message_id = ${messageId}, sent_at = now() WHERE id = ${id}`;
    settled++;
  } catch (error) {
    await sql`UPDATE mails SET status = 'deferred', error = ${String(error)} WHERE id = ${id}`;
    throw error;
  }
}

await (await brokerOf(GLUE_BROKER)).openConsumer(GLUE_BROKER_URL, GLUE_QUEUE, deliver);
process.send?.({ ready: true });
process.on('message', () => process.connected && process.send?.({ settled }));
process.on('disconnect', () => process.exit());
