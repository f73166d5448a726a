/**
 * Sockets over the host's primitives: plain TCP as it is, and TLS as a second layer that moves its
 * records when something has happened below or above it. Which refusal is told, and when, is here.
 */
import { joinPieces } from '../../agent/codec/cose-sign.ts';
import type {
  Net,
  Socket,
  SocketError,
  SocketOptions,
  TlsOptions,
  TlsRefusal,
  TlsStatus,
} from '../types.ts';
import type { Native, NativeSocket, NativeTls } from './native.ts';

function createTls(native: Native, options: TlsOptions): NativeTls {
  const { serverName, trustAnchors, identity, time, resume } = options;
  return native.createTls!(
    serverName,
    joinPieces(trustAnchors),
    identity && joinPieces(identity.chain),
    identity?.privateKey,
    resume?.session,
    time.seconds,
    time.attested ? time.seconds : Number.MAX_SAFE_INTEGER,
  );
}

class TlsSocket implements Socket {
  private readonly native: Native;
  private readonly options: SocketOptions;
  private readonly resume: TlsStatus | undefined;
  private readonly layer: NativeTls;
  private readonly below: NativeSocket;
  private status: TlsStatus | undefined;
  /** `write` took less than it was given, and `onWritable` has to follow. */
  private starved = false;
  /** What the owner has to be told and may not be told from inside its own call. */
  private later: number | undefined;
  /** `onEnd` or `onError` was called, or `close`. */
  private over = false;
  private closed = false;

  constructor(native: Native, options: SocketOptions, tls: TlsOptions) {
    this.native = native;
    this.options = options;
    this.resume = tls.resume;
    this.layer = createTls(native, tls);
    try {
      this.below = native.connect!(
        options.host,
        options.port,
        () => this.move(),
        () => this.move(),
        () => this.move(),
        () => this.ended(),
        (error) => this.fail(error),
      );
    } catch (error) {
      this.layer.close();
      throw error;
    }
  }

  get tls(): TlsStatus | undefined {
    return this.status;
  }

  read(buffer: Uint8Array): number {
    if (this.closed) return 0;
    let count = this.layer.read(buffer);
    if (!this.over && count < buffer.length) {
      this.layer.exchange(this.below);
      count += this.layer.read(buffer.subarray(count));
    }
    this.look();
    return count;
  }

  write(buffer: Uint8Array): number {
    if (this.over || this.status === undefined) return 0;
    const count = this.layer.write(buffer);
    this.layer.exchange(this.below);
    this.starved = count < buffer.length;
    this.look();
    return count;
  }

  close(): void {
    if (this.closed) return;
    if (!this.over && this.status !== undefined) {
      this.layer.end();
      this.layer.exchange(this.below);
    }
    this.closed = true;
    this.over = true;
    if (this.later !== undefined) this.native.cancel(this.later);
    this.layer.close();
    this.below.close();
  }

  /** Something is possible on the wire. */
  private move(): void {
    if (this.over) return;
    this.layer.exchange(this.below);
    this.tell();
  }

  /** The TCP connection has ended; what was received may still be read. */
  private ended(): void {
    this.move();
    if (this.over) return;
    this.fail(refusal('tls-malformed', 'the server ended the connection without saying so'));
  }

  /** Tells the owner what came of an exchange. */
  private tell(): void {
    const { layer, options } = this;
    if (layer.open && this.status === undefined) {
      this.status = statusOf(layer, this.resume);
      options.onConnect();
    }
    if (!this.closed && layer.readable > 0) options.onReadable();
    if (!this.over && this.starved && layer.writable) {
      this.starved = false;
      options.onWritable?.();
    }
    if (this.over || !layer.over) return;
    const { refused, errorNumber } = layer;
    if (refused !== undefined) {
      this.fail(refusal(refused, `TLS failed, number ${errorNumber}`));
    } else {
      this.over = true;
      options.onEnd();
    }
  }

  /** After a call of the owner's: there is more to be told, as soon as the call is over. */
  private look(): void {
    const { layer } = this;
    const more = layer.readable > 0 || layer.over || (this.starved && layer.writable);
    if (!more || this.over || this.later !== undefined) return;
    this.later = this.native.after(0, () => {
      this.later = undefined;
      if (!this.over) this.tell();
    });
  }

  private fail(error: SocketError): void {
    if (this.over) return;
    this.over = true;
    this.options.onError(error);
  }
}

function statusOf(layer: NativeTls, resume: TlsStatus | undefined): TlsStatus {
  const session = layer.session();
  return layer.resumed && resume !== undefined
    ? { ...resume, resumed: true, session }
    : { resumed: false, notBefore: layer.notBefore, notAfter: layer.notAfter, session };
}

function refusal(refused: TlsRefusal, message: string): SocketError {
  return Object.assign(new Error(message), { refused });
}

export function createNativeNet(native: Native): Net {
  return {
    connect(options) {
      if (native.connect === undefined) throw new Error('net: this program has no network');
      if (options.tls !== undefined) return new TlsSocket(native, options, options.tls);
      const { host, port, onConnect, onReadable, onWritable, onEnd, onError } = options;
      return native.connect(host, port, onConnect, onReadable, onWritable, onEnd, onError);
    },
  };
}
