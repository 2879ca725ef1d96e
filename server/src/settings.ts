/**
 * How a folder declares its settings. A setting is an environment variable (or `NAME_FILE`, a file holding the value),
 * a parser that throws a sentence when the value is wrong, and a default. `config.ts` joins the tables.
 */

export interface Setting<T> {
  /** Environment variable. */
  name: string;
  /** Turns the text into the value; throws an Error whose message completes "NAME …". */
  parse: (text: string) => T;
  /** Value when the variable is unset or empty. */
  default: T;
  /** How the documentation shows the default, where it is not simply the value. */
  defaultText?: string;
  help: string;
  /** Never shown in logs, `doctor` or error messages. */
  secret?: boolean;
}

export type SettingTable = Record<string, Setting<unknown>>;
export type SettingValues<T extends SettingTable> = { [K in keyof T]: T[K] extends Setting<infer V> ? V : never };

type Options<T> = { default: T; help: string; defaultText?: string; secret?: boolean };

function setting<T>(name: string, parse: (text: string) => T, options: Options<T>): Setting<T> {
  return { name, parse, ...options };
}

export function text<T extends string | undefined>(name: string, options: Options<T>): Setting<string | T> {
  return setting<string | T>(name, (value) => value, options);
}

export function integer(name: string, options: Options<number> & { min: number; max: number }): Setting<number> {
  const { min, max, ...rest } = options;
  return setting(
    name,
    (value) => {
      const number = Number(value);
      if (!/^\d+$/.test(value) || number < min || number > max) {
        throw new Error(`must be a whole number from ${min} to ${max}`);
      }
      return number;
    },
    rest,
  );
}

export function choice<const C extends string, T extends C | undefined>(
  name: string,
  choices: readonly C[],
  options: Options<T>,
): Setting<C | T> {
  return setting<C | T>(
    name,
    (value) => {
      const found = choices.find((one) => one === value);
      if (found === undefined) throw new Error(`must be one of: ${choices.join(', ')}`);
      return found;
    },
    options,
  );
}

/** A comma-separated list; spaces around items and empty items do not count. */
export function list(name: string, options: Options<string[]> & { check?: (item: string) => void }): Setting<string[]> {
  const { check, ...rest } = options;
  return setting(
    name,
    (value) => {
      const items = value
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
      if (check) items.forEach(check);
      return items;
    },
    rest,
  );
}

export function url<T extends string | undefined>(
  name: string,
  protocols: readonly string[],
  options: Options<T>,
): Setting<string | T> {
  return setting<string | T>(
    name,
    (value) => {
      checkUrl(value, protocols);
      return value;
    },
    options,
  );
}

/** Throws where `value` is not a URL of one of the protocols (each with its colon). */
export function checkUrl(value: string, protocols: readonly string[]): void {
  if (!URL.canParse(value)) throw new Error(`must be a URL beginning with ${protocols.join('// or ')}//`);
  const parsed = new URL(value);
  if (!protocols.includes(parsed.protocol)) {
    throw new Error(`must begin with ${protocols.join('// or ')}//`);
  }
  if (parsed.hostname === '') throw new Error('names no host');
}
