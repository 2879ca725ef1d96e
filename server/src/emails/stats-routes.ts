import { Type } from 'typebox';
import type { Database } from '../database/database.ts';
import { callerOf, type Needs, programsOr } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { type CountedStatus, countedStatuses, type Interval, readStats } from './stats.ts';

const IntervalName = Type.Unsafe<Interval>({ type: 'string', enum: ['hour', 'day'], default: 'day' });
const Instant = Type.String({ format: 'date-time', maxLength: 64, examples: ['2030-01-31T09:00:00Z'] });

const StatsQuery = Type.Object(
  {
    from: Type.Optional(Type.Unsafe<string>({ ...Instant, description: '24 hours or 30 days before `to` by default' })),
    to: Type.Optional(Type.Unsafe<string>({ ...Instant, description: 'Now by default' })),
    interval: Type.Optional(IntervalName),
  },
  { additionalProperties: false },
);

const descriptions: Record<CountedStatus, string> = {
  queued: 'Accepted for delivery, or taken up again by a retry',
  sent: 'The next hop took it',
  delivered: 'Known to have arrived',
  deferred: 'Attempts that are to be repeated: one recipient may count several times',
  bounced: 'The address was refused',
  failed: 'The email was refused, or given up',
  expired: '`expires_at` passed first',
  canceled: 'Canceled, or taken out with a deleted user',
  suppressed: 'On the suppression list, hence not sent to',
  complained: 'The recipient complained',
  uncertain: 'Attempts that ended without an answer after the whole email was handed over',
};
const Counts = Object.fromEntries(
  countedStatuses.map((status) => [status, Type.Integer({ description: descriptions[status] })]),
) as Record<CountedStatus, ReturnType<typeof Type.Integer>>;

const StatsAnswer = Type.Object({
  interval: IntervalName,
  from: Type.String({ format: 'date-time', description: 'Inclusive; a whole hour or day (UTC)' }),
  to: Type.String({ format: 'date-time', description: 'Exclusive' }),
  data: Type.Array(Type.Object({ at: Type.String({ format: 'date-time', description: 'Its begin' }), ...Counts }), {
    description: 'Every hour or day of the span, oldest first',
  }),
});

export function statsRoutes({ db, needs }: { db: Database; needs: Needs }): Routes {
  return (app) => {
    app.get(
      '/stats',
      {
        onRequest: [needs('email'), programsOr('mail:admin')],
        schema: {
          tags: ['Mail'],
          summary: 'What became of mail, by hour or day',
          description:
            'Counts recipients of all of the tenant, at the time of each event. Whole hours or days of UTC: at most 31 ' +
            'days of hours or 400 days. For programs with the scope `email`, and users with `mail:admin`.',
          querystring: StatsQuery,
          response: { 200: StatsAnswer },
        },
      },
      (request) => readStats(db, callerOf(request).tenantId, request.query),
    );
  };
}
