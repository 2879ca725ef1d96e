/**
 * Which URIs a client may name. They are compared character by character later on, and browsers are sent there, so that
 * nothing is mended: what a browser would read in another way than we do is refused.
 */

/** Those of RFC 3986. A backslash, say, is a slash to browsers. */
const characters = /^[\w\-.~:/?#[\]@!$&'()*+,;=%]{1,2000}$/;
const loopback = ['localhost', '127.0.0.1', '[::1]'];

/** What is wrong with a URI that people are sent back to (RFC 6749 §3.1.2, RFC 8252), to complete "… URI"; else undefined. */
export function redirectUriFault(text: string, applicationType: 'web' | 'native'): string | undefined {
  const url = readUri(text);
  if (typeof url === 'string') return url;
  const isNative = applicationType === 'native';
  const isLoopback = loopback.includes(url.hostname);
  if (url.protocol === 'https:') {
    return isNative && isLoopback ? 'must be http: no native application has a certificate for loopback' : undefined;
  }
  if (url.protocol === 'http:') {
    return isLoopback ? undefined : `must be https; http is for ${loopback.join(', ')} alone`;
  }
  // RFC 8252 §7.1: the reversed name of a domain. `javascript:`, `data:`, `file:` and the like have no dot.
  if (!url.protocol.includes('.')) {
    return 'must be https, or have a private-use scheme with a dot in it, such as com.example.app';
  }
  return isNative ? undefined : 'has a private-use scheme, which needs application_type native';
}

/** Of a page, or of a document that is fetched. */
export function webUriFault(text: string, { isFetched }: { isFetched: boolean }): string | undefined {
  const url = readUri(text);
  if (typeof url === 'string') return url;
  if (url.protocol === 'https:') return undefined;
  if (url.protocol !== 'http:') return isFetched ? 'must be https' : 'must be https or http';
  return isFetched && !loopback.includes(url.hostname)
    ? `must be https; http is for ${loopback.join(', ')} alone`
    : undefined;
}

/** RFC 8707 §2. */
export function resourceFault(text: string): string | undefined {
  const url = readUri(text);
  return typeof url === 'string' ? url : undefined;
}

function readUri(text: string): URL | string {
  if (!characters.test(text) || !URL.canParse(text)) return 'must be an absolute URI of at most 2000 characters';
  if (text.includes('#')) return 'must have no fragment';
  if (/^[^/?]*\/\/[^/?]*@/.test(text)) return 'must hold no user and password';
  // `https:example.com` is something else to RFC 3986 than to browsers.
  if (/^https?:/i.test(text) && !/^https?:\/\/[^/]/i.test(text)) return 'must be an absolute URI';
  return new URL(text);
}
