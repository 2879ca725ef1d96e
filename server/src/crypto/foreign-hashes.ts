/**
 * Password hashes made elsewhere, in the forms in which they are usually kept: argon2 (PHC), bcrypt, scrypt (PHC,
 * Werkzeug) and PBKDF2 (PHC, passlib, Django, Werkzeug). Each is good for one login, which replaces it by our own. What
 * one costs to check is bounded, so that no import can slow down everybody's logins.
 */
import { pbkdf2Sync, scryptSync, timingSafeEqual } from 'node:crypto';
import { verifySync } from '@node-rs/argon2';
import bcrypt from 'bcryptjs';

/** Whether a password is the one. It takes its time: call it in a thread of its own. */
export type CheckHash = (password: string) => boolean;

/** Mebibytes that checking one hash may take. */
const maxMebibytes = 256;
const maxBcryptCost = 14;
const maxPbkdf2Iterations = 3_000_000;

/** @throws Error that says what is wrong, without the hash */
export function readHash(hash: string): CheckHash {
  for (const [form, read] of forms) {
    const match = form.exec(hash);
    if (match) return read(match);
  }
  throw new Error('is no hash that can be read: argon2, bcrypt, scrypt and PBKDF2 are, in their usual forms');
}

const forms: [RegExp, (match: RegExpExecArray) => CheckHash][] = [
  [
    /^\$argon2(?:id|i|d)\$(?:v=\d{1,2}\$)?m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$/,
    ([hash, memory, time, lanes]) => {
      bound(Number(memory) / 1024 <= maxMebibytes && Number(time) <= 16 && Number(lanes) <= 16);
      return (password) => verifySync(hash, password);
    },
  ],
  [
    /^\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}$/,
    ([hash, cost]) => {
      bound(Number(cost) >= 4 && Number(cost) <= maxBcryptCost);
      // `x` and `y` mark what PHP mended in its own implementation; ours never had the fault.
      return (password) => bcrypt.compareSync(password, hash.replace(/^\$2[xy]/, '$2b'));
    },
  ],
  [
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,4}),p=(\d{1,4})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]{22,})$/,
    ([, logN, r, p, salt = '', key = '']) =>
      scrypt(2 ** Number(logN), Number(r), Number(p), Buffer.from(salt, 'base64'), Buffer.from(key, 'base64')),
  ],
  [
    /^scrypt:(\d{1,9}):(\d{1,4}):(\d{1,4})\$([^$]+)\$([0-9a-f]{32,})$/,
    ([, n, r, p, salt = '', key = '']) =>
      scrypt(Number(n), Number(r), Number(p), Buffer.from(salt), Buffer.from(key, 'hex')),
  ],
  [
    /^\$pbkdf2-(sha1|sha256|sha512)\$(?:i=)?(\d{1,9})(?:,l=\d+)?\$([A-Za-z0-9+/.]+)\$([A-Za-z0-9+/.]{22,})$/,
    ([, digest = '', iterations, salt = '', key = '']) =>
      pbkdf2(digest, Number(iterations), fromBase64(salt), fromBase64(key)),
  ],
  [
    /^pbkdf2_(sha1|sha256|sha512)\$(\d{1,9})\$([^$]+)\$([A-Za-z0-9+/]{22,}={0,2})$/,
    ([, digest = '', iterations, salt = '', key = '']) =>
      pbkdf2(digest, Number(iterations), Buffer.from(salt), Buffer.from(key, 'base64')),
  ],
  [
    /^pbkdf2:(sha1|sha256|sha512):(\d{1,9})\$([^$]+)\$([0-9a-f]{32,})$/,
    ([, digest = '', iterations, salt = '', key = '']) =>
      pbkdf2(digest, Number(iterations), Buffer.from(salt), Buffer.from(key, 'hex')),
  ],
];

function scrypt(n: number, r: number, p: number, salt: Buffer, key: Buffer): CheckHash {
  const octets = 128 * n * r;
  bound(Math.log2(n) % 1 === 0 && n > 1 && r > 0 && p > 0 && octets / 2 ** 20 <= maxMebibytes && p <= 16);
  return (password) =>
    timingSafeEqual(scryptSync(password, salt, key.length, { N: n, r, p, maxmem: octets + 2 ** 20 * (p + 1) }), key);
}

function pbkdf2(digest: string, iterations: number, salt: Buffer, key: Buffer): CheckHash {
  bound(iterations > 0 && iterations <= maxPbkdf2Iterations && key.length <= 64);
  return (password) => timingSafeEqual(pbkdf2Sync(password, salt, iterations, key.length, digest), key);
}

/** passlib writes `.` where others write `+`. */
function fromBase64(text: string): Buffer {
  return Buffer.from(text.replaceAll('.', '+'), 'base64');
}

function bound(isWithin: boolean): void {
  if (!isWithin) throw new Error('is a hash whose cost is out of bounds');
}
