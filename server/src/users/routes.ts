import type { Token } from '../crypto/schemas.ts';
import type { Transaction } from '../database/database.ts';
import { type Authenticate, callerOf, type Needs } from '../http/caller.ts';
import type { LinkPages } from '../http/link-pages.ts';
import type { Routes } from '../http/server.ts';
import type { RoleWorld } from '../roles/manage-roles.ts';
import type { Tenant, TenantDirectory } from '../tenants/tenants.ts';
import { adminRoutes } from './admin-routes.ts';
import type { CheckingPasswords } from './check-password.ts';
import type { DeleteWorld } from './delete-user.ts';
import { directoryRoutes } from './directory-routes.ts';
import { emailChangeRoutes } from './email-routes.ts';
import { exportRoutes } from './export-routes.ts';
import type { ExportWorld } from './export-user.ts';
import { importRoutes } from './import-routes.ts';
import type { PasswordPolicy } from './password-policy.ts';
import { passwordRoutes } from './password-routes.ts';
import { registerRoutes } from './register-routes.ts';
import { userRoleRoutes } from './role-routes.ts';
import { UserAnswer } from './schemas.ts';
import { type Origin, type User, userOf } from './user.ts';
import type { LetterWorld } from './verify-email.ts';
import { verifyRoutes } from './verify-routes.ts';
import type { ForgetUser, WhoAmI } from './who-am-i.ts';

export interface UserWorld
  extends RoleWorld,
    LetterWorld,
    DeleteWorld,
    TenantDirectory,
    CheckingPasswords,
    ExportWorld {
  whoAmI: WhoAmI;
  forgetUser: ForgetUser;
  passwordPolicy: PasswordPolicy;
  registration: 'open' | 'private' | 'closed';
  needs: Needs;
  authenticate: Authenticate;
  /** Logs a user in who has just registered, in the caller's transaction. */
  openSession: (tx: Transaction, login: { user: User; tenant: Tenant; origin: Origin }) => Promise<Token>;
  wakeWorkers: () => void;
  linkPages: LinkPages;
}

export function userRoutes(world: UserWorld): Routes {
  return (app) => {
    registerRoutes(world)(app);
    verifyRoutes(world)(app);
    directoryRoutes(world)(app);
    emailChangeRoutes(world)(app);
    adminRoutes(world)(app);
    userRoleRoutes(world)(app);
    exportRoutes(world)(app);
    importRoutes(world)(app);
    passwordRoutes(world)(app);
    accountRoutes(world)(app);
  };
}

function accountRoutes(world: UserWorld): Routes {
  return (app) => {
    app.get(
      '/auth/me',
      {
        onRequest: world.needs('basic', { letsDelegated: true }),
        schema: { tags: ['Users'], summary: 'Who am I', security: [{ bearer: [] }], response: { 200: UserAnswer } },
      },
      async (request) => world.whoAmI(userOf(callerOf(request))),
    );
  };
}
