import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { Client } from './client.ts';
import { makeFindClientKeys, type ReadDocument } from './client-keys.ts';

const uri = 'https://client.example/keys';
const clientOf = (metadata: Partial<Client['metadata']>): Client => ({
  ...{ id: 'i', clientId: 'c', tenantId: 't', isPublic: false, scopes: [], grants: [], redirectUris: [] },
  ...{ createdAt: new Date(), formerSecretUntil: null },
  metadata: {
    ...{ token_endpoint_auth_method: 'private_key_jwt', application_type: 'web', resources: [], skip_consent: false },
    ...metadata,
  },
});
const setOf = (...kids: string[]) => ({ keys: kids.map((kid) => ({ kty: 'EC', kid })) });

describe('keys at an address of the client', () => {
  let now: number;
  let reads: number;
  let answer: ReadDocument;
  let find: (kid?: string, client?: Client) => Promise<unknown>;
  const remote = clientOf({ jwks_uri: uri });
  beforeEach(() => {
    now = 1_000_000;
    reads = 0;
    answer = async () => ({ text: JSON.stringify(setOf('a')), maxAgeSeconds: undefined });
    const findKeys = makeFindClientKeys({
      clock: () => now,
      readDocument: (url) => {
        reads++;
        return answer(url);
      },
    });
    find = (kid, client = remote) => findKeys(client, kid);
  });
  const say = (kids: string[], maxAgeSeconds?: number) => {
    answer = async () => ({ text: JSON.stringify(setOf(...kids)), maxAgeSeconds });
  };

  it('are read when they are asked for, once by many, and not where they stand in the registration', async () => {
    assert.deepEqual(await find('x', clientOf({ jwks: setOf('r') })), setOf('r'));
    assert.equal(await find('x', clientOf({})), undefined);
    assert.equal(reads, 0);
    const all = await Promise.all(Array.from({ length: 20 }, () => find('a')));
    assert.equal(reads, 1);
    for (const keys of all) assert.deepEqual(keys, setOf('a'));
  });

  it('are remembered for as long as they say, from a minute to an hour', async () => {
    for (const [said, kept] of [
      [undefined, 300],
      [0, 60],
      [600, 600],
      [999_999, 3_600],
    ] as const) {
      say(['a'], said);
      await find('a');
      const before = reads;
      now += kept * 1_000 - 1;
      await find('a');
      assert.equal(reads, before, `${said}`);
      now += 1;
      await find('a');
      assert.equal(reads, before + 1, `${said}`);
      now += 3_600_000;
    }
  });

  it('are read again for a key that is not among them, once a minute at most', async () => {
    await find('a');
    say(['a', 'b']);
    for (let i = 0; i < 5; i++) assert.deepEqual(await find('b'), setOf('a'));
    assert.equal(reads, 1);
    now += 60_000;
    assert.deepEqual(await find('b'), setOf('a', 'b'));
    assert.equal(reads, 2);
    await find('c');
    assert.equal(reads, 2);
  });

  it('are good for an hour while they cannot be read, and asked for every ten seconds', async () => {
    await find('a');
    answer = () => Promise.reject(new Error('away'));
    now += 300_000;
    for (let i = 0; i < 5; i++) assert.deepEqual(await find('a'), setOf('a'));
    assert.equal(reads, 2);
    now += 10_000;
    await find('a');
    assert.equal(reads, 3);
    now += 3_290_000;
    assert.equal(await find('a'), undefined);
    say(['z']);
    now += 10_000;
    assert.deepEqual(await find('z'), setOf('z'));
  });

  it('are none where what stands there is no JWK Set', async () => {
    for (const text of ['', '{', 'null', '[]', '{"keys":{}}', '{"keys":[null]}', '<html>']) {
      answer = async () => ({ text, maxAgeSeconds: undefined });
      now += 60_000;
      assert.equal(await find('a'), undefined, text);
    }
    answer = () => {
      throw new Error('at once');
    };
    now += 60_000;
    assert.equal(await find('a'), undefined);
    say(['a']);
    now += 60_000;
    assert.deepEqual(await find('a'), setOf('a'));
  });
});
