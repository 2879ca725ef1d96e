/**
 * What one core can send: a pipelined SMTP client over `node:net` that checks next to nothing. As a program, it measures
 * Postern's transport and nodemailer's pool beside it: node bench/bare-smtp.ts [seconds]
 */
import { fork } from 'node:child_process';
import { connect } from 'node:net';
import nodemailer from 'nodemailer';
import { SmtpTransport } from '../server/src/transport/smtp.ts';

const connections = 20;
const letter = Buffer.from(
  `From: a@example.com\r\nTo: b@example.com\r\nSubject: x\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(13)}`,
);

/** Letters of 1 KiB per second over 20 connections to the sink at `port`: the limit of any client on this machine. */
export async function bareSmtp(seconds: number, port: number): Promise<number> {
  const envelope = `MAIL FROM:<a@example.com> SIZE=${letter.length}\r\nRCPT TO:<b@example.com>\r\nDATA\r\n`;
  const step = Buffer.concat([letter, Buffer.from(`.\r\n${envelope}`)]);
  let sent = 0;
  const end = performance.now() + seconds * 1_000;
  const send = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      let isGreeted = false;
      let isBegun = false;
      socket.on('error', reject);
      socket.on('close', () => resolve());
      socket.on('data', (chunk) => {
        if (!isGreeted) {
          isGreeted = true;
          socket.write('EHLO bench\r\n');
        } else if (!isBegun) {
          isBegun = true;
          socket.write(envelope);
        } else if (chunk.includes('354')) {
          if (performance.now() >= end) return void socket.destroy();
          sent++;
          socket.write(step);
        }
      });
    });
  await Promise.all(Array.from({ length: connections }, send));
  return sent / seconds;
}

/** The same by Postern's transport, with ten letters waiting for each connection. */
async function ours(seconds: number, port: number): Promise<number> {
  const transport = new SmtpTransport({ urls: [`smtp://127.0.0.1:${port}`], connections });
  const message = {
    from: 'a@example.com',
    recipients: ['b@example.com'],
    content: letter,
    size: letter.length,
    isUrgent: false,
  };
  const rate = await repeat(seconds, connections * 10, () => transport.send(message));
  await transport.close();
  return rate;
}

async function nodemailerPool(seconds: number, port: number): Promise<number> {
  const pool = nodemailer.createTransport({
    host: '127.0.0.1',
    port,
    pool: true,
    maxConnections: connections,
    maxMessages: Number.POSITIVE_INFINITY,
  });
  const envelope = { from: 'a@example.com', to: ['b@example.com'] };
  const rate = await repeat(seconds, connections * 10, () => pool.sendMail({ envelope, raw: letter }));
  pool.close();
  return rate;
}

async function repeat(seconds: number, atOnce: number, send: () => Promise<unknown>): Promise<number> {
  let sent = 0;
  const start = performance.now();
  const end = start + seconds * 1_000;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (; performance.now() < end; sent++) await send();
    }),
  );
  return (sent / (performance.now() - start)) * 1_000;
}

if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? 3);
  const sink = fork(new URL('./smtp-sink.ts', import.meta.url));
  const port = await new Promise<number>((resolve) =>
    sink.once('message', (told) => resolve((told as { port: number }).port)),
  );
  const only = process.argv[3];
  for (const [name, run] of Object.entries({ bareSmtp, ours, nodemailerPool })) {
    if (only !== undefined && only !== name) continue;
    await run(1, port);
    const before = process.cpuUsage();
    const rate = await run(seconds, port);
    const { user, system } = process.cpuUsage(before);
    const perCore = (rate * seconds) / ((user + system) / 1e6);
    console.log(`${name}: ${Math.round(rate)} letters/s, ${Math.round(perCore)} per second of one core`);
  }
  sink.disconnect();
}
