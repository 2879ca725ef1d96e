/** The letter that everyone is given: 1 KiB of text. */
import { jsonRequest } from './http-driver.ts';

export const letter = {
  from: 'bench@example.com',
  to: 'someone@example.net',
  subject: 'A letter',
  text: `${'x'.repeat(63)}\n`.repeat(16),
};

/** The bytes of `POST /emails` with the letter. */
export function letterRequest(token: string): string {
  return jsonRequest('/emails', letter, { Authorization: `Bearer ${token}` });
}

/** As many as one batch may hold. */
export const batchSize = 500;

/** The bytes of `POST /emails/batch` with 500 letters. */
export function batchRequest(token: string, lane: 'transactional' | 'bulk'): string {
  const batch = Array.from({ length: batchSize }, () => ({ ...letter, lane }));
  return jsonRequest('/emails/batch', batch, { Authorization: `Bearer ${token}` });
}
