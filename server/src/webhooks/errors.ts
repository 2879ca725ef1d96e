import { defineError } from '../errors.ts';

export const webhookNotFound = defineError('webhooks.not_found', 404, 'There is no such webhook');
export const deliveryNotFound = defineError('webhooks.delivery_not_found', 404, 'There is no such delivery');
export const urlRefused = defineError('webhooks.url_refused', 400, 'This URL cannot be a webhook');
export const webhookDisabled = defineError('webhooks.disabled', 409, 'The webhook is disabled');
export const tooManyWebhooks = defineError('webhooks.too_many', 409, 'The tenant has as many webhooks as it may have');
