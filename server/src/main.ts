#!/usr/bin/env node
/** The program. What is compiled is kept beside it where that can be written: the next command then takes half as long. */
import * as module from 'node:module';
import { fileURLToPath } from 'node:url';

// Not the usual place, the folder for temporary files: what others may write there would be run here.
const folder = fileURLToPath(new URL('../.cache', import.meta.url));
module.enableCompileCache?.(folder);
process.env.NODE_COMPILE_CACHE ??= folder; // for worker threads

const { main } = await import('./command-line.ts');
process.exitCode = await main(process.argv.slice(2));
