/** Reads JSON bodies. `JSON.parse` lets the last of two equal keys win, which is how checks get bypassed: here it is a fault. */
import { isUtf8 } from 'node:buffer';
import { defineError } from '../errors.ts';

export const malformedJson = defineError('http.malformed_json', 400, 'The body is not JSON');

export const maxDepth = 64;

/** @throws malformedJson */
export function parseJsonBody(body: Buffer): unknown {
  // Decoding would put U+FFFD in place of what is no UTF-8: two different passwords would become one.
  if (!isUtf8(body)) throw malformedJson({ detail: 'The body is not UTF-8.' });
  const text = body.toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw malformedJson({ detail: error instanceof Error ? error.message : 'The body is not JSON.' });
  }
  checkStructure(text);
  if (/\\ud[89a-f]/i.test(text)) checkSurrogates(value);
  return value;
}

/** Half a surrogate pair is no character: it cannot be written as UTF-8, and PostgreSQL refuses it in JSON. */
function checkSurrogates(value: unknown): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed())
      throw malformedJson({ detail: 'A string holds half a surrogate pair (\\ud800-\\udfff).' });
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      checkSurrogates(key);
      checkSurrogates(item);
    }
  }
}

/** Walks JSON that is known to be well-formed, for duplicate keys, `__proto__` and depth. Linear; skips over strings. */
function checkStructure(text: string): void {
  const keysOfOpenObjects: (Set<string> | undefined)[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === 0x7b || char === 0x5b) {
      keysOfOpenObjects.push(char === 0x7b ? new Set() : undefined);
      if (keysOfOpenObjects.length > maxDepth) {
        throw malformedJson({ detail: `The body is nested deeper than ${maxDepth} levels.` });
      }
    } else if (char === 0x7d || char === 0x5d) {
      keysOfOpenObjects.pop();
    } else if (char === 0x22) {
      const end = stringEnd(text, i);
      const keys = keysOfOpenObjects.at(-1);
      if (keys && isFollowedByColon(text, end)) {
        const key: string = JSON.parse(text.slice(i, end + 1));
        if (keys.has(key)) throw malformedJson({ detail: `The key "${key}" stands twice in one object.` });
        if (key === '__proto__') throw malformedJson({ detail: 'The key "__proto__" is not allowed.' });
        keys.add(key);
      }
      i = end;
    }
  }
}

/** Index of the quote that ends the string beginning at `start`. */
function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

function isFollowedByColon(text: string, end: number): boolean {
  let i = end + 1;
  while (i < text.length && text.charCodeAt(i) <= 0x20) i++;
  return text.charCodeAt(i) === 0x3a;
}
