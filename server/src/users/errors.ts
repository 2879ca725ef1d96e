import { defineError } from '../errors.ts';

export const alreadyRegistered = defineError('users.already_registered', 409, 'This user is registered already');
export const registrationClosed = defineError('users.registration_closed', 403, 'Nobody registers here by themselves');
export const commonPassword = defineError('users.common_password', 400, 'This password is too well known');
export const unreadableHash = defineError('users.unreadable_hash', 400, 'This password hash cannot be taken over');
export const userNotFound = defineError('users.not_found', 404, 'There is no such user');
export const invalidCredentials = defineError('auth.invalid_credentials', 401, 'The credentials are wrong');
export const usersOnly = defineError('auth.users_only', 403, "This call is for a user's own session");
