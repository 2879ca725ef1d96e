/** The DNS records that a domain should have. All are TXT. */
import type { Domain } from './domain.ts';

export interface WantedRecord {
  /** By which findings are kept: `ownership`, `dkim:<selector>`, `spf`, `dmarc`. */
  key: string;
  purpose: 'ownership' | 'dkim' | 'spf' | 'dmarc';
  name: string;
  value: string;
  note: string;
  /** Whether a text found under the name is a record of this kind at all. */
  isMeant: (text: string) => boolean;
  /** Whether such a record is as it should be. */
  isGood: (text: string) => boolean;
}

export function wantedRecords({ domain, token, keys }: Domain): WantedRecord[] {
  const proof = `postern-verification=${token}`;
  return [
    {
      key: 'ownership',
      purpose: 'ownership',
      name: `_postern.${domain}`,
      value: proof,
      note: 'Proves that the domain is yours; needed.',
      isMeant: (text) => text.startsWith('postern-verification='),
      isGood: (text) => text.trim() === proof,
    },
    ...keys
      .filter(({ retiredAt }) => retiredAt === null)
      .map(({ selector, algorithm, publicKey }): WantedRecord => {
        return {
          key: `dkim:${selector}`,
          purpose: 'dkim',
          name: `${selector}._domainkey.${domain}`,
          value: `v=DKIM1; k=${algorithm}; p=${publicKey}`,
          note: 'Letters are signed with this key once the record was seen. Values over 255 octets are entered as several strings.',
          isMeant: (text) => tagOf(text, 'p') !== undefined,
          isGood: (text) => tagOf(text, 'p') === publicKey && (tagOf(text, 'k') ?? 'rsa') === algorithm,
        };
      }),
    {
      key: 'spf',
      purpose: 'spf',
      name: domain,
      value: 'v=spf1 a mx ~all',
      note: 'Who may send for the domain (RFC 7208): have it name your SMTP relay, as its provider tells you. Exactly one.',
      isMeant: isSpf,
      isGood: isSpf,
    },
    {
      key: 'dmarc',
      purpose: 'dmarc',
      name: `_dmarc.${domain}`,
      value: 'v=DMARC1; p=none',
      note: 'What receivers do with letters that fail (RFC 7489): begin with none, go on to quarantine or reject. Exactly one.',
      isMeant: isDmarc,
      isGood: (text) => ['none', 'quarantine', 'reject'].includes(tagOf(text, 'p')?.toLowerCase() ?? ''),
    },
  ];
}

const isSpf = (text: string) => /^v=spf1(?: |$)/i.test(text);
const isDmarc = (text: string) => /^v=DMARC1\s*(?:;|$)/i.test(text);

/** The value of a tag, without white space (RFC 6376 section 3.2). */
function tagOf(text: string, name: string): string | undefined {
  for (const tag of text.split(';')) {
    const [key, ...value] = tag.split('=');
    if (key?.trim() === name) return value.join('=').replace(/\s/g, '');
  }
  return undefined;
}
