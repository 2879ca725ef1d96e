/** The pages of the flows, handed in by `pages/oauth-pages.ts`: each is HTML in the language of the browser. */
import type { IncomingHttpHeaders } from 'node:http';

/** A form's action, and the word that shows it was sent by the page itself. */
export interface PageForm {
  action: string;
  xsrf: string;
}

export interface ProviderPages {
  /** What went wrong, where no client can be told. */
  fault: (headers: IncomingHttpHeaders, fault: { error: string; error_description?: string | undefined }) => string;
  /** Where the code of a device is typed in. */
  userCode: (
    headers: IncomingHttpHeaders,
    form: PageForm & { userCode: string; note: UserCodeNote | undefined },
  ) => string;
  /** Whether it is that device. */
  userCodeConfirm: (headers: IncomingHttpHeaders, form: PageForm & { client: string; userCode: string }) => string;
  deviceDone: (headers: IncomingHttpHeaders) => string;
  logout: (headers: IncomingHttpHeaders, form: PageForm & { client: string | undefined }) => string;
  loggedOut: (headers: IncomingHttpHeaders) => string;
}

export type UserCodeNote = 'wrong' | 'denied' | 'failed';
