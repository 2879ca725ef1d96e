// The inbox page in the browser: list, reading pane, live updates. Mail is hostile: it only ever enters the page as
// textContent or inside the sandboxed frame. The message that is open stands in the address (#id), so Back works.

const $ = (id) => document.getElementById(id);
const views = ['html', 'text', 'source'];
const pageSize = 50;

let shown = pageSize;
let messages = [];
let openId;

async function refresh() {
  try {
    const answer = await fetch(`/inbox/messages?limit=${shown}`);
    if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
    const { data, has_more } = await answer.json();
    messages = data;
    $('more').hidden = !has_more || shown >= 1000;
    $('state').textContent = '';
    render();
  } catch (error) {
    $('state').textContent = `Not up to date: ${error.message}`;
  }
}

function render() {
  $('messages').replaceChildren(...messages.map(listItem));
  $('empty').hidden = messages.length > 0;
  $('delete-all').hidden = messages.length === 0;
  void openFromAddress();
}

function listItem({ id, subject, to, received_at }) {
  const link = element('a', {
    href: `#${id}`,
    children: [
      element('b', { text: subject || '(no subject)' }),
      element('span', { text: to.join(', ') }),
      element('time', { text: localTime(received_at) }),
    ],
  });
  link.querySelector('time').dateTime = received_at;
  if (id === openId) link.setAttribute('aria-current', 'true');
  return element('li', { children: [link] });
}

async function openFromAddress() {
  const id = location.hash.slice(1);
  if (id === (openId ?? '')) return;
  const message = id === '' ? undefined : (messages.find((one) => one.id === id) ?? (await load(id)));
  if (id !== location.hash.slice(1)) return; // another was opened meanwhile
  openId = message?.id;
  $('reader').hidden = message === undefined;
  for (const link of $('messages').querySelectorAll('li > a')) {
    if (message && link.hash === `#${message.id}`) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  }
  if (message) showMessage(message);
}

async function load(id) {
  const answer = await fetch(`/inbox/messages/${encodeURIComponent(id)}`);
  return answer.ok ? answer.json() : undefined;
}

function showMessage(message) {
  $('subject').textContent = message.subject || '(no subject)';
  $('from').textContent = message.from;
  $('to').textContent = message.to.join(', ');
  $('received').textContent = localTime(message.received_at);
  // Replaced, so that Back goes to the list and not to the message before.
  $('view-html').contentWindow.location.replace(`/inbox/messages/${message.id}/html`);
  $('view-text').textContent = message.text ?? 'This message has no text part.';
  $('view-source').textContent = '';
  selectTab(message.html === null ? 'text' : 'html');
}

function selectTab(chosen) {
  for (const view of views) {
    $(`view-${view}`).hidden = view !== chosen;
    $(`tab-${view}`).setAttribute('aria-selected', String(view === chosen));
    $(`tab-${view}`).tabIndex = view === chosen ? 0 : -1;
  }
  if (chosen === 'source' && openId) void showSource(openId);
}

async function showSource(id) {
  const answer = await fetch(`/inbox/messages/${id}/source`);
  const source = await answer.text();
  if (id === openId) $('view-source').textContent = answer.ok ? source : 'The message is gone.';
}

function element(name, { text, href, children = [] }) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (href !== undefined) made.href = href;
  made.append(...children);
  return made;
}

function localTime(rfc3339) {
  return new Date(rfc3339).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

for (const [index, view] of views.entries()) {
  $(`tab-${view}`).addEventListener('click', () => selectTab(view));
  $(`tab-${view}`).addEventListener('keydown', ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = views.at((index + step) % views.length);
    selectTab(next);
    $(`tab-${next}`).focus();
  });
}
$('back').addEventListener('click', () => {
  location.hash = '';
});
$('more').addEventListener('click', () => {
  shown = Math.min(shown + pageSize, 1000);
  void refresh();
});
$('delete-all').addEventListener('click', async () => {
  if (!confirm('Delete all messages?')) return;
  await fetch('/inbox/messages', { method: 'DELETE' });
  location.hash = '';
  await refresh();
});
addEventListener('hashchange', openFromAddress);

const events = new EventSource('/inbox/events');
events.addEventListener('changed', refresh);
events.addEventListener('open', refresh);
events.addEventListener('error', () => {
  $('state').textContent = 'Waiting for the server…';
});
