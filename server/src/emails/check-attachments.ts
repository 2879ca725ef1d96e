/** The rules of attachments (S43, S48): contents come with the request and from nowhere else, names name no place. */
import type { Attachment, Content, NewAttachment } from './attachments.ts';
import { invalidAttachment } from './errors.ts';
import { mediaTypeOf } from './media-types.ts';
import type { NewEmailBody } from './schemas.ts';
import { decodeBase64 } from './upload/base64.ts';
import type { UploadedContents } from './upload/upload.ts';

type Given = NonNullable<NewEmailBody['attachments']>[number];

const maxAttachments = 100;
const maxNameOctets = 255;

/** @throws invalidAttachment */
export function checkAttachments(given: Given[], uploaded: UploadedContents): NewAttachment[] {
  if (given.length > maxAttachments) {
    throw fault('attachments', `may be ${maxAttachments} in an email, not ${given.length}`);
  }
  const contentIds = new Set<string>();
  return given.map((one, position) => {
    const at = (field: string) => `attachments.${position}.${field}`;
    const filename = checked(at('filename'), () => checkFilename(one.filename));
    const contentType = checked(at('content_type'), () => checkMediaType(one.content_type ?? mediaTypeOf(filename)));
    const contentId = one.content_id ?? null;
    if (contentId !== null) checked(at('content_id'), () => checkContentId(contentId, contentIds));
    const { size, content } = checked(at('content'), () => contentOf(one.content, uploaded));
    return { position, filename, content_type: contentType, content_id: contentId, size, content };
  });
}

/** Where the content went when the body was read, or the octets of one that stands there itself. */
function contentOf(given: string, uploaded: UploadedContents): Pick<Attachment, 'size'> & { content: Content } {
  const found = uploaded.get(given);
  const octets = found ? undefined : decodeBase64(given);
  if (found?.isBase64 === false || (!found && !octets)) {
    throw new Error('must be base64 (RFC 4648 section 4: padded, without line breaks)');
  }
  if (found) return found;
  return {
    size: octets?.length ?? 0,
    content: async function* () {
      if (octets) yield octets;
    },
  };
}

// Control characters, separators of lines and paragraphs, and the overrides of direction that make "exe.pdf" of "fdp.exe".
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const forbidden = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

function checkFilename(name: string): string {
  if (forbidden.test(name)) throw new Error('must not contain line breaks or other control characters');
  if (!name.isWellFormed()) throw new Error('must be valid Unicode');
  if (/[/\\]/.test(name)) throw new Error('must be a name without folders: no "/" and no "\\"');
  const trimmed = name.trim();
  if (/^\.*$/.test(trimmed)) throw new Error('must name a file');
  if (Buffer.byteLength(trimmed) > maxNameOctets) throw new Error(`must be at most ${maxNameOctets} octets`);
  return trimmed;
}

// RFC 2045 5.1: type/subtype, then parameters, of tokens and quoted strings.
const token = "[A-Za-z0-9!#$%&'*+.^_`{|}~-]+";
const mediaType = new RegExp(
  `^${token}/${token}(?: *; *${token}=(?:${token}|"[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*"))*$`,
);

function checkMediaType(type: string): string {
  if (type.length > 255 || !mediaType.test(type)) throw new Error('must be a media type such as application/pdf');
  if (/^multipart\//i.test(type)) throw new Error('must not be multipart: an attachment is one part');
  // RFC 2046 5.2.1: a message must not be encoded, and attachments are.
  if (/^message\//i.test(type)) {
    throw new Error('must not be of message/*, which may not be encoded; send it as application/octet-stream');
  }
  if (/; *(?:name|filename|boundary)\*?\d*\*?=/i.test(type)) {
    throw new Error('must not have the parameters name and boundary; the name stands in filename');
  }
  return type;
}

function checkContentId(id: string, seen: Set<string>): void {
  // What stands between the angle brackets of Content-ID (RFC 2045 7) and, in `cid:` URLs, needs no escape but for these.
  if (!/^[A-Za-z0-9!#$&'*+/=?^_`{|}~.@-]{1,200}$/.test(id)) {
    throw new Error('must be 1 to 200 ASCII letters, digits and marks as in an address, without angle brackets');
  }
  if (seen.has(id)) throw new Error('stands twice; each inline image needs its own');
  seen.add(id);
}

function checked<T>(path: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    throw fault(path, error instanceof Error ? error.message : String(error));
  }
}

function fault(path: string, message: string) {
  return invalidAttachment({ detail: `In the body: ${path}: ${message}`, errors: [{ path, message }] });
}
