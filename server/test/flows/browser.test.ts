/** The pages in a real browser, as people use them: with scripts and without, by keyboard, in the dark, in German. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { openChromium, skipWithoutChromium } from '../support/chromium.ts';
import { freePorts } from '../support/free-ports.ts';
import { type InboxMessage, letterTo, proofIn } from '../support/mailbox.ts';
import { clientId, clientSecret, type OpenIdProvider, startOpenIdProvider } from '../support/openid-provider.ts';
import { focusOf, lowContrasts, structureFaults } from '../support/page-checks.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

const password = 'Password@123';
let count = 0;
const fresh = () => `user${++count}@browser.example`;
const isReset = ({ text }: InboxMessage) => text.includes('/auth/password/reset?token=');
const isLogIn = ({ text }: InboxMessage) => text.includes('/auth/otp/verify?token=');

describe('in Chromium', { skip: skipWithoutChromium }, () => {
  let google: OpenIdProvider;
  let postern: Postern;
  let chromium: Browser;
  let base: string;
  before(async () => {
    const [port = 0] = await freePorts(1);
    base = `http://localhost:${port}`;
    google = await startOpenIdProvider(`${base}/auth/callback`);
    const env = { GOOGLE_CLIENT_ID: clientId, GOOGLE_CLIENT_SECRET: clientSecret, GOOGLE_ISSUER: google.issuer };
    [postern, chromium] = await Promise.all([
      startPostern({ env: { ...env, PORT: String(port), VERIFY_CODE_SECONDS: '600' } }),
      openChromium(),
    ]);
  });
  after(async () => {
    await chromium?.close();
    await postern?.dispose();
    await google?.close();
  });

  /** A browser of somebody's own. What it complains of (the policy against scripts, say) fails the test. */
  async function visit(use: (page: Page) => Promise<void>, options: BrowserContextOptions = {}): Promise<void> {
    const context = await chromium.newContext({ baseURL: base, locale: 'en-GB', ...options });
    const complaints: string[] = [];
    context.on('weberror', (fault) => complaints.push(String(fault.error())));
    context.on('console', (message) => {
      // That a form was refused is said by the status, which browsers note here too.
      const isRefusal = /^Failed to load resource: .* status of 4\d\d/.test(message.text());
      if (['error', 'warning'].includes(message.type()) && !isRefusal) complaints.push(message.text());
    });
    try {
      await use(await context.newPage());
      assert.deepEqual(complaints, []);
    } finally {
      await context.close();
    }
  }
  const path = (page: Page) => new URL(page.url()).pathname;
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const alert = (page: Page) => page.getByRole('alert').innerText();
  const noted = (page: Page) => page.locator('.note[role=status]').innerText();

  async function registered(): Promise<string> {
    const email = fresh();
    const { status } = await postern.call('POST', '/auth/register', { json: { email, password } });
    assert.equal(status, 201);
    return email;
  }
  async function signIn(page: Page, email: string, secret = password): Promise<void> {
    await page.goto('/sign-in');
    await page.getByLabel('E-mail address or username').fill(email);
    await page.getByLabel('Password').fill(secret);
    await press(page, 'Sign in');
  }
  async function signedIn(page: Page): Promise<string> {
    const email = await registered();
    await signIn(page, email);
    assert.equal(path(page), '/account');
    return email;
  }

  async function provenEmail(): Promise<string> {
    const email = await registered();
    const { token } = proofIn(await letterTo(postern, email));
    assert.equal((await postern.call('POST', '/auth/verify', { json: { token } })).status, 200);
    return email;
  }

  it('people add a passkey, and sign in with it alone or beside their password', () =>
    visit(async (page) => {
      const device = await page.context().newCDPSession(page);
      await device.send('WebAuthn.enable');
      await device.send('WebAuthn.addVirtualAuthenticator', {
        options: {
          protocol: 'ctap2',
          transport: 'internal',
          hasResidentKey: true,
          hasUserVerification: true,
          isUserVerified: true,
          automaticPresenceSimulation: true,
        },
      });
      const email = await provenEmail();
      await signIn(page, email);
      await press(page, 'Add a passkey');
      await page.getByRole('heading', { name: 'Your recovery codes' }).waitFor();
      assert.deepEqual([await structureFaults(page), await lowContrasts(page)], [[], []]);
      assert.equal(await page.locator('ul.codes li').count(), 10);
      await page.getByRole('link', { name: 'I have kept them' }).click();
      assert.match(await page.innerText('main'), /Passkey: Chrome, Linux/);

      await press(page, 'Sign out');
      await press(page, 'Sign in with a passkey');
      await page.waitForURL('**/account');
      await press(page, 'Sign out');
      await signIn(page, email);
      assert.equal(path(page), '/sign-in/second-factor');
      assert.deepEqual([await structureFaults(page), await lowContrasts(page)], [[], []]);
      assert.equal((await focusOf(page)).name, 'code');
      await press(page, 'Use a passkey');
      await page.waitForURL('**/account');
      await press(page, 'Remove: Passkey: Chrome, Linux');
      assert.match(await noted(page), /It is removed/);
    }));

  it('people who have no passkey here are told so, and go on another way', () =>
    visit(async (page) => {
      const device = await page.context().newCDPSession(page);
      await device.send('WebAuthn.enable');
      const options = { protocol: 'ctap2', transport: 'internal' } as const;
      await device.send('WebAuthn.addVirtualAuthenticator', { options });
      await page.goto('/sign-in');
      await press(page, 'Sign in with a passkey');
      await page.getByText('Try again, or go another way').waitFor();
      await signedIn(page);
    }));

  for (const javaScriptEnabled of [true, false]) {
    describe(javaScriptEnabled ? 'with scripts' : 'without scripts', () => {
      it('people sign up, enter the code of the letter, and are at their account', () =>
        visit(
          async (page) => {
            const email = fresh();
            await page.goto('/sign-in');
            await page.getByRole('link', { name: 'No account yet? Create one' }).click();
            await page.getByLabel('E-mail address').fill(email);
            await page.getByLabel('Password').fill('password1');
            await press(page, 'Create the account');
            assert.match(await alert(page), /too well known/);
            assert.equal(await page.getByLabel('E-mail address').inputValue(), email);
            await page.getByLabel('Password').fill(password);
            await press(page, 'Create the account');
            assert.equal(path(page), '/verify');
            const first = proofIn(await letterTo(postern, email));
            await page.getByLabel('Code from the letter').fill('none');
            await press(page, 'Confirm');
            assert.equal(await alert(page), 'The code is wrong.');
            await press(page, 'Send a new letter');
            assert.match(await noted(page), /A new letter is on its way/);
            const { code } = proofIn(await letterTo(postern, email, ({ text }) => !text.includes(first.token)));
            await page.getByLabel('Code from the letter').fill(` ${code}`);
            await press(page, 'Confirm');
            assert.equal(path(page), '/account');
            assert.match(await page.innerText('main'), new RegExp(`Signed in as ${email}`));
            assert.equal(await page.getByRole('link', { name: 'Enter the code' }).count(), 0);
            await press(page, 'Sign out');
            assert.equal(path(page), '/sign-in');
          },
          { javaScriptEnabled },
        ));

      it('people sign in by password, by the code of a letter and by its link', () =>
        visit(
          async (page) => {
            const email = await registered();
            await signIn(page, email, 'wrong');
            assert.equal(await alert(page), 'Name or password is wrong.');
            await page.getByLabel('Password').fill(password);
            await press(page, 'Sign in');
            assert.equal(path(page), '/account');
            for (const by of ['code', 'link'] as const) {
              await press(page, 'Sign out');
              await page.getByRole('link', { name: 'Sign in without a password' }).click();
              await page.getByLabel('E-mail address').fill(email);
              const before = (await postern.call('GET', `/inbox/messages?to=${email}&limit=20`)).body.data;
              await press(page, 'Send a code');
              const seen = new Set(before.map(({ id }: InboxMessage) => id));
              const proof = proofIn(await letterTo(postern, email, (one) => isLogIn(one) && !seen.has(one.id)));
              if (by === 'link') await page.goto(proof.link);
              else await page.getByLabel('Code from the letter').fill(proof.code);
              await press(page, 'Sign in');
              assert.equal(path(page), '/account', by);
            }
          },
          { javaScriptEnabled },
        ));

      it('people who forgot their password set another', () =>
        visit(
          async (page) => {
            const email = await registered();
            await page.goto('/sign-in');
            await page.getByRole('link', { name: 'Forgot your password?' }).click();
            await page.getByLabel('E-mail address').fill(email);
            await press(page, 'Send the letter');
            const { link } = proofIn(await letterTo(postern, email, isReset));
            await page.goto(link);
            await page.getByLabel('New password').fill('12345678');
            await press(page, 'Set the password');
            assert.match(await alert(page), /too well known/);
            await page.getByLabel('New password').fill('Another@123');
            await press(page, 'Set the password');
            assert.match(await page.innerText('main'), /Your password is set/);
            await signIn(page, email, 'Another@123');
            assert.equal(path(page), '/account');
            await page.goto(link);
            await page.getByLabel('New password').fill('Third@12345');
            await press(page, 'Set the password');
            assert.match(await alert(page), /was used or replaced/);
          },
          { javaScriptEnabled },
        ));

      it('people change their password, end another session, take their data and go', () =>
        visit(
          async (page) => {
            const email = await signedIn(page);
            const { body } = await postern.call('POST', '/login', {
              json: { email, password },
              headers: { 'user-agent': 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1' },
            });
            const isAlive = async () =>
              (await postern.call('GET', '/auth/me', { token: body.token.access_token })).status === 200;
            assert.ok(await isAlive());
            await page.reload();
            await press(page, 'Sign out there: Safari, iPhone');
            assert.ok(!(await isAlive()));
            await page.getByLabel('Current password').first().fill(password);
            await page.getByLabel('New password').fill('Another@123');
            await press(page, 'Change the password');
            assert.match(await noted(page), /Your password is changed/);
            const [download] = await Promise.all([
              page.waitForEvent('download'),
              page.getByRole('link', { name: 'Download everything' }).click(),
            ]);
            assert.equal(JSON.parse(await readFile(await download.path(), 'utf8')).user.email, email);
            await page.getByLabel('This cannot be undone').fill('delete');
            await press(page, 'Delete the account');
            assert.match(await page.innerText('main'), /Your account is deleted/);
            await signIn(page, email, 'Another@123');
            assert.equal(await alert(page), 'Name or password is wrong.');
          },
          { javaScriptEnabled },
        ));
    });
  }

  it('people sign in with a provider, see it at their account, and take it off again', () =>
    visit(async (page) => {
      google.person = { sub: 'sub', email: fresh(), email_verified: true };
      await page.goto('/sign-in');
      await page.getByRole('link', { name: 'Sign in with Google' }).click();
      await page.waitForURL('**/account');
      assert.equal(page.url(), `${base}/account`, 'there is nothing else in the address');
      await press(page, 'Remove: Google');
      assert.match(await noted(page), /The account is removed/);
      assert.equal(await page.getByText('Accounts you sign in with').count(), 0);
      await press(page, 'Sign out');
      google.person = undefined;
      await page.context().clearCookies({ domain: '127.0.0.1' });
      await page.getByRole('link', { name: 'Sign in with Google' }).click();
      await page.waitForURL('**/sign-in?*');
      assert.equal(await alert(page), 'The other side did not let you in.');
    }));

  it('links from letters open pages in the language of the browser', () =>
    visit(
      async (page) => {
        const email = await registered();
        const { link } = proofIn(await letterTo(postern, email));
        await page.goto(link);
        await press(page, 'Bestätigen');
        assert.match(await page.innerText('main'), /Ihre Adresse ist bestätigt/);
        await page.goto(link);
        await press(page, 'Bestätigen');
        assert.match(await alert(page), /Der Link wurde benutzt/);
        await page.goto('/sign-up');
        assert.equal(await page.locator('html').getAttribute('lang'), 'de');
        await page.getByLabel('E-Mail-Adresse').fill(email);
        await page.getByLabel('Passwort').fill(password);
        await press(page, 'Konto anlegen');
        assert.match(await alert(page), /gibt es schon ein Konto/);
      },
      { locale: 'de-AT' },
    ));

  it('the keyboard alone is enough to sign in, and shows where it is', () =>
    visit(async (page) => {
      const email = await registered();
      await page.goto('/sign-in');
      await page.keyboard.type(email);
      await page.keyboard.press('Tab');
      await page.keyboard.type('wrong');
      await page.keyboard.press('Enter');
      await page.waitForSelector('[role=alert]');
      assert.deepEqual(await focusOf(page), { name: 'alert', isField: false, isRinged: true });
      const seen: string[] = [];
      for (let i = 0; i < 3; i++) {
        await page.keyboard.press('Tab');
        const { name, isRinged } = await focusOf(page);
        assert.ok(isRinged, `${name} shows no focus`);
        seen.push(name ?? '');
      }
      assert.deepEqual(seen, ['email', 'password', 'Sign in']);
      await page.keyboard.press('Shift+Tab');
      await page.keyboard.type(password);
      await page.keyboard.press('Enter');
      await page.waitForURL('**/account');
    }));

  /** Every page there is, by what stands on it first. `focus` is where one begins. */
  async function everyPage(page: Page, see: (name: string, focus?: string) => Promise<void>): Promise<void> {
    const open = async (url: string, focus?: string) => {
      await page.goto(url);
      await see(url, focus);
    };
    await open('/sign-in', 'email');
    await open('/sign-in?error=identities.sign_in_refused', 'alert');
    await open('/sign-up', 'email');
    await open('/sign-in/letter', 'email');
    await open('/forgot', 'email');
    await open('/auth/verify', 'alert');
    for (const link of ['verify', 'otp/verify', 'email/confirm']) await open(`/auth/${link}?token=x`);
    await press(page, 'Confirm');
    await see('a link that is over', 'alert');
    await open('/auth/password/reset?token=x', 'password');
    await page.goto('/sign-in/letter');
    await page.getByLabel('E-mail address').fill(fresh());
    await press(page, 'Send a code');
    await see('the code to sign in by', 'code');
    const email = await signedIn(page);
    await open('/verify', 'code');
    await page.getByRole('link', { name: 'Later' }).click();
    await see('the account');
    await page.getByLabel('This cannot be undone').fill('no');
    await press(page, 'Delete the account');
    await see('the account with a fault', 'alert');
    await page.goto(proofIn(await letterTo(postern, email)).link);
    await press(page, 'Confirm');
    await see('an outcome');
    await postern.call('POST', '/login', { json: { email, password } });
    google.person = { sub: email, email, email_verified: true };
    await page.goto('/auth/google?redirect_to=/account');
    await see('the account with a provider and other sessions');
  }

  it('every page is fit to be read, listened to and typed into, on a phone, by day and by night', () =>
    visit(
      (page) =>
        everyPage(page, async (name, focus) => {
          assert.deepEqual(await structureFaults(page), [], name);
          for (const colorScheme of ['light', 'dark'] as const) {
            await page.emulateMedia({ colorScheme });
            assert.deepEqual(await lowContrasts(page), [], `${name}, ${colorScheme}`);
          }
          const focused = await focusOf(page);
          if (focus === undefined) assert.equal(focused.isField, false, name);
          else assert.deepEqual([focused.name, focused.isRinged], [focus, true], name);
        }),
      { viewport: { width: 360, height: 740 } },
    ));
});
