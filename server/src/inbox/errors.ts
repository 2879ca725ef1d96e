import { defineError } from '../errors.ts';

export const messageNotFound = defineError('inbox.message_not_found', 404, 'There is no such message in the inbox');
