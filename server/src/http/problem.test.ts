import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { fastify } from 'fastify';
import pino from 'pino';
import { defineError } from '../errors.ts';
import { sendProblem } from './problem.ts';

describe('the log of what was refused', () => {
  const said: string[] = [];
  const faults: Record<string, () => unknown> = {
    fault: () => new Error('a fault'),
    overload: defineError('test.overload', 503, 'No room'),
    unavailable: () => Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }),
    unknown: () => defineError('test.unknown', 503, 'Not known')({ cause: faults.unavailable?.() }),
    refusal: defineError('test.refusal', 404, 'Not found'),
  };
  const app = fastify({
    loggerInstance: pino({ level: 'error' }, { write: (line) => void said.push(JSON.parse(line).msg) }),
  });
  app.setErrorHandler(sendProblem);
  app.get<{ Params: { name: string } }>('/:name', ({ params: { name } }) => {
    throw faults[name]?.();
  });
  before(() => app.ready());
  after(() => app.close());

  const saidOf = async (name: string) => {
    said.length = 0;
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await app.inject(`/${name}`)).statusCode);
    return [...statuses, ...said];
  };

  it('names a fault each time, a lack of room once, and neither the caller’s faults nor a database that is away', async () => {
    const fault = 'Something went wrong here';
    assert.deepEqual(await saidOf('fault'), [500, 500, 500, fault, fault, fault]);
    assert.deepEqual(await saidOf('overload'), [503, 503, 503, 'No room']);
    assert.deepEqual(await saidOf('unavailable'), [503, 503, 503]);
    assert.deepEqual(await saidOf('unknown'), [503, 503, 503]);
    assert.deepEqual(await saidOf('refusal'), [404, 404, 404]);
  });
});
