import type { Queryable } from '../database/database.ts';

/** One letter as it concerns one person: other recipients are none of theirs. */
export interface ExportedEmail {
  id: string;
  created_at: Date;
  from: string;
  subject: string;
  status: string;
  text: string | null;
  html: string | null;
  recipients: { kind: string; address: string; name: string | null; status: string }[];
  events: { type: string; at: string }[];
}

const pageSize = 100;

/** What a tenant's history holds of a person: Postern's letters about them, and everybody's to their address. */
export async function* exportEmails(
  db: Queryable,
  { tenantId, userId, address }: { tenantId: string; userId: string; address: string | null },
): AsyncGenerator<ExportedEmail> {
  let after: string | null = null;
  for (;;) {
    const page: ExportedEmail[] = await db<ExportedEmail[]>`
      WITH theirs AS (
        SELECT e.id FROM emails e WHERE e.user_id = ${userId} AND e.tenant_id = ${tenantId}
        UNION
        SELECT r.email_id FROM email_recipients r JOIN emails e ON e.id = r.email_id
        WHERE lower(r.address) = lower(${address}) AND e.tenant_id = ${tenantId}
      )
      SELECT e.id, e.created_at, e.mail_from AS "from", e.subject, e.status, b.text_body AS text, b.html_body AS html,
        (SELECT json_agg(json_build_object('kind', r.kind, 'address', r.address, 'name', r.name, 'status', r.status)
                         ORDER BY r.position)
         FROM email_recipients r
         WHERE r.email_id = e.id AND (e.user_id = ${userId} OR lower(r.address) = lower(${address}))) AS recipients,
        (SELECT coalesce(json_agg(json_build_object('type', v.type, 'at', v.at) ORDER BY v.id), '[]')
         FROM email_events v
         WHERE v.email_id = e.id AND (v.recipient IS NULL OR lower(v.recipient) = lower(${address}))) AS events
      FROM theirs JOIN emails e ON e.id = theirs.id JOIN email_bodies b ON b.email_id = e.id
      WHERE ${after}::uuid IS NULL OR e.id < ${after}::uuid
      ORDER BY e.id DESC LIMIT ${pageSize}`;
    yield* page;
    after = page.at(-1)?.id ?? null;
    if (page.length < pageSize) return;
  }
}
