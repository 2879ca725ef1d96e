import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type EventRow, payloadOf } from './payload.ts';

const event: EventRow = {
  type: 'email.sent',
  at: new Date('2026-01-02T03:04:05.678Z'),
  tenant_slug: 'default',
  email_id: 'e',
  recipient: 'a@example.com',
  user_id: null,
  data: null,
  message_id: '<m@example.com>',
  tags: null,
  metadata: null,
  user: null,
  user_verified_at: null,
  user_created_at: null,
};

describe('the payload of a webhook', () => {
  it('says type, time and data, with the status in the words of the mail calls', () => {
    assert.deepEqual(payloadOf(event), {
      type: 'email.sent',
      timestamp: '2026-01-02T03:04:05.678Z',
      data: {
        email_id: 'e',
        message_id: '<m@example.com>',
        server: 'default',
        recipient: 'a@example.com',
        status: 'sent',
        tags: [],
        metadata: {},
      },
    });
    const statusOf = (some: Partial<EventRow>) => payloadOf({ ...event, ...some }).data.status;
    assert.equal(statusOf({ type: 'email.queued', data: { scheduled_at: 'x' } }), 'scheduled');
    assert.equal(statusOf({ type: 'email.delivery_delayed' }), 'deferred');
    assert.equal(statusOf({ type: 'email.uncertain' }), 'uncertain');
    assert.equal(statusOf({ type: 'email.uncertain', data: { next_attempt_at: 'x' } }), 'deferred');
    assert.equal(statusOf({ type: 'email.unsubscribed' }), undefined);
  });

  it('keeps the reply together, and says of a letter whose history is gone what the event knows', () => {
    const { data } = payloadOf({
      ...event,
      type: 'email.bounced',
      message_id: null,
      data: { code: 550, enhanced: null, text: 'no' },
    });
    assert.deepEqual([data.message_id, data.reply], [null, { code: 550, enhanced: null, text: 'no' }]);
  });

  it('names the invitation of somebody who is no user yet', () => {
    const invited = { ...event, type: 'user.invited', email_id: null, data: { invitation: 'i' } };
    assert.deepEqual(payloadOf(invited).data, { invitation_id: 'i', server: 'default' });
  });
});
