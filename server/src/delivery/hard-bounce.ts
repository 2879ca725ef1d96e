import type { Reply } from '../transport/transport.ts';

// RFC 3463: 5.1.x is about an address, and 5.1.7 and 5.1.8 are about the sender's. 5.1.10 (RFC 7505) is a domain that
// takes no mail. What 5.2.x says of a mailbox (full, disabled) may pass, and 5.7.x is about us.
const badAddress = /^5\.1\.([0-6]|9|10)$/;

// Without an enhanced code 550 is also how relays refuse what they take for spam, and whom they do not know.
const notAboutTheAddress =
  /relay|spam|polic|block|black|deny|denied|reputation|listed|auth|sender|quota|full|too (?:large|big|many)|\brate\b|limit|greylist|dmarc|spf|dkim/i;

/**
 * Whether a refusal of RCPT says that the address itself will never take mail, so that nothing should be sent there
 * again. To miss one costs another refusal; to find one too many cuts somebody off, so in doubt it is none.
 */
export function refusesAddress({ code, enhanced, text }: Reply): boolean {
  if (code === null || code < 500 || code === 552) return false;
  if (enhanced !== null) return badAddress.test(enhanced);
  return (code === 550 || code === 551 || code === 553) && !notAboutTheAddress.test(text);
}
