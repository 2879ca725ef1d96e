/** Second factors as callers see them, and what browsers say for passkeys. */
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from '@simplewebauthn/server';
import { Type } from 'typebox';
import type { SecondFactor } from './second-factor.ts';

export const FactorAnswer = Type.Object({
  id: Type.String({ format: 'uuid' }),
  kind: Type.Union([Type.Literal('totp'), Type.Literal('passkey')]),
  name: Type.String(),
  created_at: Type.String({ format: 'date-time' }),
  last_used_at: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
});

export function presentFactor({
  id,
  kind,
  name,
  createdAt,
  lastUsedAt,
}: SecondFactor): Type.Static<typeof FactorAnswer> {
  const [created_at, last_used_at] = [createdAt.toISOString(), lastUsedAt?.toISOString() ?? null];
  return { id, kind, name, created_at, last_used_at };
}

export const FactorName = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: '^[^\\u0000-\\u001f\\u007f]*$',
  description: 'How its owner calls it',
});

export const RecoveryCodes = Type.Array(Type.String(), {
  description: 'Each good once in the place of a second factor. They are shown now and never again.',
});

export const Uuid = Type.String({ pattern: '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' });

/** Browsers add members as the specification grows, so these are open; what is in them is checked with the signature. */
const Base64Url = Type.String({ maxLength: 65_536, pattern: '^[\\w-]+$' });
const credential = <Response extends Record<string, typeof Base64Url>>(response: Response) =>
  Type.Object({
    id: Base64Url,
    rawId: Base64Url,
    type: Type.Literal('public-key'),
    response: Type.Object(response),
    clientExtensionResults: Type.Object({}),
  });

export const NewCredential = Type.Unsafe<RegistrationResponseJSON>(
  credential({ clientDataJSON: Base64Url, attestationObject: Base64Url }),
);
export const SignedCredential = Type.Unsafe<AuthenticationResponseJSON>(
  credential({ clientDataJSON: Base64Url, authenticatorData: Base64Url, signature: Base64Url }),
);

/** What the browser's own call takes, as the specification writes it in JSON. */
export const asked = (what: string) =>
  Type.Object({
    ceremony: Uuid,
    options: Type.Object(
      {},
      { additionalProperties: true, description: `What ${what} takes, in JSON (WebAuthn level 3)` },
    ),
  });
