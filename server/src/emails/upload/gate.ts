import { defineError } from '../../errors.ts';

const tooBusy = defineError('emails.busy', 503, 'Too many large emails at once');

/** Lets as much in at once as there is room for; the rest waits, first come, first served. */
export interface Gate {
  /**
   * @param size what it takes up; more than all the room goes in alone
   * @returns how to leave again; to be called once or more
   * @throws tooBusy after having waited in vain
   */
  enter: (size: number) => Promise<() => void>;
}

interface Waiting {
  size: number;
  admit: () => void;
}

export function makeGate({ room, maxWaitSeconds }: { room: number; maxWaitSeconds: number }): Gate {
  const queue: Waiting[] = [];
  let taken = 0;
  const admit = () => {
    for (let next = queue[0]; next && (taken === 0 || taken + next.size <= room); next = queue[0]) {
      queue.shift();
      taken += next.size;
      next.admit();
    }
  };
  const leaver = (size: number) => {
    let isInside = true;
    return () => {
      if (!isInside) return;
      isInside = false;
      taken -= size;
      admit();
    };
  };
  return {
    enter: (size) =>
      new Promise((resolve, reject) => {
        const giveUp = () => {
          queue.splice(queue.indexOf(waiting), 1);
          reject(tooBusy({ detail: 'Too many large emails are being taken in. Try again.', retryAfterSeconds: 10 }));
          admit();
        };
        const timer = setTimeout(giveUp, maxWaitSeconds * 1_000);
        const waiting: Waiting = {
          size,
          admit: () => {
            clearTimeout(timer);
            resolve(leaver(size));
          },
        };
        queue.push(waiting);
        admit();
      }),
  };
}
