/**
 * Postern's own letters: templates like any other, but trusted, so they are parsed at start and rendered in place, in
 * microseconds. A tenant replaces one by making a template of its name.
 */
import { makeEngines } from '../engine.ts';
import { pickLanguage } from '../languages.ts';
import { type Parsed, parseContent, renderLetter } from '../render.ts';
import type { Content, Definition, Rendered, Variable } from '../template.ts';
import { redactVariables } from '../variables.ts';
import { changeEmailNew, changeEmailOld, logIn, resetPassword, verifyEmail } from './challenge-letters.ts';
import { invitation } from './invitation.ts';
import {
  addressTaken,
  alreadyRegistered,
  emailChanged,
  identityLinked,
  passwordChanged,
  secondFactorAdded,
  secondFactorRemoved,
} from './notices.ts';

export interface OwnLetter {
  variables: Variable[];
  secrets: string[];
  contents: Record<'en' | 'de', Content>;
}

const letters = {
  'postern.verify_email': verifyEmail,
  'postern.log_in': logIn,
  'postern.reset_password': resetPassword,
  'postern.change_email_new': changeEmailNew,
  'postern.change_email_old': changeEmailOld,
  'postern.invitation': invitation,
  'postern.already_registered': alreadyRegistered,
  'postern.address_taken': addressTaken,
  'postern.email_changed': emailChanged,
  'postern.password_changed': passwordChanged,
  'postern.second_factor_added': secondFactorAdded,
  'postern.second_factor_removed': secondFactorRemoved,
  'postern.identity_linked': identityLinked,
};
export type OwnLetterName = keyof typeof letters;

export const ownLetterNames = Object.keys(letters) as OwnLetterName[];

const otherwise = 'en';
const engines = makeEngines();
const parsed = new Map<string, Parsed>();

/** What a template of that name has to get along with. */
export function ownLetterDeclaration(name: string): OwnLetter | undefined {
  return Object.hasOwn(letters, name) ? letters[name as OwnLetterName] : undefined;
}

/** As a definition, to be shown. */
export function ownDefinition({ variables, secrets, contents }: OwnLetter): Definition {
  return { defaultLanguage: otherwise, variables, areVariablesDerived: false, secrets, contents };
}

/** @param languages in the order in which they are wished for */
export function renderOwnLetter(
  name: OwnLetterName,
  languages: string[],
  variables: Record<string, unknown>,
): Rendered {
  const { contents, secrets } = letters[name];
  const language = pickLanguage(Object.keys(contents), languages, otherwise);
  const redacted = redactVariables(variables, secrets);
  return renderLetter(engines, parsedOf(name, language), undefined, {
    language,
    variables,
    ...(redacted && { redacted }),
  });
}

function parsedOf(name: OwnLetterName, language: string): Parsed {
  const key = `${name} ${language}`;
  const known = parsed.get(key);
  if (known) return known;
  const made = parseContent(engines, letters[name].contents[language as 'en' | 'de']);
  parsed.set(key, made);
  return made;
}
