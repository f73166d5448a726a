/**
 * What Node gives its programs and the tests use, for an engine that has only the language: output,
 * `process`, timers on a virtual clock, text as bytes, `Buffer`. Imported before anything else.
 */

declare function hostPrint(text: string): void;
/** Bytes that the engine has allocated. */
declare function hostMemory(): number;

const engine = globalThis as unknown as Record<string, unknown>;

function shown(value: unknown): string {
  return typeof value === 'string' ? value : String(value);
}

const print = (...values: unknown[]): void => hostPrint(`${values.map(shown).join(' ')}\n`);
engine['console'] = { log: print, error: print, warn: print, info: print };

let milliseconds = 0;
interface Waiting {
  readonly due: number;
  readonly run: () => void;
}
const waiting: Waiting[] = [];

engine['setTimeout'] = (run: () => void, after = 0): Waiting => {
  const timer = { due: milliseconds + Math.max(0, after), run };
  waiting.push(timer);
  return timer;
};
engine['clearTimeout'] = (timer: Waiting | undefined): void => {
  const at = timer === undefined ? -1 : waiting.indexOf(timer);
  if (at >= 0) waiting.splice(at, 1);
};
engine['setImmediate'] = engine['setTimeout'];

/** Called by the host when nothing else is left to do; false: no timer waits. */
engine['nextTimer'] = (): boolean => {
  const next = waiting.reduce<Waiting | undefined>(
    (first, one) => (first === undefined || one.due < first.due ? one : first),
    undefined,
  );
  if (next === undefined) return false;
  waiting.splice(waiting.indexOf(next), 1);
  milliseconds = next.due;
  next.run();
  return true;
};

// uvu waits until it is told to run what the files have queued.
engine['UVU_DEFER'] = true;
engine['UVU_QUEUE'] = [];

engine['process'] = {
  stdout: { write: (text: string) => hostPrint(text) },
  argv: [],
  env: {},
  pid: 1,
  hrtime: () => [0, 0],
  nextTick: queueMicrotask,
  on: () => undefined,
  set exitCode(status: number) {
    engine['exitStatus'] = status;
  },
  memoryUsage: () => ({ heapUsed: hostMemory(), arrayBuffers: hostMemory() }),
};

/** As for en-US, the only language that tests ask for. */
Number.prototype.toLocaleString = function (): string {
  return String(this).replace(/\B(?=(\d{3})+$)/g, ',');
};

/** UTF-8 of a text; unpaired surrogates become U+FFFD. */
function utf8(text: string): number[] {
  const bytes: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0)!;
    const code = point >= 0xd800 && point <= 0xdfff ? 0xfffd : point;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) {
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    } else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63));
      bytes.push(0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
  }
  return bytes;
}

function fromUtf8(bytes: Uint8Array): string {
  let escaped = '';
  for (const byte of bytes) escaped += `%${byte.toString(16).padStart(2, '0')}`;
  return decodeURIComponent(escaped);
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

engine['TextEncoder'] = class {
  encode(text: string): Uint8Array {
    return new Uint8Array(utf8(text));
  }
};
engine['TextDecoder'] = class {
  decode(bytes: Uint8Array): string {
    return fromUtf8(bytes);
  }
};

/** Uint8Array's own conversions, which this engine has and the type library not yet. */
interface Conversions {
  toHex(): string;
  toBase64(options?: { alphabet: string; omitPadding: boolean }): string;
}
const conversions = Uint8Array as unknown as {
  fromHex(text: string): Uint8Array;
  fromBase64(text: string, options?: { alphabet: string }): Uint8Array;
};

function encoded(text: string, encoding: string): Iterable<number> {
  switch (encoding) {
    case 'hex':
      return conversions.fromHex(text);
    case 'base64':
      return conversions.fromBase64(text);
    case 'base64url':
      return conversions.fromBase64(text, { alphabet: 'base64url' });
    case 'latin1':
    case 'ascii':
      return Array.from(text, (character) => character.charCodeAt(0) & 0xff);
    default:
      return utf8(text);
  }
}

/** The part of Node's Buffer that tests use. */
class BytesBuffer extends Uint8Array {
  static override from(source: unknown, encoding?: unknown): BytesBuffer {
    const bytes =
      typeof source === 'string'
        ? encoded(source, (encoding as string | undefined) ?? 'utf8')
        : (source as ArrayLike<number>);
    return new BytesBuffer(bytes as ArrayLike<number>);
  }

  static alloc(length: number, value = 0): BytesBuffer {
    return new BytesBuffer(length).fill(value);
  }

  static allocUnsafe(length: number): BytesBuffer {
    return new BytesBuffer(length);
  }

  static concat(parts: readonly Uint8Array[]): BytesBuffer {
    const whole = new BytesBuffer(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  static isBuffer(value: unknown): boolean {
    return value instanceof BytesBuffer;
  }

  static byteLength(text: string): number {
    return utf8(text).length;
  }

  static compare(a: Uint8Array, b: Uint8Array): number {
    for (let i = 0; i < a.length && i < b.length; i++) {
      if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
    }
    return Math.sign(a.length - b.length);
  }

  override toString(encoding = 'utf8', start = 0, end = this.length): string {
    if (start > 0 || end < this.length) {
      return BytesBuffer.from(this.subarray(start, end)).toString(encoding);
    }
    const bytes = this as unknown as Conversions;
    switch (encoding) {
      case 'hex':
        return bytes.toHex();
      case 'base64':
        return bytes.toBase64();
      case 'base64url':
        return bytes.toBase64({ alphabet: 'base64url', omitPadding: true });
      case 'latin1':
      case 'ascii':
        return latin1(this);
      default:
        return fromUtf8(this);
    }
  }

  equals(other: Uint8Array): boolean {
    return BytesBuffer.compare(this, other) === 0;
  }

  compare(other: Uint8Array): number {
    return BytesBuffer.compare(this, other);
  }

  override indexOf(sought: unknown, from = 0): number {
    if (!(sought instanceof Uint8Array)) return super.indexOf(sought as number, from);
    for (let at = from; at + sought.length <= this.length; at++) {
      if (sought.every((byte, i) => this[at + i] === byte)) return at;
    }
    return -1;
  }

  private get view(): DataView {
    return new DataView(this.buffer, this.byteOffset, this.length);
  }

  readUInt32BE(at = 0): number {
    return this.view.getUint32(at);
  }

  readUInt32LE(at = 0): number {
    return this.view.getUint32(at, true);
  }

  writeUInt16LE(value: number, at = 0): number {
    this.view.setUint16(at, value, true);
    return at + 2;
  }

  writeUInt32BE(value: number, at = 0): number {
    this.view.setUint32(at, value);
    return at + 4;
  }

  writeUInt32LE(value: number, at = 0): number {
    this.view.setUint32(at, value, true);
    return at + 4;
  }
}
engine['Buffer'] = BytesBuffer;
