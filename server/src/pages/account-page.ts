/** What `/account` shows. */
import { type Html, html } from '../http/page.ts';
import type { Identity } from '../identities/identity.ts';
import type { Providers } from '../identities/providers.ts';
import type { ConsentSummary } from '../oauth/grant-store.ts';
import type { SecondFactor } from '../second-factors/second-factor.ts';
import type { SessionSummary } from '../sessions/store.ts';
import type { User } from '../users/user.ts';
import { deviceOf } from './device.ts';
import { passkeysScriptPath } from './passkey-form.ts';
import { factorsPart } from './second-factors.ts';
import { field, hidden, type Page, scopeText } from './show.ts';
import type { Texts } from './texts/en.ts';
import { fill } from './texts/texts.ts';

interface Account {
  user: User;
  sessions: SessionSummary[];
  /** Of this browser. */
  sessionId: string;
  identities: Identity[];
  providers: Providers;
  factors: SecondFactor[];
  codesLeft: number;
  applications: ConsentSummary[];
  note: Html | undefined;
}

export function accountPage(texts: Texts, account: Account): Page {
  const { user, factors, codesLeft, note } = account;
  return {
    title: texts.accountTitle,
    script: passkeysScriptPath,
    body: html`<h1>${texts.accountTitle}</h1>${note}
${greeting(texts, user)}
<form method="post" action="/account/sign-out"><button class="quiet" type="submit">${texts.signOut}</button></form>
${sessionsPart(texts, account)}
${identitiesPart(texts, account)}
${applicationsPart(texts, account)}
${passwordPart(texts, user)}
${factorsPart(texts, factors, codesLeft)}
<h2>${texts.dataTitle}</h2>
<p><a href="/account/export">${texts.exportData}</a></p>
<h2>${texts.deleteAccount}</h2>
<form method="post" action="/account/delete">
${field({ name: 'word', label: fill(texts.deleteText, { word: texts.deleteWord }) })}
<button class="quiet bad" type="submit">${texts.deleteAccount}</button>
</form>`,
  };
}

function greeting(texts: Texts, { email, username, emailVerifiedAt }: User): Html {
  const isWaiting = email !== null && emailVerifiedAt === null;
  return html`<p>${fill(texts.signedInAs, { name: email ?? username ?? '' })}${
    isWaiting && html`<br><span class="soft">${texts.notVerified}</span> <a href="/verify">${texts.toVerify}</a>`
  }</p>`;
}

function sessionsPart(texts: Texts, { sessions, sessionId }: Account): Html {
  const rows = sessions.map(({ id, ip, userAgent, refreshedAt }) => {
    const device = (userAgent && deviceOf(userAgent)) || texts.unknownDevice;
    const end = html`<form method="post" action="/account/sessions/end">${hidden('id', id)}<button class="quiet" type="submit" aria-label="${texts.end}: ${device}">${texts.end}</button></form>`;
    return html`<li><div>${device}<br><span class="soft">${ip} · ${fill(texts.lastUsed, { at: instant(texts, refreshedAt) })}</span></div>
${id === sessionId ? html`<span class="soft">${texts.thisBrowser}</span>` : end}</li>
`;
  });
  return html`<h2>${texts.sessionsTitle}</h2>
<ul class="rows">${rows}</ul>
<form method="post" action="/account/sign-out-everywhere"><button class="quiet" type="submit">${texts.signOutEverywhere}</button></form>`;
}

function identitiesPart(texts: Texts, { identities, providers }: Account): Html | false {
  if (identities.length === 0) return false;
  const rows = identities.map(({ id, issuer, email, lastUsedAt }) => {
    const name = providers.all.find((one) => one.issuer === issuer)?.name ?? issuer;
    const details = [email, fill(texts.lastUsed, { at: instant(texts, lastUsedAt) })].filter((one) => one !== null);
    return html`<li><div>${name}<br><span class="soft">${details.join(' · ')}</span></div>
<form method="post" action="/account/identities/unlink">${hidden('id', id)}<button class="quiet" type="submit" aria-label="${texts.unlink}: ${name}">${texts.unlink}</button></form></li>
`;
  });
  return html`<h2>${texts.identitiesTitle}</h2>
<ul class="rows">${rows}</ul>`;
}

function applicationsPart(texts: Texts, { applications }: Account): Html | false {
  if (applications.length === 0) return false;
  const rows = applications.map(({ clientId, clientName, scopes, givenAt }) => {
    const name = clientName ?? clientId;
    return html`<li><div>${name}<br><span class="soft">${scopes.map((scope) => scopeText(texts, scope)).join(' · ')} · ${fill(texts.applicationSince, { at: instant(texts, givenAt) })}</span></div>
<form method="post" action="/account/applications/withdraw">${hidden('client_id', clientId)}<button class="quiet" type="submit" aria-label="${texts.withdraw}: ${name}">${texts.withdraw}</button></form></li>
`;
  });
  return html`<h2>${texts.applicationsTitle}</h2>
<ul class="rows">${rows}</ul>`;
}

/** Who has no password has nothing to confirm these by, and gets one by a letter first. */
function passwordPart(texts: Texts, { passwordHash, email, username }: User): Html {
  if (passwordHash === null) {
    return html`<h2>${texts.passwordTitle}</h2>
<p>${texts.noPassword} <a href="/forgot">${texts.setPassword}</a></p>`;
  }
  // For password managers: whose password it is. It has no name, so it is not sent.
  const owner = html`<input autocomplete="username" value="${email ?? username ?? ''}" readonly hidden>`;
  return html`<h2>${texts.passwordTitle}</h2>
<form method="post" action="/account/password">${owner}
${field({ name: 'current_password', label: texts.currentPassword, type: 'password', autocomplete: 'current-password' })}
${field({ name: 'new_password', label: texts.newPassword, type: 'password', autocomplete: 'new-password' })}
<button type="submit">${texts.changePassword}</button>
</form>
<p><a href="/forgot">${texts.forgotPassword}</a></p>
<h2>${texts.emailTitle}</h2>
<form method="post" action="/account/email">${owner}
${field({ name: 'email', label: texts.newEmail, type: 'email', autocomplete: 'email' })}
${field({ name: 'password', label: texts.currentPassword, type: 'password', autocomplete: 'current-password' })}
<button type="submit">${texts.changeEmail}</button>
</form>`;
}

function instant({ language }: Texts, at: Date): string {
  const format = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' });
  return `${format.format(at)} UTC`;
}
