import { defineError } from '../errors.ts';

export const emailNotFound = defineError('emails.not_found', 404, 'There is no such email');
export const senderNotAllowed = defineError('emails.sender_not_allowed', 403, 'This sender may not be used');
export const emailTooLarge = defineError('emails.too_large', 413, 'The email is too large');
export const notCancelable = defineError('emails.not_cancelable', 409, 'The email can no longer be canceled');
export const notRetryable = defineError('emails.not_retryable', 409, 'The email cannot be sent again');
