import assert from 'node:assert/strict';
import { it } from 'node:test';
import { aMessage } from '../../test/support/message.ts';
import { startScriptedSmtp } from '../../test/support/scripted-smtp.ts';
import { SmtpTransport } from './smtp.ts';

it('asks a relay that refuses the login ever more rarely, so that the account is not locked', async (test) => {
  test.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  let logins = 0;
  let isRight = false;
  const relay = await startScriptedSmtp({
    extensions: ['AUTH PLAIN'],
    on: (stage) => {
      if (stage !== 'AUTH') return undefined;
      logins++;
      return isRight ? undefined : '535 5.7.8 wrong password';
    },
  });
  const transport = new SmtpTransport({ urls: [relay.url.replace('smtp://', 'smtp://user:secret@')] });
  const send = () => transport.send(aMessage());
  try {
    for (let second = 0; second < 120; second++) {
      assert.equal((await send()).reached, false);
      test.mock.timers.tick(1_000);
    }
    assert.ok(logins >= 4 && logins <= 8, `${logins} logins in two minutes`);
    isRight = true;
    test.mock.timers.tick(64_000);
    assert.equal((await send()).results[0]?.outcome, 'sent');
  } finally {
    await transport.close();
    await relay.close();
  }
});
