import { readFileSync } from 'node:fs';

/** Of the package, e.g. `1.2.3`. Source and build both stand one folder below package.json. */
export const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;
