import { type Html, html, page } from '../http/page.ts';
import type { MessageSummary } from './store.ts';

/** Lists the messages with or without JavaScript; the script at /inbox/inbox.js adds reading pane and live updates. */
export function inboxPage(messages: MessageSummary[]): string {
  return page({
    title: 'Inbox · Postern',
    script: '/inbox/inbox.js',
    body: html`<link rel="stylesheet" href="/inbox/inbox.css">
<div id="inbox">
<section id="list" aria-label="Messages">
<header>
<h1><a href="/">Postern</a> inbox</h1>
<button type="button" id="delete-all" hidden>Delete all</button>
</header>
<p id="state" class="soft" role="status"></p>
<ol id="messages">${messages.map(listItem)}</ol>
<p id="empty" class="soft"${messages.length > 0 && html` hidden`}>No mail yet. Whatever Postern sends in development
arrives here, and so does what any program sends to its SMTP port.</p>
<button type="button" id="more" hidden>Show older</button>
</section>
<section id="reader" aria-label="Message" hidden>
<header>
<button type="button" id="back">‹ All messages</button>
<h2 id="subject"></h2>
<dl><dt>From</dt><dd id="from"></dd><dt>To</dt><dd id="to"></dd><dt>Received</dt><dd id="received"></dd></dl>
<div role="tablist" aria-label="View">
<button type="button" role="tab" id="tab-html" aria-controls="view-html">HTML</button>
<button type="button" role="tab" id="tab-text" aria-controls="view-text">Text</button>
<button type="button" role="tab" id="tab-source" aria-controls="view-source">Source</button>
</div>
</header>
<iframe id="view-html" role="tabpanel" aria-labelledby="tab-html" title="Message as HTML"
 sandbox="allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>
<pre id="view-text" role="tabpanel" aria-labelledby="tab-text" tabindex="0"></pre>
<pre id="view-source" role="tabpanel" aria-labelledby="tab-source" tabindex="0"></pre>
</section>
</div>`,
  });
}

function listItem({ id, subject, to, from, receivedAt }: MessageSummary): Html {
  const at = receivedAt.toISOString();
  return html`
<li><a href="/inbox/messages/${id}/text"><b>${subject || '(no subject)'}</b><span>${to.join(', ')}</span>
<span class="soft">from ${from}</span> <time datetime="${at}">${at}</time></a>
<small><a href="/inbox/messages/${id}/html">HTML</a> · <a href="/inbox/messages/${id}/source">Source</a></small></li>`;
}

/**
 * A message's HTML for a frame of its own. Its links open new tabs: inside the frame our policy would stop them. The
 * text stands in where there is no HTML.
 */
export function framedHtml(messageHtml: string | null, text: string | null): string {
  const target = '<base target="_blank">';
  if (messageHtml === null) return html`<!doctype html><title>Text</title><pre>${text ?? ''}</pre>`.html;
  // After the doctype, since anything before it would change how the browser lays the message out.
  const start = /^\s*(<!doctype[^>]*>)?\s*(<html[^>]*>)?\s*(<head[^>]*>)?/i.exec(messageHtml)?.[0].length ?? 0;
  return messageHtml.slice(0, start) + target + messageHtml.slice(start);
}
