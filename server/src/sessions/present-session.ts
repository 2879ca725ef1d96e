/** Sessions as callers see them. */
import { Type } from 'typebox';
import type { SessionSummary } from './store.ts';

const SessionAnswer = Type.Object({
  id: Type.String({ format: 'uuid' }),
  device: Type.Union([Type.String(), Type.Null()], { description: 'User-Agent at login' }),
  address: Type.Union([Type.String(), Type.Null()], { description: 'IP address at login' }),
  current: Type.Boolean({ description: 'Whether it is the one that asks' }),
  created_at: Type.String({ format: 'date-time' }),
  last_used_at: Type.String({ format: 'date-time' }),
  expires_at: Type.String({ format: 'date-time' }),
});

export const SessionList = Type.Object({ data: Type.Array(SessionAnswer), has_more: Type.Boolean() });

export const SessionPage = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
    after: Type.Optional(Type.String({ format: 'uuid' })),
  },
  { additionalProperties: false },
);

/** @param current the session that asks, if it is one */
export function presentSession(session: SessionSummary, current?: string): Type.Static<typeof SessionAnswer> {
  return {
    id: session.id,
    device: session.userAgent,
    address: session.ip,
    current: session.id === current,
    created_at: session.createdAt.toISOString(),
    last_used_at: session.refreshedAt.toISOString(),
    expires_at: session.expiresAt.toISOString(),
  };
}
