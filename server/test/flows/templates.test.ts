import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type InboxMessage, letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

async function tokenOf(postern: Postern, scope: string, tenant: string): Promise<string> {
  const id = `${tenant}-${scope.replaceAll(/\W/g, '-')}`;
  const made = await postern.cli('clients', 'create', '--id', id, '--scope', scope, '--tenant', tenant, '--json');
  assert.equal(made.code, 0, made.stderr);
  const credentials = { grant_type: 'client_credentials', ...JSON.parse(made.stdout), scope };
  return (await postern.call('POST', '/oauth/token', { json: credentials })).body.access_token;
}

const welcome = {
  name: 'welcome',
  default_language: 'en',
  variables: [
    { name: 'name', type: 'string', required: true },
    { name: 'items', type: 'array', default: [] },
    { name: 'note' },
  ],
  contents: {
    en: {
      subject: 'Welcome, {{ name }}',
      html: '<p>Hello {{ name }}</p><ul>{% for item in items %}<li>{{ item.title }}</li>{% endfor %}</ul>{% if note %}<p>{{ note }}</p>{% endif %}',
    },
    de: { subject: 'Willkommen, {{ name }}', html: '<p>Hallo {{ name }}</p>', text: 'Hallo {{ name }}!' },
  },
};

describe('templates', () => {
  let postern: Postern;
  let admin: string;
  let sender: string;
  let stranger: string;
  before(async () => {
    postern = await startPostern();
    assert.equal((await postern.cli('tenants', 'create', 'elsewhere')).code, 0);
    admin = await tokenOf(postern, 'mail:admin', 'default');
    sender = await tokenOf(postern, 'email', 'default');
    stranger = await tokenOf(postern, 'mail:admin', 'elsewhere');
  });
  after(() => postern.dispose());

  const call = (method: string, path: string, json?: unknown, token = admin, headers = {}) =>
    postern.call(method, path, { token, headers, ...(json === undefined ? {} : { json }) });
  const make = async (json: object) => {
    const made = await call('POST', '/templates', json);
    assert.equal(made.status, 201, made.text);
    return made.body;
  };
  const preview = async (id: string, json: object) => {
    const reply = await call('POST', `/templates/${id}/preview`, json);
    assert.equal(reply.status, 200, reply.text);
    return reply.body as { subject: string; html: string; text: string };
  };
  const send = (to: string, template: object, more = {}) => call('POST', '/emails', { to, template, ...more }, sender);
  const ended = (id: string) =>
    waitFor(
      async () => {
        const { body } = await call('GET', `/emails/${id}`);
        return body.status === 'sent' && body;
      },
      { what: `${id} to be sent`, detail: postern.output },
    );
  /** How the call is refused that makes a template of this content. */
  const refusal = async (content: object, more = {}) => {
    const { status, body } = await call('POST', '/templates', { name: 'refused', contents: { en: content }, ...more });
    assert.equal(status, 400);
    return body as { code: string; detail: string; errors: { path: string; message: string }[] };
  };

  it('are made, shown by id and by name, and previewed without mail', async () => {
    const made = await make(welcome);
    assert.equal(made.version, 1);
    assert.deepEqual(made.languages, ['en', 'de']);
    assert.deepEqual(made.variables, welcome.variables);
    assert.deepEqual((await call('GET', `/templates/${made.id}`)).body, (await call('GET', '/templates/welcome')).body);
    const shown = await preview('welcome', { variables: { name: 'Ada <3', items: [{ title: 'A&B' }] } });
    assert.deepEqual(shown, {
      subject: 'Welcome, Ada <3',
      html: '<p>Hello Ada &lt;3</p><ul><li>A&amp;B</li></ul>',
      text: 'Hello Ada <3\n\n * A&B\n',
    });
    assert.equal((await call('POST', '/templates', welcome)).body.code, 'templates.name_taken');
  });

  it('become letters, in the language that is asked for, or the next one', async () => {
    const variables = { name: 'Ada' };
    for (const [language, subject] of [
      [undefined, 'Welcome, Ada'],
      ['de-AT', 'Willkommen, Ada'],
      ['fr', 'Welcome, Ada'],
    ]) {
      const to = `${language ?? 'none'}@example.com`;
      const sent = await send(to, { id: 'welcome', variables, ...(language && { language }) });
      assert.equal(sent.status, 202, sent.text);
      assert.equal((await letterTo(postern, to)).subject, subject);
    }
    const german = await letterTo(postern, 'de-AT@example.com');
    assert.equal(german.text.trim(), 'Hallo Ada!');
    assert.equal(german.html.trim(), '<p>Hallo Ada</p>');
  });

  it('refuse at acceptance what does not fit, each with its code', async () => {
    const code = async (template: object, more = {}) => {
      const { status, body } = await send('no@example.com', template, more);
      return [status, body.code, body.errors?.map(({ path }: { path: string }) => path).join()];
    };
    const path = (name: string) => `template.variables.${name}`;
    assert.deepEqual(await code({ id: 'welcome' }), [400, 'templates.missing_variables', path('name')]);
    const misfits = { name: 'Ada', items: 'x', nmae: 'x' };
    assert.deepEqual(await code({ id: 'welcome', variables: misfits }), [
      400,
      'templates.invalid_variables',
      `${path('items')},${path('nmae')}`,
    ]);
    const hollow = { name: 'Ada', items: [{ titel: 'x' }] };
    assert.deepEqual(await code({ id: 'welcome', variables: hollow }), [
      400,
      'templates.missing_variables',
      path('item.title'),
    ]);
    const large = { name: 'x'.repeat(300_000) };
    assert.deepEqual(await code({ id: 'welcome', variables: large }), [
      413,
      'templates.variables_too_large',
      undefined,
    ]);
    assert.deepEqual(await code({ id: 'nothing' }), [400, 'templates.unknown', 'template.id']);
    assert.deepEqual(await code({ id: 'welcome', version: 99 }), [400, 'templates.unknown', 'template.id']);
    assert.deepEqual(await code({ id: 'welcome', variables: { name: 'A' } }, { subject: 'x' }), [
      400,
      'http.invalid_request',
      'subject',
    ]);
  });

  it('sink no other letter of a batch', async () => {
    const emails = [
      { to: 'b1@example.com', template: { id: 'welcome', variables: { name: 'One' } } },
      { to: 'b2@example.com', template: { id: 'welcome' } },
      { to: 'b3@example.com', subject: 'Plain', text: 'Plain' },
      { to: 'b4@example.com', template: { id: 'welcome', variables: { name: 'Four' } } },
    ];
    const { body } = await call('POST', '/emails/batch', { emails }, sender);
    const codes = body.data.map(({ error }: { error?: { code: string } }) => error?.code);
    assert.deepEqual(codes, [undefined, 'templates.missing_variables', undefined, undefined]);
    assert.equal((await letterTo(postern, 'b4@example.com')).subject, 'Welcome, Four');
    assert.equal((await letterTo(postern, 'b3@example.com')).subject, 'Plain');
  });

  it('are rendered five hundred at a time', async () => {
    const emails = Array.from({ length: 500 }, (_, index) => ({
      to: `many${index}@example.com`,
      template: { id: 'welcome', variables: { name: `N${index}` } },
      // Not sent: the letters of the tests below would stand behind them.
      scheduled_at: new Date(Date.now() + 3_600_000).toISOString(),
    }));
    const { body } = await call('POST', '/emails/batch', { emails }, sender);
    assert.ok(body.data.every(({ id }: { id?: string }) => id !== undefined));
    assert.equal((await call('GET', `/emails/${body.data[499].id}`, undefined, sender)).body.subject, 'Welcome, N499');
  });

  it('answer an Idempotency-Key again, also when the template has gone since', async () => {
    await make({ name: 'fleeting', contents: { en: { subject: 'Once', text: 'Once' } } });
    const once = () =>
      call('POST', '/emails', { to: 'once@example.com', template: { id: 'fleeting' } }, sender, {
        'idempotency-key': 'fleeting-1',
      });
    const first = await once();
    assert.equal(first.status, 202, first.text);
    assert.equal((await call('DELETE', '/templates/fleeting')).status, 204);
    const second = await once();
    assert.equal(second.headers.get('idempotent-replay'), 'true');
    assert.deepEqual(second.body, first.body);
  });

  it('strike secrets out of history, and send them', async () => {
    await make({
      name: 'reset',
      variables: [{ name: 'code', required: true }, { name: 'name', required: true }, { name: 'links' }],
      secrets: ['code', 'links'],
      contents: {
        en: {
          subject: '{{ code }} for {{ name }}',
          html: '<p>{{ name }}: {{ code | upcase }}</p>{% for link in links %}<a href="{{ link }}">x</a>{% endfor %}',
        },
      },
    });
    const variables = { code: 'abc-123', name: 'Ada', links: ['https://x.example/t0ken'] };
    const { body } = await send('secret@example.com', { id: 'reset', variables });
    const arrived = await letterTo(postern, 'secret@example.com');
    assert.equal(arrived.subject, 'abc-123 for Ada');
    assert.match(arrived.html, /Ada: ABC-123/);
    assert.match(arrived.html, /t0ken/);
    const stored = await ended(body.id);
    assert.equal(stored.subject, '••• for Ada');
    assert.match(stored.html, /Ada: •••/);
    assert.doesNotMatch(JSON.stringify(stored), /abc-123|ABC-123|t0ken/);
  });

  it('stand in layouts, which speak their language', async () => {
    await make({
      name: 'house',
      kind: 'layout',
      variables: [{ name: 'footer', default: 'Postern & Co' }],
      contents: {
        en: { html: '<html lang="{{ language }}"><title>{{ subject }}</title>{{ content }}<i>{{ footer }}</i></html>' },
        de: { html: '<main lang="{{ language }}">{{ content }}</main>', text: '{{ content }}\n-- \nGruß' },
      },
    });
    await make({
      name: 'framed',
      layout: 'house',
      contents: {
        en: { subject: 'Hi {{ who }}', html: '<p>Hi {{ who }}</p>' },
        de: { subject: 'Hallo', html: '<p>Hallo</p>', text: 'Hallo' },
      },
    });
    const english = await preview('framed', { variables: { who: '<b>' } });
    const expected = '<html lang="en"><title>Hi &lt;b&gt;</title><p>Hi &lt;b&gt;</p><i>Postern &amp; Co</i></html>';
    assert.equal(english.html, expected);
    const german = await preview('framed', { variables: { who: 'x', footer: 'y' }, language: 'de' });
    assert.deepEqual([german.html, german.text], ['<main lang="de"><p>Hallo</p></main>', 'Hallo\n-- \nGruß']);
    assert.equal((await call('DELETE', '/templates/house')).body.code, 'templates.in_use');
    const changed = await call('PATCH', '/templates/framed', { layout: null });
    assert.equal(changed.body.layout, null);
    assert.equal((await call('DELETE', '/templates/house')).status, 204);
  });

  it('keep every version, and take an old one back', async () => {
    await make({ name: 'versioned', contents: { en: { subject: 'First {{ a }}', text: 'x' } } });
    const second = await call('PUT', '/templates/versioned', { contents: { en: { subject: 'Second', text: 'y' } } });
    assert.deepEqual([second.body.version, second.body.variables], [2, []]);
    const third = await call('PATCH', '/templates/versioned', {
      description: 'Third',
      contents: { de: { subject: 'Drei', text: 'z' } },
    });
    assert.deepEqual([third.body.version, third.body.languages], [3, ['en', 'de']]);
    const old = await call('GET', '/templates/versioned?version=1');
    assert.equal(old.body.contents.en.subject, 'First {{ a }}');
    assert.equal((await preview('versioned', { version: 1, variables: { a: 1 } })).subject, 'First 1');
    const restored = await call('POST', '/templates/versioned/restore', { version: 1 });
    assert.deepEqual([restored.body.version, restored.body.contents.en.subject], [4, 'First {{ a }}']);
    assert.equal((await preview('versioned', { variables: { a: 2 } })).subject, 'First 2');
    const page = (await call('GET', '/templates/versioned/versions?limit=3')).body;
    assert.deepEqual(
      page.data.map(({ version }: { version: number }) => version),
      [4, 3, 2],
    );
    assert.equal(page.has_more, true);
    assert.equal(page.data[0].created_by, 'client:default-mail-admin');
    const rest = (await call('GET', '/templates/versioned/versions?after=2')).body;
    assert.deepEqual([rest.data.length, rest.has_more], [1, false]);
    assert.equal((await call('POST', '/templates/versioned/restore', { version: 9 })).status, 404);
  });

  it('may be written in MJML, with Liquid around its elements', async () => {
    await make({
      name: 'mjml',
      contents: {
        en: {
          subject: 'Order',
          mjml: `<mjml><mj-body>
            {% for line in lines %}<mj-section background-color="{{ color }}"><mj-column>
              <mj-text>{{ line }}{% if line == "two" %} (last){% endif %}</mj-text>
            </mj-column></mj-section>{% endfor %}
          </mj-body></mjml>`,
        },
      },
    });
    const shown = await preview('mjml', { variables: { lines: ['<one>', 'two'], color: '#ff0000' } });
    assert.match(shown.html, /&lt;one&gt;/);
    assert.match(shown.html, /two \(last\)/);
    assert.equal(shown.html.match(/background:#ff0000/g)?.length, 4);
    assert.match(shown.text, /<one>\s+two \(last\)/);
    const source = (await call('GET', '/templates/mjml')).body.contents.en;
    assert.match(source.mjml, /^<mjml>/);
    assert.equal(source.html, undefined);
  });

  it('say what is wrong with a source, and where', async () => {
    const at = async (content: object, more = {}) => {
      const { code, errors } = await refusal(content, more);
      assert.equal(code, 'templates.invalid');
      return `${errors[0]?.path}: ${errors[0]?.message}`;
    };
    assert.match(
      await at({ subject: 'x', html: '\n {% if a %}' }),
      /^contents.en.html: line 2, column 2: .*not closed/,
    );
    assert.match(await at({ subject: '{{ a | nonsense }}', html: '' }), /en.subject: line 1, .*undefined filter/);
    assert.match(
      await at({ subject: 'x', mjml: '<mjml><mj-body>\n<mj-colum/></mj-body></mjml>' }),
      /mjml: line 2: mj-colum/,
    );
    assert.match(await at({ subject: 'x', mjml: 'nonsense' }), /mjml/);
    const undeclared = await at({ subject: 'x', html: '<p>\n{{ nmae }}' }, { variables: [{ name: 'name' }] });
    assert.match(undeclared, /html: line 2, column 4: uses {{ nmae }}/);
    assert.match(await at({ subject: 'x' }), /needs html, mjml or text/);
    assert.match(await at({ html: 'x' }), /subject: is required/);
    assert.match(await at({ subject: 'x', text: 'x' }, { secrets: ['a'] }), /secrets: a is not a variable/);
    assert.match(await at({ subject: 'x', text: 'x' }, { layout: 'welcome' }), /layout: is not/);
    assert.match(await at({ html: 'x' }, { kind: 'layout' }), /needs {{ content }}/);
    assert.match(await at({ subject: 'x', text: 'x' }, { default_language: 'fr' }), /default_language/);
    assert.match(await at({ subject: 'x', text: 'x' }, { name: 'postern.nothing' }), /name: begins with "postern."/);
  });

  it('are tested with a letter to oneself', async () => {
    const tested = await call('POST', '/templates/welcome/test', { to: 'me@example.com', variables: { name: 'Me' } });
    assert.equal(tested.status, 202, tested.text);
    assert.equal((await letterTo(postern, 'me@example.com')).subject, 'Welcome, Me');
    const faulty = await call('POST', '/templates/welcome/test', { to: 'not an address', variables: { name: 'Me' } });
    assert.equal(faulty.status, 400);
    assert.equal((await call('POST', '/templates/nothing/test', { to: 'me@example.com' })).status, 404);
  });

  it('send what was accepted before they were deleted', async () => {
    await make({ name: 'gone', contents: { en: { subject: 'Gone', text: 'x' } } });
    const soon = new Date(Date.now() + 1_500).toISOString();
    assert.equal((await send('gone@example.com', { id: 'gone' }, { scheduled_at: soon })).status, 202);
    assert.equal((await call('DELETE', '/templates/gone')).status, 204);
    assert.equal((await send('gone@example.com', { id: 'gone' })).body.code, 'templates.unknown');
    assert.equal((await letterTo(postern, 'gone@example.com')).subject, 'Gone');
  });

  it('are listed by name, page by page', async () => {
    const first = (await call('GET', '/templates?limit=2')).body;
    assert.deepEqual([first.data.length, first.has_more], [2, true]);
    const second = (await call('GET', `/templates?limit=100&after=${first.data[1].name}`)).body;
    const names = [...first.data, ...second.data].map(({ name }: { name: string }) => name);
    assert.deepEqual(names, names.toSorted());
    assert.equal(second.has_more, false);
    assert.deepEqual((await call('GET', '/templates?kind=layout')).body.data, []);
  });

  it("S41: are nobody else's: a foreign one answers as an absent one, and the scope is mail:admin", async () => {
    const { id } = (await call('GET', '/templates/welcome')).body;
    const strip = ({ status, body: { request_id: _, ...body } }: { status: number; body: { request_id: string } }) => [
      status,
      body,
    ];
    for (const [method, path, json] of [
      ['GET', ''],
      ['PUT', '', { contents: { en: { subject: 'x', text: 'x' } } }],
      ['PATCH', '', { description: 'mine' }],
      ['DELETE', ''],
      ['GET', '/versions'],
      ['POST', '/restore', { version: 1 }],
      ['POST', '/preview', {}],
      ['POST', '/test', { to: 'a@example.com' }],
    ] as const) {
      const foreign = await call(method, `/templates/${id}${path}`, json, stranger);
      const absent = await call(method, `/templates/01890000-0000-7000-8000-000000000000${path}`, json, stranger);
      assert.equal(foreign.status, 404, `${method} ${path}: ${foreign.text}`);
      assert.deepEqual(strip(foreign), strip(absent));
      const mere = await call(method, `/templates/welcome${path}`, json, sender);
      assert.equal(mere.status, 403);
    }
    const sent = await call('POST', '/emails', { to: 'a@example.com', template: { id } }, stranger);
    assert.equal(sent.body.code, 'templates.unknown');
    const framed = { name: 'x', layout: id, contents: { en: { subject: 'x', html: 'x' } } };
    assert.match((await call('POST', '/templates', framed, stranger)).body.detail, /layout: is not/);
    assert.equal((await call('GET', '/templates', undefined, stranger)).body.data.length, 0);
  });

  describe('S47', () => {
    const escaping = async (source: string, variables: object = { v: 'x', o: { a: 1 } }) => {
      const content = { subject: 'x', html: source };
      const name = 'escaping';
      const declared = [{ name: 'v' }, { name: 'o' }];
      const saved = await call('PUT', `/templates/${name}`, { variables: declared, contents: { en: content } });
      if (saved.status !== 200) return saved;
      return call('POST', `/templates/${name}/preview`, { variables });
    };
    before(() => make({ name: 'escaping', contents: { en: { subject: 'x', html: 'x' } } }));

    it('reaches no prototype', async () => {
      for (const source of [
        '{{ constructor.constructor }}',
        '{{ __proto__ }}',
        '{{ toString }}',
        '{{ process.env }}',
      ]) {
        assert.equal((await escaping(source)).body.code, 'templates.invalid', source);
      }
      for (const source of [
        '{{ v.constructor.constructor }}',
        '{{ o.__proto__.x }}',
        '{{ o["constructor"] }}',
        '{{ o.toString }}',
      ]) {
        assert.equal((await escaping(source)).body.code, 'templates.missing_variables', source);
      }
      const mapped = await escaping('[{{ o | map: "constructor" }}{{ v | where_exp: "x", "x" | json | raw }}]');
      assert.doesNotMatch(mapped.text, /function|native/i);
    });

    it('reads no file', async () => {
      for (const source of [
        '{% include "/etc/passwd" %}',
        '{% render "/etc/passwd" %}',
        '{% layout "/etc/passwd" %}',
        "{% include '../../../../etc/passwd' %}",
        '{% liquid\n include "/etc/passwd" %}',
      ]) {
        const reply = await escaping(source);
        assert.equal(reply.body.code, 'templates.invalid', source);
        assert.doesNotMatch(reply.text, /root:/);
      }
      const include = '<mjml><mj-body><mj-include path="/etc/passwd" type="html"/></mj-body></mjml>';
      const { code, detail } = await refusal({ subject: 'x', mjml: include });
      assert.equal(code, 'templates.invalid');
      assert.match(detail, /mj-include/);
      assert.doesNotMatch(detail, /root:/);
    });

    it('ends loops and bombs, and delays nobody else', async () => {
      const doubling =
        '{% assign a = "xxxxxxxxxx" %}{% for i in (1..60) %}{% assign a = a | append: a %}{% endfor %}{{ a }}';
      const endless = '{% for i in (1..5000000) %}{% for j in (1..5000000) %}{% endfor %}{% endfor %}';
      for (const source of [
        '{% for i in (1..1000000000) %}x{% endfor %}',
        endless,
        doubling,
        '{{ v | date: "%999999999d" }}',
      ]) {
        const reply = await escaping(source, { v: 'now' });
        assert.equal(reply.body.code, 'templates.render_limit', source);
      }
      const bombs = Array.from({ length: 4 }, () => call('POST', '/templates/escaping/preview', {}));
      await make({ name: 'calm', contents: { en: { subject: 'Calm', text: 'x' } } });
      assert.equal((await preview('calm', {})).subject, 'Calm');
      await Promise.all(bombs);
      assert.equal((await call('GET', '/readyz')).status, 200);
    });

    it('escapes what variables hold, in HTML alone', async () => {
      const content = { subject: '{{ v }}', html: '<a title="{{ v }}">{{ v | raw }}</a>', text: '{{ v }}' };
      await make({ name: 'plain-and-html', contents: { en: content } });
      const shown = await preview('plain-and-html', { variables: { v: `<i>"'&` } });
      assert.deepEqual(shown, {
        subject: `<i>"'&`,
        html: `<a title="&lt;i&gt;&#34;&#39;&amp;"><i>"'&</a>`,
        text: `<i>"'&`,
      });
    });

    it('S43: makes one line of a subject, whatever is in it', async () => {
      await make({ name: 'heading', contents: { en: { subject: 'Hi {{ v }}', text: 'x' } } });
      const variables = { v: 'Ada\r\nBcc: victim@example.com\n\n<script>\u2028\u0007x' };
      assert.equal((await send('heading@example.com', { id: 'heading', variables })).status, 202);
      const arrived = await letterTo(postern, 'heading@example.com');
      assert.equal(arrived.subject, 'Hi Ada Bcc: victim@example.com <script> x');
      assert.deepEqual(arrived.to, ['heading@example.com']);
    });
  });

  describe("in place of Postern's own letters", () => {
    const register = (email: string, server: string, language?: string) =>
      postern.call('POST', '/auth/register', {
        json: { email, password: 'correct horse battery', server },
        ...(language && { headers: { 'accept-language': language } }),
      });
    const own = 'postern.verify_email';

    it('speak the language of whoever registers', async () => {
      await register('de@example.com', 'default', 'fr;q=0.5, de-CH, en;q=0.8');
      const letter = await letterTo(postern, 'de@example.com');
      assert.match(letter.subject, /^\d{4} ist Ihr Code für /);
      assert.match(letter.text, /Gültigkeit: 1 Minute/);
      assert.match(letter.html, /<html lang="de">/);
      const { code, token } = proofIn(letter);
      const verified = await postern.call('POST', '/auth/verify', {
        basic: 'de@example.com:correct horse battery',
        json: { code },
      });
      assert.equal(verified.status, 200, verified.text);
      assert.ok(token);
    });

    it('are shown and previewed before anything stands in for them', async () => {
      const { body } = await call('GET', `/templates/${own}`);
      assert.deepEqual([body.id, body.version, body.languages], [null, 0, ['en', 'de']]);
      assert.ok(body.secrets.includes('code'));
      const variables = {
        code: '0042',
        link: 'https://x.example/l',
        code_seconds: 60,
        link_seconds: 86400,
        host: 'h',
        email: 'e',
      };
      assert.equal((await preview(own, { variables })).subject, '0042 is your code for h');
    });

    it('are sent as the tenant wrote them, with the code struck out of history', async () => {
      const contents = {
        en: { subject: 'Acme: {{ code }}', html: '<p>{{ code }} or {{ link }}</p>', text: '{{ code }} {{ link }}' },
      };
      const made = await call('POST', '/templates', { name: own, contents }, stranger);
      assert.equal(made.status, 201, made.text);
      const reply = await waitFor(
        async () => {
          const email = `acme${Date.now()}@example.com`;
          await register(email, 'elsewhere');
          const letter = await letterTo(postern, email);
          return letter.subject.startsWith('Acme: ') && letter;
        },
        { what: 'the letter of the tenant' },
      );
      const { code, token } = proofIn(reply as InboxMessage);
      const list = await call('GET', '/emails?limit=5', undefined, stranger);
      assert.doesNotMatch(JSON.stringify(list.body), new RegExp(`${code}|${token}`));
      assert.equal(list.body.data[0].subject, 'Acme: •••');
      await register('own@example.com', 'default');
      assert.match((await letterTo(postern, 'own@example.com')).subject, /is your code for/);
    });

    it('never keep anybody from registering', async () => {
      const bomb = { en: { subject: '{{ code }}', text: '{% for i in (1..100000000) %}{% endfor %}' } };
      assert.equal((await call('PUT', `/templates/${own}`, { contents: bomb }, stranger)).status, 200);
      const registered = await register('bomb@example.com', 'elsewhere');
      assert.equal(registered.status, 201);
      assert.match((await letterTo(postern, 'bomb@example.com')).subject, /is your code for/);
      assert.match(postern.output(), /a template failed; sending the built-in letter/);
      const wrong = { en: { subject: '{{ cod }}', text: 'x' } };
      const refused = await call('PUT', `/templates/${own}`, { contents: wrong }, stranger);
      assert.match(refused.body.detail, /uses {{ cod }}/);
    });
  });
});
