/** What was given is what another library reads, and the octets are such that every relay takes them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import PostalMime, { type Email } from 'postal-mime';
import { testDatabase } from '../../test/support/database.ts';
import { newId } from '../crypto/ids.ts';
import { makeSecrets, type Secrets } from '../crypto/secrets.ts';
import type { Database } from '../database/database.ts';
import { makeDkimKeyring } from '../domains/dkim-keyring.ts';
import { formatMailbox, parseMailbox } from '../emails/address.ts';
import { type Attachment, writeContents } from '../emails/attachments.ts';
import type { Lane } from '../emails/email.ts';
import { type ComposeParts, compose } from './compose.ts';
import type { LetterRecipient, LetterRow } from './store.ts';

interface Given {
  lane?: Lane;
  from?: string;
  to?: string[];
  cc?: string[];
  bcc?: string[];
  replyTo?: string[];
  subject?: string;
  text?: string;
  html?: string;
  headers?: Record<string, string>;
  files?: (Partial<Attachment> & { content: Buffer })[];
}

let database: Awaited<ReturnType<typeof testDatabase>>;
let db: Database;
const secrets: Secrets = makeSecrets([randomBytes(32)]);
const tenantId = newId();
let parts: ComposeParts;

before(async () => {
  database = await testDatabase();
  db = database.db;
  const findDkimKeys = makeDkimKeyring({ db, secrets, mailFrom: { address: '', tenantSlug: '' } });
  parts = { db, secrets, publicUrl: 'https://mail.example.com', findDkimKeys };
});
after(() => database.close());

const stored = (text: string) => formatMailbox(parseMailbox(text));

async function letterOf(given: Given): Promise<LetterRow> {
  const id = newId();
  const attachments = (given.files ?? []).map(({ content, ...file }, position) => ({
    position,
    filename: `file-${position}.bin`,
    content_type: 'application/octet-stream',
    content_id: null,
    size: content.length,
    ...file,
    content: async function* () {
      yield content;
    },
  }));
  await writeContents(db, id, attachments);
  const recipients = (['to', 'cc', 'bcc'] as const).flatMap((kind) =>
    (given[kind] ?? (kind === 'to' ? ['ada@example.com'] : [])).map((text): Omit<LetterRecipient, 'position'> => {
      const { address, name = null } = parseMailbox(text);
      return { kind, address, name, status: 'queued', suppression: null };
    }),
  );
  return {
    id,
    tenant_id: tenantId,
    lane: given.lane ?? 'transactional',
    message_id: `<${newId()}@example.com>`,
    mail_from: stored(given.from ?? 'Shop <shop@example.com>'),
    subject: given.subject ?? '',
    on_uncertain: 'retry',
    created_at: new Date('2026-01-02T03:04:05.678Z'),
    expires_at: null,
    reply_to: given.replyTo?.map(stored) ?? null,
    headers: given.headers ?? null,
    text_body: given.text ?? null,
    html_body: given.html ?? null,
    sealed: null,
    attachments: attachments.map(({ content: _, ...file }) => file),
    recipients: recipients.map((one, position) => ({ position, ...one })),
  };
}

async function octets({ content, size }: Awaited<ReturnType<typeof compose>>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  if (Buffer.isBuffer(content)) chunks.push(content);
  else for await (const chunk of content()) chunks.push(chunk);
  const whole = Buffer.concat(chunks);
  assert.equal(size, whole.length, 'the size that was announced');
  return whole;
}

/** The message, after looking at its octets. */
async function made(given: Given): Promise<{ raw: string; read: Email }> {
  const letter = await letterOf(given);
  const message = await compose(parts, letter);
  const whole = await octets(message);
  assert.deepEqual(await octets(await compose(parts, letter)), whole, 'every attempt makes the same letter');
  const raw = whole.toString('latin1');
  assert.doesNotMatch(raw, /[^\t\r\n\x20-\x7e]/, 'ASCII alone');
  checkLines(raw);
  return { raw, read: await PostalMime.parse(whole) };
}

function checkLines(raw: string): void {
  assert.doesNotMatch(raw, /\r(?!\n)|(?<!\r)\n/, 'CRLF alone');
  assert.ok(raw.endsWith('\r\n'));
  for (const line of raw.split('\r\n')) assert.ok(line.length <= 998, `a line of ${line.length} octets`);
  const head = raw.slice(0, raw.indexOf('\r\n\r\n'));
  for (const line of head.split('\r\n')) assert.match(line, /^(?:[\x21-\x39\x3b-\x7e]+:|[ \t]+\S)/, 'a header line');
}

const encodingOf = (raw: string) => [...raw.matchAll(/^Content-Transfer-Encoding: (\S+)/gm)].map((match) => match[1]);
/** As a reader sees it: CRLF is one line end, and those at the end of a body may be there for the boundary. */
const trimEnd = (text: string | undefined) => text?.replaceAll('\r\n', '\n').replace(/\n+$/, '');

describe('bodies', () => {
  const bodies: Record<string, [string, string]> = {
    ASCII: ['Hello,\n\nthis is it.\n', '7bit'],
    empty: ['', '7bit'],
    'only line ends': ['\n\n\n', '7bit'],
    'without a line end': ['Hi.', '7bit'],
    'dots at line starts': ['.\n..\n.x\n.\n', '7bit'],
    'tabs and spaces at line ends': ['a \nb\t\n \n', '7bit'],
    'a line of 998': [`${'x'.repeat(998)}\ny`, '7bit'],
    'a line of 999': [`${'x'.repeat(999)}\ny`, 'quoted-printable'],
    'a word of 10,000 letters': ['x'.repeat(10_000), 'quoted-printable'],
    'a word of 10,000 letters outside ASCII': ['ж'.repeat(10_000), 'base64'],
    German: ['Schöne Grüße aus Köln, wie immer an alle, mit = und =20 und =\n \nEnde \n', 'quoted-printable'],
    'German, a long line': ['Viele Grüße aus Köln an alle, die dies lesen. '.repeat(100), 'quoted-printable'],
    Chinese: ['你好，世界。\n'.repeat(20), 'base64'],
    Arabic: ['مرحبا بالعالم\n', 'base64'],
    emoji: ['👩‍🚀🏳️‍🌈\n', 'base64'],
    'emoji in English': ['A long enough sentence in English, with one 👩‍🚀 in it.\n', 'quoted-printable'],
    'control characters': ['a\u0001b\u000bc\u007fd\u001be', 'base64'],
    'an encoded word': ['=?utf-8?q?not_this?=', '7bit'],
    'something like a boundary': ['--=_alternative_1\n\nx', 'quoted-printable'],
    'line separators': ['a\u2028b\u2029c, and some more of ASCII to go with it', 'quoted-printable'],
  };
  for (const [name, [text, encoding]] of Object.entries(bodies)) {
    it(`${name}: as text, as HTML, as both`, async () => {
      const one = await made({ text });
      assert.equal(trimEnd(one.read.text ?? ''), trimEnd(text));
      assert.deepEqual(encodingOf(one.raw), [encoding]);
      const other = await made({ html: text });
      assert.equal(trimEnd(other.read.html ?? ''), trimEnd(text));
      const both = await made({ text, html: `<p>${text}</p>` });
      assert.equal(trimEnd(both.read.text ?? ''), trimEnd(text));
      assert.equal(trimEnd(both.read.html ?? ''), `<p>${text}</p>`);
    });
  }

  it('end lines with CRLF whatever ended them (S44)', async () => {
    const { raw, read } = await made({ text: 'a\rb\nc\r\nd\r\n.\r\ne\r.\rf' });
    assert.equal(raw.slice(raw.indexOf('\r\n\r\n') + 4), 'a\r\nb\r\nc\r\nd\r\n.\r\ne\r\n.\r\nf\r\n');
    assert.equal(trimEnd(read.text), 'a\nb\nc\nd\n.\ne\n.\nf');
  });

  it('without text and HTML are empty', async () => {
    const { raw, read } = await made({ subject: 'Only this' });
    assert.ok(raw.endsWith('\r\n\r\n'));
    assert.deepEqual([read.subject, read.text], ['Only this', undefined]);
  });

  it('of sealed letters are what was sealed', async () => {
    const letter = await letterOf({ subject: '•••', text: '•••' });
    const sealed = secrets.seal('email', JSON.stringify({ subject: 'Code 1234', text: '1234' }));
    const read = await PostalMime.parse(await octets(await compose(parts, { ...letter, sealed })));
    assert.deepEqual([read.subject, trimEnd(read.text)], ['Code 1234', '1234']);
  });
});

describe('headers', () => {
  const subjects = [
    'Hello',
    'Grüße aus Köln',
    '👩‍🚀 lifts off 🏳️‍🌈',
    'مرحبا بالعالم',
    '件名がとても長い場合にはどうなるのかを確かめるための件名です。'.repeat(8),
    '=?utf-8?q?lookalike?=',
    'not =? quite',
    'a?= b',
    'x'.repeat(998),
    `${'word '.repeat(150)}end`,
    `${'wörd '.repeat(150)}end`,
    'two  spaces   three',
    '"quoted" (and) <so> on; a,b:c\\',
    '.',
    `${'👩‍🚀'.repeat(50)}`,
    'ends in ü',
    'ü begins',
  ];
  for (const subject of subjects) {
    it(`Subject: ${subject.slice(0, 40)}`, async () => {
      const { raw, read } = await made({ subject, text: 'x' });
      assert.equal(read.subject, subject);
      const field = /^Subject:.*(?:\r\n[ \t].*)*/m.exec(raw)?.[0] ?? '';
      for (const line of field.split('\r\n')) assert.ok(line.length <= 78, line);
      for (const word of field.match(/=\?\S+/g) ?? []) {
        assert.ok(word.length <= 75);
        const [, , kind = '', encoded = ''] = word.split('?');
        const octets = kind === 'B' ? Buffer.from(encoded, 'base64') : Buffer.from(unquoted(encoded), 'latin1');
        assert.ok(octets.toString().isWellFormed() && !octets.toString().includes('\ufffd'), 'no character is split');
      }
    });
  }

  const mailboxes: [string, { name: string; address: string }][] = [
    ['ada@example.com', { name: '', address: 'ada@example.com' }],
    ['Ada Lovelace <ada@example.com>', { name: 'Ada Lovelace', address: 'ada@example.com' }],
    ['Ada M. Lovelace <ada@example.com>', { name: 'Ada M. Lovelace', address: 'ada@example.com' }],
    ['"Lovelace, Ada" <ada@example.com>', { name: 'Lovelace, Ada', address: 'ada@example.com' }],
    ['"a \\"b\\" \\\\ c" <ada@example.com>', { name: 'a "b" \\ c', address: 'ada@example.com' }],
    ['"x@evil.example" <ada@example.com>', { name: 'x@evil.example', address: 'ada@example.com' }],
    ['Zoë Ñandú <zoe@example.com>', { name: 'Zoë Ñandú', address: 'zoe@example.com' }],
    ['"Zoë, <x@evil.example>" <zoe@example.com>', { name: 'Zoë, <x@evil.example>', address: 'zoe@example.com' }],
    ['山田太郎 <taro@example.jp>', { name: '山田太郎', address: 'taro@example.jp' }],
    [`${'n'.repeat(255)} <ada@example.com>`, { name: 'n'.repeat(255), address: 'ada@example.com' }],
    [`${'山'.repeat(255)} <ada@example.com>`, { name: '山'.repeat(255), address: 'ada@example.com' }],
    ['info@münchen.example', { name: '', address: 'info@xn--mnchen-3ya.example' }],
  ];
  it('hold addresses and names as they were given', async () => {
    for (const [text, expected] of mailboxes) {
      const { read, raw } = await made({
        from: text,
        to: [text, 'b@example.com'],
        cc: [text],
        replyTo: [text],
        text: 'x',
      });
      assert.deepEqual(read.from, expected, text);
      assert.deepEqual(read.to, [expected, { name: '', address: 'b@example.com' }]);
      assert.deepEqual(read.cc, [expected]);
      assert.deepEqual(read.replyTo, [expected]);
      for (const line of raw.split('\r\n')) assert.ok(line.length <= 78, line);
    }
  });

  it('hold fifty recipients, folded', async () => {
    const to = Array.from({ length: 50 }, (_, i) => `Recipient ${i} <recipient-${i}@example.com>`);
    const { read, raw } = await made({ to, text: 'x' });
    assert.deepEqual(
      read.to?.map(({ address }) => address),
      to.map((one) => parseMailbox(one).address),
    );
    for (const line of raw.split('\r\n')) assert.ok(line.length <= 78, line);
  });

  it('never name blind recipients', async () => {
    const { raw, read } = await made({ to: [], bcc: ['secret@example.com'], text: 'x' });
    assert.doesNotMatch(raw, /secret|^bcc/im);
    assert.match(raw, /^To: undisclosed-recipients:;\r$/m);
    assert.equal(read.bcc, undefined);
    const some = await made({ to: [], cc: ['cc@example.com'], bcc: ['secret@example.com'], text: 'x' });
    assert.doesNotMatch(some.raw, /secret|^(?:bcc|to):/im);
  });

  it('of the caller are folded at white space and encoded where they have to be', async () => {
    const headers = {
      'X-Campaign': 'spring',
      'X-Words': `${'several words '.repeat(60)}end`,
      'X-Url': `<https://example.com/${'x'.repeat(900)}>`,
      'X-Name': 'Grüße an alle <list.example.com>',
      'X-Lookalike': '=?utf-8?q?not_this?= is literal',
      'X-Query': '<https://example.com/?a=?b>',
      'X-Long-Header-Name-That-Takes-All-The-Room-There-Is-On-A-Line-Of-78-Octets': '🙂'.repeat(40),
    };
    const { raw, read } = await made({ headers, text: 'x' });
    for (const [name, value] of Object.entries(headers)) {
      const found = read.headers.find(({ key }) => key === name.toLowerCase());
      assert.equal(decoded(found?.value), value, name);
    }
    assert.match(raw, /^X-Name: \S+\?= an alle <list\.example\.com>\r$/m);
    assert.match(raw, /^X-Query: <https:\/\/example\.com\/\?a=\?b>\r$/m);
  });

  it('say when and by which id the letter was accepted', async () => {
    const { raw } = await made({ text: 'x' });
    assert.match(raw, /^Date: Fri, 02 Jan 2026 03:04:05 \+0000\r$/m);
    assert.match(raw, /^Message-ID: <[0-9a-f-]{36}@example\.com>\r$/m);
    assert.match(raw, /^MIME-Version: 1\.0\r$/m);
  });
});

it('addresses with other letters before the "@" stand in UTF-8, and nothing else does (S46)', async () => {
  const letter = await letterOf({
    from: 'Jöe <jöe@exämple.com>',
    to: ['用户 <用户@例え.テスト>', 'ada@example.com'],
    subject: 'Grüße',
    text: 'Grüße',
  });
  const raw = (await octets(await compose(parts, letter))).toString();
  const head = raw.slice(0, raw.indexOf('Subject:'));
  assert.match(head, /^From: =\?UTF-8\?\S+\?= <jöe@xn--exmple-cua\.com>\r$/m);
  assert.match(head, /^To: =\?UTF-8\?\S+\?= <用户@xn--r8jz45g\.xn--zckzah>, ada@example\.com\r$/m);
  assert.doesNotMatch(raw.slice(head.length), /[^\t\r\n\x20-\x7e]/);
});

describe('files', () => {
  const image = randomBytes(70_000);
  const files = [
    { filename: 'logo.png', content_type: 'image/png', content_id: 'logo', content: image },
    { filename: 'ünï"códe;.pdf', content_type: 'application/pdf', content: randomBytes(57 * 3) },
    { filename: 'leer.txt', content_type: 'text/plain', content: Buffer.alloc(0) },
    { filename: `${'長い'.repeat(100)}.txt`, content_type: 'text/plain', content: Buffer.from('x') },
    { filename: 'a b (1).eml', content_type: 'message/rfc822', content: Buffer.from('Subject: x\r\n\r\ny\r\n') },
    { filename: `${'n'.repeat(200)}.zip`, content_type: 'application/zip', content: randomBytes(600_000) },
  ];

  it('come out as they went in, beside text and HTML', async () => {
    const { read, raw } = await made({ text: 'Text', html: '<img src="cid:logo">', files });
    assert.deepEqual([trimEnd(read.text), trimEnd(read.html)], ['Text', '<img src="cid:logo">']);
    assert.deepEqual(
      read.attachments.map(({ filename }) => filename),
      files.map(({ filename }) => filename),
    );
    read.attachments.forEach(({ content }, i) => {
      assert.ok(Buffer.from(content as ArrayBuffer).equals(files[i]?.content ?? Buffer.alloc(0)), `file ${i}`);
    });
    assert.deepEqual(
      read.attachments.map(({ disposition, related, contentId }) => [disposition, related ?? false, contentId]),
      [['inline', true, '<logo>'], ...Array.from({ length: 5 }, () => ['attachment', false, undefined])],
    );
    assert.match(raw, /multipart\/mixed[\s\S]+multipart\/alternative[\s\S]+multipart\/related/);
  });

  it('need neither text nor HTML', async () => {
    const { read } = await made({ files: files.slice(0, 2) });
    assert.deepEqual(
      read.attachments.map(({ filename }) => filename),
      ['logo.png', 'ünï"códe;.pdf'],
    );
  });

  it('cannot break out of their headers (S43)', async () => {
    const filename = 'a\r\nBcc: x@evil.example\r\n"; x="y';
    const { read, raw } = await made({
      html: 'x',
      files: [
        { filename, content_type: 'text/plain\r\nX-Evil: 1', content_id: 'a\r\nX-Evil: 2', content: Buffer.from('x') },
      ],
    });
    assert.doesNotMatch(raw, /^(?:bcc|x-evil)/im);
    assert.deepEqual(
      [read.attachments[0]?.filename, read.attachments[0]?.mimeType],
      [filename, 'application/octet-stream'],
    );
  });
});

it('whatever is given is read again (random letters)', async () => {
  const random = seeded(20_260_102);
  for (let round = 0; round < 300; round++) {
    const given = {
      subject: randomText(random, 120)
        .replace(/[\s\p{C}]+/gu, ' ')
        .trim(),
      text: randomText(random, 2_000),
      html: randomText(random, 2_000),
    };
    const { read } = await made(given);
    assert.deepEqual(
      { subject: read.subject ?? '', text: trimEnd(read.text ?? ''), html: trimEnd(read.html ?? '') },
      { subject: given.subject, text: trimEnd(given.text), html: trimEnd(given.html) },
      `round ${round}`,
    );
  }
});

function unquoted(text: string): string {
  return text
    .replaceAll('_', ' ')
    .replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** Encoded words of a header that the parser hands out as it stands. */
function decoded(value: string | undefined): string | undefined {
  return value
    ?.replace(/\?=\s+=\?/g, '?==?')
    .replace(/(?:=\?UTF-8\?[BQ]\?[^?]*\?=)+/g, (run) =>
      Buffer.concat(
        [...run.matchAll(/=\?UTF-8\?([BQ])\?([^?]*)\?=/g)].map(([, kind, text = '']) =>
          kind === 'B' ? Buffer.from(text, 'base64') : Buffer.from(unquoted(text), 'latin1'),
        ),
      ).toString(),
    );
}

/** Mulberry32: the same letters in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const alphabets = [
  'abc xyz',
  '  \t=?_.-',
  '\n\n.',
  'äöüß',
  '你好世界',
  '👩🏳️🚀',
  'מרחב',
  '=?utf-8?B?',
  '--=_',
  '\u0001\u007f',
];

function randomText(random: () => number, maxLength: number): string {
  const length = Math.floor(random() ** 3 * maxLength);
  const usual = [...(alphabets[Math.floor(random() * alphabets.length)] ?? 'a')];
  let text = '';
  while (text.length < length) {
    const other = [...(alphabets[Math.floor(random() * alphabets.length)] ?? 'a')];
    const from = random() < 0.7 ? usual : other;
    text += from[Math.floor(random() * from.length)] ?? '';
  }
  return text;
}
