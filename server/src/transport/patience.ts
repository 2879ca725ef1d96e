/**
 * How long a relay is waited for, in milliseconds. RFC 5321 4.5.3.2 has minutes for what is seconds here: another relay
 * or another try is worth more than a slow answer, except after the final dot, where giving up may make a duplicate.
 */
export interface Patience {
  /** For the connection. */
  connect: number;
  greeting: number;
  /** For the whole way to a connection that can carry letters: a server that sends a byte a second gets on, slowly. */
  open: number;
  /** The same, where another relay stands ready. */
  impatient: number;
  /** For the reply to MAIL, RCPT, DATA or RSET. */
  reply: number;
  /** For the relay to take a block of the message. */
  block: number;
  /** For the reply to the final dot. */
  dot: number;
  /** For all of a letter up to its final dot, however steadily it gets on; a large one has more. */
  letter: number;
  /** Without an answer for this long, a connection is stalled: no further letter waits behind it. */
  stall: number;
  /** A relay keeps a connection that nobody uses for about five minutes; we let go first. */
  idle: number;
  /** For how long a connection carries letters: relays count them, and balance their load by new connections. */
  age: number;
  /** How long a relay that could not be reached is left alone. */
  rest: number;
  /** A refused login is tried again ever more rarely, up to this: a provider locks who insists. */
  longestRest: number;
  /** How often all this is looked at. */
  tick: number;
}

export const patience: Patience = {
  connect: 10_000,
  greeting: 10_000,
  open: 30_000,
  impatient: 4_000,
  reply: 60_000,
  block: 60_000,
  dot: 180_000,
  letter: 180_000,
  stall: 2_000,
  idle: 30_000,
  age: 600_000,
  rest: 1_000,
  longestRest: 64_000,
  tick: 250,
};

/** The slowest pace at which a large letter may get on, in octets per millisecond: 25 MiB have 15 minutes. */
export const slowestPace = 32;
