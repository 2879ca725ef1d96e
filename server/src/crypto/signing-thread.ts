/** What runs in the thread of `signatures.ts`: all that was waiting, one after the other. */
import { type KeyObject, sign } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { giveWay } from './thread-priority.ts';

/** What all tokens of a key have in common. */
export interface Signer {
  key: KeyObject;
  /** Of the JWS, encoded. */
  header: string;
}

/** `signer` absent: the one before. */
export interface SigningTask {
  signer?: Signer;
  /** JSON. */
  payloads: string[];
}

/** JWS in the compact form, in the order of their payloads. */
export type SigningResult = { tokens: string[] } | { fault: string };

// The thread that answers would otherwise be stopped each time it has something signed. Those that hash passwords wait for
// this one.
giveWay(5);

let signer: Signer | undefined;

parentPort?.on('message', (task: SigningTask) => {
  let result: SigningResult;
  try {
    signer = task.signer ?? signer;
    result = { tokens: task.payloads.map((payload) => signed(payload, signer)) };
  } catch (error) {
    result = { fault: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(result);
});

function signed(payload: string, by: Signer | undefined): string {
  if (!by) throw new Error('There is no key to sign with.');
  const input = `${by.header}.${Buffer.from(payload).toString('base64url')}`;
  // The bare key, without options: Node finds one inside an object by errors that it throws and catches, 30 µs each, and
  // takes another 30 to write the signature as JWS does.
  const signature = joinNumbers(sign('sha256', Buffer.from(input), by.key));
  return `${input}.${signature.toString('base64url')}`;
}

/**
 * A signature as JWS writes it (RFC 7518 §3.4: two numbers of 32 bytes) from the DER that signing gives: a SEQUENCE of two
 * INTEGERs, each as short as it can be, with a zero in front where its first bit is set. All lengths are below 128.
 */
function joinNumbers(der: Buffer): Buffer {
  const numbers = Buffer.alloc(64);
  let at = 2;
  for (const end of [32, 64]) {
    const length = der.readUInt8(at + 1);
    const number = der.subarray(at + 2, at + 2 + length);
    const digits = number[0] === 0 ? number.subarray(1) : number;
    digits.copy(numbers, end - digits.length);
    at += 2 + length;
  }
  return numbers;
}
