/** Everything that is known about a user, as JSON that is written while it is read. */
import { presentEntry } from '../audit/routes.ts';
import { listAudit } from '../audit/store.ts';
import type { Database } from '../database/database.ts';
import { exportEmails } from '../emails/export-emails.ts';
import { findEmailChange } from './email-change-store.ts';
import { presentUser, type User } from './user.ts';

export interface ExportWorld {
  db: Database;
  tenantSlug: (id: string) => Promise<string>;
  /** What features above keep of a user, as callers see it: lists by their names. */
  exportParts: Record<string, (userId: string) => Promise<unknown[]>>;
}

/** The text of one JSON object, in pieces. Nothing in it is a secret: hashes, codes and tokens stay where they are. */
export async function* exportUser(world: ExportWorld, user: User): AsyncGenerator<string> {
  const { db } = world;
  const { id: userId, tenantId, emailNormalized } = user;
  const change = await findEmailChange(db, userId);
  const account = {
    ...presentUser(user, await world.tenantSlug(tenantId)),
    email_verified_at: user.emailVerifiedAt,
    disabled_at: user.disabledAt,
    scopes: user.scopes,
    roles: user.rights.roles,
    has_password: user.passwordHash !== null,
    email_change: change ? { email: change.email } : null,
  };
  yield `{"exported_at":${JSON.stringify(new Date())},"user":${JSON.stringify(account)}`;
  for (const [name, part] of Object.entries(world.exportParts)) {
    yield `,${JSON.stringify(name)}:${JSON.stringify(await part(userId))}`;
  }
  yield* list('emails', exportEmails(db, { tenantId, userId, address: emailNormalized }));
  yield* list('audit', auditOf(db, { tenantId, userId }));
  yield '}\n';
}

async function* list(name: string, items: AsyncIterable<unknown>): AsyncGenerator<string> {
  yield `,"${name}":[`;
  let separator = '';
  for await (const item of items) {
    yield separator + JSON.stringify(item);
    separator = ',';
  }
  yield ']';
}

const pageSize = 500;

async function* auditOf(db: Database, whose: { tenantId: string; userId: string }): AsyncGenerator<unknown> {
  for (let after: string | undefined; ; ) {
    const page = await listAudit(db, { ...whose, ...(after === undefined ? {} : { after }), limit: pageSize });
    for (const entry of page) yield presentEntry(entry);
    after = page.at(-1)?.id;
    if (page.length < pageSize) return;
  }
}
