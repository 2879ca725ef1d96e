/** What orchestrators and Prometheus ask: `/livez`, `/readyz`, `/metrics`. */
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { type Static, Type } from 'typebox';
import { metrics } from './metrics.ts';
import type { App, Routes } from './server.ts';

/** Resolves when the dependency works; throws otherwise, `Degraded` where the service goes on without it. */
export type Check = () => Promise<void>;

/** A value that is asked for when Prometheus scrapes. */
export interface MeasuredGauge {
  name: string;
  help: string;
  labelNames?: string[];
  measure: () => Promise<{ labels?: Record<string, string>; value: number }[]>;
}

/** Names what is wrong, in words that may be shown to anyone; whoever found it has logged it. */
export class Degraded extends Error {}

interface Operation {
  /** By the name `/readyz` shows. */
  checks: Record<string, Check>;
  /** Whether the service is on its way out, so that a balancer should send nothing more. */
  isDraining?: () => boolean;
  gauges?: MeasuredGauge[];
}

const deadlineSeconds = 2;
const tags = ['Operation'];

export function operationRoutes({ checks, isDraining = () => false, gauges = [] }: Operation): Routes {
  return (app) => {
    addHealth(app, checks, isDraining);
    const measured = measuredRegistry(app, gauges);
    const schema = { summary: 'Metrics for Prometheus', tags };
    app.get('/metrics', { schema }, async (_request, reply) => {
      const texts = await Promise.all([metrics.metrics(), measured.metrics()]);
      return reply.type(metrics.contentType).send(texts.join('\n'));
    });
  };
}

const Outcome = Type.Object({ ok: Type.Boolean(), error: Type.Optional(Type.String()) });
const Readiness = Type.Object({
  status: Type.Union([
    Type.Literal('ready'),
    Type.Literal('degraded'),
    Type.Literal('unavailable'),
    Type.Literal('draining'),
  ]),
  checks: Type.Record(Type.String(), Outcome),
});

function addHealth(app: App, checks: Record<string, Check>, isDraining: () => boolean): void {
  const live = {
    summary: 'Whether the process is alive',
    tags,
    response: { 200: Type.Object({ status: Type.Literal('ok') }) },
  };
  app.get('/livez', { schema: live }, async () => ({ status: 'ok' as const }));

  const ready = {
    summary: 'Whether it is ready to serve; names each dependency',
    tags,
    response: { 200: Readiness, 503: Readiness },
  };
  app.get('/readyz', { schema: ready }, async (request, reply) => {
    const found = { degraded: false, unavailable: false };
    const outcomes = await Promise.all(
      Object.entries(checks).map(async ([name, check]): Promise<[string, Static<typeof Outcome>]> => {
        try {
          await withDeadline(check());
          return [name, { ok: true }];
        } catch (error) {
          if (error instanceof Degraded) {
            found.degraded = true;
          } else {
            found.unavailable = true;
            request.log.warn({ err: error }, `not ready: ${name}`);
          }
          return [name, { ok: false, error: reasonOf(error) }];
        }
      }),
    );
    const serving = found.degraded ? 'degraded' : 'ready';
    const status = isDraining() ? 'draining' : found.unavailable ? 'unavailable' : serving;
    return reply.code(status === serving ? 200 : 503).send({ status, checks: Object.fromEntries(outcomes) });
  });
}

/** Says the kind of fault only: a message may name hosts, and this page is open to all. The log has the rest. */
function reasonOf(error: unknown): string {
  if (error instanceof TimeoutError || error instanceof Degraded) return error.message;
  return error instanceof Error && 'code' in error ? `failed (${error.code})` : 'failed';
}

class TimeoutError extends Error {}

async function withDeadline<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new TimeoutError(`no answer within ${deadlineSeconds} s`)), deadlineSeconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A registry of this server's own: the global one would refuse the second server of a process. */
function measuredRegistry(app: App, gauges: MeasuredGauge[]): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const { name, help, labelNames = [], measure } of gauges) {
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect: async () => {
        gauge.reset();
        try {
          for (const { labels = {}, value } of await withDeadline(measure())) gauge.set(labels, value);
        } catch (error) {
          // One figure that cannot be had must not hide the others.
          app.log.warn({ err: error }, `metric ${name} could not be measured`);
        }
      },
    });
  }
  return registry;
}
