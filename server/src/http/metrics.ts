import { Histogram, register } from 'prom-client';
import type { App } from './server.ts';

const duration = new Histogram({
  name: 'postern_http_request_duration_seconds',
  help: 'Time from the request to the end of its answer',
  labelNames: ['method', 'route', 'status'],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
});

/** Counts and times every request by route, never by path: a path may hold an id. */
export function observeRequests(app: App): void {
  // What `labels` looks up by hashing every label, kept by the route's own options.
  const series = new Map<string, ReturnType<typeof duration.labels>>();
  app.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions } = request;
    const key = `${method} ${reply.statusCode} ${routeOptions.url ?? 'unknown'}`;
    let one = series.get(key);
    if (!one) {
      one = duration.labels(method, routeOptions.url ?? 'unknown', String(reply.statusCode));
      series.set(key, one);
    }
    one.observe(reply.elapsedTime / 1000);
    done();
  });
}

export { register as metrics };
