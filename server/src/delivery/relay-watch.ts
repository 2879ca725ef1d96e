import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Transport } from '../transport/transport.ts';

/** How long no delivery starts after a relay could not be reached; the next one is the probe. */
const restMilliseconds = 1_000;

interface Parts {
  transport: Transport;
  log: Logger;
  /** No relay can be reached; called for each delivery that finds so. */
  onDown: () => void;
  /** One can be reached again. */
  onUp: () => void;
}

/** Knows whether a next hop can be reached at all: while none can, one letter a second finds out, and the others wait. */
export class RelayWatch {
  readonly #parts: Parts;
  /** When to try again; on the clock of `performance.now()`. Undefined while all is well. */
  #downUntil: number | undefined;
  #isStopped = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  isDown(): boolean {
    return this.#downUntil !== undefined;
  }

  isResting(): boolean {
    return this.#downUntil !== undefined && this.#downUntil > performance.now();
  }

  /** @param reached whether a delivery reached the next hop; undefined where it tried none */
  note(reached: boolean | undefined): void {
    const { log, onDown, onUp } = this.#parts;
    if (reached === false) {
      if (this.#downUntil === undefined) {
        log.warn('no SMTP relay can be reached; trying once a second');
        void this.#seek();
      }
      this.#downUntil = performance.now() + restMilliseconds;
      onDown();
    } else if (reached === true && this.#downUntil !== undefined) {
      this.#downUntil = undefined;
      log.info('the SMTP relay can be reached again');
      onUp();
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Letters that are due try a relay too, but all may be waiting for a time that the relay's trouble has set. */
  async #seek(): Promise<void> {
    do {
      await sleep(restMilliseconds);
      if (this.#isStopped) return;
    } while (this.#downUntil !== undefined && !(await this.#parts.transport.reach()));
    if (!this.#isStopped) this.note(true);
  }
}
