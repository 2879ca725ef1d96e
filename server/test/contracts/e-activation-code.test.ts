/** Project E: a registration API — a 4-digit code by e-mail, good for a minute, given back over HTTP Basic. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

describe('project E', () => {
  let postern: Postern;
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());
  const basic = 'user@example.com:Password@123';
  const [email, password] = basic.split(':');

  it('registers, mails a 4-digit code, and activates the account with it', async () => {
    assert.equal((await postern.call('POST', '/auth/register', { json: { email, password } })).status, 201);
    const { code } = proofIn(await letterTo(postern, 'user@example.com'));
    assert.match(code, /^\d{4}$/);
    const wrongCode = code === '0000' ? '0001' : '0000';
    const wrong = await postern.call('POST', '/auth/verify', { basic, json: { code: wrongCode } });
    assert.equal(wrong.status, 400);
    assert.equal(wrong.body.code, 'challenges.code_invalid');
    const stranger = await postern.call('POST', '/auth/verify', { basic: `${basic}x`, json: { code } });
    assert.equal(stranger.status, 401);
    const right = await postern.call('POST', '/auth/verify', { basic, json: { code } });
    assert.equal(right.status, 200, right.text);
    assert.equal(right.body.user.email_verified, true);
  });

  it('mails a new code on request, and says nothing about who exists', async () => {
    await postern.call('POST', '/auth/register', { json: { email: 'second@example.com', password } });
    const first = await letterTo(postern, 'second@example.com');
    const known = await postern.call('POST', '/auth/verify/resend', { json: { email: 'second@example.com' } });
    const unknown = await postern.call('POST', '/auth/verify/resend', { json: { email: 'nobody@example.com' } });
    assert.equal(known.status, 202);
    assert.equal(unknown.status, 202);
    assert.equal(known.text, unknown.text);
    const second = await letterTo(postern, 'second@example.com', (message) => message.id !== first.id);
    const { code } = proofIn(second);
    const reply = await postern.call('POST', '/auth/verify', {
      basic: `second@example.com:${password}`,
      json: { code },
    });
    assert.equal(reply.status, 200, reply.text);
  });
});
