import type { Static } from 'typebox';
import type { Queryable } from '../database/database.ts';
import { templateNotFound } from './errors.ts';
import { ownDefinition, ownLetterDeclaration } from './own/own-letters.ts';
import { sourceOf } from './save-template.ts';
import type { TemplateDetail, TemplateList } from './schemas.ts';
import { findTemplate } from './store.ts';
import type { Definition, Template } from './template.ts';

/**
 * A tenant's template, by id or name.
 * @throws templateNotFound
 */
export async function readTemplate(
  db: Queryable,
  tenantId: string,
  reference: string,
  version?: number,
): Promise<Template> {
  const found = await findTemplate(db, tenantId, reference, version);
  if (!found) throw templateNotFound();
  return found;
}

/** As a caller sees it: also a letter of Postern's own that no template stands in for. */
export async function showTemplate(
  db: Queryable,
  tenantId: string,
  reference: string,
  version?: number,
): Promise<Static<typeof TemplateDetail>> {
  const found = await findTemplate(db, tenantId, reference, version);
  if (found) return detailOf(found);
  const own = ownLetterDeclaration(reference);
  if (!own || version !== undefined) throw templateNotFound();
  return {
    id: null,
    name: reference,
    kind: 'letter',
    description: "A letter of Postern's own; a template of this name is sent in its place.",
    version: 0,
    created_at: null,
    updated_at: null,
    layout: null,
    ...definitionShown(ownDefinition(own)),
  };
}

export function detailOf(template: Template): Static<typeof TemplateDetail> {
  return { ...summaryOf(template), layout: template.layout, ...definitionShown(template.definition) };
}

export function summaryOf(template: Template): Static<typeof TemplateList>['data'][number] {
  const { id, name, kind, description, version, definition, createdAt, updatedAt } = template;
  return {
    id,
    name,
    kind,
    description,
    version,
    languages: Object.keys(definition.contents),
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
  };
}

function definitionShown({ defaultLanguage, variables, secrets, contents }: Definition) {
  return {
    languages: Object.keys(contents),
    default_language: defaultLanguage,
    variables,
    secrets,
    contents: Object.fromEntries(Object.entries(contents).map(([language, content]) => [language, sourceOf(content)])),
  };
}
