/** Users who come from elsewhere, with the hashes of their passwords (quality S17). */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connectDatabase } from '../../src/database/database.ts';
import { databaseUrlOf } from '../support/engines.ts';
import { type Postern, startPostern } from '../support/start-postern.ts';

describe('users from elsewhere', () => {
  let postern: Postern;
  let folder: string;
  before(async () => {
    postern = await startPostern();
    folder = mkdtempSync(join(tmpdir(), 'postern-import-'));
  });
  after(async () => {
    await postern.dispose();
    rmSync(folder, { recursive: true });
  });

  const bcrypt = '$2b$05$CCCCCCCCCCCCCCCCCCCCC.aDV7CQarKHMuNfh2oJkFzsHZya4whFe';
  const django = 'pbkdf2_sha256$1000$seasalt$YIWkt6M1JFXrHg5s0jZjBSc7C2Cz6QvchSJ0h8Y+i7c=';
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const importFile = (...args: string[]) => postern.cli('users', 'import', ...args);
  const login = (email: string, given = 'password') =>
    postern.call('POST', '/auth/login', { json: { email, password: given } });

  it('S17 are imported from CSV with their passwords, which are hashed anew at the first login', async () => {
    const file = write(
      'users.csv',
      '\uFEFFemail,name,password_hash,email_verified,created_at\r\n' +
        `ann@import.example,"O'Neill, Ann",${bcrypt},true,2020-05-01T12:00:00Z\r\n` +
        `Bob@Import.Example,,"${django}",false,\r\n\r\n` +
        'no address,,,,\r\n' +
        'cid@import.example,,plain text,,\r\n' +
        'dan@import.example,,,maybe,\r\n' +
        'ann@import.example,again,,,\r\n',
    );
    const done = await importFile(file, '--json');
    assert.equal(done.code, 0, done.stderr);
    const counts = JSON.parse(done.stdout);
    assert.deepEqual(counts, { imported: 2, existing: 1, refused: 3, report: `${file}.refused.jsonl` });
    const refusals = readFileSync(counts.report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(refusals.map(({ line, code }) => [line, code]).sort(), [
      [5, 'http.invalid_request'],
      [6, 'users.unreadable_hash'],
      [7, 'http.invalid_request'],
    ]);
    const ann = await login('ann@import.example');
    assert.equal(ann.status, 200, ann.text);
    const { name, email_verified, created_at } = ann.body.user;
    assert.deepEqual([name, email_verified, created_at], ["O'Neill, Ann", true, '2020-05-01T12:00:00.000Z']);
    assert.equal((await login('bob@import.example')).body.user.email_verified, false);
    assert.equal((await login('bob@import.example', 'Password')).status, 401);
    const db = connectDatabase(await databaseUrlOf(postern), { max: 1, name: 'postern test' });
    const hashes = await db<{ hash: string }[]>`SELECT password_hash AS hash FROM users`;
    await db.end();
    for (const { hash } of hashes) assert.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    assert.equal((await login('ann@import.example')).status, 200, 'with its new hash');
    const again = await importFile(file);
    assert.match(again.stdout, /Imported 0. There already: 3. Refused: 3: see/);
  });

  it('are imported from JSON lines by the thousand, and an import that was interrupted is begun anew', async () => {
    const line = (i: number) => JSON.stringify({ username: `many${i}`, password_hash: bcrypt, email: null });
    const all = Array.from({ length: 2_500 }, (_, i) => line(i));
    const half = await importFile(
      write('half.jsonl', `${all.slice(0, 1_200).join('\n')}\n{"username": "cut`),
      '--json',
    );
    assert.deepEqual(JSON.parse(half.stdout).imported, 1_200);
    const whole = await importFile(write('whole.ndjson', all.join('\n')), '--json');
    assert.deepEqual(JSON.parse(whole.stdout), { imported: 1_300, existing: 1_200, refused: 0, report: null });
    const listed = await postern.cli('users', 'list', '--json', '--limit', '10000');
    assert.equal(
      JSON.parse(listed.stdout).data.filter((user: { username: string }) => user.username?.startsWith('many')).length,
      2_500,
    );
  });

  it('are not imported from a file that says something else, and the command says what', async () => {
    for (const [name, text, said] of [
      ['columns.csv', 'email,passwort\na@import.example,x\n', /"passwort" is none of them/],
      ['quotes.csv', 'email,name\nq@import.example,"x\n', /is no CSV that can be read/],
      ['users.txt', '', /--format/],
    ] as const) {
      const done = await importFile(write(name, text));
      assert.ok(done.code === 1 || done.code === 2, name);
      assert.match(done.stderr, said, name);
    }
    assert.match((await importFile(join(folder, 'none.csv'))).stderr, /cannot be read/);
    const json = await importFile(write('odd.jsonl', '[1]\nnull\n{"email": 5}\n{"emial": "x"}\n\n'), '--json');
    assert.deepEqual(JSON.parse(json.stdout).refused, 4);
  });

  it('are taken over HTTP, each on its own, by who may write users', async () => {
    const made = await postern.cli('keys', 'create', '--name', 'importer', '--scope', 'users:write', '--json');
    const token = JSON.parse(made.stdout).key ?? JSON.parse(made.stdout).secret;
    const call = (json: object, bearer = token) => postern.call('POST', '/users/import', { token: bearer, json });
    const users = [
      { email: 'web@import.example', password_hash: django, email_verified: true },
      { email: 'web@import.example' },
      { email: 'other@import.example', password_hash: '$2b$31$' },
      { name: 'nobody' },
      { username: 'web', created_at: '2999-01-01T00:00:00Z' },
    ];
    const { status, body, text } = await call({ users });
    assert.equal(status, 200, text);
    assert.deepEqual(
      body.data.map((one: { uuid?: string; error?: { code: string } }) => one.error?.code ?? typeof one.uuid),
      ['string', 'users.already_registered', 'users.unreadable_hash', 'http.invalid_request', 'http.invalid_request'],
    );
    assert.equal((await login('web@import.example')).body.user.uuid, body.data[0].uuid);
    assert.equal((await call({ users: [{ email: 'x@import.example', role: 'admin' }] })).status, 400);
    assert.equal((await call({ users: [] })).status, 400);
    const session = (await login('web@import.example')).body.token.access_token;
    assert.equal((await call({ users }, session)).status, 403);
  });
});
