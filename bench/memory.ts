/** Memory of the whole process while letters go through it, sampled ten times a second. */
import { drive } from './http-driver.ts';
import { residentMebibytes } from './machine.ts';
import { startBenchPostern } from './postern.ts';
import { heading, report } from './report.ts';
import { startSinkProcess } from './sinks.ts';

export async function memory({ letters }: { letters: number }): Promise<void> {
  heading(`memory of the process (HTTP and worker) through ${letters.toLocaleString('en')} letters`);
  const sink = await startSinkProcess();
  const postern = await startBenchPostern({ smtpPort: sink.port });
  const pid = postern.postern.process.pid ?? 0;
  const samples: { done: number; mebibytes: number }[] = [];
  let done = 0;
  const sampling = setInterval(() => samples.push({ done, mebibytes: residentMebibytes(pid) }), 100);
  try {
    const idle = residentMebibytes(pid);
    const portion = Math.min(10_000, letters / 20);
    for (; done < letters; done += portion) {
      const load = { port: postern.port, connections: 64, requests: portion, expect: 202 };
      await drive({ ...load, request: () => postern.request });
      await postern.drained();
    }
    clearInterval(sampling);
    await postern.settled(letters);
    const most = (part: typeof samples) => Math.max(...part.map(({ mebibytes }) => mebibytes));
    const first = most(samples.filter((sample) => sample.done <= letters / 10));
    const rest = most(samples.filter((sample) => sample.done > letters / 10));
    const last = most(samples.filter((sample) => sample.done >= letters * 0.9));
    report({ what: 'before the first letter', value: idle, unit: 'MiB' });
    report({ what: 'most during the first tenth', value: first, unit: 'MiB' });
    report({ what: 'most after it', value: rest, unit: 'MiB', ratio: { of: 'the first tenth', value: rest / first } });
    report({
      what: 'most during the last tenth',
      value: last,
      unit: 'MiB',
      ratio: { of: 'the first tenth', value: last / first, goal: 'flat' },
    });
  } finally {
    clearInterval(sampling);
    await postern.dispose();
    await sink.end();
  }
}
