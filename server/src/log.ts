import pino, { type Logger } from 'pino';
import pretty from 'pino-pretty';

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/** JSON lines on stdout, or readable ones where stdout is a terminal. */
export function makeLogger(level: LogLevel, isTerminal: boolean): Logger {
  const options = {
    level,
    // A second net: no code logs these on purpose.
    redact: ['*.password', '*.secret', '*.token', '*.authorization', 'req.headers.authorization'],
  };
  if (!isTerminal) return pino(options);
  return pino(options, pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l', sync: true }));
}
