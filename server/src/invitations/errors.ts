import { defineError } from '../errors.ts';

export const invitationNotFound = defineError('invitations.not_found', 404, 'There is no such invitation');
export const alreadyInvited = defineError('invitations.already_invited', 409, 'This address is invited already');
export const invitationEnded = defineError('invitations.ended', 409, 'This invitation has ended');
