/** The import rule of ARCHITECTURE.md, read from the imports themselves. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const src = fileURLToPath(new URL('../src', import.meta.url));

/** Features, each with those it may import from. An arrow never points back up. */
const features: Record<string, string[]> = {
  pages: ['identities', 'oauth', 'sessions', 'second-factors', 'users', 'challenges', 'templates', 'tenants'],
  identities: ['sessions', 'users', 'challenges', 'templates', 'tenants', 'audit'],
  invitations: ['users', 'roles', 'challenges', 'templates', 'tenants', 'audit'],
  oauth: ['sessions', 'users', 'challenges', 'emails', 'tenants', 'audit'],
  sessions: ['second-factors', 'users', 'roles', 'challenges', 'emails', 'templates', 'tenants', 'audit'],
  'second-factors': ['users', 'audit'],
  users: ['roles', 'challenges', 'emails', 'templates', 'tenants', 'audit'],
  roles: ['tenants', 'audit'],
  challenges: ['emails', 'templates', 'tenants', 'audit'],
  delivery: ['emails', 'templates', 'domains', 'suppressions', 'webhooks', 'tenants', 'audit'],
  emails: ['templates', 'domains', 'suppressions', 'webhooks', 'tenants', 'audit'],
  templates: [],
  domains: ['audit'],
  suppressions: [],
  inbox: [],
  'api-keys': ['tenants', 'audit'],
  'signing-keys': ['tenants', 'audit'],
  tenants: ['audit'],
  audit: ['webhooks'],
  webhooks: [],
};
const foundations = ['limits', 'redis', 'http', 'crypto', 'mime', 'database', 'queue', 'transport'].concat([
  'cache.ts',
  'errors.ts',
  'settings.ts',
]);
/** What of these folders a feature may know: the interface, never a backend. */
const interfaces = ['database/database.ts', 'database/gather.ts', 'queue/queue.ts', 'transport/transport.ts'];

const files = globSync('**/*.ts', { cwd: src }).filter((file) => !file.endsWith('.test.ts'));
const imports = files.flatMap((file) => {
  const text = readFileSync(join(src, file), 'utf8');
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) => ({
    file,
    target: relative(src, join(src, dirname(file), match[1] ?? '')),
  }));
});
const top = (path: string) => path.split('/')[0] ?? path;

describe('the import rule', () => {
  it('finds the source', () => assert.ok(imports.length > 50));

  it('lets nothing but the entries import start.ts, and only command-line.ts import the commands', () => {
    for (const { file, target } of imports) {
      if (target === 'start.ts') assert.ok(file === 'start-api.ts' || top(file) === 'cli', `${file} imports start.ts`);
      if (top(target) === 'cli')
        assert.ok(file === 'command-line.ts' || top(file) === 'cli', `${file} imports ${target}`);
    }
  });

  it('keeps foundations from knowing features', () => {
    for (const { file, target } of imports.filter((one) => foundations.includes(top(one.file)))) {
      // Settings are joined by config.ts alone, and words (types) of mail are what a transport carries.
      const isWord = target === 'emails/email.ts' && top(file) === 'transport';
      assert.ok(!(top(target) in features) || isWord, `${file} imports ${target}`);
    }
  });

  it('keeps the arrows between features one way', () => {
    for (const { file, target } of imports.filter((one) => top(one.file) in features)) {
      const from = top(file);
      const to = top(target);
      if (!(to in features) || to === from) continue;
      assert.ok(features[from]?.includes(to), `${file} imports ${target}`);
    }
  });

  it('keeps features from knowing a backend', () => {
    for (const { file, target } of imports.filter((one) => top(one.file) in features)) {
      if (!['database', 'queue', 'transport', 'redis'].includes(top(target))) continue;
      assert.ok(interfaces.includes(target), `${file} imports ${target}`);
    }
  });

  it('leaves process.env to config.ts and main.ts', () => {
    for (const file of files) {
      if (file !== 'config.ts' && file !== 'main.ts')
        assert.doesNotMatch(readFileSync(join(src, file), 'utf8'), /process\.env\b/, file);
    }
  });
});
