/** Which passwords may be set (S18). */
import { createHash } from 'node:crypto';
import type { FastifyBaseLogger } from 'fastify';
import { isUsablePassword } from '../crypto/passwords.ts';
import { commonPassword } from './errors.ts';
import { invalidField } from './user.ts';

export interface PasswordPolicy {
  /**
   * To be asked wherever a password is set.
   * @param path of the field that it came in
   * @throws invalidRequest, commonPassword
   */
  check: (password: string, path?: string) => Promise<void>;
}

interface Options {
  /** Of a service that speaks the range protocol of Have I Been Pwned; it is told five digits of a hash, no more. */
  breachedPasswordsUrl: string | undefined;
  log: Pick<FastifyBaseLogger, 'warn'>;
}

const patienceMilliseconds = 1_500;

export function makePasswordPolicy(options: Options): PasswordPolicy {
  return {
    check: async (password, path = 'password') => {
      if (!isUsablePassword(password)) throw invalidField(path, 'must have 8 to 1024 characters');
      if ((await commonPasswords()).has(password.toLowerCase())) {
        throw refused(path, 'is one of the passwords that are tried first; choose another');
      }
      if (options.breachedPasswordsUrl !== undefined && (await isBreached(options, password))) {
        throw refused(path, 'is known from a breach of another service; choose another');
      }
    },
  };
}

let common: Promise<Set<string>> | undefined;

/** Some eighteen thousand of the commonest that are long enough to be set, in lower case. Read when first needed. */
function commonPasswords(): Promise<Set<string>> {
  common ??= import('@zxcvbn-ts/language-common').then(
    ({ dictionary }) => new Set(dictionary['passwords-common'].filter(isUsablePassword)),
  );
  return common;
}

/** Where the service does not answer, a password passes: it must not keep anybody out. */
async function isBreached({ breachedPasswordsUrl, log }: Options, password: string): Promise<boolean> {
  const hash = createHash('sha1').update(password).digest('hex').toUpperCase();
  try {
    const reply = await fetch(`${breachedPasswordsUrl?.replace(/\/$/, '')}/${hash.slice(0, 5)}`, {
      headers: { 'Add-Padding': 'true' },
      signal: AbortSignal.timeout(patienceMilliseconds),
    });
    if (!reply.ok) throw new Error(`it answered ${reply.status}`);
    // Lines of suffix and count; those that only pad have the count 0.
    return new RegExp(`^${hash.slice(5)}:0*[1-9]`, 'm').test(await reply.text());
  } catch (error) {
    log.warn({ err: error }, 'the service of breached passwords (BREACHED_PASSWORDS_URL) did not answer; passing');
    return false;
  }
}

function refused(path: string, message: string) {
  return commonPassword({ detail: `${path}: ${message}.`, errors: [{ path, message }] });
}
