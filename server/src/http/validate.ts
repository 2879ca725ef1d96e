/** Checks requests against the routes' TypeBox schemas and names every faulty field. Nothing is dropped or bent to fit. */
import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { invalidRequest } from './problem.ts';

export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = Compile(schema);
  return (input: unknown) => {
    // Query strings and path parameters are text by nature; bodies say what they mean.
    const value = httpPart === 'body' ? input : Value.Convert(schema, input);
    if (check.Check(value)) return { value };
    return { error: invalidRequest({ ...describe(check.Errors(value), httpPart) }) };
  };
};

interface SchemaFault {
  keyword: string;
  instancePath: string;
  message: string;
  params: object;
}

function describe(faults: Iterable<SchemaFault>, httpPart: string | undefined) {
  const errors = new Map<string, string>();
  for (const fault of faults) {
    if (errors.size >= 20) break;
    const path = fault.instancePath.slice(1).replaceAll('/', '.');
    // A refused extra field is reported a second time, and better, as additionalProperties of its parent.
    if (fault.keyword === 'boolean' || fault.keyword === 'anyOf') continue;
    if (fault.keyword === 'additionalProperties' && 'additionalProperties' in fault.params) {
      for (const name of (fault.params.additionalProperties as string[]).slice(0, 20)) {
        errors.set(path === '' ? name : `${path}.${name}`, 'is not a field of this call');
      }
    } else if (fault.keyword === 'required' && 'requiredProperties' in fault.params) {
      for (const name of fault.params.requiredProperties as string[]) {
        errors.set(path === '' ? name : `${path}.${name}`, 'is required');
      }
    } else if (!errors.has(path)) {
      errors.set(path, fault.message);
    }
  }
  const list = [...errors].map(([path, message]) => ({ path, message }));
  const where = httpPart === 'querystring' ? 'query' : (httpPart ?? 'body');
  const summary = list.map(({ path, message }) => (path === '' ? `the ${where} ${message}` : `${path} ${message}`));
  return { detail: `In the ${where}: ${summary.join('; ') || 'no alternative matches'}.`, errors: list };
}
