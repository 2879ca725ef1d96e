import { resolve } from 'node:path';
import { text, url } from '../settings.ts';

export const databaseSettings = {
  databaseUrl: url('DATABASE_URL', ['postgres:', 'postgresql:'], {
    default: undefined,
    defaultText: 'unset: embedded PostgreSQL in `DATA_DIR`',
    help: 'PostgreSQL 15 or newer, e.g. `postgres://user:password@host:5432/postern`.',
    secret: true,
  }),
  dataDir: {
    ...text('DATA_DIR', { default: resolve('.postern'), help: '' }),
    parse: (value: string) => resolve(value),
    defaultText: '`.postern` in the current folder',
    help: 'Where the embedded database, generated keys and the journals of the mail workers live. Workers need it on a disk that outlives them.',
  },
};
