/** `GET /`: says where everything is, with a first call to copy. */
import { type Html, html, page } from './page.ts';
import type { Routes } from './server.ts';

interface FrontPage {
  publicUrl: string;
  version: string;
  development: boolean;
}

export function frontPageRoutes({ publicUrl, version, development }: FrontPage): Routes {
  const text = page({ title: 'Postern', body: body({ publicUrl, version, development }) });
  return (app) => {
    app.get('/', { schema: { hide: true } }, (_request, reply) => reply.type('text/html').send(text));
  };
}

function body({ publicUrl, version, development }: FrontPage): Html {
  const places: [path: string, what: string][] = [
    ['/docs', 'Every call, to read and to try'],
    ['/openapi.json', 'The same for programs (OpenAPI 3.1)'],
    ...(development
      ? ([['/inbox', 'Dev inbox: every letter Postern sends on this machine']] as [string, string][])
      : []),
    ['/.well-known/oauth-authorization-server', 'OAuth 2 metadata'],
    ['/.well-known/jwks.json', 'Public keys of the tokens'],
    ['/readyz', 'Ready to serve, and each dependency'],
    ['/livez', 'The process is alive'],
    ['/metrics', 'Metrics for Prometheus'],
  ];
  return html`<main>
<h1>Postern ${version}</h1>
<p>Users and mail for an application. This service is running${development && ' in development mode'}.</p>
<table>
${places.map(([path, what]) => html`<tr><td><a href="${path}">${path}</a></td><td>${what}</td></tr>\n`)}</table>
<h2>A first call</h2>
<pre>${firstCall(publicUrl)}</pre>
<p class="soft">It registers a user and sends a letter with a code and a link${
    development && html`, which <a href="/inbox">the dev inbox</a> shows`
  }.</p>
</main>`;
}

/** Also what `start` prints. */
export function firstCall(publicUrl: string): string {
  return `curl ${publicUrl}/auth/register -H 'Content-Type: application/json' \\
  -d '{"email": "ann@example.com", "password": "a long pass phrase"}'`;
}
