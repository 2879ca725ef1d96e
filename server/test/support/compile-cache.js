/**
 * Loaded first by every process of a test run (`--import`): what is compiled is kept for the next one, also for the
 * processes that a test starts. JavaScript, since whatever is TypeScript here would be stripped anew each time.
 */
import * as module from 'node:module';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../.cache', import.meta.url));
module.enableCompileCache?.(folder);
process.env.NODE_COMPILE_CACHE ??= folder;
