import { defineError } from '../errors.ts';

export const emailNotFound = defineError('emails.not_found', 404, 'There is no such email');
export const senderNotAllowed = defineError('emails.sender_not_allowed', 403, 'This sender may not be used');
export const emailTooLarge = defineError('emails.too_large', 413, 'The email is too large');
export const databaseSlow = defineError('emails.database_slow', 503, 'The database is too slow for more emails');
export const notCancelable = defineError('emails.not_cancelable', 409, 'The email can no longer be canceled');
export const notRetryable = defineError('emails.not_retryable', 409, 'The email cannot be sent again');

// Limits of single fields; `errors` names the field.
export const tooManyRecipients = defineError('emails.too_many_recipients', 400, 'The email has too many recipients');
export const batchTooLarge = defineError('emails.batch_too_large', 400, 'The batch has too many emails');
export const invalidHeader = defineError('emails.invalid_header', 400, 'A header cannot be sent');
export const invalidAttachment = defineError('emails.invalid_attachment', 400, 'An attachment cannot be sent');
export const scheduleTooFar = defineError('emails.schedule_too_far', 400, 'The email is scheduled too far ahead');
export const expiredAlready = defineError('emails.expired_already', 400, 'The email has expired already');
export const expiresTooEarly = defineError('emails.expires_before_schedule', 400, 'The email expires before it is due');
export const unsubscribeLinkInvalid = defineError(
  'emails.unsubscribe_link_invalid',
  404,
  'This link to unsubscribe is not valid',
);
export const attachmentNotFound = defineError('emails.attachment_not_found', 404, 'There is no such attachment');
