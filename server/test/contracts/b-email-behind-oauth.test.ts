/** Project B: an e-mail API behind an OAuth 2 server — client credentials at /authorize, /send into the queue, history. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { letterTo } from '../support/mailbox.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

describe('project B', () => {
  let postern: Postern;
  let secret: string;
  let token: string;
  before(async () => {
    postern = await startPostern();
    const made = await postern.cli('clients', 'create', '--id', 'myawesomeapp', '--scope', 'basic email', '--json');
    assert.equal(made.code, 0, made.stderr);
    secret = JSON.parse(made.stdout).client_secret;
  });
  after(() => postern.dispose());

  const askToken = (body: Record<string, string>) => postern.call('POST', '/authorize', { json: body });

  it('issues a JWT for client credentials, to the letter', async () => {
    const reply = await askToken({
      grant_type: 'client_credentials',
      client_id: 'myawesomeapp',
      client_secret: secret,
      scope: 'basic email',
    });
    assert.equal(reply.status, 200, reply.text);
    const { access_token, ...rest } = reply.body;
    assert.deepEqual(rest, { token_type: 'Bearer', expires_in: 3600, scope: 'basic email' });
    assert.match(access_token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.equal(reply.headers.get('cache-control'), 'no-store');
    token = access_token;
  });

  it('answers a wrong secret and an unknown scope in the form of RFC 6749', async () => {
    const wrong = await askToken({ grant_type: 'client_credentials', client_id: 'myawesomeapp', client_secret: 'no' });
    assert.equal(wrong.status, 401);
    assert.equal(wrong.body.error, 'invalid_client');
    assert.equal(wrong.headers.get('cache-control'), 'no-store');
    const scope = await askToken({
      grant_type: 'client_credentials',
      client_id: 'myawesomeapp',
      client_secret: secret,
      scope: 'everything',
    });
    assert.equal(scope.status, 400);
    assert.equal(scope.body.error, 'invalid_scope');
  });

  it('queues a letter with /send and keeps its history', async () => {
    const reply = await postern.call('POST', '/send', {
      token,
      json: {
        email: 'sender@example.com',
        name: 'Sender Name',
        to_name: 'Recipient Name',
        to_email: 'recipient@example.com',
        subject: 'Email Subject',
      },
    });
    assert.equal(reply.status, 202, reply.text);
    assert.equal(reply.text, 'Start Queue Email');
    assert.match(reply.headers.get('content-type') ?? '', /^text\/plain/);
    const location = reply.headers.get('location') ?? '';
    assert.match(location, /^\/emails\/[0-9a-f-]{36}$/);

    const letter = await letterTo(postern, 'recipient@example.com');
    assert.equal(letter.subject, 'Email Subject');
    assert.match(letter.from, /Sender Name.*sender@example\.com/);
    const history = await waitFor(
      async () => {
        const { body } = await postern.call('GET', location, { token });
        return body.status === 'sent' && body;
      },
      { what: 'the letter to be sent' },
    );
    assert.equal(history.recipients[0].address, 'recipient@example.com');
    assert.equal(history.recipients[0].status, 'sent');
    assert.equal(history.recipients[0].last_reply.code, 250);
    assert.deepEqual(
      history.events.map((event: { type: string }) => event.type),
      ['email.queued', 'email.sent'],
    );
  });

  it('refuses /send without the scope email', async () => {
    const { body } = await askToken({
      grant_type: 'client_credentials',
      client_id: 'myawesomeapp',
      client_secret: secret,
      scope: 'basic',
    });
    const reply = await postern.call('POST', '/send', { token: body.access_token, json: {} });
    assert.equal(reply.status, 403);
  });
});
