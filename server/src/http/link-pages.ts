/**
 * The pages around a link from a letter. Calls that such a link or its form comes to also answer programs, so their
 * routes stand with the features; how the pages look and what they say is handed in (`pages/link-pages.ts`).
 */
import type { FastifyReply, FastifyRequest } from 'fastify';

/** A forgotten password, or one for an account that somebody is invited to. */
export type PasswordLink = 'reset' | 'invitation';

/** What a page says after the form of a link was sent. */
export type LinkOutcome =
  | 'verified'
  | 'passwordSet'
  | 'accountMade'
  | 'emailChanged'
  | 'emailHalfChanged'
  | 'unsubscribed';

type ErrorHandler = (error: unknown, request: FastifyRequest, reply: FastifyReply) => unknown;

export interface LinkPages {
  /**
   * What a link opens. Mail scanners open every link, so it changes nothing: only its button, a POST to `action`, does.
   * The token is not even looked up.
   */
  button: (
    request: FastifyRequest,
    reply: FastifyReply,
    link: { about: 'verify' | 'emailChange' | 'unsubscribe'; action: string; token: string; address?: string },
  ) => FastifyReply;
  /** What a link opens with which a password is set. Like `button` it changes nothing. */
  password: (
    request: FastifyRequest,
    reply: FastifyReply,
    link: { about: PasswordLink; token: string },
  ) => FastifyReply;
  outcome: (request: FastifyRequest, reply: FastifyReply, outcome: LinkOutcome) => FastifyReply;
  /** Of a route: people get a page that says what is wrong, programs the problem as ever. */
  fault: ErrorHandler;
  /** The same, with the form of `password` again where its link may still be good. */
  passwordFault: (about: PasswordLink) => ErrorHandler;
}

/** A form is sent by a page and wants one back, a program gets JSON; `Accept` may say otherwise. */
export function wantsPage({ headers }: FastifyRequest): boolean {
  const accept = headers.accept ?? '';
  if (accept.includes('text/html')) return true;
  return /^application\/x-www-form-urlencoded\b/i.test(headers['content-type'] ?? '') && !accept.includes('json');
}
