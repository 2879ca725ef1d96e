/** Checks requests against the routes' TypeBox schemas and names every faulty field. Nothing is dropped or bent to fit. */
import type { FastifyRequest, FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Settings } from 'typebox/system';
import { invalidRequest } from './problem.ts';

// Of a body with more faults than these the first ones are enough to go on with.
Settings.Set({ maxErrors: 20 });

/** Compiled with the first request, as answers are (`serialize.ts`). */
export const compileValidator: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  let check: ReturnType<typeof Compile> | undefined;
  const numbers = httpPart === 'body' ? [] : integersOf(schema);
  return (input: unknown) => {
    check ??= Compile(schema);
    const value = readNumbers(numbers, input);
    if (check.Check(value)) return { value };
    return { error: invalidRequest({ ...describe(check.Errors(value), httpPart) }) };
  };
};

function integersOf(schema: TSchema): string[] {
  if (!('properties' in schema)) return [];
  const properties = Object.entries(schema.properties as Record<string, { type?: string }>);
  return properties.filter(([, { type }]) => type === 'integer').map(([name]) => name);
}

/** For `preValidation`: a body that may be absent is an empty object to its schema. */
export async function noBodyIsEmpty(request: FastifyRequest): Promise<void> {
  request.body ??= {};
}

/**
 * Query strings are text by nature, so whole numbers are read out of them; bodies say what they mean. TypeBox's own
 * conversion would bend `1.5` and `0x10` to fit.
 */
function readNumbers(names: string[], input: unknown): unknown {
  if (names.length === 0 || typeof input !== 'object' || input === null) return input;
  const read = ([name, value]: [string, unknown]) => {
    const isNumber = names.includes(name) && typeof value === 'string' && /^-?\d{1,15}$/.test(value);
    return [name, isNumber ? Number(value) : value];
  };
  return Object.fromEntries(Object.entries(input).map(read));
}

interface SchemaFault {
  keyword: string;
  schemaPath: string;
  instancePath: string;
  message: string;
  params: object;
}

function describe(faults: Iterable<SchemaFault>, httpPart: string | undefined) {
  const errors = new Map<string, string>();
  for (const fault of faults) {
    const path = dotted(fault.instancePath);
    // The fields of additionalProperties have been reported one by one, each as refused by the schema `false`.
    if (fault.keyword === 'anyOf' || fault.keyword === 'additionalProperties') continue;
    if (fault.keyword === 'boolean') {
      errors.set(path, 'is not a field of this call');
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

/** A JSON Pointer (RFC 6901) as callers write it: `/to/0` → `to.0`. */
function dotted(pointer: string): string {
  const names = pointer.split('/').slice(1);
  return names.map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~')).join('.');
}
