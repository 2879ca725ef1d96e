/** The pages of OAuth's flows that `oidc-provider` shows: devices, signing out, and what went wrong. */
import { type Html, html, page } from '../http/page.ts';
import type { PageForm, ProviderPages } from '../oauth/provider/pages.ts';
import { hidden, note } from './show.ts';
import type { Texts } from './texts/en.ts';
import { fill, textsFor } from './texts/texts.ts';

export const oauthPages: ProviderPages = {
  fault: (headers, { error, error_description: description }) => {
    const texts = textsFor({ headers });
    const detail = [error, description].filter((one) => one !== undefined).join(': ');
    return whole(
      texts,
      texts.oauthFaultTitle,
      html`${note('alert', texts.oauthFaultText)}
<p class="soft">${fill(texts.oauthFaultDetail, { error: detail })}</p>`,
    );
  },
  userCode: (headers, { userCode, note: kind, ...form }) => {
    const texts = textsFor({ headers });
    return whole(
      texts,
      texts.deviceTitle,
      html`${kind && note(kind === 'denied' ? 'status' : 'alert', texts.deviceNotes[kind])}
<p>${texts.deviceText}</p>
${begin(form)}
<p><label for="user_code">${texts.deviceCodeField}</label>
<input class="code" id="user_code" name="user_code" value="${userCode}" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" required${!kind && html` autofocus`}></p>
<button type="submit">${texts.goOn}</button>
</form>`,
    );
  },
  userCodeConfirm: (headers, { client, userCode, ...form }) => {
    const texts = textsFor({ headers });
    return whole(
      texts,
      texts.deviceConfirmTitle,
      html`<p>${fill(texts.deviceConfirmText, { client })}</p>
<p><code>${userCode}</code></p>
${begin(form)}${hidden('user_code', userCode)}
<p><button type="submit" name="confirm" value="yes">${texts.goOn}</button>
<button class="quiet" type="submit" name="abort" value="yes">${texts.deny}</button></p>
</form>`,
    );
  },
  deviceDone: (headers) => {
    const texts = textsFor({ headers });
    return whole(texts, texts.deviceDoneTitle, html`<p role="status">${texts.deviceDoneText}</p>`);
  },
  logout: (headers, { client, ...form }) => {
    const texts = textsFor({ headers });
    const text = client === undefined ? texts.logoutText : fill(texts.logoutTextOf, { client });
    return whole(
      texts,
      texts.logoutTitle,
      html`<p>${text}</p>
${begin(form)}
<p><button type="submit" name="logout" value="yes">${texts.signOut}</button>
<button class="quiet" type="submit">${texts.stay}</button></p>
</form>`,
    );
  },
  loggedOut: (headers) => {
    const texts = textsFor({ headers });
    return whole(texts, texts.loggedOutTitle, html`<p role="status">${texts.loggedOutText}</p>`);
  },
};

function begin({ action, xsrf }: PageForm): Html {
  return html`<form method="post" action="${action}">${hidden('xsrf', xsrf)}`;
}

function whole({ language }: Texts, title: string, body: Html): string {
  return page({ title, language, body: html`<main class="narrow"><h1>${title}</h1>${body}</main>` });
}
