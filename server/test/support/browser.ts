/** As much of a browser as redirects and cookies take. */

export interface Page {
  status: number;
  url: string;
  headers: Headers;
  text: string;
}

interface OpenOptions {
  until?: string;
  accept?: string;
  /** Sent as a form, from a page of the same site unless `origin` says otherwise. */
  form?: Record<string, string>;
  origin?: string;
  language?: string;
}

export interface Browser {
  /** Follows redirects, to the end or to a URL that begins with `until`, which is not opened. */
  open: (url: string, options?: OpenOptions) => Promise<Page>;
  /** Cookies by host. */
  cookies: Map<string, Map<string, string>>;
}

export function openBrowser(): Browser {
  const cookies: Browser['cookies'] = new Map();
  return {
    cookies,
    open: async (start, { until, accept = 'text/html', form, origin = new URL(start).origin, language } = {}) => {
      let url = start;
      let body = form && new URLSearchParams(form);
      for (let step = 0; step < 20; step++) {
        const jar = cookies.get(new URL(url).host) ?? new Map<string, string>();
        cookies.set(new URL(url).host, jar);
        const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
        const headers = {
          accept,
          ...(cookie && { cookie }),
          ...(language && { 'accept-language': language }),
          ...(body && { origin }),
        };
        const reply = await fetch(url, { redirect: 'manual', headers, ...(body && { method: 'POST', body }) });
        body = undefined;
        for (const line of reply.headers.getSetCookie()) {
          const [pair = '', ...attributes] = line.split(';');
          const [name = '', ...value] = pair.split('=');
          if (attributes.some((one) => /^\s*max-age=0$|^\s*expires=Thu, 01 Jan 1970/i.test(one))) jar.delete(name);
          else jar.set(name, value.join('='));
        }
        const location =
          reply.headers.get('location') ?? /^0; url=(.*)$/.exec(reply.headers.get('refresh') ?? '')?.[1] ?? null;
        const text = await reply.text();
        if (location === null) return { status: reply.status, url, headers: reply.headers, text };
        url = new URL(location, url).href;
        if (until !== undefined && url.startsWith(until))
          return { status: reply.status, url, headers: reply.headers, text };
      }
      throw new Error(`Too many redirects from ${start}`);
    },
  };
}
