import { defineError } from '../errors.ts';

export const templateNotFound = defineError('templates.not_found', 404, 'There is no such template');
/** In a letter, where the address of the call exists and what its body names does not. */
export const templateUnknown = defineError('templates.unknown', 400, 'There is no such template');
export const templateInvalid = defineError('templates.invalid', 400, 'The template cannot be used as it is');
export const nameTaken = defineError('templates.name_taken', 409, 'There is a template of this name already');
export const templateInUse = defineError('templates.in_use', 409, 'Other templates use this layout');
export const missingVariables = defineError('templates.missing_variables', 400, 'The template needs more variables');
export const invalidVariables = defineError(
  'templates.invalid_variables',
  400,
  'The variables do not fit the template',
);
export const variablesTooLarge = defineError('templates.variables_too_large', 413, 'The variables are too large');
export const renderFailed = defineError('templates.render_failed', 400, 'The template cannot be rendered with this');
export const renderLimit = defineError('templates.render_limit', 400, 'Rendering takes too much time or memory');
export const renderBusy = defineError('templates.busy', 503, 'Too many templates are being rendered at once');
