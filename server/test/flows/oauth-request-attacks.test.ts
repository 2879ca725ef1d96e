/** Attacks on authorization requests and their answers, by requests made by hand (quality S29, S30, S32). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Browser, openBrowser } from '../support/browser.ts';
import {
  challengeOf,
  defined,
  named,
  type Parameters,
  type RawClient,
  type RawUser,
  startTarget,
  type Target,
} from '../support/raw-client.ts';
import { follow, redirectUri } from '../support/relying-party.ts';
import type { Reply } from '../support/start-postern.ts';

const web = 'https://client.example/callback';
const loopback = 'http://127.0.0.1/callback';
const appUri = 'com.example.app:/callback';
const others = 'https://other.example/callback';

/** None of them is the one that is registered, as alike as they look. */
const alike = [
  ...['https://client.example/', 'https://client.example', `${web}/`, `${web}/more`, `${web}?`, `${web}?x=1`],
  ...['https://client.example/Callback', 'https://CLIENT.example/callback', 'HTTPS://client.example/callback'],
  ...['https://client.example:443/callback', 'https://client.example:8443/callback', 'http://client.example/callback'],
  ...['https://user@client.example/callback', 'https://client.example./callback', 'https://evil.example/callback'],
  ...['https://client.example@evil.example/callback', 'https://client.example.evil.example/callback'],
  ...['https://evil.example\\@client.example/callback', 'https://evil.example#@client.example/callback'],
  ...[`${web}#`, `${web}#x`, 'https://client.example/%63allback', 'https://client.example/callback%2e'],
  ...['https://client.example//callback', 'https://client.example/./callback', 'https://client.example/x/../callback'],
  ...[
    'https://client.example/x/%2e%2e/callback',
    'https://client.example\\callback',
    'https://client.example/callback\\',
  ],
  ...[
    `${web}\t`,
    `\t${web}`,
    `${web} `,
    ` ${web}`,
    `${web}\r\n`,
    `${web}\0`,
    `${web}%00`,
    'https://client.example/call\tback',
  ],
  ...[
    '//client.example/callback',
    '/callback',
    'callback',
    'https:client.example/callback',
    'https:/client.example/callback',
  ],
  ...['javascript:alert(1)', 'data:text/html,x', `${web},https://evil.example`, `${web};${others}`, others, 'null'],
  ...['http://127.0.0.1:6000/callback', 'http://127.0.0.1/callback', 'http://localhost:5999/callback'],
  ...['http://[::1]:5999/callback', 'http://127.0.0.1:5999/callback/', 'http://127.1:5999/callback'],
];

describe('attacks on authorization requests', () => {
  let target: Target;
  let confidential: RawClient;
  let open: RawClient;
  let native: RawClient;
  let other: RawClient;
  let ann: RawUser;
  let browser: Browser;
  before(async () => {
    target = await startTarget();
    confidential = await target.makeClient({ redirect_uris: [redirectUri, web] });
    open = await target.makeClient({ token_endpoint_auth_method: 'none' });
    native = await target.makeClient({
      ...{ token_endpoint_auth_method: 'none', application_type: 'native' },
      redirect_uris: [loopback, 'http://[::1]/callback', appUri],
    });
    other = await target.makeClient({ redirect_uris: [others, redirectUri] });
    ann = await target.makeUser();
    browser = await target.browserOf(ann);
    // She has let all of them in: nothing but the request itself is between the attacker and a code.
    for (const client of [confidential, open, other]) await target.codeFor(browser, client);
    await target.codeFor(browser, native, { redirect_uri: loopback });
  });
  after(() => target.close());

  const authorize = (client: RawClient, parameters: Parameters = {}, more = '') =>
    target.knock(browser, `${target.authorizeUrl(client, parameters).url}${more}`);
  const push = (client: RawClient, parameters: Parameters = {}) =>
    target.postern.call('POST', '/oauth/par', {
      form: { ...defined(target.authorizeUrl(client, parameters).all), ...named(client) },
    });
  /** An error page: the browser is sent nowhere. */
  function staysHere({ status, headers, text }: Reply, about: string): void {
    assert.equal(status, 400, `${about}: ${status} ${headers.get('location')} ${text}`);
    assert.match(headers.get('content-type') ?? '', /^text\/html/, about);
    assert.deepEqual([headers.get('location'), headers.get('refresh')], [null, null], about);
    assert.doesNotMatch(text, /<form|http-equiv="refresh"|<script/i, about);
  }
  /** What the client is told. */
  const told = ({ headers }: Reply) => new URL(headers.get('location') ?? 'none:').searchParams;

  it('S29 a redirect_uri that is not the registered one, to the character, gives an error page', async () => {
    for (const uri of ['', undefined, ...alike]) {
      const about = JSON.stringify(uri);
      staysHere(await authorize(confidential, { redirect_uri: uri }), about);
      const pushed = await push(confidential, { redirect_uri: uri });
      assert.deepEqual([pushed.status, pushed.body.error], [400, 'invalid_request'], `${about}: ${pushed.text}`);
    }
    // Nor is one guessed for a client that has but one.
    staysHere(await authorize(open, { redirect_uri: undefined }), 'left out');
    const guessed = await push(open, { redirect_uri: undefined });
    assert.deepEqual([guessed.status, guessed.body.error], [400, 'invalid_request']);
    const good = await authorize(confidential, { redirect_uri: web });
    assert.match(good.headers.get('location') ?? '', /^https:\/\/client\.example\/callback\?code=/);
  });

  it('S29 nor is an error sent there, whatever else is wrong', async () => {
    for (const uri of [undefined, others, 'https://evil.example/', `${web}/`, `${web}#x`, 'javascript:alert(1)']) {
      for (const wrong of [
        { scope: 'openid everything' },
        { scope: undefined },
        { response_type: 'token' },
        { response_type: undefined },
        { prompt: 'none' },
        { prompt: 'none login' },
        { code_challenge: undefined },
        { request: 'e30.e30.' },
        { request_uri: 'https://evil.example/request' },
        { response_mode: 'form_post' },
        { response_mode: 'web_message' },
        { max_age: '-1' },
        { claims: '{' },
        { resource: 'https://evil.example' },
        { id_token_hint: 'rubbish' },
      ] as Parameters[]) {
        const about = JSON.stringify([uri, wrong]);
        staysHere(await authorize(confidential, { redirect_uri: uri, ...wrong }), about);
        staysHere(
          await target.knock(openBrowser(), target.authorizeUrl(confidential, { redirect_uri: uri, ...wrong }).url),
          about,
        );
      }
    }
  });

  it('S29 two of them, a client that is unknown, or none, give an error page', async () => {
    for (const more of [web, redirectUri, 'https://evil.example/']) {
      for (const [first, second] of [
        [redirectUri, more],
        [more, redirectUri],
      ] as const) {
        const twice = `&redirect_uri=${encodeURIComponent(second)}`;
        staysHere(await authorize(confidential, { redirect_uri: first }, twice), `${first} ${second}`);
        const form = `${new URL(target.authorizeUrl(confidential, { redirect_uri: first }).url).searchParams}${twice}`;
        staysHere(await posted(form), `posted ${first} ${second}`);
      }
    }
    for (const client_id of ['nobody', '', 'a\0b', "' OR 1=1", 'operator'] as const) {
      staysHere(await authorize({ client_id }), client_id);
      staysHere(await authorize({ client_id }, { redirect_uri: 'https://evil.example/', prompt: 'none' }), client_id);
    }
    staysHere(await authorize(confidential, {}, `&client_id=${other.client_id}`), 'two clients');
    staysHere(await target.knock(browser, '/oauth/authorize'), 'nothing');
  });

  /** A form is sent on as a redirect to the same place. */
  async function posted(form: string): Promise<Reply> {
    const sent = await target.submit(browser, '/oauth/authorize', form, 'https://client.example');
    assert.equal(sent.status, 303, sent.text);
    const to = sent.headers.get('location') ?? '';
    assert.match(to, /^\/oauth\/authorize\?/);
    return target.knock(browser, to);
  }

  it('S29 an installed application may come back at any port of the same loopback address, and nowhere else', async () => {
    for (const [uri, expected] of [
      ['http://127.0.0.1:51234/callback', true],
      ['http://[::1]:51234/callback', true],
      [appUri, true],
      ...['http://127.0.0.1:51234/callback/', 'http://127.0.0.1:51234/callback?x', 'http://127.0.0.1:51234/other'].map(
        no,
      ),
      ...['http://localhost:51234/callback', 'http://127.0.0.2:51234/callback', 'http://127.1:51234/callback'].map(no),
      ...['http://127.0.0.1:99999/callback', 'http://127.0.0.1:51234@evil.example/callback'].map(no),
      ...[
        'https://127.0.0.1:51234/callback',
        'http://u@127.0.0.1:51234/callback',
        'http://2130706433:51234/callback',
      ].map(no),
      ...['http://127.0.0.1.evil.example:51234/callback', 'http://127.0.0.1:51234/callback#', `${appUri}/`].map(no),
      ...['http://[::ffff:127.0.0.1]:51234/callback', 'com.example.app://callback', 'com.example.app2:/callback'].map(
        no,
      ),
      ...['http://127.0.0.1:51234\\@evil.example/callback', 'http://127.0.0.1:51234/x/../callback'].map(no),
    ] as [string, boolean][]) {
      const reply = await authorize(native, { redirect_uri: uri });
      if (!expected) staysHere(reply, uri);
      // A native client shows its user that it is there (RFC 8252 §8.6): she is asked again.
      else assert.match(reply.headers.get('location') ?? '', /\/oauth\/interaction\//, uri);
    }
  });
  const no = (uri: string): [string, boolean] => [uri, false];

  it('S30 no request is taken without a challenge of S256, pushed or not', async () => {
    for (const client of [confidential, open]) {
      const verifier = 'v'.repeat(43);
      for (const parameters of [
        { code_challenge: undefined, code_challenge_method: undefined },
        { code_challenge: undefined },
        { code_challenge: '', code_challenge_method: '' },
        { code_challenge: verifier, code_challenge_method: 'plain' },
        { code_challenge: verifier, code_challenge_method: undefined },
        { code_challenge_method: undefined },
        { code_challenge_method: 's256' },
        { code_challenge_method: 'S512' },
        { code_challenge: 'short' },
        { code_challenge: `${challengeOf(verifier)}=` },
        { code_challenge: 'x'.repeat(129) },
      ] as Parameters[]) {
        const about = JSON.stringify(parameters);
        const reply = await authorize(client, parameters);
        assert.deepEqual([told(reply).get('error'), told(reply).get('code')], ['invalid_request', null], about);
        const pushed = await push(client, parameters);
        assert.deepEqual([pushed.status, pushed.body.error], [400, 'invalid_request'], about);
      }
    }
  });

  it('S30 what is pushed is what counts: nothing beside it in the address changes it', async () => {
    const { url, all } = target.authorizeUrl(confidential);
    const pushed = await target.postern.call('POST', '/oauth/par', {
      form: { ...defined(all), ...named(confidential) },
    });
    const attacker = challengeOf('a'.repeat(43));
    for (const evil of [
      { redirect_uri: 'https://evil.example/' },
      { code_challenge: attacker, code_challenge_method: 'S256' },
      { code_challenge: 'a'.repeat(43), code_challenge_method: 'plain' },
      { scope: 'openid everything', state: 'evil', nonce: 'evil' },
    ]) {
      const query = new URLSearchParams({
        client_id: confidential.client_id,
        ...evil,
        request_uri: pushed.body.request_uri,
      });
      const reply = await target.knock(browser, `/oauth/authorize?${query}`);
      const to = reply.headers.get('location');
      // Whichever is taken, it is nothing of the attacker's.
      assert.ok(to === null || to.startsWith(`${redirectUri}?`), `${to}`);
      assert.notEqual(told(reply).get('state'), 'evil');
      const code = told(reply).get('code');
      if (code !== null) {
        const stolen = await target.exchange(confidential, { code, verifier: 'a'.repeat(43) });
        assert.deepEqual([stolen.status, stolen.body.error], [400, 'invalid_grant'], url);
      }
    }
  });

  it('S32 every answer says who it is from, and brings the state back as it was', async () => {
    const states = [
      ...[
        'plain',
        'ü€😀 ñ',
        'a+b',
        'a%2Bb',
        'a b  c',
        ' ',
        '%',
        '%zz',
        '%00',
        '"\'<b>&amp;',
        'a&code=evil&iss=evil',
        'x=y;z',
      ],
      ...['#fragment', '\\', 'x'.repeat(2_048), '{"a":[1]}', '../..', 'null', '0', 'line\nbreak'],
    ];
    for (const state of states) {
      for (const wrong of [
        {},
        { scope: 'everything' },
        { prompt: 'none', max_age: '0' },
        { response_type: 'token', response_mode: 'query' },
      ]) {
        const reply = await authorize(confidential, { state, ...wrong });
        const answer = told(reply);
        const about = `${JSON.stringify([state.slice(0, 20), wrong])} ${reply.headers.get('location')} ${reply.text}`;
        assert.deepEqual([answer.getAll('state'), answer.getAll('iss')], [[state], [target.issuer]], about);
        const expected = Object.keys(wrong).length === 0 ? 'code' : 'error';
        assert.deepEqual(
          [...answer.keys()].filter((name) => name === 'code' || name === 'error'),
          [expected],
          about,
        );
      }
      const pushed = await push(confidential, { state });
      const query = new URLSearchParams({ client_id: confidential.client_id, request_uri: pushed.body.request_uri });
      assert.equal(told(await target.knock(browser, `/oauth/authorize?${query}`)).get('state'), state);
      const form = new URL(target.authorizeUrl(confidential, { state }).url).search.slice(1);
      assert.equal(told(await posted(form)).get('state'), state, 'posted');
    }
    for (const state of [undefined, '']) {
      for (const wrong of [{}, { scope: 'everything' }]) {
        const answer = told(await authorize(confidential, { state, ...wrong }));
        assert.deepEqual([answer.has('state'), answer.get('iss')], [false, target.issuer]);
      }
    }
  });

  it('S32 so do answers after pages, refusals by the user, and those to whoever is not signed in', async () => {
    const state = 'ü+ %2B"<';
    const stranger = openBrowser();
    const silent = await target.knock(stranger, target.authorizeUrl(confidential, { state, prompt: 'none' }).url);
    const eve = await target.makeUser();
    const { url } = target.authorizeUrl(confidential, { state });
    const denied = await follow(stranger, url, eve, { decision: 'deny' });
    const unasked = await target.knock(stranger, target.authorizeUrl(confidential, { state, prompt: 'none' }).url);
    const allowed = await follow(stranger, url, eve);
    for (const [answer, error] of [
      [told(silent), 'login_required'],
      [new URL(denied.url).searchParams, 'access_denied'],
      [told(unasked), 'consent_required'],
      [new URL(allowed.url).searchParams, null],
    ] as const) {
      assert.deepEqual([answer.get('error'), answer.get('iss'), answer.get('state')], [error, target.issuer, state]);
    }
  });

  it('S32 the ID token has the nonce of its request, and none where there was none', async () => {
    const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    for (const nonce of ['plain', 'ü€ +%2B"<', 'n'.repeat(1_000), undefined]) {
      const code = await target.codeFor(browser, confidential, { nonce });
      const reply = await target.exchange(confidential, code, { nonce: 'evil' });
      const { iss, aud, sub, nonce: told } = claimsOf(reply.body.id_token);
      assert.deepEqual([iss, aud, sub, told], [target.issuer, confidential.client_id, ann.uuid, nonce]);
    }
  });
});
