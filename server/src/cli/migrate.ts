import { loadConfig } from '../config.ts';
import { migrate } from '../database/migrate.ts';
import { openDatabase } from '../database/open.ts';
import { makeLogger } from '../log.ts';
import type { Command } from './command.ts';

export const migrateCommand: Command = {
  name: 'migrate',
  summary: 'Bring the database to the schema of this version. Starting does it too; safe to run twice or at once.',
  run: async ({ print }) => {
    const config = loadConfig();
    const database = await openDatabase(config, await makeLogger('error', false), { max: 1, name: 'postern migrate' });
    try {
      const applied = await migrate(database.db);
      print(
        { applied },
        applied.length > 0 ? `Applied ${applied.join(', ')}.` : 'Nothing to do: the schema is current.',
      );
    } finally {
      await database.close();
    }
  },
};
