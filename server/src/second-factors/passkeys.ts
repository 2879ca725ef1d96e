/**
 * Passkeys (WebAuthn level 3), by the library @simplewebauthn/server. A ceremony is a challenge that we give out and a
 * key of the user's signs; there is one answer to each, within five minutes.
 */
import { randomBytes } from 'node:crypto';
import type {
  AuthenticationResponseJSON,
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
  RegistrationResponseJSON,
} from '@simplewebauthn/server';
import { recordAudit } from '../audit/record.ts';
import { newId } from '../crypto/ids.ts';
import type { Database, Queryable, Transaction } from '../database/database.ts';
import type { Caller } from '../http/caller.ts';
import { type AddWorld, addFactor, requireRoom } from './add-factor.ts';
import { passkeyInvalid, passkeyKnown } from './errors.ts';
import type { SecondFactor } from './second-factor.ts';
import {
  type Ceremony,
  findPasskey,
  insertCeremony,
  insertPasskey,
  type Passkey,
  passkeysOf,
  takeCeremony,
  usePasskey,
} from './store.ts';

export interface PasskeySettings {
  publicUrl: string;
  webauthnRpId: string | undefined;
  webauthnOrigins: string[];
}

const ceremonySeconds = 300;
/** EdDSA, ES256 and RS256 (COSE): what authenticators have. The library's own list tries out what Node calls experimental. */
const algorithms = [-8, -7, -257];

/** What a page hands to the browser, and gives back with its answer. */
export interface Asked<Options> {
  ceremony: string;
  options: Options;
}

/**
 * What `navigator.credentials.create` takes for a new passkey of the caller.
 * @throws as requireRoom
 */
export async function askForNewPasskey(
  world: PasskeySettings & { db: Database },
  caller: Caller,
): Promise<Asked<PublicKeyCredentialCreationOptionsJSON>> {
  const { user, known } = await world.db.begin(async (tx) => {
    const user = await requireRoom(tx, caller);
    return { user, known: await passkeysOf(tx, user.id) };
  });
  const { generateRegistrationOptions } = await import('@simplewebauthn/server');
  const name = user.email ?? user.username ?? user.id;
  const challenge = randomBytes(32);
  const options = await generateRegistrationOptions({
    rpName: rpIdOf(world),
    rpID: rpIdOf(world),
    userName: name,
    userDisplayName: user.name ?? name,
    userID: Uint8Array.from(Buffer.from(user.id.replaceAll('-', ''), 'hex')),
    challenge: Uint8Array.from(challenge),
    timeout: ceremonySeconds * 1000,
    attestationType: 'none',
    supportedAlgorithmIDs: algorithms,
    excludeCredentials: known.map(toDescriptor),
    authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
  });
  const about = { purpose: 'add', tenantId: user.tenantId, userId: user.id, signInId: null, challenge } as const;
  return { ceremony: await begin(world.db, about), options };
}

/**
 * Adds the passkey that was made.
 * @throws passkeyInvalid, passkeyKnown, and as requireRoom
 */
export async function addPasskey(
  world: AddWorld & PasskeySettings,
  caller: Caller,
  { ceremony, response, name }: { ceremony: string; response: RegistrationResponseJSON; name: string },
): Promise<{ passkey: SecondFactor; recoveryCodes: string[] | undefined }> {
  const asked = await answered(world.db, 'add', ceremony);
  if (asked.userId !== caller.id) throw unknownCeremony();
  const { verifyRegistrationResponse } = await import('@simplewebauthn/server');
  const { registrationInfo } = await orInvalid(() =>
    verifyRegistrationResponse({
      response,
      expectedChallenge: asked.challenge.toString('base64url'),
      expectedOrigin: originsOf(world),
      expectedRPID: rpIdOf(world),
      requireUserVerification: false,
      supportedAlgorithmIDs: algorithms,
    }),
  );
  if (!registrationInfo) throw passkeyInvalid();
  const { id: credentialId, publicKey, counter, transports = [] } = registrationInfo.credential;
  const done = await world.db.begin(async (tx) => {
    const user = await requireRoom(tx, caller);
    const passkey = await insertPasskey(tx, {
      id: newId(),
      userId: user.id,
      name,
      credentialId: Buffer.from(credentialId, 'base64url'),
      publicKey: Buffer.from(publicKey),
      signCount: counter,
      transports,
    });
    if (!passkey) throw passkeyKnown();
    const { tenantId, name: actor, id: userId } = caller;
    const data = { id: passkey.id, kind: 'passkey' };
    await recordAudit(tx, { tenantId, type: 'second_factor.added', actor, userId, data });
    return { passkey, recoveryCodes: await addFactor(world, tx, user) };
  });
  world.wakeWorkers();
  return done;
}

/** What `navigator.credentials.get` takes. Where a user is named it has to be one of theirs; else any that its device keeps. */
export async function askForPasskey(
  world: PasskeySettings & { db: Database },
  about: Omit<Ceremony, 'challenge'>,
): Promise<Asked<PublicKeyCredentialRequestOptionsJSON>> {
  const { generateAuthenticationOptions } = await import('@simplewebauthn/server');
  const challenge = randomBytes(32);
  const options = await generateAuthenticationOptions({
    rpID: rpIdOf(world),
    challenge: Uint8Array.from(challenge),
    timeout: ceremonySeconds * 1000,
    userVerification: about.userId === null ? 'required' : 'preferred',
    ...(about.userId !== null && { allowCredentials: (await passkeysOf(world.db, about.userId)).map(toDescriptor) }),
  });
  return { ceremony: await begin(world.db, { ...about, challenge }), options };
}

export interface PasskeyProof {
  passkey: Passkey;
  asked: Ceremony;
  /** Whether the device has made sure who holds it: by a fingerprint, a PIN. */
  isUserVerified: boolean;
  /** Writes the use down, in the transaction of what the proof is for. @throws passkeyInvalid where another was quicker */
  use: (tx: Transaction) => Promise<void>;
}

/**
 * Checks what a passkey has answered. Where nobody was named beforehand, it alone has to tell who it is, and so must have
 * made sure of its holder.
 * @throws passkeyInvalid
 */
export async function checkPasskey(
  world: PasskeySettings & { db: Database },
  purpose: Ceremony['purpose'],
  { ceremony, response }: { ceremony: string; response: AuthenticationResponseJSON },
): Promise<PasskeyProof> {
  const asked = await answered(world.db, purpose, ceremony);
  const passkey = await findPasskey(world.db, Buffer.from(response.id, 'base64url'));
  const isExpected = passkey?.tenantId === asked.tenantId && (asked.userId === null || passkey.userId === asked.userId);
  if (!passkey || !isExpected) throw passkeyInvalid({ detail: 'It belongs to no account here.' });
  const { verifyAuthenticationResponse } = await import('@simplewebauthn/server');
  const { authenticationInfo } = await orInvalid(() =>
    verifyAuthenticationResponse({
      response,
      expectedChallenge: asked.challenge.toString('base64url'),
      expectedOrigin: originsOf(world),
      expectedRPID: rpIdOf(world),
      credential: {
        id: passkey.credentialId.toString('base64url'),
        publicKey: Uint8Array.from(passkey.publicKey),
        counter: passkey.signCount,
      },
      requireUserVerification: asked.userId === null,
    }),
  );
  const use = async (tx: Transaction) => {
    if (await usePasskey(tx, passkey.id, authenticationInfo.newCounter)) return;
    throw passkeyInvalid({ detail: 'Its count says that it was used elsewhere since.' });
  };
  return { passkey, asked, isUserVerified: authenticationInfo.userVerified, use };
}

async function begin(db: Queryable, about: Ceremony): Promise<string> {
  const id = newId();
  await insertCeremony(db, { ...about, id, seconds: ceremonySeconds });
  return id;
}

async function answered(db: Queryable, purpose: Ceremony['purpose'], id: string): Promise<Ceremony> {
  const asked = await takeCeremony(db, purpose, id);
  if (!asked) throw unknownCeremony();
  return asked;
}

function unknownCeremony() {
  return passkeyInvalid({
    detail: 'It was not asked for, was answered before, or more than five minutes ago. Ask again.',
  });
}

/** The library throws plain errors for whatever is wrong with an answer. */
async function orInvalid<T extends { verified: boolean }>(verify: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await verify();
  } catch (error) {
    throw passkeyInvalid({ detail: error instanceof Error ? error.message : 'It cannot be read.', cause: error });
  }
  if (!result.verified) throw passkeyInvalid({ detail: 'Its signature is wrong.' });
  return result;
}

function toDescriptor({ credentialId, transports }: Passkey) {
  return { id: credentialId.toString('base64url'), transports };
}

function rpIdOf({ webauthnRpId, publicUrl }: PasskeySettings): string {
  return webauthnRpId ?? new URL(publicUrl).hostname;
}

function originsOf({ publicUrl, webauthnOrigins }: PasskeySettings): string[] {
  return [new URL(publicUrl).origin, ...webauthnOrigins];
}
