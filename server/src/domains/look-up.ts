import { Resolver } from 'node:dns/promises';
import type { Finding } from './domain.ts';
import type { WantedRecord } from './records.ts';

export type LookUpTxt = (name: string) => Promise<string[]>;

/** @param servers to ask; the system's where there are none */
export function makeLookUpTxt(servers: string[]): LookUpTxt {
  const resolver = new Resolver({ timeout: 2_000, tries: 3 });
  if (servers.length > 0) resolver.setServers(servers);
  return async (name) => (await resolver.resolveTxt(name)).map((strings) => strings.join(''));
}

/** Looks a record up. A server that does not answer, or not properly, says nothing about the record. */
export async function findRecord(lookUpTxt: LookUpTxt, wanted: WantedRecord): Promise<Finding> {
  let texts: string[];
  try {
    texts = await lookUpTxt(wanted.name);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const isAbsent = code === 'ENOTFOUND' || code === 'ENODATA';
    return { status: isAbsent ? 'missing' : 'unreachable', found: [] };
  }
  const found = texts.filter(wanted.isMeant).slice(0, 10);
  if (found.length === 0) return { status: 'missing', found };
  // Of a proof another tenant may have one too; of all others a second makes the first void.
  const isGood =
    wanted.purpose === 'ownership' ? found.some(wanted.isGood) : found.length === 1 && found.every(wanted.isGood);
  return { status: isGood ? 'ok' : 'wrong', found };
}
