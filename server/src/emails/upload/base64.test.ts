import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { Base64Decoder, decodeBase64 } from './base64.ts';

describe('base64', () => {
  it('is decoded wherever it is cut', () => {
    const octets = randomBytes(100);
    for (const size of [0, 1, 2, 3, 4, 99, 100]) {
      const given = octets.subarray(0, size);
      const text = Buffer.from(given.toString('base64'));
      for (let step = 1; step <= 9; step++) {
        const decoder = new Base64Decoder();
        const pieces: Buffer[] = [];
        for (let at = 0; at < text.length; at += step) pieces.push(decoder.push(text.subarray(at, at + step)));
        pieces.push(decoder.end());
        assert.deepEqual([decoder.isValid, decoder.size], [true, size]);
        assert.deepEqual(Buffer.concat(pieces), given);
      }
    }
  });

  it('is refused where it is not to the letter', () => {
    for (const text of [
      'QQ',
      'QQ=',
      'Q===',
      '====',
      'QQ==QQ==',
      'QUJD\n',
      'QUJD\r\nQUJD',
      ' QUJD',
      'QU JD===',
      'QR==',
      'QUJ=',
      'QUI=QUJD',
      'QU-_',
      '+/8',
      'QUJ\u00e9',
      'QUJ\u0141',
      '\u{1f600}',
      'data:text/plain;base64,QUJD',
      'QUJD====',
    ]) {
      const isCanonical = Buffer.from(text, 'base64').toString('base64') === text;
      assert.equal(decodeBase64(text) === undefined, !isCanonical, text);
    }
    assert.equal(decodeBase64('QUI=')?.toString(), 'AB');
    assert.equal(decodeBase64('+/8=')?.toString('hex'), 'fbff');
  });
});
