import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { hashSync } from '@node-rs/argon2';
import { argon2Parameters, makePasswordHasher } from './passwords.ts';

describe('passwords', () => {
  const passwords = makePasswordHasher({ threads: 2 });
  after(() => passwords.close());

  it('S17 are hashed by argon2id with the stated parameters or stronger', async () => {
    assert.ok(argon2Parameters.memoryCost >= 19_456 && argon2Parameters.timeCost >= 2);
    assert.match(await passwords.hash('Password@123'), /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
  });

  it('S17 count every byte: the 73rd, NUL, spaces at either end, and beyond 64 characters', async () => {
    const long = 'a'.repeat(72);
    for (const [one, other] of [
      [`${long}b`, `${long}c`],
      ['secret\0one', 'secret\0two'],
      ['password', 'password '],
      ['password', ' password'],
      ['x'.repeat(1023), 'x'.repeat(1024)],
    ] as const) {
      const hash = await passwords.hash(one);
      assert.deepEqual(await passwords.verify(hash, one), { ok: true, needsRehash: false });
      assert.equal((await passwords.verify(hash, other)).ok, false);
    }
  });

  it('ask for a new hash when the parameters were others, and only of who knows the password', async () => {
    const weak = hashSync('Password@123', { memoryCost: 8_192, timeCost: 1, parallelism: 1 });
    assert.deepEqual(await passwords.verify(weak, 'Password@123'), { ok: true, needsRehash: true });
    assert.deepEqual(await passwords.verify(weak, 'other'), { ok: false, needsRehash: false });
  });

  it('fail for a user who has none, whatever is given', async () => {
    assert.deepEqual(await passwords.verify(undefined, 'Password@123'), { ok: false, needsRehash: false });
    assert.deepEqual(await passwords.verify(undefined, ''), { ok: false, needsRehash: false });
  });

  it('tell a broken hash from a wrong password, and go on', async () => {
    await assert.rejects(passwords.verify('$argon2id$nonsense', 'x'), /no hash that can be read/);
    assert.equal((await passwords.verify(undefined, 'x')).ok, false);
  });

  it('are told apart where threads take several at once: right, wrong and broken', async () => {
    const hash = await passwords.hash('Password@123');
    const asked = Array.from({ length: 30 }, (_, index) => (['right', 'wrong', 'broken'] as const)[index % 3]);
    const told = await Promise.all(
      asked.map(async (what) => {
        const password = what === 'right' ? 'Password@123' : 'other';
        const result = passwords.verify(what === 'broken' ? '$broken' : hash, password);
        return result.then(({ ok }) => (ok ? 'right' : 'wrong')).catch(() => 'broken');
      }),
    );
    assert.deepEqual(told, asked);
  });

  it('are refused with 503 and Retry-After when too many wait', async () => {
    const crowd = await Promise.allSettled(Array.from({ length: 2_100 }, () => passwords.verify('$broken', 'x')));
    const refused = crowd.filter((one) => one.status === 'rejected' && one.reason.code === 'auth.busy');
    assert.ok(refused.length > 0 && refused.length < 2_100);
    for (const one of refused) {
      assert.ok(one.status === 'rejected' && one.reason.status === 503 && one.reason.details.retryAfterSeconds > 0);
    }
  });
});
