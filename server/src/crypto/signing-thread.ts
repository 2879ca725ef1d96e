/** What runs in the thread of `signatures.ts`: all that was waiting, one after the other. */
import { type KeyObject, sign } from 'node:crypto';
import { parentPort } from 'node:worker_threads';

/** `key` absent: the one before. */
export interface SigningTask {
  key?: KeyObject;
  inputs: string[];
}

/** Signatures as JWS writes them, in the order of the inputs. */
export type SigningResult = { signatures: string[] } | { fault: string };

let key: KeyObject | undefined;

parentPort?.on('message', (task: SigningTask) => {
  let result: SigningResult;
  try {
    key = task.key ?? key;
    result = { signatures: task.inputs.map((input) => signature(input, key)) };
  } catch (error) {
    result = { fault: error instanceof Error ? error.message : String(error) };
  }
  parentPort?.postMessage(result);
});

function signature(input: string, privateKey: KeyObject | undefined): string {
  if (!privateKey) throw new Error('There is no key to sign with.');
  // The bare key, without options: Node finds one inside an object by errors that it throws and catches, 30 µs each, and
  // takes another 30 to write the signature as JWS does.
  return joinNumbers(sign('sha256', Buffer.from(input), privateKey)).toString('base64url');
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
