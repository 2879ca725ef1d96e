/** A message as it goes over the wire: lines ended by CRLF, dots at their beginning doubled (RFC 5321 4.5.2, S44). */

const lineFeed = 10;
const carriageReturn = 13;
const dot = 46;

export interface Findings {
  /** It can go as it is: nothing to double, and no CR or LF stands alone. */
  isClean: boolean;
  /** It holds octets above 127 (RFC 6152). */
  is8Bit: boolean;
}

export function inspect(content: Buffer): Findings {
  let all = 0;
  let faults = 0;
  let previous = lineFeed;
  for (let at = 0; at < content.length; at++) {
    const octet = content[at] as number;
    all |= octet;
    if (previous === carriageReturn ? octet !== lineFeed : previous === lineFeed ? octet === dot : false) faults = 1;
    else if (octet === lineFeed && previous !== carriageReturn) faults = 1;
    previous = octet;
  }
  return { isClean: faults === 0 && previous !== carriageReturn, is8Bit: all > 127 };
}

/** Whether the header holds octets above 127, which is for relays with SMTPUTF8 (RFC 6531 3.1). */
export function hasUtf8Header(content: Buffer): boolean {
  const end = content.indexOf('\r\n\r\n');
  return content.subarray(0, end === -1 ? content.length : end).some((octet) => octet > 127);
}

/** Doubles dots and mends line ends, piece by piece. A CR or LF that stands alone is taken for a line end. */
export class DotStuffer {
  #previous = lineFeed;

  push(piece: Buffer): Buffer {
    const out = Buffer.allocUnsafe(2 * piece.length);
    let previous = this.#previous;
    let length = 0;
    for (let at = 0; at < piece.length; at++) {
      const octet = piece[at] as number;
      if (octet === carriageReturn || (octet === lineFeed && previous !== carriageReturn)) {
        out[length++] = carriageReturn;
        out[length++] = lineFeed;
      } else if (octet !== lineFeed) {
        if (octet === dot && (previous === lineFeed || previous === carriageReturn)) out[length++] = dot;
        out[length++] = octet;
      }
      previous = octet;
    }
    this.#previous = previous;
    return out.subarray(0, length);
  }

  /** The end of the data: its last line's end, where it has none, and the dot. */
  end(): string {
    return this.#previous === lineFeed || this.#previous === carriageReturn ? '.\r\n' : '\r\n.\r\n';
  }
}
