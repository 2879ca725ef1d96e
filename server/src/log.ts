import pino, { type Logger } from 'pino';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** JSON lines on stdout, or readable ones where stdout is a terminal. */
export async function makeLogger(level: LogLevel, isTerminal: boolean): Promise<Logger> {
  const options = {
    level,
    // A second net: no code logs these on purpose.
    redact: ['*.password', '*.secret', '*.token', '*.authorization', 'req.headers.authorization'],
  };
  if (!isTerminal) return pino(options);
  const { default: pretty } = await import('pino-pretty');
  return pino(options, pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', sync: true }));
}
