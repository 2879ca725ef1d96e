/** Runs every command and call of README.md in its order, and compares the answers' shapes with those it prints. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { letterTo, proofIn } from '../support/mailbox.ts';
import { call, type Postern, type Reply, startPostern } from '../support/start-postern.ts';
import { waitFor } from '../support/wait-for.ts';

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
const scripts = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')).scripts;

interface Block {
  language: string;
  text: string;
}

const blocks: Block[] = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({
  language,
  text,
}));
/** One command a line; a backslash continues it. */
const commandsOf = (text: string) =>
  text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');

describe('README.md', () => {
  let postern: Postern;
  const variables: Record<string, string> = {};
  before(async () => {
    postern = await startPostern();
  });
  after(() => postern.dispose());

  it('has calls', () => assert.ok(blocks.filter(({ language }) => language === 'sh').length >= 5));

  let last: Reply | undefined;
  for (const { language, text } of blocks) {
    if (language === 'json') {
      it(`answers like ${text.slice(0, 40).replaceAll(/\s+/g, ' ')}…`, () => {
        assert.deepEqual(shapeOf(last?.body), shapeOf(JSON.parse(text)));
      });
      continue;
    }
    for (const command of commandsOf(text)) {
      it(command.slice(0, 100), async () => {
        const words = shellWords(command.replace(/ +#.*$/, ''));
        if (words[0] === 'curl') last = await curl(words.slice(1));
        else if (words.slice(0, 4).join(' ') === 'npm run postern --') await runPostern(words.slice(4));
        else checkOther(words);
      });
    }
  }

  async function curl(words: string[]): Promise<Reply> {
    let method = 'GET';
    let url = '';
    let body: string | undefined;
    const headers: Record<string, string> = {};
    let basic: string | undefined;
    for (let i = 0; i < words.length; i++) {
      const word = fill(words[i] ?? '');
      const value = () => fill(words[++i] ?? '');
      if (word === '-X') method = value();
      else if (word === '-d') body = value();
      else if (word === '-u') basic = value();
      else if (word === '-H') {
        const header = value();
        headers[header.slice(0, header.indexOf(':'))] = header.slice(header.indexOf(':') + 1).trim();
      } else url = word.replace('http://localhost:3000', postern.url);
    }
    if (body !== undefined && method === 'GET') method = 'POST';
    const reply = await call(url, method, {
      headers,
      ...(body === undefined ? {} : { body }),
      ...(basic === undefined ? {} : { basic }),
    });
    assert.ok(reply.status >= 200 && reply.status < 300, `${method} ${url} answered ${reply.status}: ${reply.text}`);
    await remember(reply);
    return reply;
  }

  /** What a reader would copy from one answer into the next call. */
  async function remember({ body }: Reply): Promise<void> {
    if (body?.token?.access_token) variables.ACCESS_TOKEN = body.token.access_token;
    if (body?.status === 'queued') variables.EMAIL_ID = body.id;
    if (body?.user && !body.user.email_verified) {
      variables.CODE = proofIn(await letterTo(postern, body.user.email)).code;
    }
    if (body?.recipients) {
      await waitFor(
        async () => {
          const again = await postern.call('GET', `/emails/${body.id}`, { token: variables.ACCESS_TOKEN ?? '' });
          return again.body.status === 'sent';
        },
        { what: 'the letter to be sent' },
      );
    }
  }

  async function runPostern(args: string[]): Promise<void> {
    const { code, stdout, stderr } = await postern.cli(...args);
    assert.equal(code, 0, stderr);
    variables.CLIENT_SECRET = JSON.parse(stdout).client_secret;
  }

  function fill(word: string): string {
    return word.replaceAll(/\$([A-Z_]+)/g, (_, name: string) => {
      const value = variables[name];
      assert.ok(value, `nothing printed ${name} before`);
      return value;
    });
  }

  /** The two commands themselves are what every test does; compose has tests of its own. Here: they name what exists. */
  function checkOther(words: string[]): void {
    if (words[0] === 'npm') {
      const script = words[1] === 'run' ? words[2] : words[1];
      assert.ok(script === 'ci' || (script !== undefined && script in scripts), `npm has no script ${script}`);
    } else if (words[0] === 'cp') readFileSync(new URL(`../../../${words[1]}`, import.meta.url));
    else if (words[0] === 'docker') {
      const file = words[words.indexOf('-f') + 1];
      if (words.includes('-f')) readFileSync(new URL(`../../../${file}`, import.meta.url));
    } else assert.fail(`README has a command no test runs: ${words.join(' ')}`);
  }
});

/** Splits as a shell does: spaces, single and double quotes. */
function shellWords(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'"]+)+/g)].map(([word]) =>
    word.replaceAll(/'([^']*)'|"((?:[^"\\]|\\.)*)"/g, (_, single, double) => single ?? double),
  );
}

/** Keys and types, values left out. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
  }
  return value === null ? 'null' : typeof value;
}
