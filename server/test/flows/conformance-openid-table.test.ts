/** Holds docs/conformance.md to the tests it names, and them to it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');
const rows = [...read('../../../docs/conformance.md').matchAll(/^\| `(oidcc-[\w-]+)` \| (\w+) \| (.+) \|$/gm)];

describe('docs/conformance.md', () => {
  for (const file of ['answers', 'requests']) {
    it(`has a row for each test of ${file}, and no other`, () => {
      const tests = [...read(`conformance-openid-${file}.test.ts`).matchAll(/^ {2}it\('(oidcc-[\w-]+)'/gm)];
      const named = rows.filter(([, , where]) => where === file);
      assert.deepEqual(named.map(([, module]) => module).sort(), tests.map(([, module]) => module).sort());
    });
  }

  it('has each module of the plans once, with a result', () => {
    // 38 of the basic plan, one of the configuration's.
    assert.equal(new Set(rows.map(([, module]) => module)).size, 39);
    assert.equal(rows.length, 39);
    for (const [, module, , result = ''] of rows) assert.match(result, /^(passes|does not apply: .)/, module);
  });
});
