import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { parseJsonBody } from '../../http/json-body.ts';
import { ContentExtractor } from './content-extractor.ts';

interface Extracted {
  // biome-ignore lint/suspicious/noExplicitAny: tests read deep into what they assert.
  body: any;
  extractor: ContentExtractor;
  /** What a reference stands for. */
  of: (reference: string) => Buffer | undefined;
}

function extract(json: string | Buffer, step = 1 << 16): Extracted {
  const extractor = new ContentExtractor();
  const whole = Buffer.from(json);
  const text: Buffer[] = [];
  const decoded: Buffer[] = [];
  for (let at = 0; at < whole.length; at += step) {
    const parts = extractor.push(whole.subarray(at, at + step));
    text.push(...parts.text);
    decoded.push(...parts.decoded);
  }
  extractor.end();
  const octets = Buffer.concat(decoded);
  return {
    body: parseJsonBody(Buffer.concat(text)),
    extractor,
    of: (reference) => {
      const found = extractor.contents.get(reference);
      return found && octets.subarray(found.offset, found.offset + found.size);
    },
  };
}

describe('taking contents out of a body', () => {
  const octets = randomBytes(1_000);
  const content = octets.toString('base64');

  it('works wherever the body is cut, for one letter and for a batch of both forms', () => {
    const letter = {
      to: 'a@b',
      text: 'say \\"content\\"',
      attachments: [{ filename: 'ä"\\', content }, { content: '' }],
    };
    for (const body of [letter, [letter, letter], { emails: [letter] }]) {
      for (const json of [JSON.stringify(body), JSON.stringify(body, null, 2)]) {
        for (const step of [1, 2, 3, 5, 7, 64, 1 << 16]) {
          const { body: read, of } = extract(json, step);
          const letters = Array.isArray(read) ? read : (read.emails ?? [read]);
          for (const { attachments, text } of letters) {
            assert.equal(text, letter.text);
            assert.equal(attachments[0].filename, 'ä"\\');
            assert.deepEqual(of(attachments[0].content), octets);
            assert.deepEqual(of(attachments[1].content), Buffer.alloc(0));
          }
        }
      }
    }
  });

  it('leaves what only looks like a content where it is', () => {
    for (const body of [
      { content },
      { attachments: { content } },
      { attachments: [[{ content }]] },
      { attachments: [{ content: [content] }] },
      { attachments: [{ content: { content } }] },
      { metadata: { attachments: [{ content }] } },
      { emails: { attachments: [{ content }] } },
      { emails: [{ emails: [{ attachments: [{ content }] }] }] },
      { attachments: [{ contents: content, conten: content, Content: content }] },
      { attachments: [{ filename: content, x: 'content' }], text: '","attachments":[{"content":"' },
      [[{ attachments: [{ content }] }]],
    ]) {
      for (const step of [1, 1 << 16]) {
        const { body: read, extractor } = extract(JSON.stringify(body), step);
        assert.deepEqual(read, body);
        assert.equal(extractor.contents.size, 0);
      }
    }
    // A name written with an escape is the same name; its value is then read like any other.
    const { body } = extract(`{"attachments":[{"c\\u006fntent":"${content}"}]}`);
    assert.equal(body.attachments[0].content, content);
  });

  it('reads what encoders escape in base64', () => {
    const text = Buffer.from('fbffbffbffbf', 'hex').toString('base64');
    for (const written of [text.replaceAll('/', '\\/'), text.replaceAll('+', '\\u002B').replaceAll('/', '\\u002f')]) {
      for (const step of [1, 4, 100]) {
        const { body, of } = extract(`{"attachments":[{"content":"${written}"}]}`, step);
        assert.equal(of(body.attachments[0].content)?.toString('hex'), 'fbffbffbffbf');
      }
    }
  });

  it('says of what is no base64 that it is none, and goes on', () => {
    const { body, extractor, of } = extract(
      JSON.stringify({ attachments: [{ content: 'QUJD\r\nQUJD' }, { content: 'QUJDQUJDQUJDQR==' }, { content }] }),
    );
    const [lines, bits, good] = body.attachments;
    assert.equal(extractor.contents.get(lines.content)?.isBase64, false);
    assert.equal(extractor.contents.get(bits.content)?.isBase64, false);
    assert.deepEqual(of(good.content), octets);
  });

  it('takes no text of a caller for one of its references', () => {
    const first = extract(JSON.stringify({ attachments: [{ content }] }));
    const reference: string = first.body.attachments[0].content;
    const second = extract(JSON.stringify({ attachments: [{ content }], text: reference }));
    assert.equal(second.of(reference), undefined);
  });

  it('leaves faults of the JSON to be found, or finds them itself (S51)', () => {
    for (const json of [
      '{"attachments":[{"content":"QUJD","content":"QUJD"}]}',
      '{"attachments":[{"content":"QUJD","__proto__":{}}]}',
      '{"attachments":[{"content":"QUJD"}]}}',
      '{"attachments":[{"content":"QUJD"}',
      '{"attachments":[{"content":"QUJD"QUJD}]}',
      '{"attachments":[{"content":"QUJD',
      '{"attachments":[{"content":"QUJ\\',
      '{"attachments":[{"content":"QUJ\\x41"}]}',
      '{"attachments":[{"content":"QUJ\\u00g1"}]}',
      '{"attachments":[{"content" "QUJD"}]}',
      '{"attachments":[{"content"',
      `${'['.repeat(10_000)}`,
      `[${'0,'.repeat(600_000)}0]`,
      Buffer.from('7b2261223a22ff227d', 'hex'),
    ]) {
      assert.throws(() => extract(json), { code: 'http.malformed_json' }, String(json).slice(0, 80));
    }
  });
});
