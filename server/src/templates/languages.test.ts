import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { acceptedLanguages, isLanguageTag, pickLanguage, preferLanguages, uiLocales } from './languages.ts';

describe('the language of a letter', () => {
  it('is the first wish that is there, shortened where needed', () => {
    const available = ['en', 'de', 'zh-hant'];
    assert.equal(pickLanguage(available, ['de-AT'], 'en'), 'de');
    assert.equal(pickLanguage(available, ['DE'], 'en'), 'de');
    assert.equal(pickLanguage(available, ['zh-Hant-TW'], 'en'), 'zh-hant');
    assert.equal(pickLanguage(available, ['fr', 'de-x-private'], 'en'), 'de');
    assert.equal(pickLanguage(available, ['zh'], 'en'), 'en');
    assert.equal(pickLanguage(available, [], 'en'), 'en');
  });

  it('is read from Accept-Language in the order of its weights', () => {
    assert.deepEqual(acceptedLanguages('fr;q=0.5, de-CH, en;q=0.8'), ['de-CH', 'en', 'fr']);
    assert.deepEqual(acceptedLanguages('*, de;q=0, x;y, ;q=1, en;q=abc, it'), ['it']);
    assert.deepEqual(acceptedLanguages(undefined), []);
    assert.deepEqual(acceptedLanguages('a,'.repeat(10_000)), []);
  });

  it('is what a client asks for before what the browser wants', () => {
    assert.deepEqual(uiLocales('fr-CA  x_y de'), ['fr-CA', 'de']);
    assert.deepEqual(uiLocales('it '.repeat(1_000)), ['it', 'it', 'it', 'it', 'it']);
    assert.deepEqual(uiLocales(['de', 'en']), []);
    const headers: { 'accept-language'?: string } = { 'accept-language': 'en;q=0.1, it' };
    preferLanguages({ headers }, []);
    assert.equal(headers['accept-language'], 'en;q=0.1, it');
    preferLanguages({ headers }, ['fr-CA', 'de']);
    assert.deepEqual(acceptedLanguages(headers['accept-language']), ['fr-CA', 'de', 'it', 'en']);
  });

  it('has a tag of BCP 47', () => {
    for (const good of ['en', 'de-AT', 'zh-Hant-TW', 'sl-rozaj-biske']) assert.ok(isLanguageTag(good), good);
    for (const bad of ['', 'e', 'de_AT', 'de-', '-de', 'constructor/', '__proto__', 'de-waytoolongtag']) {
      assert.ok(!isLanguageTag(bad), bad);
    }
  });
});
