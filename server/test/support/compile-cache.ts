/** Loaded first by every process of a test run (`--import`): what is compiled is kept for the next one. */
import * as module from 'node:module';
import { fileURLToPath } from 'node:url';

module.enableCompileCache?.(fileURLToPath(new URL('../../.cache', import.meta.url)));
