import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatMailbox, normalizeEmail, parseAddress, parseMailbox, readMailbox } from './address.ts';

describe('an address is read', () => {
  const good: [string, string, string?][] = [
    ['a@b', 'a@b'],
    ['joe@Example.COM', 'joe@example.com'],
    ['Joe.Q+tag@example.com', 'Joe.Q+tag@example.com'],
    ['<joe@example.com>', 'joe@example.com'],
    ['Joe Q. Public <joe@example.com>', 'joe@example.com', 'Joe Q. Public'],
    ['"Public, Joe" <joe@example.com>', 'joe@example.com', 'Public, Joe'],
    ['"a \\"b\\" \\\\ c" <joe@example.com>', 'joe@example.com', 'a "b" \\ c'],
    ['"x@evil" <joe@example.com>', 'joe@example.com', 'x@evil'],
    ['Zoë Ñandú 👩‍🚀 <zoe@example.com>', 'zoe@example.com', 'Zoë Ñandú 👩‍🚀'],
    ['no-reply@localhost', 'no-reply@localhost'],
    ["o'hara!#$%&*/=?^_`{|}~@example.com".replace('=?', '='), "o'hara!#$%&*/=^_`{|}~@example.com"],
    ['info@münchen.example', 'info@xn--mnchen-3ya.example'],
    ['info@MÜNCHEN.example', 'info@xn--mnchen-3ya.example'],
    ['info@例え。テスト', 'info@xn--r8jz45g.xn--zckzah'],
    ['a@xn--mnchen-3ya.example', 'a@xn--mnchen-3ya.example'],
    [`${'l'.repeat(64)}@example.com`, `${'l'.repeat(64)}@example.com`],
    ['  joe@example.com  ', 'joe@example.com'],
    ['Jöe <jöe@example.com>', 'jöe@example.com', 'Jöe'],
    ['jo\u0308e@example.com', 'j\u00f6e@example.com'],
    ['用户@例え.テスト', '用户@xn--r8jz45g.xn--zckzah'],
    ['संपर्क@डाटामेल.भारत', 'संपर्क@xn--c2bd4bq1db8d.xn--h2brj9c'],
    ['👩🚀@example.com', '👩🚀@example.com'],
    [`${'ö'.repeat(32)}@example.com`, `${'ö'.repeat(32)}@example.com`],
    ['joe@a--b.example', 'joe@a--b.example'],
    ['joe@1.example', 'joe@1.example'],
  ];
  for (const [text, address, name] of good) {
    it(text, () => {
      assert.deepEqual(parseMailbox(text), name === undefined ? { address } : { address, name });
      assert.deepEqual(parseMailbox(formatMailbox(parseMailbox(text))), parseMailbox(text));
      assert.deepEqual(readMailbox(formatMailbox(parseMailbox(text))), parseMailbox(text));
    });
  }
});

describe('an address is refused (S45)', () => {
  const bad = [
    '',
    ' ',
    'joe',
    '@example.com',
    'joe@',
    'a@b,c@d',
    'a@b, c@d',
    'a@b;c@d',
    'a@b c@d',
    'a@b@c',
    'group: a@b, c@d;',
    `${'('.repeat(10_000)}joe@example.com`,
    `${'<'.repeat(10_000)}joe@example.com${'>'.repeat(10_000)}`,
    `${'['.repeat(10_000)}@example.com`,
    `joe@${'a.'.repeat(10_000)}com`,
    `${'a.'.repeat(10_000)}a@example.com`,
    'undisclosed-recipients:;',
    '"x@evil"@ok',
    '"joe"@example.com',
    'joe(comment)@example.com',
    'joe@example.com(comment)',
    'joe@(c)example.com',
    'Joe (x) <joe@example.com>',
    'joe @example.com',
    'joe@ example.com',
    '.joe@example.com',
    'joe.@example.com',
    'jo..e@example.com',
    'joe@example..com',
    'joe@.example.com',
    'joe@example.com.',
    'joe@-example.com',
    'joe@example-.com',
    'joe@exa_mple.com',
    'joe@[127.0.0.1]',
    'joe@[IPv6:::1]',
    'joe@127.0.0.1',
    'joe@１２７.0.0.1',
    'joe@0x7f.1',
    'joe@exa%6dple.com',
    'joe@example.com%0a',
    'joe@xn--a',
    'joe@exä／x.com',
    'joe@ex℀mple.com',
    'joe@xn--99999999',
    'joe@exämple.com/path',
    'joe@exämple＠evil.com',
    'joe@exämple.com:25',
    'jo\u00a0e@example.com',
    'jo\u200be@example.com',
    'jo\u200fe@example.com',
    'jo＠e@example.com',
    'jo＜e@example.com',
    'jo⑴e@example.com',
    'jo。e@example.com',
    `${'ö'.repeat(33)}@example.com`,
    '=?utf-8?q?joe?=@example.com',
    '=?utf-8?q?Joe?= <joe@example.com>',
    '"=?utf-8?q?Joe?=" <joe@example.com>',
    'joe@example.com\r\nBcc: x@evil',
    'joe@example.com\n',
    'joe@example.com\0',
    'Joe\r\nBcc: <joe@example.com>',
    'J\toe <joe@example.com>',
    'J\u2028oe <joe@example.com>',
    'J\u202eoe <joe@example.com>',
    'J\ud800oe <joe@example.com>',
    'Joe <joe@example.com> x',
    'Joe joe@example.com>',
    'Joe <<joe@example.com>>',
    'Joe <a@b> <joe@example.com>',
    'a@b <joe@example.com>',
    'Public, Joe <joe@example.com>',
    '"Joe <joe@example.com>',
    '"Joe\\" <joe@example.com>',
    '"Joe" x <joe@example.com>',
    'Joe <>',
    '<@relay:joe@example.com>',
    `${'l'.repeat(65)}@example.com`,
    `joe@${'d'.repeat(64)}.com`,
    `${'l'.repeat(64)}@${'d.'.repeat(100)}com`,
    `${'n'.repeat(256)} <joe@example.com>`,
  ];
  for (const text of bad) {
    it(JSON.stringify(text).slice(0, 60), () => {
      assert.throws(() => parseMailbox(text), Error);
      assert.throws(() => parseAddress(text), Error);
    });
  }

  it('whatever its size, in bounded time', () => {
    for (const one of ['<', '>', '(', '[', '"', '@', '.', 'a.', '\\', '<a@b>', 'ä', 'a@', ',']) {
      for (const count of [300, 10_000, 2_000_000]) assert.throws(() => parseMailbox(one.repeat(count)), Error);
    }
  });

  it('where a name stands beside what should be an address alone', () => {
    assert.throws(() => parseAddress('Joe <joe@example.com>'));
    assert.throws(() => parseAddress('<joe@example.com>'));
  });
});

it('addresses that differ in case or in the form of the domain are one for uniqueness', () => {
  assert.equal(normalizeEmail(parseAddress('Info@MÜNCHEN.example')), 'info@xn--mnchen-3ya.example');
});

it('addresses that no language but one takes for the same are two', () => {
  assert.equal(normalizeEmail(parseAddress('JÖE@example.com')), 'jÖe@example.com');
  // "İ" in lower case is "i" and a mark, the Kelvin sign is a "k": none of them may lead to another's mailbox.
  assert.notEqual(normalizeEmail(parseAddress('mİke@example.com')), 'mike@example.com');
  assert.equal(parseAddress('mi\u212ae@example.com'), 'miKe@example.com');
});
