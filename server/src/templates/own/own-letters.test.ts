import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compileDefinition } from '../compile.ts';
import { makeEngines } from '../engine.ts';
import { ownDefinition, ownLetterDeclaration, ownLetterNames, renderOwnLetter } from './own-letters.ts';

const variables = {
  code: '0042',
  link: 'https://postern.test/auth/verify?token=t0ken',
  code_seconds: 60,
  link_seconds: 86_400,
  host: 'postern.test',
  email: 'ada@example.com',
  new_email: 'new@example.com',
  provider: 'Google',
};
const docs = readFileSync(new URL('../../../../docs/templates.md', import.meta.url), 'utf8');

describe("Postern's own letters", () => {
  for (const name of ownLetterNames) {
    const own = ownLetterDeclaration(name);
    assert.ok(own);

    it(`${name} uses what it declares, and nothing else`, async () => {
      const compiled = await compileDefinition(makeEngines(), 'letter', ownDefinition(own));
      assert.ok('definition' in compiled, JSON.stringify(compiled));
    });

    it(`${name} is written in each language, with secrets struck out of history`, () => {
      for (const language of ['en', 'de']) {
        const { subject, text = '', html = '', redacted } = renderOwnLetter(name, [language], variables);
        assert.ok(subject.includes('postern.test'));
        assert.ok(text.includes('postern.test') && html.includes(`<html lang="${language}">`));
        assert.doesNotMatch(subject + text + html, /\{\{|undefined|null/);
        if (own.secrets.length === 0) continue;
        for (const part of [text, html]) {
          assert.ok(part.includes(variables.link));
          assert.equal(part.includes('0042'), own.secrets.includes('code'));
        }
        assert.doesNotMatch(JSON.stringify(redacted), /0042|t0ken/);
      }
    });

    it(`${name} is told of in docs/templates.md`, () => {
      assert.ok(docs.includes(`\`${name}\``));
      for (const variable of own.variables) assert.ok(docs.includes(`\`${variable.name}\``), variable.name);
    });
  }

  it('say times as people do', () => {
    const time = (seconds: number, language: string) => {
      const { text = '' } = renderOwnLetter('postern.verify_email', [language], {
        ...variables,
        code_seconds: seconds,
      });
      return /(?:good for|Gültigkeit:) (.*?),/.exec(text)?.[1];
    };
    assert.deepEqual(
      [60, 90, 600, 3_600, 86_400, 172_800].map((seconds) => time(seconds, 'en')),
      ['1 minute', '90 seconds', '10 minutes', '1 hour', '24 hours', '2 days'],
    );
    assert.equal(time(60, 'de'), '1 Minute');
  });
});
