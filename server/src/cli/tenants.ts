import { type Quota, setQuota } from '../tenants/quotas.ts';
import { createTenant, listTenants, openTenantDirectory } from '../tenants/tenants.ts';
import { readUserScopes, setUserScopes, usualScopes } from '../tenants/user-scopes.ts';
import { asTable, type Command, type Input, textOption, UsageError, withDatabase } from './command.ts';
import { revokeBy } from './revoke.ts';

const userScopes = {
  type: 'string',
  value: '"SCOPE …"',
  help: 'What users\' own sessions may do: some of basic and email, "" for nothing, or usual.',
} as const;

export const tenantCommands: Command[] = [
  {
    name: 'tenants create',
    positionals: 'SLUG',
    summary: 'Make a tenant: an isolated pool of users and mail.',
    options: { 'user-scopes': userScopes },
    run: (input) => {
      const scopes = userScopesOption(input) ?? undefined;
      return withDatabase(async ({ db }) => {
        const tenant = await createTenant(db, input.positionals[0] ?? '', scopes);
        input.print(tenant, `Made the tenant "${tenant.slug}".`);
      });
    },
  },
  {
    name: 'tenants list',
    summary: 'List the tenants.',
    run: ({ print }) =>
      withDatabase(async ({ db }) => {
        const tenants = (await listTenants(db)).map(({ id, slug, createdAt, userScopes, ...quota }) => ({
          id,
          slug,
          created_at: createdAt,
          user_scopes: userScopes ?? usualScopes,
          ...present(quota),
        }));
        print(tenants, asTable(tenants));
      }),
  },
  {
    name: 'tenants update',
    positionals: 'SLUG',
    summary: "Set a tenant's quotas of recipients, or what its users' sessions may do.",
    details: "Mail beyond a quota is refused; Postern's own letters are not.",
    options: {
      'user-scopes': userScopes,
      daily: { type: 'string', value: 'N', help: 'Recipients in a day (UTC), or none for as many as it likes.' },
      'per-second': { type: 'string', value: 'N', help: 'Recipients in a second, or none.' },
    },
    run: (input) => {
      const daily = quotaOption(input, 'daily');
      const perSecond = quotaOption(input, 'per-second');
      const scopes = userScopesOption(input);
      if (daily === undefined && perSecond === undefined && scopes === undefined) {
        throw new UsageError('--daily, --per-second or --user-scopes is needed');
      }
      return withDatabase(async ({ db, config }) => {
        const { id: tenantId, slug } = await openTenantDirectory({ db, tenants: 'closed' }).resolveTenant(
          input.positionals[0],
        );
        if (scopes !== undefined) await setUserScopes({ db, revoke: revokeBy(config) }, { tenantId }, scopes);
        const quota = present(
          await setQuota(db, slug, {
            ...(daily !== undefined && { daily }),
            ...(perSecond !== undefined && { perSecond }),
          }),
        );
        const shown = { slug, ...(scopes !== undefined && { user_scopes: scopes ?? usualScopes }), ...quota };
        input.print(shown, asTable([shown]));
      });
    },
  },
];

/** Undefined where the option is left out, null for both, which is usual. */
function userScopesOption(input: Input): string[] | null | undefined {
  const given = textOption(input, 'user-scopes');
  return given === undefined ? undefined : readUserScopes(given.split(/\s+/).filter(Boolean));
}

function present({ daily, perSecond }: Quota) {
  return { daily_quota: daily, per_second_quota: perSecond };
}

/** Undefined where the option is left out, null for `none`. */
function quotaOption(input: Input, name: string): number | null | undefined {
  const given = textOption(input, name);
  if (given === undefined) return undefined;
  if (given === 'none') return null;
  if (!/^[1-9]\d{0,8}$/.test(given)) throw new UsageError(`--${name} takes a number from 1 to 999999999, or none`);
  return Number(given);
}
