/** Which language a letter or a page is written in. Tags are BCP 47, compared without regard to case. */
import type { IncomingHttpHeaders } from 'node:http';

const tag = /^[a-z]{2,8}(?:-[a-z0-9]{1,8}){0,7}$/;

export function isLanguageTag(text: string): boolean {
  return text.length <= 35 && tag.test(text.toLowerCase());
}

/**
 * The first wish that is there, each shortened from its end before the next is asked (RFC 4647, lookup): `de-AT` is
 * content with `de`.
 * @param available in lower case
 */
export function pickLanguage(available: string[], wishes: string[], otherwise: string): string {
  for (const wish of wishes) {
    for (let range = wish.toLowerCase(); range !== ''; range = shortened(range)) {
      if (available.includes(range)) return range;
    }
  }
  return otherwise;
}

/** A subtag of one character only introduces the one behind it, so it goes with that one. */
function shortened(range: string): string {
  return range.slice(0, Math.max(0, range.lastIndexOf('-'))).replace(/-[a-z0-9]$/, '');
}

/** The languages of an Accept-Language header, dearest first (RFC 9110, 12.5.4). What cannot be read is left out. */
export function acceptedLanguages(header: string | undefined): string[] {
  if (header === undefined || header.length > 1_000) return [];
  return header
    .split(',')
    .map((part) => {
      const [language = '', ...parameters] = part.split(';').map((one) => one.trim());
      const q = parameters.find((one) => /^q=/i.test(one));
      return { language, weight: q === undefined ? 1 : Number(q.slice(2)) };
    })
    .filter(({ language, weight }) => isLanguageTag(language) && weight > 0)
    .sort((a, b) => b.weight - a.weight)
    .map(({ language }) => language);
}

/** Those of `ui_locales` (OpenID Connect Core §3.1.2.1), of which five count. */
export function uiLocales(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ').filter(isLanguageTag).slice(0, 5) : [];
}

/** From here on the request wants these before what its browser wants; twenty are enough. */
export function preferLanguages({ headers }: { headers: IncomingHttpHeaders }, languages: string[]): void {
  if (languages.length === 0) return;
  const all = [...languages, ...acceptedLanguages(headers['accept-language'])];
  headers['accept-language'] = all.slice(0, 20).join(', ');
}

/** The world, as letters see it that are written because of this request. */
export function inLanguagesOf<World extends object>(
  { headers }: { headers: { 'accept-language'?: string | undefined } },
  world: World,
): World & { languages: string[] } {
  return { ...world, languages: acceptedLanguages(headers['accept-language']) };
}
