/** Second factors on the pages for people, with no script at all; `browser.test.ts` is about those that need one. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { connectDatabase, type Database } from '../../src/database/database.ts';
import { totpCode } from '../support/authenticator.ts';
import { type Browser, openBrowser, type Page } from '../support/browser.ts';
import { databaseUrlOf } from '../support/engines.ts';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

const password = 'Password@123';

describe('the pages of second factors', () => {
  let postern: Postern;
  let db: Database;
  let count = 0;
  before(async () => {
    postern = await startPostern();
    db = connectDatabase(await databaseUrlOf(postern), { max: 1, name: 'postern test' });
  });
  after(async () => {
    await db.end();
    await postern.dispose();
  });

  const url = (path: string) => `${postern.url}${path}`;
  const signIn = (browser: Browser, email: string) => browser.open(url('/sign-in'), { form: { email, password } });
  async function person() {
    const email = `user${++count}@pages.example`;
    await postern.call('POST', '/auth/register', { json: { email, password } });
    const { token } = proofIn(await letterTo(postern, email));
    assert.equal((await postern.call('POST', '/auth/verify', { json: { token } })).status, 200);
    const browser = openBrowser();
    assert.match((await signIn(browser, email)).url, /\/account$/);
    return { email, browser };
  }
  const secretIn = ({ text }: Page) => /<code>([A-Z2-7 ]+)<\/code>/.exec(text)?.[1]?.replaceAll(' ', '') ?? '';
  const codesIn = ({ text }: Page) =>
    [...text.matchAll(/<code>([0-9a-z]{5}-[0-9a-z]{5})<\/code>/g)].map(([, code]) => code ?? '');
  async function withApp() {
    const who = await person();
    const app = await who.browser.open(url('/account/authenticator'), { form: {} });
    const secret = secretIn(app);
    const added = await who.browser.open(url('/account/authenticator/confirm'), { form: { code: totpCode(secret) } });
    return { ...who, app, secret, codes: codesIn(added) };
  }

  it('show a QR code and a key, take the code of the app, and give recovery codes once', async () => {
    const { browser } = await person();
    const app = await browser.open(url('/account/authenticator'), { form: {} });
    assert.match(app.url, /\/account\/authenticator$/);
    assert.match(app.text, /<div class="qr" role="img" aria-label="[^"]+"><svg /);
    const wrong = await browser.open(url('/account/authenticator/confirm'), { form: { code: '000000' } });
    assert.deepEqual([wrong.status, secretIn(wrong)], [401, secretIn(app)], 'the same key, not a new one');
    assert.match(wrong.text, /role="alert">The code is wrong/);
    const code = totpCode(secretIn(app));
    const added = await browser.open(url('/account/authenticator/confirm'), { form: { code } });
    assert.equal(codesIn(added).length, 10);
    const account = await browser.open(url('/account'));
    assert.match(account.text, /Authenticator app/);
    assert.equal(codesIn(account).length, 0);
    assert.match((await browser.open(url('/account/authenticator'))).url, /\/account$/, 'nothing is begun any more');
  });

  it('let nobody in before the second step, in English and German', async () => {
    const { email, secret, codes } = await withApp();
    const other = openBrowser();
    const asked = await signIn(other, email);
    assert.match(asked.url, /\/sign-in\/second-factor$/);
    assert.match((await other.open(url('/account'))).url, /\/sign-in$/);
    const german = await other.open(url('/sign-in/second-factor'), { language: 'de' });
    assert.match(german.text, /Noch ein Schritt/);
    const wrong = await other.open(url('/sign-in/second-factor'), { form: { code: '000000' } });
    assert.equal(wrong.status, 401);
    assert.match(wrong.text, /role="alert"/);
    const done = await other.open(url('/sign-in/second-factor'), { form: { code: codes[0] ?? '' } });
    assert.match(done.url, /\/account$/);
    assert.match(done.text, /9 left/);
    const again = await other.open(url('/sign-in/second-factor'), { form: { code: totpCode(secret) } });
    assert.equal(again.status, 410, 'the sign-in is over');
    const stranger = await openBrowser().open(url('/sign-in/second-factor'), { form: { code: codes[1] ?? '' } });
    assert.equal(stranger.status, 410);
  });

  it('ask a letter’s reader for it, too', async () => {
    const { email, codes } = await withApp();
    const browser = openBrowser();
    await browser.open(url('/sign-in/letter'), { form: { email } });
    const letter = proofIn(await letterTo(postern, email, ({ text }) => text.includes('/auth/otp/verify')));
    const asked = await browser.open(url('/sign-in/link'), { form: { token: letter.token } });
    assert.match(asked.url, /\/sign-in\/second-factor$/);
    const done = await browser.open(url('/sign-in/second-factor'), { form: { code: codes[0] ?? '' } });
    assert.match(done.url, /\/account$/);
  });

  it('ask again who it is before they change what protects the account', async () => {
    const { browser, secret, codes } = await withApp();
    const refused = await browser.open(url('/account/recovery-codes'), { form: {} });
    assert.match(refused.url, /\/account\/step-up$/, 'this session has shown one factor');
    assert.doesNotMatch(refused.text, /type="password"/);
    const wrong = await browser.open(url('/account/step-up/code'), { form: { code: '000000' } });
    assert.equal(wrong.status, 401);
    await browser.open(url('/account/step-up/code'), { form: { code: codes[0] ?? '' } });
    assert.equal(codesIn(await browser.open(url('/account/recovery-codes'), { form: {} })).length, 10);
    const account = await browser.open(url('/account'));
    const id = /action="\/account\/second-factors\/remove"><input type="hidden" name="id" value="([^"]+)"/.exec(
      account.text,
    );
    const removed = await browser.open(url('/account/second-factors/remove'), { form: { id: id?.[1] ?? '' } });
    assert.match(removed.text, /It is removed/);
    assert.notEqual(secret, '');

    await db`UPDATE sessions SET authenticated_at = now() - interval '16 minutes'`;
    const later = await browser.open(url('/account/authenticator'), { form: {} });
    assert.match(later.url, /\/account\/step-up$/);
    assert.match(later.text, /type="password"/);
    const known = await browser.open(url('/account/step-up/password'), { form: { password } });
    assert.match(known.url, /\/account/);
    assert.match((await browser.open(url('/account/authenticator'), { form: {} })).text, /<svg/);
  });

  it('do not break on nonsense', async () => {
    const { browser } = await person();
    for (const form of [
      { ceremony: 'x', response: 'y' },
      { ceremony: crypto.randomUUID(), response: '{"id":1}' },
    ]) {
      assert.equal((await browser.open(url('/account/passkeys'), { form })).status, 400);
      assert.equal((await browser.open(url('/sign-in/passkey'), { form: { ...form, step: 'alone' } })).status, 400);
    }
    const answer = JSON.stringify({
      id: 'AAAA',
      rawId: 'AAAA',
      type: 'public-key',
      response: {},
      clientExtensionResults: {},
    });
    const form = { ceremony: crypto.randomUUID(), response: answer };
    assert.equal((await browser.open(url('/account/passkeys'), { form })).status, 400);
    assert.equal(
      (await browser.open(url('/account/second-factors/remove'), { form: { id: crypto.randomUUID() } })).status,
      404,
    );
    const none = await browser.open(url('/account/second-factors/remove'), { form: { id: 'x' } });
    assert.deepEqual([none.status, /It is removed/.test(none.text)], [404, false]);
  });
});
