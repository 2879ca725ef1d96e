import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProtocolFault, parseReply, ReplyReader, type ServerReply, toReply } from './smtp-replies.ts';

function read(...chunks: string[]): ServerReply[] {
  const reader = new ReplyReader();
  const replies: ServerReply[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let reply = reader.next(); reply; reply = reader.next()) replies.push(reply);
  }
  return replies;
}

describe('replies', () => {
  const bytes = '250-first\r\n250-5.1.1 second\r\n250 last\r\n354 go on\r\n421\r\n250 \r\n550-no\r\n550 never\r\n';
  const expected = [
    { code: 250, text: '250-first\r\n250-5.1.1 second\r\n250 last' },
    { code: 354, text: '354 go on' },
    { code: 421, text: '421' },
    { code: 250, text: '250 ' },
    { code: 550, text: '550-no\r\n550 never' },
  ];

  it('are read whole, split anywhere', () => {
    assert.deepEqual(read(bytes), expected);
    assert.deepEqual(read(...bytes), expected);
    for (let at = 1; at < bytes.length; at++) {
      assert.deepEqual(read(bytes.slice(0, at), bytes.slice(at)), expected, `split at ${at}`);
      assert.deepEqual(read(bytes.slice(0, at), bytes.slice(at, at + 1), bytes.slice(at + 1)), expected);
    }
  });

  it('may end with LF alone', () => {
    assert.deepEqual(
      read(bytes.replaceAll('\r', '')).map(({ code }) => code),
      expected.map(({ code }) => code),
    );
  });

  it('have the code of their last line', () => {
    assert.deepEqual(
      read('250-looks well\r\n550 but is not\r\n').map(({ code }) => code),
      [550],
    );
    assert.equal(parseReply('250-looks well\r\n550 5.7.1 but is not').code, 550);
  });

  it('are told from what is none', () => {
    for (const line of ['HTTP/1.1 400 Bad Request', '', '25', '25x ok', '099 ok', '600 ok', '2500 ok', '250x']) {
      assert.throws(() => read(`${line}\r\n`), ProtocolFault, line);
    }
  });

  it('do not grow without end', () => {
    assert.throws(() => read(...Array.from({ length: 100 }, () => 'x'.repeat(100))), ProtocolFault);
    assert.throws(() => read(...Array.from({ length: 100_000 }, () => '250-and so on\r\n')), ProtocolFault);
  });

  it('are UTF-8 where they are more than ASCII (RFC 6531 3.7.4)', () => {
    const [reply] = read(Buffer.from('550 5.1.1 kein Empfänger 😀\r\n').toString('latin1'));
    assert.ok(reply);
    assert.deepEqual(toReply(reply), { code: 550, enhanced: '5.1.1', text: 'kein Empfänger 😀' });
  });
});
