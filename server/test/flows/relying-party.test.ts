/** The application of docs/openid-connect.md, run as it stands there, and people who sign in to it with Chromium. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { openChromium, skipWithoutChromium } from '../support/chromium.ts';
import { freePorts } from '../support/free-ports.ts';
import { lowContrasts, structureFaults } from '../support/page-checks.ts';
import { makePerson, type Person, password } from '../support/relying-party.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const docs = readFileSync(new URL('../../../docs/openid-connect.md', import.meta.url), 'utf8');
const blockOf = (language: string) =>
  new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(docs)?.[1] ?? '';
const server = fileURLToPath(new URL('../..', import.meta.url));

describe('the application of docs/openid-connect.md', () => {
  it('has twenty lines', () => {
    const lines = blockOf('js').split('\n');
    assert.ok(lines.filter((line) => line.trim() !== '').length <= 20);
  });
});

describe('an application that people sign in to, in Chromium', { skip: skipWithoutChromium }, () => {
  let postern: Postern;
  let chromium: Browser;
  let application: ChildProcess;
  let base: string;
  let start: string;
  before(async () => {
    const [port = 0, own = 0] = await freePorts(2);
    base = `http://localhost:${port}`;
    start = `http://localhost:${own}`;
    [postern, chromium] = await Promise.all([startPostern({ env: { PORT: String(port) } }), openChromium()]);
    const at = (text: string) =>
      text.replaceAll('localhost:5000', `localhost:${own}`).replace('listen(5000)', `listen(${own})`);
    const [, ...words] = at(blockOf('sh').replaceAll(/\\\n\s*/g, ''))
      .trim()
      .split(' -- ');
    const made = await postern.cli(
      ...(words.join(' -- ').match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', '')),
    );
    assert.equal(made.code, 0, made.stderr);
    const { client_id: CLIENT_ID, client_secret: CLIENT_SECRET } = JSON.parse(made.stdout);
    application = spawn(process.execPath, ['--input-type=module', '--eval', at(blockOf('js'))], {
      cwd: server,
      env: { PATH: process.env.PATH, ISSUER: base, CLIENT_ID, CLIENT_SECRET },
      stdio: 'inherit',
    });
    const answers = () =>
      fetch(start, { redirect: 'manual' }).then(
        () => true,
        () => false,
      );
    await waitFor(answers, { what: 'the application to listen' });
  });
  after(async () => {
    application?.kill();
    await chromium?.close();
    await postern?.dispose();
  });

  async function visit(use: (page: Page) => Promise<void>, options: BrowserContextOptions = {}): Promise<void> {
    const context = await chromium.newContext({ locale: 'en-GB', ...options });
    const complaints: string[] = [];
    context.on('console', (message) => {
      const isOurs = message.location().url.startsWith(base);
      if (isOurs && ['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    try {
      await use(await context.newPage());
      assert.deepEqual(complaints, []);
    } finally {
      await context.close();
    }
  }
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  async function signIn(page: Page, { email }: Person, { allow, signIn }: { allow: string; signIn: string }) {
    await page.goto(start);
    await page.locator('#email').fill(email);
    await page.locator('#password').fill(password);
    await press(page, signIn);
    await page.getByRole('button', { name: allow, exact: true }).waitFor();
  }
  const english = { allow: 'Allow', signIn: 'Sign in' };
  const said = (page: Page) => page.locator('body').innerText();
  const isBack = (page: Page) => page.waitForURL(`${start}/callback?**`);

  for (const [how, options] of [
    ['with scripts', {}],
    ['without', { javaScriptEnabled: false }],
  ] as const) {
    it(`greets them ${how}: asked once, and known from then on`, async () => {
      const person = await makePerson(postern);
      await visit(async (page) => {
        await signIn(page, person, english);
        assert.match(await said(page), /Garden would like to sign you in/);
        assert.match(await said(page), new RegExp(`sent on to ${new URL(start).host}`));
        await press(page, 'Allow');
        await isBack(page);
        assert.equal(await said(page), `Hello ${person.email}`);
        await page.goto(start);
        await isBack(page);
        assert.equal(await said(page), `Hello ${person.email}`);
      }, options);
    });
  }

  it('is told where they do not allow it, and takes them another time', async () => {
    const person = await makePerson(postern);
    await visit(async (page) => {
      await signIn(page, person, english);
      await press(page, 'Do not allow');
      await isBack(page);
      assert.match(page.url(), /error=access_denied/);
    });
  });

  it('shows pages that everybody can read, in German and in the dark too', async () => {
    const person = await makePerson(postern);
    const german = { allow: 'Erlauben', signIn: 'Anmelden' };
    await visit(
      async (page) => {
        await signIn(page, person, german);
        assert.deepEqual([await lowContrasts(page), await structureFaults(page)], [[], []]);
        await press(page, german.allow);
        await isBack(page);
        for (const path of ['/device', '/oauth/logout', '/account']) {
          await page.goto(`${base}${path}`);
          assert.deepEqual([path, await lowContrasts(page), await structureFaults(page)], [path, [], []]);
        }
      },
      { locale: 'de-DE', colorScheme: 'dark' },
    );
  });

  it('lets them take it back at their account, and is asked for again', async () => {
    const person = await makePerson(postern);
    await visit(async (page) => {
      await signIn(page, person, english);
      await press(page, 'Allow');
      await isBack(page);
      await page.goto(`${base}/account`);
      await page.getByRole('button', { name: 'Take back: Garden' }).click();
      assert.match(await page.locator('.note[role=status]').innerText(), /taken back/);
      await page.goto(start);
      await page.getByRole('button', { name: 'Allow', exact: true }).waitFor();
    });
  });
});
