/** `/auth/second-factors` and `/auth/passkeys`: what users add and remove, and what administrators remove. */
import { Type } from 'typebox';
import { callerOf, type Needs, requireScope } from '../http/caller.ts';
import type { Routes } from '../http/server.ts';
import { findNamedUser } from '../users/create-user.ts';
import { isAdministrator, userCaller } from '../users/user.ts';
import type { AddWorld } from './add-factor.ts';
import { beginTotp, confirmTotp } from './add-totp.ts';
import { addPasskey, askForNewPasskey, type PasskeySettings } from './passkeys.ts';
import { renewRecoveryCodes } from './recovery-codes.ts';
import { removeAllFactors, removeOwnFactor } from './remove-factor.ts';
import { asked, FactorAnswer, FactorName, NewCredential, presentFactor, RecoveryCodes, Uuid } from './schemas.ts';
import { factorsOf, recoveryCodesLeft } from './store.ts';

export interface SecondFactorWorld extends AddWorld, PasskeySettings {
  needs: Needs;
}

const described = { tags: ['Second factors'], security: [{ bearer: [] }] };
const closed = { additionalProperties: false };
const perhapsCodes = Type.Object({ recovery_codes: Type.Optional(RecoveryCodes) });

export function secondFactorRoutes(world: SecondFactorWorld): Routes {
  const onRequest = world.needs('basic');
  return (app) => {
    app.get(
      '/auth/second-factors',
      {
        onRequest,
        schema: {
          ...described,
          summary: 'My second factors',
          response: { 200: Type.Object({ data: Type.Array(FactorAnswer), recovery_codes_left: Type.Integer() }) },
        },
      },
      async (request) => {
        const { id } = userCaller(callerOf(request));
        const factors = await factorsOf(world.db, id);
        return { data: factors.map(presentFactor), recovery_codes_left: await recoveryCodesLeft(world.db, id) };
      },
    );

    app.post(
      '/auth/second-factors/totp',
      {
        onRequest,
        schema: {
          ...described,
          summary: 'Begin with an authenticator app (TOTP): show it the URI as a QR code, then confirm',
          body: Type.Object({ name: Type.Optional(FactorName) }, closed),
          response: {
            201: Type.Object({
              id: Uuid,
              secret: Type.String({ description: 'In Base32, to type in by hand' }),
              uri: Type.String({ description: '`otpauth:`, for a QR code' }),
            }),
          },
        },
      },
      async (request, reply) => {
        const { name = 'Authenticator app' } = request.body;
        const { id, text, uri } = await beginTotp(world, userCaller(callerOf(request)), name);
        return reply.code(201).send({ id, secret: text, uri });
      },
    );

    app.post(
      '/auth/second-factors/totp/:id/confirm',
      {
        onRequest,
        schema: {
          ...described,
          summary: 'Confirm the app by a code that it shows; with the first second factor come recovery codes',
          params: Type.Object({ id: Uuid }),
          body: Type.Object({ code: Type.String({ maxLength: 32 }) }, closed),
          response: { 200: perhapsCodes },
        },
      },
      async (request) => {
        const about = { id: request.params.id.toLowerCase(), code: request.body.code };
        const { recoveryCodes } = await confirmTotp(world, userCaller(callerOf(request)), about);
        return recoveryCodes ? { recovery_codes: recoveryCodes } : {};
      },
    );

    app.post(
      '/auth/passkeys/options',
      {
        onRequest,
        schema: {
          ...described,
          summary: 'Begin with a new passkey',
          response: { 200: asked('navigator.credentials.create') },
        },
      },
      async (request) => ({ ...(await askForNewPasskey(world, userCaller(callerOf(request)))) }),
    );

    app.post(
      '/auth/passkeys',
      {
        onRequest,
        schema: {
          ...described,
          summary: 'Add the passkey that the browser made; with the first second factor come recovery codes',
          body: Type.Object({ ceremony: Uuid, response: NewCredential, name: Type.Optional(FactorName) }, closed),
          response: { 201: Type.Object({ passkey: FactorAnswer, ...perhapsCodes.properties }) },
        },
      },
      async (request, reply) => {
        const { name = 'Passkey', ...made } = request.body;
        const caller = userCaller(callerOf(request));
        const { passkey, recoveryCodes } = await addPasskey(world, caller, { ...made, name });
        const codes = recoveryCodes ? { recovery_codes: recoveryCodes } : {};
        return reply.code(201).send({ passkey: presentFactor(passkey), ...codes });
      },
    );

    app.delete(
      '/auth/second-factors/:id',
      {
        onRequest,
        schema: {
          ...described,
          summary: 'Remove one of my second factors',
          params: Type.Object({ id: Uuid }),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await removeOwnFactor(world, userCaller(callerOf(request)), request.params.id.toLowerCase());
        return reply.code(204).send(null);
      },
    );

    app.post(
      '/auth/recovery-codes',
      {
        onRequest,
        schema: {
          ...described,
          summary: 'New recovery codes; the former ones are good no more',
          response: { 200: Type.Object({ recovery_codes: RecoveryCodes }) },
        },
      },
      async (request) => ({ recovery_codes: await renewRecoveryCodes(world, userCaller(callerOf(request))) }),
    );

    app.delete(
      '/users/:uuid/second-factors',
      {
        onRequest: world.needs('users:write'),
        schema: {
          ...described,
          summary: 'Remove all second factors of a user who has lost them',
          params: Type.Object({ uuid: Type.String() }),
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const caller = callerOf(request);
        const user = await findNamedUser(world.db, caller.tenantId, request.params.uuid);
        // Who may write users is not thereby above those who hold every right.
        if (isAdministrator(user)) requireScope(caller, 'admin');
        await removeAllFactors(world, user, caller);
        return reply.code(204).send(null);
      },
    );
  };
}
