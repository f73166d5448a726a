/** The head of an HTTP/1.1 request (RFC 9112 §3), and the bytes it may hold. */
import { asciiBytes } from '../codec/cose-sign.ts';

/** Part of an object: `to` is inclusive; without it, to the object's end. */
export interface RequestRange {
  readonly from: number;
  readonly to?: number;
  /** Entity tag of the object that the earlier part came from. */
  readonly ifRange?: string;
}

export interface RequestHead {
  readonly method: 'GET' | 'POST';
  readonly host: string;
  readonly port: number;
  /** Begins with a slash; already percent-encoded. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly range?: RequestRange;
}

/** A line break or blank in a request would let data become syntax: a bug of the caller. */
function checkVisible(what: string, text: string, alsoBlank: boolean): void {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < (alsoBlank ? 0x20 : 0x21) || code > 0x7e) {
      throw new RangeError(`${what}: character ${code} at ${i}`);
    }
  }
}

/**
 * Encodes the head. The connection carries this request alone.
 * @param bodyBytes length of the body that follows; undefined for none
 */
export function encodeRequestHead(head: RequestHead, bodyBytes: number | undefined): Uint8Array {
  checkVisible('host', head.host, false);
  checkVisible('path', head.path, false);
  if (head.path.charAt(0) !== '/') throw new RangeError('path: must begin with a slash');
  const host = head.host.indexOf(':') >= 0 ? `[${head.host}]` : head.host;
  let text = `${head.method} ${head.path} HTTP/1.1\r\nHost: ${host}:${head.port}\r\n`;
  text += 'Connection: close\r\n';
  const headers = head.headers ?? {};
  for (const name of Object.keys(headers)) {
    checkVisible('header name', name, false);
    checkVisible(name, headers[name]!, true);
    text += `${name}: ${headers[name]}\r\n`;
  }
  if (head.range !== undefined) {
    const { from, to, ifRange } = head.range;
    text += `Range: bytes=${from}-${to ?? ''}\r\n`;
    if (ifRange !== undefined) {
      checkVisible('If-Range', ifRange, true);
      text += `If-Range: ${ifRange}\r\n`;
    }
  }
  if (bodyBytes !== undefined) text += `Content-Length: ${bodyBytes}\r\n`;
  return asciiBytes(`${text}\r\n`);
}
