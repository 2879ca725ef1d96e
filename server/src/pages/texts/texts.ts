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

/** What an error says, in words about the field at fault where there are any. */
export function faultText(texts: Texts, { code, details }: PosternError): string {
  const path = details.errors?.[0]?.path;
  const text = (path !== undefined && named(texts, `${code}.${path}`)) || faultOf(texts, code);
  return fill(text, { seconds: Math.ceil(details.retryAfterSeconds ?? 0) });
}

/** @param code may come from anywhere: nothing of it is shown */
export function faultOf(texts: Texts, code: string): string {
  return named(texts, code) ?? texts.otherFault;
}

function named({ faults }: Texts, code: string): string | undefined {
  return Object.hasOwn(faults, code) ? faults[code as keyof typeof faults] : undefined;
}
