/**
 * Base64 of RFC 4648, strictly: its own alphabet, padded, no line breaks, no bits left over. `Buffer` passes over what it
 * does not know and also reads the alphabet of URLs; two readers that pass over different things see different files.
 */
export class Base64Decoder {
  /** False once something was read that is no base64; what follows is then ignored. */
  isValid = true;
  /** Octets decoded so far. */
  size = 0;
  #rest = '';

  /** Decodes what it can of the next part of the text. */
  push(text: Buffer): Buffer {
    if (!this.isValid) return nothing;
    const whole = this.#rest + text.toString('latin1');
    // The last four characters may hold the padding: they wait for `end`.
    const count = whole.length - (whole.length % 4 || 4);
    if (count <= 0) {
      this.#rest = whole;
      return nothing;
    }
    this.#rest = whole.slice(count);
    return this.#decode(whole.slice(0, count), (count / 4) * 3);
  }

  /** Decodes the end. */
  end(): Buffer {
    const last = this.#rest;
    this.#rest = '';
    if (!this.isValid || last === '') return nothing;
    if (last.length !== 4) return this.#refuse();
    const padding = last.endsWith('==') ? 2 : last.endsWith('=') ? 1 : 0;
    const octets = this.#decode(last.slice(0, 4 - padding), 3 - padding);
    if (!this.isValid || octets.toString('base64') === last) return octets;
    this.size -= octets.length;
    return this.#refuse();
  }

  #decode(text: string, size: number): Buffer {
    if (text.includes('-') || text.includes('_') || text.includes('=')) return this.#refuse();
    const octets = Buffer.from(text, 'base64');
    if (octets.length !== size) return this.#refuse();
    this.size += size;
    return octets;
  }

  #refuse(): Buffer {
    this.isValid = false;
    return nothing;
  }
}

const nothing = Buffer.alloc(0);

/** The octets of a text that is at hand as a whole; undefined where it is no base64. */
export function decodeBase64(text: string): Buffer | undefined {
  // Characters outside ASCII become octets that no base64 has; cutting them down could make one that is.
  const decoder = new Base64Decoder();
  const octets = Buffer.concat([decoder.push(Buffer.from(text)), decoder.end()]);
  return decoder.isValid ? octets : undefined;
}
