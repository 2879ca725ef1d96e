/** A form that asks the browser for a passkey; hidden until its script finds that the browser can. */
import { type Html, html } from '../http/page.ts';
import { invalidRequest } from '../http/problem.ts';
import { hidden } from './show.ts';
import type { Texts } from './texts/en.ts';

export const passkeysScriptPath = '/passkeys.js';

export interface PasskeyForm {
  /** What is asked of `navigator.credentials`. */
  does: 'create' | 'get';
  /** Where the form goes, and where its script gets the options. */
  action: string;
  options: string;
  step?: 'alone' | 'second';
  /** The tenant. */
  server?: string | undefined;
  button: string;
}

export function passkeyForm(texts: Texts, { does, action, options, step, server, button }: PasskeyForm): Html {
  return html`<form class="more" method="post" action="${action}" data-passkey="${does}" data-options="${options}" data-failed="${texts.passkeyFailed}" hidden>
<input type="hidden" name="ceremony"><input type="hidden" name="response">${hidden('step', step)}${hidden('server', server)}
<button class="quiet" type="submit">${button}</button> <span class="bad" aria-live="polite"></span>
</form>`;
}

/** The fields of such a form. @throws invalidRequest */
export function readPasskey<Response>(fields: { ceremony: string; response: string }): {
  ceremony: string;
  response: Response;
} {
  const { ceremony } = fields;
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(ceremony)) throw unreadable();
  try {
    const response = JSON.parse(fields.response);
    if (typeof response?.id !== 'string' || typeof response.response !== 'object') throw unreadable();
    return { ceremony, response };
  } catch {
    throw unreadable();
  }
}

function unreadable() {
  return invalidRequest({ detail: 'The answer of the passkey cannot be read.' });
}
