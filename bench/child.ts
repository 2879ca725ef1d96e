/** Programs of the benchmark that run beside it, and what is asked of them by message. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Child {
  /** What it said first. */
  hello: Record<string, unknown>;
  /** Sends `question` and resolves with the next message. */
  ask: (question: string) => Promise<Record<string, unknown>>;
  process: ChildProcess;
  /** Ends it, and waits for that. */
  end: () => Promise<void>;
}

/** Starts the program `path` (relative to this folder) and waits for its first message. */
export async function startChild(path: string, env: Record<string, string> = {}): Promise<Child> {
  const child = fork(fileURLToPath(new URL(path, import.meta.url)), { env: { ...process.env, ...env } });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const next = () =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const onEnd = (code: number | null) => reject(new Error(`${path} ended with ${code}`));
      child.once('exit', onEnd);
      child.once('message', (message) => {
        child.off('exit', onEnd);
        resolve(message as Record<string, unknown>);
      });
    });
  return {
    hello: await next(),
    ask: (question) => {
      const answer = next();
      child.send(question);
      return answer;
    },
    process: child,
    end: () => {
      if (child.connected) child.disconnect();
      return ended;
    },
  };
}
