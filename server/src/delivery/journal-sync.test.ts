import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it, mock } from 'node:test';
import pino from 'pino';
import type { Settlement } from './store.ts';

it('F1 the journal is on the disk, not only with the system, before anybody goes on', async () => {
  const datasync = mock.method(fs, 'fdatasync');
  syncBuiltinESMExports();
  const { openJournal } = await import('./journal.ts');
  const dataDir = await mkdtemp(join(tmpdir(), 'postern-test-'));
  const journal = openJournal({ dataDir, log: pino({ level: 'silent' }) });
  try {
    journal.append({ letter: { id: randomUUID(), lease_token: randomUUID() } } as Settlement);
    assert.equal(datasync.mock.callCount(), 0);
    await journal.flush();
    assert.equal(datasync.mock.callCount(), 1);
    assert.equal(datasync.mock.calls[0]?.result, undefined);
  } finally {
    journal.close();
    await rm(dataDir, { recursive: true });
  }
});
