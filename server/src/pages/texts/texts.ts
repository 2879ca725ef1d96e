import type { FastifyRequest } from 'fastify';
import type { PosternError } from '../../errors.ts';
import { acceptedLanguages, pickLanguage } from '../../templates/languages.ts';
import { de } from './de.ts';
import { en, type Texts } from './en.ts';

const all: Record<string, Texts> = { en, de };

/** In the language that the browser asks for, else in English. */
export function textsFor({ headers }: Pick<FastifyRequest, 'headers'>): Texts {
  return all[pickLanguage(Object.keys(all), acceptedLanguages(headers['accept-language']), 'en')] ?? en;
}

/** Puts values where a text names them in braces. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}

export function faultText(texts: Texts, { code, details }: PosternError): string {
  return fill(texts.faults[code] ?? texts.otherFault, { seconds: details.retryAfterSeconds ?? 0 });
}
