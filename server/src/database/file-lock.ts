import { readFile, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const heldLocks = new Set<string>();

/** Runs `work` while holding a lock file that names our process; a lock whose process is gone is taken over. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    if (await isStale(path)) await rm(path, { force: true });
    else await sleep(20);
  }
  heldLocks.add(path);
  try {
    return await work();
  } finally {
    heldLocks.delete(path);
    await rm(path, { force: true });
  }
}

async function isStale(path: string): Promise<boolean> {
  const holder = Number(await readFile(path, 'utf8').catch(() => ''));
  if (!holder) return false; // just taken or just released
  // In a container every start has the same process id: a lock in our own name that we do not hold is a former life's.
  if (holder === process.pid) return !heldLocks.has(path);
  return !isAlive(holder);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
