import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { NewPassword, Token } from '../crypto/schemas.ts';
import type { Transaction } from '../database/database.ts';
import { requireScope } from '../http/caller.ts';
import { type Answer, answerOnce, IdempotencyHeaders } from '../http/idempotency.ts';
import type { Routes } from '../http/server.ts';
import { inLanguagesOf } from '../templates/languages.ts';
import { TenantHeaders } from '../tenants/schemas.ts';
import { namedTenant, type Tenant, tenantOfCaller } from '../tenants/tenants.ts';
import { admitRegistration, prepareUser, type Registration, register, registerPrivately } from './register.ts';
import type { UserWorld } from './routes.ts';
import { Email, Name, UserAnswer } from './schemas.ts';
import { originOf, presentUser } from './user.ts';

const Server = Type.String({ description: 'The tenant; else the header Postern-Tenant, else `default`' });

const RegisterBody = Type.Object(
  {
    email: Type.Optional(Email),
    username: Type.Optional(Type.String({ maxLength: 64 })),
    password: NewPassword,
    name: Type.Optional(Name),
    profile_image_url: Type.Optional(
      Type.String({ maxLength: 2048, pattern: '^[Hh][Tt][Tt][Pp][Ss]?://[^\\s\\u0000-\\u001f\\u007f]+$' }),
    ),
    server: Type.Optional(Server),
  },
  { additionalProperties: false },
);

const CreateBody = Type.Object(
  {
    email: Email,
    server: Type.Optional(Server),
    password: Type.Optional(NewPassword),
    name: Type.Optional(Name),
  },
  { additionalProperties: false },
);

const Headers = Type.Object({
  ...IdempotencyHeaders.properties,
  ...TenantHeaders.properties,
});

// The reply of REGISTRATION=private, to whatever address.
const Accepted = Type.Object({ message: Type.String() });
const accepted: Answer = { status: 202, body: { message: 'A letter is on its way to this address.' } };

export function registerRoutes(world: UserWorld): Routes {
  return (app) => {
    for (const url of ['/auth/register', '/register']) {
      app.post(
        url,
        {
          schema: {
            tags: ['Users'],
            summary: 'Register by e-mail address, username, or both',
            headers: Headers,
            body: RegisterBody,
            response: { 201: Type.Object({ user: UserAnswer, token: Token }), 202: Accepted },
          },
        },
        async (request, reply) => {
          const { server, ...registration } = request.body;
          const tenant = await world.resolveTenant(namedTenant(request.headers['postern-tenant'], server));
          return registerByMode(world, request, reply, { tenant, registration, logIn: true });
        },
      );
    }

    app.post(
      '/users',
      {
        schema: {
          tags: ['Users'],
          summary: 'Register a user of a site, without logging in',
          description:
            'Public, as far as REGISTRATION allows. With a credential that holds `users:write` it adds a user to ' +
            "the credential's tenant, whatever REGISTRATION says.",
          headers: Headers,
          body: CreateBody,
          response: { 201: Type.Object({ user: UserAnswer }), 202: Accepted },
        },
      },
      async (request, reply) => {
        const { server, ...registration } = request.body;
        const named = namedTenant(request.headers['postern-tenant'], server);
        if (request.headers.authorization === undefined) {
          const tenant = await world.resolveTenant(named);
          return registerByMode(world, request, reply, { tenant, registration, logIn: false });
        }
        const caller = await world.authenticate(request);
        requireScope(caller, 'users:write');
        const tenant = await tenantOfCaller(world, caller, named);
        return registerOpenly(world, request, reply, { tenant, registration, logIn: false, actor: caller.name });
      },
    );
  };
}

interface Call {
  tenant: Tenant;
  registration: Registration;
  logIn: boolean;
  actor?: string;
}

async function registerByMode(world: UserWorld, request: FastifyRequest, reply: FastifyReply, call: Call) {
  await admitRegistration(world, request.ip);
  if (world.registration === 'open') return registerOpenly(world, request, reply, call);
  const newUser = await prepareUser(world, call.tenant.id, call.registration);
  let wroteLetter = false;
  const work = async (tx: Transaction) => {
    wroteLetter = await registerPrivately(inLanguagesOf(request, world), tx, newUser, { ip: request.ip });
    return accepted;
  };
  await answerOnce(world, request, reply, call.tenant.id, work, operationOf(call));
  if (wroteLetter) world.wakeWorkers();
  return reply;
}

async function registerOpenly(world: UserWorld, request: FastifyRequest, reply: FastifyReply, call: Call) {
  const { tenant, registration, logIn, actor } = call;
  const newUser = await prepareUser(world, tenant.id, registration);
  const origin = originOf(request);
  let wroteLetter = false;
  const work = async (tx: Transaction) => {
    const done = await register(inLanguagesOf(request, world), tx, newUser, {
      ip: origin.ip,
      ...(actor === undefined ? {} : { actor }),
    });
    wroteLetter = done.wroteLetter;
    const user = presentUser(done.user, tenant.slug);
    if (!logIn) return { status: 201, body: { user } };
    return { status: 201, body: { user, token: await world.openSession(tx, { user: done.user, tenant, origin }) } };
  };
  await answerOnce(world, request, reply, tenant.id, work, operationOf(call));
  if (wroteLetter) world.wakeWorkers();
  return reply;
}

/** `/register` is another name of `/auth/register`; `POST /users` is another call. */
function operationOf({ logIn }: Call) {
  return { operation: logIn ? 'POST /auth/register' : 'POST /users' };
}
