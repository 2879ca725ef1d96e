/** SQL of templates and their versions. */
import { newId } from '../crypto/ids.ts';
import type { Queryable } from '../database/database.ts';
import type { Definition, Template, TemplateKind } from './template.ts';

interface TemplateRow {
  id: string;
  name: string;
  kind: TemplateKind;
  description: string | null;
  layout: string | null;
  version: number;
  definition: Definition;
  created_at: Date;
  updated_at: Date;
}

const toTemplate = ({ created_at: createdAt, updated_at: updatedAt, ...row }: TemplateRow): Template => ({
  ...row,
  createdAt,
  updatedAt,
});

const columns = (db: Queryable) => db`
  t.id, t.name, t.kind, t.description, l.name AS layout, v.version, v.definition, t.created_at, t.updated_at`;

const isId = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** By id or by name. */
const named = (db: Queryable, reference: string) =>
  isId.test(reference) ? db`t.id = ${reference}` : db`t.name = ${reference}`;

/** @param version the newest where absent */
export async function findTemplate(
  db: Queryable,
  tenantId: string,
  reference: string,
  version?: number,
): Promise<Template | undefined> {
  const [row] = await db<TemplateRow[]>`
    SELECT ${columns(db)} FROM templates t
    JOIN template_versions v ON v.template_id = t.id AND v.version = ${version ?? db`t.version`}
    LEFT JOIN templates l ON l.id = v.layout_id
    WHERE t.tenant_id = ${tenantId} AND ${named(db, reference)}`;
  return row && toTemplate(row);
}

/** By name. */
export async function templatesPage(
  db: Queryable,
  tenantId: string,
  { kind, after, limit }: { kind?: TemplateKind; after?: string; limit: number },
): Promise<Template[]> {
  const rows = await db<TemplateRow[]>`
    SELECT ${columns(db)} FROM templates t
    JOIN template_versions v ON v.template_id = t.id AND v.version = t.version
    LEFT JOIN templates l ON l.id = v.layout_id
    WHERE t.tenant_id = ${tenantId}
      ${kind === undefined ? db`` : db`AND t.kind = ${kind}`}
      ${after === undefined ? db`` : db`AND t.name > ${after}`}
    ORDER BY t.name LIMIT ${limit}`;
  return rows.map(toTemplate);
}

/** What a letter needs of a template, without its text: versions never change, so that is asked for once. */
export interface TemplateHead {
  id: string;
  kind: TemplateKind;
  name: string;
  version: number;
  versionId: string;
  layoutVersionId: string | null;
}

export interface TemplateReference {
  /** Id or name. */
  id: string;
  version?: number;
}

/** In the order of `references`; undefined where there is no such template or version. */
export async function findHeads(
  db: Queryable,
  tenantId: string,
  references: TemplateReference[],
): Promise<(TemplateHead | undefined)[]> {
  const asked = references.map(({ id, version = null }, position) => ({
    position,
    id: isId.test(id) ? id : null,
    name: isId.test(id) ? null : id,
    version,
  }));
  const rows = await db<(TemplateHead & { position: number })[]>`
    SELECT asked.position, t.id, t.kind, t.name, v.version, v.id AS "versionId", lv.id AS "layoutVersionId"
    FROM json_to_recordset(${JSON.stringify(asked)}::text::json)
      AS asked (position integer, id uuid, name text, version integer)
    JOIN templates t ON t.tenant_id = ${tenantId} AND (t.id = asked.id OR t.name = asked.name)
    JOIN template_versions v ON v.template_id = t.id AND v.version = coalesce(asked.version, t.version)
    LEFT JOIN templates l ON l.id = v.layout_id
    LEFT JOIN template_versions lv ON lv.template_id = l.id AND lv.version = l.version`;
  const found = new Map(rows.map((row) => [row.position, row]));
  return references.map((_, position) => found.get(position));
}

export async function readDefinitions(db: Queryable, versionIds: string[]): Promise<Map<string, Definition>> {
  const rows = await db<{ id: string; definition: Definition }[]>`
    SELECT id, definition FROM template_versions WHERE id = ANY(${versionIds}::uuid[])`;
  return new Map(rows.map(({ id, definition }) => [id, definition]));
}

export interface NewVersion {
  layoutId: string | null;
  definition: Definition;
  createdBy: string;
}

export interface NewTemplate extends NewVersion {
  tenantId: string;
  name: string;
  kind: TemplateKind;
  description: string | null;
}

/** @returns the id; the unique constraint `templates_tenant_id_name_key` speaks where the name is taken */
export async function insertTemplate(db: Queryable, one: NewTemplate): Promise<string> {
  const id = newId();
  await db`
    WITH template AS (
      INSERT INTO templates (id, tenant_id, name, kind, description, version)
      VALUES (${id}, ${one.tenantId}, ${one.name}, ${one.kind}, ${one.description}, 1)
      RETURNING id
    )
    INSERT INTO template_versions (id, template_id, version, layout_id, definition, created_by)
    SELECT ${newId()}, id, 1, ${one.layoutId}, ${JSON.stringify(one.definition)}::text::json, ${one.createdBy}
    FROM template`;
  return id;
}

/** @returns whether there is such a template */
export async function insertVersion(
  db: Queryable,
  id: string,
  { name, description, layoutId, definition, createdBy }: NewVersion & { name: string; description: string | null },
): Promise<boolean> {
  const rows = await db`
    WITH template AS (
      UPDATE templates SET version = version + 1, name = ${name}, description = ${description}, updated_at = now()
      WHERE id = ${id}
      RETURNING id, version
    )
    INSERT INTO template_versions (id, template_id, version, layout_id, definition, created_by)
    SELECT ${newId()}, id, version, ${layoutId}, ${JSON.stringify(definition)}::text::json, ${createdBy} FROM template
    RETURNING id`;
  return rows.length > 0;
}

export interface VersionSummary {
  version: number;
  createdAt: Date;
  createdBy: string | null;
  languages: string[];
}

/** Newest first. */
export async function versionsPage(
  db: Queryable,
  templateId: string,
  { before, limit }: { before?: number; limit: number },
): Promise<VersionSummary[]> {
  return db<VersionSummary[]>`
    SELECT version, created_at AS "createdAt", created_by AS "createdBy",
           ARRAY(SELECT json_object_keys(definition->'contents')) AS languages
    FROM template_versions
    WHERE template_id = ${templateId} ${before === undefined ? db`` : db`AND version < ${before}`}
    ORDER BY version DESC LIMIT ${limit}`;
}

/** Names of templates whose newest version stands in a layout. */
export async function usersOfLayout(db: Queryable, layoutId: string): Promise<string[]> {
  const rows = await db<{ name: string }[]>`
    SELECT t.name FROM template_versions v JOIN templates t ON t.id = v.template_id AND t.version = v.version
    WHERE v.layout_id = ${layoutId} ORDER BY t.name LIMIT 10`;
  return rows.map(({ name }) => name);
}

/** Earlier versions that stood in a layout which goes lose it. Returns whether there was such a template. */
export async function deleteTemplate(db: Queryable, id: string): Promise<boolean> {
  const rows = await db`DELETE FROM templates WHERE id = ${id} RETURNING id`;
  return rows.length > 0;
}
