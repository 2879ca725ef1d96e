/** The half of the world that answers: identity, the acceptance of mail, and HTTP, each handed what it uses. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { makeAuthenticateKey } from './api-keys/authenticate-key.ts';
import { recordAudit } from './audit/record.ts';
import { auditRoutes } from './audit/routes.ts';
import type { Config } from './config.ts';
import { makeTokenSigner, makeTokenVerifier } from './crypto/access-tokens.ts';
import { makeProveKey } from './crypto/dpop.ts';
import { makePasswordHasher, type PasswordHasher } from './crypto/passwords.ts';
import type { Secrets } from './crypto/secrets.ts';
import type { Database, Queryable, Transaction } from './database/database.ts';
import { isMigrated } from './database/migrate.ts';
import type { OpenDatabase } from './database/open.ts';
import { makeLookUpTxt } from './domains/look-up.ts';
import { domainRoutes } from './domains/routes.ts';
import { rememberVerifiedDomains } from './domains/verified-domains.ts';
import { type Handoff, makeAcceptor } from './emails/accept.ts';
import { makeCountedAcceptor } from './emails/accept-letters.ts';
import { normalizeEmail, parseAddress, parseDomain } from './emails/address.ts';
import { anonymizeEmails } from './emails/anonymize.ts';
import type { NewEmail } from './emails/email.ts';
import { emailRoutes } from './emails/routes.ts';
import { sendTemplate } from './emails/send-template.ts';
import { statsRoutes } from './emails/stats-routes.ts';
import { queueDepth } from './emails/store.ts';
import { submitEmails, submitLeased } from './emails/submit.ts';
import { unsubscribeRoutes } from './emails/unsubscribe-routes.ts';
import { openUploads } from './emails/upload/upload.ts';
import { keepHouse } from './housekeeping.ts';
import { makeNeeds } from './http/caller.ts';
import { drain } from './http/drain.ts';
import { firstCall, frontPageRoutes } from './http/front-page.ts';
import { Degraded, operationRoutes } from './http/operation.ts';
import { type App, buildServer } from './http/server.ts';
import { makeProviders } from './identities/providers.ts';
import { identityRoutes, presentIdentity } from './identities/routes.ts';
import { identitiesOf } from './identities/store.ts';
import { inboxRoutes } from './inbox/routes.ts';
import type { Inbox } from './inbox/smtp.ts';
import { invitationRoutes } from './invitations/routes.ts';
import { openLimits } from './limits/limits.ts';
import { openClientDirectory } from './oauth/find-client.ts';
import { bootstrapClient } from './oauth/manage-clients.ts';
import { makeProviderFor } from './oauth/provider/provider-for.ts';
import { makeServe } from './oauth/provider/routes.ts';
import { oauthRoutes } from './oauth/routes.ts';
import { accountRoutes } from './pages/account.ts';
import { forgotRoutes } from './pages/forgot.ts';
import { interactionRoutes } from './pages/interaction.ts';
import { linkPages } from './pages/link-pages.ts';
import { oauthPages } from './pages/oauth-pages.ts';
import { secondFactorPageRoutes } from './pages/second-factor.ts';
import { signInRoutes } from './pages/sign-in.ts';
import { signInByLetterRoutes } from './pages/sign-in-by-letter.ts';
import { signUpRoutes } from './pages/sign-up.ts';
import { verifyPageRoutes } from './pages/verify.ts';
import { openShared, type Shared } from './redis/open.ts';
import { roleRoutes } from './roles/routes.ts';
import { secondFactorRoutes } from './second-factors/routes.ts';
import { presentFactor } from './second-factors/schemas.ts';
import { factorsOf } from './second-factors/store.ts';
import { makeAuthenticate } from './sessions/authenticate.ts';
import { createSession, type Login, makeInsertSession } from './sessions/create-session.ts';
import { endSessions } from './sessions/logout.ts';
import { presentSession } from './sessions/present-session.ts';
import { makeAdvance } from './sessions/refresh.ts';
import { startRevocations } from './sessions/revocations.ts';
import { sessionRoutes } from './sessions/routes.ts';
import { unlessFactorOwed } from './sessions/sign-in.ts';
import { sessionAddresses, sessionsEver } from './sessions/store.ts';
import { followSigningKeys } from './signing-keys/follow-keys.ts';
import { keepSigningKeys } from './signing-keys/keep-keys.ts';
import type { Stops } from './start.ts';
import { suppressionRoutes } from './suppressions/routes.ts';
import { makeWriteLetter } from './templates/own/write-letter.ts';
import { templatePreviewRoutes } from './templates/preview-routes.ts';
import { makeTemplateRenderer } from './templates/renderer.ts';
import { templateRoutes } from './templates/routes.ts';
import { templateVersionRoutes } from './templates/version-routes.ts';
import { openQuotas } from './tenants/quotas.ts';
import { tenantRoutes } from './tenants/routes.ts';
import { ensureDefaultTenant, openTenantDirectory } from './tenants/tenants.ts';
import { bootstrapAdmin } from './users/bootstrap.ts';
import { makeFindByName } from './users/check-password.ts';
import { makePasswordPolicy, type PasswordPolicy } from './users/password-policy.ts';
import { userRoutes } from './users/routes.ts';
import { makeForgetUser, makeWhoAmI } from './users/who-am-i.ts';
import { version } from './version.ts';
import { webhookBacklog } from './webhooks/lane-store.ts';
import { makeReadDocument } from './webhooks/read-document.ts';
import { webhookRoutes } from './webhooks/routes.ts';
import { makeTargetPolicy } from './webhooks/target.ts';

interface ApiParts {
  config: Config;
  database: OpenDatabase;
  secrets: Secrets;
  log: Logger;
  inbox: Inbox | undefined;
  wakeWorkers: () => void;
  /** Of the worker in this process, if there is one. */
  handoff: () => Handoff;
  /** Of the worker in this process, where it uses a broker. */
  queueFault: (() => string | undefined) | undefined;
  stops: Stops;
}

/** Builds identity and the acceptance of mail, listens, and returns the banner. */
export async function startApi(parts: ApiParts): Promise<string> {
  const { config, database, log, inbox, queueFault, stops } = parts;
  const { db } = database;
  const shared = await openShared({ ...config, db, secrets: parts.secrets, log });
  stops.push(async () => shared.redis?.close());
  const world = await buildWorld(parts, shared);
  await bootstrap(world, config);

  let isDraining = false;
  const app = await buildServer({
    log,
    publicUrl: config.publicUrl,
    trustProxy: config.trustProxy,
    version,
    routes: [
      frontPageRoutes({ publicUrl: config.publicUrl, version, development: inbox !== undefined }),
      operationRoutes({
        checks: readinessChecks(db, queueFault, shared.redis),
        isDraining: () => isDraining,
        gauges: [queueGauge(db), webhookGauge(db)],
      }),
      userRoutes(world),
      invitationRoutes(world),
      roleRoutes(world),
      tenantRoutes(world),
      sessionRoutes(world),
      secondFactorRoutes(world),
      signInRoutes(world),
      signInByLetterRoutes(world),
      forgotRoutes(world),
      signUpRoutes(world),
      verifyPageRoutes(world),
      secondFactorPageRoutes(world),
      accountRoutes(world),
      identityRoutes(world),
      oauthRoutes(world),
      interactionRoutes(world),
      emailRoutes(world),
      statsRoutes(world),
      unsubscribeRoutes(world),
      domainRoutes({ ...world, parseDomain, lookUpTxt: makeLookUpTxt(config.dnsServers) }),
      templateRoutes(world),
      templateVersionRoutes(world),
      templatePreviewRoutes({
        ...world,
        sendTemplate: (tx, caller, letter) => sendTemplate(world, tx, caller, letter),
      }),
      auditRoutes(world),
      suppressionRoutes({ ...world, parseAddress, normalizeEmail }),
      webhookRoutes({ ...world, recordAudit, targetPolicy: makeTargetPolicy(config) }),
      ...(inbox ? [inboxRoutes({ db })] : []),
    ],
  });
  await listen(app, config, log);
  stops.push(async () => {
    isDraining = true;
    await drain(app);
  });
  const { environment, host, port, publicUrl } = config;
  log.info({ version, environment, publicUrl }, `ready on ${host}:${port}`);
  return environment === 'development' ? bannerOf(config, database, inbox) : '';
}

/** Everything a route may ask a corner of. */
async function buildWorld(parts: ApiParts, { limitStore, cache, redis }: Shared) {
  const { config, database, secrets, log, wakeWorkers, handoff, stops } = parts;
  const { db } = database;
  const { publicUrl } = config;
  const passwords = makePasswordHasher();
  stops.push(passwords.close);
  const revocations = await startRevocations({
    db,
    log,
    accessTokenSeconds: config.accessTokenSeconds,
    channel: redis?.revocations,
  });
  stops.push(async () => revocations.stop());
  await keepSigningKeys({ ...config, db, secrets });
  stops.push(keepHouse({ ...config, db, secrets, log }));

  const keys = await followSigningKeys({ db, secrets, log });
  stops.push(async () => keys.stop());
  const signer = makeTokenSigner({ keys, publicUrl });
  const verifier = makeTokenVerifier({ keys, publicUrl });
  const tenants = openTenantDirectory({ db, tenants: config.tenants });
  const authenticateKey = makeAuthenticateKey({ db, secrets, log });
  const proveKey = makeProveKey({ db, publicUrl });
  const authenticate = makeAuthenticate({ ...tenants, verifier, revocations, proveKey, authenticateKey });
  const messageIdHost = new URL(publicUrl).hostname;
  const letterParts = { secrets, messageIdHost };
  const submit = (tx: Queryable, emails: NewEmail[]) => submitEmails(letterParts, tx, emails);
  const quotas = openQuotas(db);
  const templates = makeTemplateRenderer({ log });
  stops.push(templates.close);
  const tokenWorld = { ...config, secrets, signer };
  const forgetUser = makeForgetUser(cache);
  const clients = openClientDirectory(db);
  const readDocument = makeReadDocument({ policy: keySetPolicy(config), version });
  const providerFor = makeProviderFor({
    ...config,
    ...tenants,
    db,
    secrets,
    log,
    cache,
    ...clients,
    verifier,
    revocations,
    revoke: revocations.revoke,
    readDocument,
    oauthPages,
  });
  return {
    ...config,
    ...clients,
    readDocument,
    providerFor,
    serveProvider: makeServe({ keys, publicUrl, providerFor }),
    ...tenants,
    db,
    secrets,
    log,
    passwords,
    passwordPolicy: makePasswordPolicy({ ...config, log }),
    keys,
    signer,
    verifier,
    proveKey,
    revocations,
    revoke: revocations.revoke,
    findByName: makeFindByName(db),
    insertSession: makeInsertSession({ ...config, db }),
    advance: makeAdvance({ ...config, db }),
    cache,
    whoAmI: makeWhoAmI({ db, cache, tenantSlug: tenants.tenantSlug }),
    forgetUser,
    limits: openLimits({ store: limitStore, areSourcesLimited: config.rateLimits === 'on' }),
    sessionAddresses: (userId: string) => sessionAddresses(db, userId),
    exportParts: {
      sessions: async (userId: string) =>
        (await sessionsEver(db, userId)).map(({ revokedAt, ...session }) => ({
          ...presentSession(session),
          revoked_at: revokedAt,
        })),
      identities: async (userId: string) => (await identitiesOf(db, userId)).map(presentIdentity),
      second_factors: async (userId: string) => (await factorsOf(db, userId)).map(presentFactor),
    },
    authenticate,
    needs: makeNeeds(authenticate),
    verifiedDomains: rememberVerifiedDomains(db),
    submitEmails: submit,
    acceptEmail: makeAcceptor({
      db,
      submitLeased: (own, emails, isLeased) => submitLeased(letterParts, own, emails, isLeased),
      handoff,
      wakeWorkers,
    }),
    acceptCounted: makeCountedAcceptor({ db, submitEmails: submit, quotas, wakeWorkers }),
    quotas,
    uploads: await openUploads(join(config.dataDir, 'spool')),
    wakeWorkers,
    linkPages,
    providers: makeProviders({ ...config, log }),
    templates,
    writeLetter: makeWriteLetter({ templates, log }),
    anonymizeEmails,
    endSessions: async (tx: Transaction, userId: string, except?: string) => {
      const announce = await endSessions({ revocations }, tx, userId, except);
      // Where sessions have to end, something about the user has changed.
      return () => {
        announce();
        void forgetUser(userId);
      };
    },
    // Whoever has just registered has no second factor.
    openSession: (tx: Transaction, login: Omit<Login, 'methods'>) =>
      createSession(tokenWorld, tx, { ...login, methods: ['pwd'] }),
    openOutsideSession: (tx: Transaction, login: Omit<Login, 'methods'>) => {
      const opening = { ...login, methods: ['fed'] } as const;
      return unlessFactorOwed({ secrets }, tx, opening, () => createSession(tokenWorld, tx, opening));
    },
  };
}

/** Makes what the settings ask for, where it is not there. */
async function bootstrap(
  world: {
    db: Database;
    secrets: Secrets;
    passwords: PasswordHasher;
    passwordPolicy: PasswordPolicy;
    log: Logger;
  },
  config: Config,
): Promise<void> {
  const { id: tenantId } = await ensureDefaultTenant(world.db);
  const { bootstrapClientId: clientId, bootstrapClientSecret: secret, bootstrapClientScope: scopes } = config;
  if (clientId !== undefined && secret !== undefined) {
    const made = await bootstrapClient(world, { tenantId, clientId, secret, scopes });
    if (made) world.log.info(`made the client ${clientId}`);
  }
  const { bootstrapAdminEmail: email, bootstrapAdminPassword: password } = config;
  if (email !== undefined && password !== undefined) {
    const made = await bootstrapAdmin(world, { tenantId, email, password });
    if (made) world.log.info('made the first administrator');
  }
}

/**
 * Where clients' keys may be read from (`jwks_uri`): from public hosts over TLS, since who is let in by them hangs on it.
 * What the operator has opened to webhooks is not open to clients: others may register those.
 */
function keySetPolicy({ environment }: Config) {
  return { ...makeTargetPolicy({ environment, webhookPrivateNetworks: [] }), allowsHttp: false };
}

function readinessChecks(db: Database, queueFault: (() => string | undefined) | undefined, redis: Shared['redis']) {
  return {
    database: async () => {
      await db`SELECT 1`;
    },
    migrations: async () => {
      if (!(await isMigrated(db))) throw new Error('the schema is older than this version');
    },
    // Mail flows without the broker, so a balancer should go on sending requests here.
    ...(queueFault && {
      queue: async () => {
        const fault = queueFault();
        if (fault !== undefined) throw new Degraded(fault);
      },
    }),
    ...(redis && {
      redis: async () => {
        if (!(await redis.isWell())) throw new Degraded('Redis (REDIS_URL) does not answer; PostgreSQL does its work');
      },
    }),
  };
}

function queueGauge(db: Database) {
  return {
    name: 'postern_email_queue_letters',
    help: 'Letters not at their end, by lane and whether they are due or wait for their time',
    labelNames: ['lane', 'state'],
    measure: async () =>
      (await queueDepth(db)).flatMap(({ lane, due, waiting }) => [
        { labels: { lane, state: 'due' }, value: due },
        { labels: { lane, state: 'waiting' }, value: waiting },
      ]),
  };
}

function webhookGauge(db: Database) {
  return {
    name: 'postern_webhook_queue_deliveries',
    help: 'Webhook deliveries not at their end, by whether they are due or wait for their time',
    labelNames: ['state'],
    measure: async () => {
      const { due, waiting } = await webhookBacklog(db);
      return [
        { labels: { state: 'due' }, value: due },
        { labels: { state: 'waiting' }, value: waiting },
      ];
    },
  };
}

/** Listens; a port still held by a Postern on its way out is waited for. */
async function listen(app: App, { port, host }: Config, log: Logger): Promise<void> {
  const deadline = Date.now() + 5_000;
  for (let said = false; ; said = true) {
    try {
      await app.listen({ port, host });
      return;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
      if (Date.now() > deadline) {
        throw new Error(`Port ${port} is taken by another program. Stop it, or set PORT to a free one.`);
      }
      if (!said) log.warn(`port ${port} is taken; trying again for a few seconds`);
      await sleep(250);
    }
  }
}

function bannerOf({ publicUrl, smtpUrls }: Config, { where }: OpenDatabase, inbox: Inbox | undefined): string {
  const mail = smtpUrls.length > 0 ? 'delivered to SMTP_URL' : `kept in the dev inbox: ${publicUrl}/inbox`;
  return `
  Postern ${version} is ready at ${publicUrl}

    API pages   ${publicUrl}/docs
    Mail        ${mail}${inbox ? ` (SMTP on 127.0.0.1:${inbox.port})` : ''}
    Data        ${where}

  Register the first user:

    ${firstCall(publicUrl).replaceAll('\n', '\n    ')}

`;
}
