/**
 * Roles: names that a tenant gives to scopes which users have together. This folder owns the tables `roles` and
 * `user_roles`, and says what a user's own session may do (`rights.ts`). Scopes that Postern does not know are the
 * application's own: it carries them in tokens, and asks for none of them.
 */
import { invalidRequest } from '../http/problem.ts';

export interface Role {
  name: string;
  scopes: string[];
  description: string | null;
  createdAt: Date;
  updatedAt: Date;
}

// An access token has to fit into a header with all that its user has: see `maxTokenLength` in `crypto/access-tokens.ts`.
export const maxRolesOfUser = 10;
export const maxScopeCharacters = 500;

export const rolePattern = '^[a-z][a-z0-9._-]{0,62}$';
export const scopePattern = '^[a-z][a-z0-9:._-]{0,127}$';

/** @throws invalidRequest */
export function readRoleName(name: string, path = 'name'): string {
  if (new RegExp(rolePattern).test(name)) return name;
  throw fault(path, 'must be 1 to 63 of a-z, 0-9, ".", "_" and "-", and begin with a letter');
}

/** Each once. @throws invalidRequest */
export function readScopes(given: readonly string[]): string[] {
  const scopes = [...new Set(given)];
  const odd = scopes.find((scope) => !new RegExp(scopePattern).test(scope));
  if (odd !== undefined) {
    throw fault(
      'scopes',
      `"${odd.slice(0, 128)}" is not a scope: 1 to 128 of a-z, 0-9, ":", ".", "_", "-", a letter first`,
    );
  }
  if (scopes.join(' ').length > maxScopeCharacters) {
    throw fault('scopes', `must have at most ${maxScopeCharacters} characters together`);
  }
  return scopes;
}

function fault(path: string, message: string) {
  return invalidRequest({ detail: `${path}: ${message}`, errors: [{ path, message }] });
}
