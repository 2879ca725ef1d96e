/** What a person holds in their hand: an authenticator app (RFC 6238), and a device that keeps passkeys (WebAuthn). */
import { createHash, createHmac, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** The code that an app shows at an instant (milliseconds since 1970). */
export function totpCode(base32: string, at = Date.now()): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(at / 30_000)));
  const digest = createHmac('sha1', fromBase32(base32)).update(counter).digest();
  const offset = (digest.at(-1) ?? 0) & 0xf;
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

function fromBase32(text: string): Buffer {
  const bits = [...text].map((letter) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'),
  );
  return Buffer.from((bits.join('').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

interface Options {
  challenge: string;
}

export interface Device {
  /** What `navigator.credentials.create` comes to. */
  create: (options: Options & { rp: { id: string }; user: { id: string } }) => object;
  /** What `navigator.credentials.get` comes to. `count` is the device's count of signatures. */
  get: (options: Options & { rpId: string }, more?: { count?: number; origin?: string }) => Record<string, unknown>;
}

/** @param origin of the page that asks @param verifiesUser whether it takes a fingerprint or a PIN */
export function openDevice({ origin, verifiesUser = true }: { origin: string; verifiesUser?: boolean }): Device {
  const id = randomBytes(16);
  let key: KeyObject;
  let userHandle = '';
  let uses = 0;
  const clientData = (type: string, challenge: string, from: string) =>
    Buffer.from(JSON.stringify({ type, challenge, origin: from, crossOrigin: false }));
  const authenticatorData = (rpId: string, count: number, credential?: Buffer) => {
    const head = Buffer.alloc(5);
    head[0] = 0x01 | (verifiesUser ? 0x04 : 0) | (credential ? 0x40 : 0);
    head.writeUInt32BE(count, 1);
    return Buffer.concat([createHash('sha256').update(rpId).digest(), head, credential ?? Buffer.alloc(0)]);
  };
  const answer = (response: Record<string, Buffer>) => ({
    id: id.toString('base64url'),
    rawId: id.toString('base64url'),
    type: 'public-key',
    response: Object.fromEntries(Object.entries(response).map(([name, bytes]) => [name, bytes.toString('base64url')])),
    clientExtensionResults: {},
  });
  return {
    create: ({ challenge, rp, user }) => {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      key = pair.privateKey;
      userHandle = user.id;
      const { x = '', y = '' } = pair.publicKey.export({ format: 'jwk' });
      const cose = new Map<number, number | Buffer>([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, Buffer.from(x, 'base64url')],
        [-3, Buffer.from(y, 'base64url')],
      ]);
      const credential = Buffer.concat([Buffer.alloc(16), Buffer.from([0, id.length]), id, cbor(cose)]);
      const attestation = new Map<string, unknown>([
        ['fmt', 'none'],
        ['attStmt', new Map()],
        ['authData', authenticatorData(rp.id, 0, credential)],
      ]);
      const clientDataJSON = clientData('webauthn.create', challenge, origin);
      return answer({ clientDataJSON, attestationObject: cbor(attestation) });
    },
    get: ({ challenge, rpId }, { count, origin: from = origin } = {}) => {
      uses = count ?? uses + 1;
      const clientDataJSON = clientData('webauthn.get', challenge, from);
      const data = authenticatorData(rpId, uses);
      const signed = Buffer.concat([data, createHash('sha256').update(clientDataJSON).digest()]);
      const signature = sign('sha256', signed, key);
      const handle = Buffer.from(userHandle, 'base64url');
      return answer({ clientDataJSON, authenticatorData: data, signature, userHandle: handle });
    },
  };
}

/** As much of CBOR (RFC 8949) as an authenticator speaks. */
function cbor(value: unknown): Buffer {
  if (typeof value === 'number') return value < 0 ? head(1, -1 - value) : head(0, value);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (!(value instanceof Map)) throw new Error(`No CBOR for ${typeof value}`);
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([name, item]) => [cbor(name), cbor(item)])]);
}

function head(major: number, count: number): Buffer {
  if (count < 24) return Buffer.from([(major << 5) | count]);
  if (count < 256) return Buffer.from([(major << 5) | 24, count]);
  return Buffer.from([(major << 5) | 25, count >> 8, count & 0xff]);
}
