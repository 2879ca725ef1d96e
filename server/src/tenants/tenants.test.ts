import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { testDatabase } from '../../test/support/database.ts';
import { createTenant, ensureDefaultTenant, listTenants, namedTenant, openTenantDirectory } from './tenants.ts';

describe('tenants', () => {
  let database: Awaited<ReturnType<typeof testDatabase>>;
  before(async () => {
    database = await testDatabase();
    await ensureDefaultTenant(database.db);
  });
  after(() => database.close());

  it('are made when first named, once, by however many at the same time', async () => {
    const nodes = Array.from({ length: 10 }, () => openTenantDirectory({ db: database.db, tenants: 'open' }));
    const found = await Promise.all(nodes.map((node) => node.resolveTenant('WWW.Site-A.com')));
    assert.equal(new Set(found.map((tenant) => tenant.id)).size, 1);
    assert.equal(found[0]?.slug, 'www.site-a.com');
    assert.equal(await nodes[0]?.tenantSlug(found[0]?.id ?? ''), 'www.site-a.com');
  });

  it('are unknown when closed, but for those that exist', async () => {
    const { resolveTenant, findTenant } = openTenantDirectory({ db: database.db, tenants: 'closed' });
    await assert.rejects(resolveTenant('nowhere'), { code: 'tenants.unknown', status: 404 });
    assert.equal(await findTenant('nowhere'), undefined);
    assert.equal((await resolveTenant(undefined)).slug, 'default');
    await createTenant(database.db, 'made');
    assert.equal((await resolveTenant('Made')).slug, 'made');
    await assert.rejects(createTenant(database.db, 'made'), { code: 'tenants.already_exists' });
    assert.ok((await listTenants(database.db)).some(({ slug }) => slug === 'made'));
  });

  it('have names that fit into a host name', async () => {
    const { resolveTenant } = openTenantDirectory({ db: database.db, tenants: 'open' });
    for (const bad of ['', '-a', 'a b', 'a/b', 'a\0', 'ä', 'x'.repeat(64)]) {
      await assert.rejects(resolveTenant(bad), { code: 'http.invalid_request' }, bad);
    }
  });

  it('are named by header or field, which must not contradict each other', () => {
    assert.equal(namedTenant('a', undefined), 'a');
    assert.equal(namedTenant(undefined, 'b'), 'b');
    assert.equal(namedTenant('A', 'a'), 'a');
    assert.throws(() => namedTenant('a', 'b'), { code: 'http.invalid_request' });
  });
});
