import type { ReplyKind } from './reply-kind.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

const usual = [1 * minute, 5 * minute, 15 * minute, 1 * hour, 2 * hour, 4 * hour, 8 * hour, 16 * hour];

/** Waits after the first, second … attempt, by what the last reply said; after the last of them the letter has failed. */
const waits: Record<ReplyKind, number[]> = {
  trouble: usual,
  connection: usual,
  // Five minutes is what most servers ask for, half an hour the longest in use.
  greylisted: [1 * minute, 5 * minute, 5 * minute, 20 * minute, ...usual.slice(3)],
  'rate-limited': [5 * minute, 15 * minute, 30 * minute, ...usual.slice(3)],
  'mailbox-full': [15 * minute, ...usual.slice(3)],
  // Each transaction takes some of them.
  'too-many-recipients': [...Array.from({ length: 10 }, () => 5 * second), ...usual],
};
/** A code is worth nothing in an hour: its letter is tried fast, and for as long as the code lives. */
const otpWaits = [2 * second, 5 * second, 10 * second, 20 * second];
/** For an otp letter that never expires: about a day. */
const otpAttempts = 4_320;

/** Up to this share is added to every wait, so that letters deferred together do not come back together. */
const jitter = 0.1;

export interface Attempt {
  isOtp: boolean;
  /** Attempts so far, the one that just ended included. */
  attempts: number;
  /** What its reply said. */
  kind: ReplyKind;
  endedAt: Date;
  /** The next attempt is not put off beyond it: a letter that is due then has expired. */
  expiresAt: Date | null;
  /** From 0 to below 1. */
  random: number;
}

/**
 * When to try again after a 4xx reply or a network failure.
 * @returns undefined when it was the last attempt
 */
export function nextAttemptAt({ isOtp, attempts, kind, endedAt, expiresAt, random }: Attempt): Date | undefined {
  const steps = isOtp ? otpWaits : waits[kind];
  const wait = steps[attempts - 1] ?? (isOtp && attempts < otpAttempts ? otpWaits.at(-1) : undefined);
  if (wait === undefined) return undefined;
  const next = endedAt.getTime() + wait * (1 + jitter * random);
  return new Date(expiresAt === null ? next : Math.min(next, expiresAt.getTime()));
}
