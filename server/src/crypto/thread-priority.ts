import { setPriority } from 'node:os';

/**
 * Lets other threads go first, by so many steps of nice. On Linux the priority is the calling thread's own; elsewhere it would
 * be that of the whole process, which is not meant.
 */
export function giveWay(steps: number): void {
  try {
    if (process.platform === 'linux') setPriority(steps);
  } catch {
    // Not allowed here: then all threads are equal.
  }
}
