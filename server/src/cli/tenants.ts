import { type Quota, setQuota } from '../tenants/quotas.ts';
import { createTenant, listTenants } from '../tenants/tenants.ts';
import { asTable, type Command, type Input, textOption, UsageError, withDatabase } from './command.ts';

export const tenantCommands: Command[] = [
  {
    name: 'tenants create',
    positionals: 'SLUG',
    summary: 'Make a tenant: an isolated pool of users and mail.',
    run: ({ positionals, print }) =>
      withDatabase(async ({ db }) => {
        const tenant = await createTenant(db, positionals[0] ?? '');
        print(tenant, `Made the tenant "${tenant.slug}".`);
      }),
  },
  {
    name: 'tenants list',
    summary: 'List the tenants.',
    run: ({ print }) =>
      withDatabase(async ({ db }) => {
        const tenants = (await listTenants(db)).map(({ id, slug, createdAt, ...quota }) => ({
          id,
          slug,
          created_at: createdAt,
          ...present(quota),
        }));
        print(tenants, asTable(tenants));
      }),
  },
  {
    name: 'tenants update',
    positionals: 'SLUG',
    summary: "Set a tenant's quotas of recipients. What is beyond them is refused; Postern's own letters are not.",
    options: {
      daily: { type: 'string', value: 'N', help: 'Recipients in a day (UTC), or none for as many as it likes.' },
      'per-second': { type: 'string', value: 'N', help: 'Recipients in a second, or none.' },
    },
    run: (input) => {
      const daily = quotaOption(input, 'daily');
      const perSecond = quotaOption(input, 'per-second');
      if (daily === undefined && perSecond === undefined) throw new UsageError('--daily or --per-second is needed');
      return withDatabase(async ({ db }) => {
        const slug = (input.positionals[0] ?? '').toLowerCase();
        const quota = present(
          await setQuota(db, slug, {
            ...(daily !== undefined && { daily }),
            ...(perSecond !== undefined && { perSecond }),
          }),
        );
        input.print({ slug, ...quota }, asTable([{ slug, ...quota }]));
      });
    },
  },
];

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
