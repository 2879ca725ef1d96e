/** Where letters go: Postfix's `smtp-sink` where the machine has it, since it costs least, else a sink of our own. */
import { spawn } from 'node:child_process';
import { freePorts } from '../server/test/support/free-ports.ts';
import { waitFor } from '../server/test/support/wait-for.ts';
import { startChild } from './child.ts';
import { answers, has } from './machine.ts';

export interface SinkProcess {
  name: string;
  port: number;
  end: () => Promise<void>;
}

/** Listens on `port`, or on a free one. */
export async function startSinkProcess(port?: number): Promise<SinkProcess> {
  if (!has('smtp-sink')) {
    const sink = await startChild('./smtp-sink.ts', port === undefined ? {} : { SINK_PORT: String(port) });
    return { name: 'bench/smtp-sink.ts', port: Number(sink.hello.port), end: sink.end };
  }
  const [free = 0] = port === undefined ? await freePorts(1) : [port];
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const child = spawn('smtp-sink', [...asNobody, `127.0.0.1:${free}`, '256'], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await waitFor(() => answers(free), { what: 'smtp-sink to listen' });
  return {
    name: 'smtp-sink',
    port: free,
    end: () => {
      child.kill();
      return ended;
    },
  };
}
