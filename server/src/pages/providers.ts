/** The providers of the settings, as a page offers them. */

import { type Html, html } from '../http/page.ts';
import { accountPage } from '../identities/begin-sign-in.ts';
import type { Providers } from '../identities/providers.ts';
import type { Texts } from './texts/en.ts';
import { fill } from './texts/texts.ts';

/** Links and no forms: `form-action` of the policy would stop a form on its way to another site. */
export function providerLinks({ providers }: { providers: Providers }, texts: Texts, server?: string): Html | false {
  if (providers.all.length === 0) return false;
  const query = new URLSearchParams({ redirect_to: accountPage, ...(server !== undefined && { server }) });
  const links = providers.all.map(
    ({
      id,
      name,
    }) => html`<p><a class="button" href="/auth/${id}?${query}">${fill(texts.withProvider, { name })}</a></p>
`,
  );
  return html`<p class="or">${texts.or}</p>
${links}`;
}
