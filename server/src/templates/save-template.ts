/** Making templates and new versions of them. */
import { type Queryable, violatedConstraint } from '../database/database.ts';
import { nameTaken, templateInvalid, templateNotFound } from './errors.ts';
import { isLanguageTag } from './languages.ts';
import { ownLetterDeclaration } from './own/own-letters.ts';
import type { TemplateRenderer } from './renderer.ts';
import { findTemplate, insertTemplate, insertVersion } from './store.ts';
import {
  type Content,
  type Definition,
  providedVariables,
  type Template,
  type TemplateKind,
  type Variable,
} from './template.ts';
import { typeOf } from './variables.ts';

export interface SaveWorld {
  db: Queryable;
  templates: Pick<TemplateRenderer, 'compile'>;
}

/** What an author gives. */
export interface Draft {
  name: string;
  kind?: TemplateKind;
  description?: string | null;
  /** Id or name of a template of kind layout. */
  layout?: string | null;
  defaultLanguage?: string;
  /** Absent: those that the text uses. */
  variables?: Variable[];
  secrets?: string[];
  contents: Record<string, Content>;
}

/** Who saves, and for whom. */
export interface Author {
  tenantId: string;
  name: string;
}

/** @throws templateInvalid, nameTaken */
export async function createTemplate(world: SaveWorld, author: Author, draft: Draft): Promise<Template> {
  const { layoutId, definition } = await check(world, author.tenantId, draft);
  const { name, kind = 'letter', description = null } = draft;
  const one = { tenantId: author.tenantId, name, kind, description, layoutId, definition, createdBy: author.name };
  const id = await orNameTaken(name, () => insertTemplate(world.db, one));
  return readBack(world, author, id);
}

/** @throws templateInvalid, nameTaken, templateNotFound */
export async function updateTemplate(
  world: SaveWorld,
  author: Author,
  present: Template,
  draft: Draft,
): Promise<Template> {
  const { layoutId, definition } = await check(world, author.tenantId, { ...draft, kind: present.kind });
  const { name, description = null } = draft;
  const version = { name, description, layoutId, definition, createdBy: author.name };
  if (!(await orNameTaken(name, () => insertVersion(world.db, present.id, version)))) throw templateNotFound();
  return readBack(world, author, present.id);
}

/** A template as it would be given to be made like this. */
export function draftOf({ name, kind, description, layout, definition }: Template): Draft {
  const { defaultLanguage, variables, areVariablesDerived, secrets, contents } = definition;
  // Those of Postern's own letters are fixed.
  const isOwn = ownLetterDeclaration(name) !== undefined;
  return {
    name,
    kind,
    description,
    layout,
    defaultLanguage,
    ...(areVariablesDerived || isOwn ? {} : { variables }),
    ...(isOwn ? {} : { secrets }),
    contents: Object.fromEntries(Object.entries(contents).map(([language, content]) => [language, sourceOf(content)])),
  };
}

/** Without what was compiled of it. */
export function sourceOf({ html, ...content }: Content): Content {
  return content.mjml === undefined && html !== undefined ? { ...content, html } : content;
}

async function readBack({ db }: SaveWorld, { tenantId }: Author, id: string): Promise<Template> {
  const found = await findTemplate(db, tenantId, id);
  if (!found) throw templateNotFound();
  return found;
}

async function orNameTaken<T>(name: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (violatedConstraint(error) !== 'templates_tenant_id_name_key') throw error;
    throw nameTaken({ detail: `There is a template "${name}" already; change that one, or choose another name.` });
  }
}

async function check(
  world: SaveWorld,
  tenantId: string,
  draft: Draft,
): Promise<{ layoutId: string | null; definition: Definition }> {
  const kind = draft.kind ?? 'letter';
  const drafted = definitionOf(kind, draft);
  const layoutId = await findLayout(world.db, tenantId, kind, draft, drafted);
  const outcome = await world.templates.compile(tenantId, kind, drafted);
  if ('faults' in outcome) throw invalid(...outcome.faults);
  const { definition } = outcome;
  const names = new Set(definition.variables.map(({ name }) => name));
  const stranger = definition.secrets.find((name) => !names.has(name));
  if (stranger !== undefined)
    throw invalid({ path: 'secrets', message: `${stranger} is not a variable of this template` });
  return { layoutId, definition };
}

/** @throws templateInvalid */
function definitionOf(kind: TemplateKind, draft: Draft): Definition {
  const own = ownLetterDeclaration(draft.name);
  if (draft.name.startsWith('postern.') && (!own || kind !== 'letter')) {
    throw invalid({ path: 'name', message: 'begins with "postern.", which is kept for letters of Postern\'s own' });
  }
  if (own && (draft.variables || draft.secrets?.some((name) => !own.secrets.includes(name)))) {
    const path = draft.variables ? 'variables' : 'secrets';
    throw invalid({ path, message: `are fixed for ${draft.name}: leave them out` });
  }
  const contents = lowerCased(draft.contents);
  const languages = Object.keys(contents);
  if (languages.length === 0) throw invalid({ path: 'contents', message: 'needs at least one language' });
  const defaultLanguage =
    draft.defaultLanguage?.toLowerCase() ?? (languages.length === 1 ? languages[0] : 'en') ?? 'en';
  if (!contents[defaultLanguage]) {
    throw invalid({ path: 'default_language', message: `is ${defaultLanguage}, which "contents" does not have` });
  }
  for (const [language, content] of Object.entries(contents)) checkContent(kind, `contents.${language}`, content);
  for (const [index, variable] of (draft.variables ?? []).entries()) checkVariable(`variables.${index}`, variable);
  const twice =
    draft.variables?.findIndex(({ name }, index, all) => all.findIndex((one) => one.name === name) < index) ?? -1;
  if (twice >= 0) throw invalid({ path: `variables.${twice}.name`, message: 'stands twice' });
  const definition = {
    defaultLanguage,
    variables: own?.variables ?? draft.variables ?? [],
    areVariablesDerived: own === undefined && draft.variables === undefined,
    secrets: own?.secrets ?? [...new Set(draft.secrets)],
    contents,
  };
  checkUnicode(definition);
  return definition;
}

function lowerCased(contents: Record<string, Content>): Record<string, Content> {
  const all: Record<string, Content> = {};
  for (const [language, content] of Object.entries(contents)) {
    const path = `contents.${language.slice(0, 40)}`;
    if (!isLanguageTag(language)) throw invalid({ path, message: 'is no language tag (BCP 47), e.g. en or de-AT' });
    if (all[language.toLowerCase()]) throw invalid({ path, message: 'stands twice' });
    all[language.toLowerCase()] = content;
  }
  return all;
}

function checkContent(kind: TemplateKind, path: string, { subject, html, mjml, text }: Content): void {
  if (html !== undefined && mjml !== undefined) throw invalid({ path, message: 'has both html and mjml; give one' });
  if (kind === 'layout') {
    if (subject !== undefined) throw invalid({ path: `${path}.subject`, message: 'does not belong to a layout' });
    if (html === undefined && mjml === undefined) throw invalid({ path, message: 'needs html or mjml' });
    return;
  }
  if (subject === undefined) throw invalid({ path: `${path}.subject`, message: 'is required' });
  if (html === undefined && mjml === undefined && text === undefined) {
    throw invalid({ path, message: 'needs html, mjml or text' });
  }
}

const inherited = ['__proto__', 'constructor', 'prototype'];

function checkVariable(path: string, { name, type, default: otherwise }: Variable): void {
  if (providedVariables.includes(name) || inherited.includes(name)) {
    throw invalid({ path: `${path}.name`, message: `must not be ${name}` });
  }
  if (otherwise !== undefined && otherwise !== null && type !== undefined && typeOf(otherwise) !== type) {
    throw invalid({ path: `${path}.default`, message: `must be of type ${type}` });
  }
}

/** What the database and a letter can both hold. */
function checkUnicode(definition: Definition): void {
  JSON.stringify(definition, (key, value: unknown) => {
    for (const text of [key, value]) {
      if (typeof text === 'string' && (text.includes('\0') || !text.isWellFormed())) {
        throw invalid({ path: 'contents', message: 'must be valid Unicode without NUL' });
      }
    }
    return value;
  });
}

async function findLayout(
  db: Queryable,
  tenantId: string,
  kind: TemplateKind,
  { layout: reference }: Draft,
  { contents }: Definition,
): Promise<string | null> {
  if (reference === undefined || reference === null) return null;
  if (kind === 'layout') throw invalid({ path: 'layout', message: 'does not belong to a layout' });
  const layout = await findTemplate(db, tenantId, reference);
  if (layout?.kind !== 'layout') throw invalid({ path: 'layout', message: 'is not the id or name of a layout' });
  const whole = Object.entries(contents).find(([, { mjml }]) => mjml !== undefined);
  if (whole) {
    const message = 'is a whole document, so it stands in no layout; write html, or leave "layout" out';
    throw invalid({ path: `contents.${whole[0]}.mjml`, message });
  }
  return layout.id;
}

export function invalid(...errors: { path: string; message: string }[]) {
  const detail = `${errors.map(({ path, message }) => `${path}: ${message}`).join('; ')}.`;
  return templateInvalid({ detail, errors });
}
