import { randomFillSync } from 'node:crypto';

const size = 16;
// Random bytes for many ids at once: asking for sixteen at a time costs more than all the rest.
const pool = Buffer.alloc(size * 256);
let used = pool.length;

/** A UUIDv7 (RFC 9562): milliseconds since 1970, then randomness, so that ids made later sort later. */
export function newId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = pool.subarray(used, used + size);
  used += size;
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
