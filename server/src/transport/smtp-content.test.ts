import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DotStuffer, inspect } from './smtp-content.ts';

/** What a line-by-line reading of RFC 5321 4.5.2 makes of it. */
function expected(text: string): string {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === '') lines.pop();
  return [...lines.map((line) => (line.startsWith('.') ? `.${line}` : line)), '.', ''].join('\r\n');
}

function stuff(...pieces: string[]): string {
  const stuffer = new DotStuffer();
  const out = pieces.map((piece) => stuffer.push(Buffer.from(piece)).toString());
  return out.join('') + stuffer.end();
}

const texts = [
  '',
  '.',
  '..',
  '.\r\n',
  'a',
  'a\r\n',
  'a\n.\nb',
  'a\r.\rb',
  'a\r\n.\r\nb\r\n',
  'a\r\n..\r\n.b\r\n',
  'a\r\r\n\n.\n\r.',
  'a.b\r\n',
  'a\r',
  'a\n',
  'a\r\n\r\n',
];

describe('a message on the wire (S44)', () => {
  it('ends at its end and nowhere else, whatever stands in it', () => {
    for (const text of texts) {
      assert.equal(stuff(text), expected(text), JSON.stringify(text));
      const body = stuff(text).slice(0, -3);
      assert.doesNotMatch(body, /^\.\r?$|(^|\n)\.\r\n|[^\r]\n|\r[^\n]/, JSON.stringify(text));
    }
  });

  it('is the same in pieces, split anywhere', () => {
    for (const text of texts) {
      assert.equal(stuff(...text), expected(text), JSON.stringify(text));
      for (let at = 0; at <= text.length; at++) assert.equal(stuff(text.slice(0, at), text.slice(at)), expected(text));
    }
  });

  it('goes untouched only where there is nothing to do', () => {
    for (const text of texts) {
      const { isClean } = inspect(Buffer.from(text));
      const end = text === '' || text.endsWith('\n') ? '.\r\n' : '\r\n.\r\n';
      assert.equal(isClean, expected(text) === text + end, JSON.stringify(text));
    }
  });

  it('is told to be 8-bit where it is', () => {
    assert.equal(inspect(Buffer.from('a\r\n')).is8Bit, false);
    assert.equal(inspect(Buffer.from('ä\r\n')).is8Bit, true);
  });
});
