import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseReply } from '../transport/smtp-replies.ts';
import { refusesAddress } from './hard-bounce.ts';

const isHard = (response: string) => refusesAddress(parseReply(response));

describe('a hard bounce', () => {
  it('is a refusal of the address itself', () => {
    for (const response of [
      '550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown in virtual mailbox table',
      '550-5.1.1 The email account that you tried to reach does not exist.\r\n550 5.1.1 Please try double-checking it.',
      '556 5.1.10 Recipient address has null MX',
      '550 5.1.0 Address rejected.',
      '550 No such user here',
      '551 User not local',
      '553 Requested action not taken: mailbox name not allowed',
    ]) {
      assert.equal(isHard(response), true, response);
    }
  });

  it('is not what a server says of us, of the message, or of a mailbox that may recover', () => {
    for (const response of [
      '450 4.1.1 later',
      '550 5.7.1 Message refused by policy',
      '550 5.7.26 Unauthenticated email is not accepted',
      '554 5.7.1 Relay access denied',
      '550 relay not permitted',
      '550 Blocked: see https://example.org/spam',
      '552 5.2.2 The mailbox is full',
      '552 Mailbox full',
      '550 5.2.2 Over quota',
      '550 5.2.1 The account is disabled',
      '550 5.1.8 Sender address rejected: Domain not found',
      '553 5.1.7 Sender address syntax',
      '554 Transaction failed',
      '503 Bad sequence of commands',
    ]) {
      assert.equal(isHard(response), false, response);
    }
    assert.equal(refusesAddress({ code: null, enhanced: '4.4.1', text: 'ECONNREFUSED' }), false);
  });
});
