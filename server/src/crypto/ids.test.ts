import assert from 'node:assert/strict';
import { it } from 'node:test';
import { newId } from './ids.ts';

it('makes UUIDs of version 7 that are unique and carry the time', () => {
  const before = Date.now();
  const ids = Array.from({ length: 2_000 }, newId);
  const after = Date.now();
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) {
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const at = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16);
    assert.ok(at >= before && at <= after);
  }
});
