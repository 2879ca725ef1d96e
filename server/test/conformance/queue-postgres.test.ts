import { PostgresQueue } from '../../src/queue/postgres.ts';
import { describeQueue } from './queue-suite.ts';

describeQueue({ name: 'PostgreSQL', skip: false, open: async (parts) => new PostgresQueue(parts) });
