/** What a caller gives against what a template declares. */
import { invalidVariables, missingVariables, variablesTooLarge } from './errors.ts';
import { redactedText, type Variable, type VariableType } from './template.ts';

const maxBytes = 256 * 1024;

/**
 * The variables as a template sees them: each declared one is there, with its default or null where the caller gave none.
 * @throws missingVariables, invalidVariables, variablesTooLarge
 */
export function bindVariables(
  template: string,
  declared: Variable[],
  given: Record<string, unknown>,
): Record<string, unknown> {
  if (Buffer.byteLength(JSON.stringify(given)) > maxBytes) {
    throw variablesTooLarge({ detail: 'The variables of a letter are at most 256 KiB of JSON.' });
  }
  const missing: Fault[] = [];
  const wrong: Fault[] = [];
  const bound: Record<string, unknown> = {};
  for (const { name, type, required = false, default: otherwise = null } of declared) {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined && required && otherwise === null) missing.push(fault(name, 'is required'));
    if (value !== undefined && value !== null && type !== undefined && typeOf(value) !== type) {
      wrong.push(fault(name, `must be of type ${type}, not ${typeOf(value)}`));
    }
    bound[name] = value ?? otherwise;
  }
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(bound, name)) wrong.push(fault(name, 'is not a variable of this template'));
  }
  if (missing.length > 0) {
    const names = missing.map(({ name }) => name).join(', ');
    throw missingVariables({
      detail: `The template "${template}" needs ${names}.`,
      errors: shown([...missing, ...wrong]),
    });
  }
  if (wrong.length > 0) {
    const all = wrong.map(({ name, message }) => `${name} ${message}`).join('; ');
    throw invalidVariables({ detail: `For the template "${template}": ${all}.`, errors: shown(wrong) });
  }
  return bound;
}

interface Fault {
  name: string;
  message: string;
}

function fault(name: string, message: string): Fault {
  return { name: name.slice(0, 100), message };
}

function shown(faults: Fault[]) {
  return faults.slice(0, 20).map(({ name, message }) => ({ path: `template.variables.${name}`, message }));
}

export function typeOf(value: unknown): VariableType {
  if (Array.isArray(value)) return 'array';
  const type = typeof value;
  return type === 'string' || type === 'number' || type === 'boolean' ? type : 'object';
}

/** A value with every text and number in it struck out. Its shape stays, so that what a template loops over still is there. */
export function strikeOut(value: unknown): unknown {
  if (value === null || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map(strikeOut);
  if (typeof value !== 'object') return redactedText;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, strikeOut(inner)]));
}

/** The same variables as history may know them, or undefined where none is secret. */
export function redactVariables(
  variables: Record<string, unknown>,
  secrets: string[],
): Record<string, unknown> | undefined {
  if (secrets.length === 0) return undefined;
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, secrets.includes(name) ? strikeOut(value) : value]),
  );
}
