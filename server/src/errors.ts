/**
 * Errors are vocabulary: each is declared beside its feature with a stable, dotted code that a client may rely on.
 * The HTTP layer turns them into `application/problem+json` (RFC 9457); the command line prints their detail.
 */

export interface ErrorDefinition {
  /** Stable and dotted, e.g. `users.already_registered`. */
  code: string;
  /** HTTP status this error answers with. */
  status: number;
  /** Short human-readable summary, the same for every occurrence. */
  title: string;
}

export interface ErrorDetails {
  /** What happened this time and what to do about it. */
  detail?: string;
  /** Faults of single fields; `path` is dotted, e.g. `to.0`. */
  errors?: { path: string; message: string }[];
  /** Seconds; becomes the header `Retry-After`. */
  retryAfterSeconds?: number;
  /** Further members of the problem, which a program is to act upon. */
  members?: Record<string, unknown>;
  /** Further response headers. */
  headers?: Record<string, string>;
  cause?: unknown;
}

/** An error a caller is meant to see. Anything else that is thrown answers 500 and is logged. */
export class PosternError extends Error {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly details: ErrorDetails;

  constructor(definition: ErrorDefinition, details: ErrorDetails = {}) {
    super(details.detail ?? definition.title, { cause: details.cause });
    this.name = 'PosternError';
    this.code = definition.code;
    this.status = definition.status;
    this.title = definition.title;
    this.details = details;
  }
}

/** Declares an error once and returns the function that makes it: `throw alreadyRegistered({ detail: '…' })`. */
export function defineError(code: string, status: number, title: string): (details?: ErrorDetails) => PosternError {
  return (details) => new PosternError({ code, status, title }, details);
}
