import type { Reply } from '../transport/transport.ts';

/** What a reply that is not the end says about when to ask again. */
export type ReplyKind =
  /** Nothing in particular: ask again ever more rarely. */
  | 'trouble'
  /** Nobody answered, or the session broke: the way is at fault, not the letter and not who it is for. */
  | 'connection'
  /** Asks to be asked again in a few minutes, and takes it then. */
  | 'greylisted'
  /** We come too often. */
  | 'rate-limited'
  /** Somebody has to empty a mailbox first. */
  | 'mailbox-full'
  /** It takes no more recipients in this transaction; the others in the next. */
  | 'too-many-recipients';

interface Rule {
  kind: ReplyKind;
  codes?: number[];
  /** Of RFC 3463 and its registry; or the text says it. */
  enhanced?: RegExp;
  text?: RegExp;
}

// The first that applies. Servers differ in codes and agree in words, so a rule takes either.
const rules: Rule[] = [
  // RFC 5321 4.5.3.1.10: 452, and 552 from servers of older days.
  { kind: 'too-many-recipients', codes: [452, 552], enhanced: /^[45]\.5\.3$/, text: /too many recipients/i },
  // X.2.2 of RFC 3463.
  { kind: 'mailbox-full', enhanced: /^[45]\.2\.2$/, text: /mailbox (?:is )?full|over ?quota|quota exceeded/i },
  {
    kind: 'rate-limited',
    codes: [450, 451, 452],
    text: /rate.?limit|too fast|throttl|too many (?:messages|connections|mails)/i,
  },
  // RFC 6647 2.1: 4.7.1 without a word is greylisting more often than not. 421 ends the session, which greylisting does not.
  { kind: 'greylisted', codes: [450, 451], enhanced: /^4\.7\.1$/, text: /gr[ea]y-?list|postgrey/i },
  { kind: 'rate-limited', codes: [450, 451, 452], enhanced: /^4\.(?:7\.\d+|2\.1)$/ },
  { kind: 'connection', codes: [421] },
];

/** Sorts a reply of 4xx, or the lack of one, by the table above. */
export function kindOf({ code, enhanced, text }: Reply): ReplyKind {
  if (code === null) return 'connection';
  const rule = rules.find(
    (one) =>
      (one.codes === undefined || one.codes.includes(code)) &&
      ((one.enhanced === undefined && one.text === undefined) ||
        (enhanced !== null && one.enhanced?.test(enhanced) === true) ||
        one.text?.test(text) === true),
  );
  return rule?.kind ?? 'trouble';
}

/** Whether a refusal of RCPT with 552 means that only this transaction is full. */
export function isTransactionFull(reply: Reply): boolean {
  return kindOf(reply) === 'too-many-recipients';
}
