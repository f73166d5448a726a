/**
 * One image by ranges of one object: each range is its own request, bound to the entity tag of the
 * first, so that parts of two objects are never joined. Holds one piece at a time.
 */
import { isRefusal, refuse } from '../codes.ts';
import type { HttpClient, HttpHandle, HttpRefusal, HttpRequest } from './http.ts';
import type { ResponseHead } from './response-parser.ts';

export interface ImageDownloadEvents {
  /** The next ciphertext bytes and their offset in the image; valid during the call only. */
  readonly onPiece: (piece: Uint8Array, offset: number) => void;
  /** Called once, unless cancelled: undefined when the last byte was handed on. */
  readonly onDone: (refusal: HttpRefusal | undefined) => void;
  /** The object's entity tag, before its first piece: worth keeping to go on later. */
  readonly onEntityTag?: (etag: string) => void;
}

export interface ImageDownloadOptions {
  readonly http: HttpClient;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** Listed length of the ciphertext in bytes. */
  readonly length: number;
  /** First byte wanted. */
  readonly from: number;
  /** Bytes for one request. */
  readonly rangeBytes: number;
  readonly minimumRate: number;
  /** TLS of the next request; plain TCP when absent. */
  readonly connection?: () => Pick<HttpRequest, 'tls' | 'onTls'>;
  readonly etag: string | undefined;
  readonly events: ImageDownloadEvents;
}

export class ImageDownload implements HttpHandle {
  private readonly options: ImageDownloadOptions;
  private offset: number;
  private etag: string | undefined;
  private current: HttpHandle;
  private paused = false;
  private cancelled = false;
  /** The last request's end came while the consumer had paused. */
  private waiting = false;

  constructor(options: ImageDownloadOptions) {
    const { from, length } = options;
    if (!(from >= 0 && from < length)) throw new RangeError(`from: ${from} of ${length} bytes`);
    this.options = options;
    this.offset = from;
    this.etag = options.etag;
    this.current = this.next();
  }

  pause(): void {
    this.paused = true;
    this.current.pause();
  }

  resume(): void {
    if (!this.paused || this.cancelled) return;
    this.paused = false;
    if (this.waiting) {
      this.waiting = false;
      this.current = this.next();
    } else {
      this.current.resume();
    }
  }

  cancel(): void {
    this.cancelled = true;
    this.current.cancel();
  }

  private next(): HttpHandle {
    const { http, host, port, path, length, rangeBytes, minimumRate, events } = this.options;
    const connection = this.options.connection?.();
    const from = this.offset;
    const to = Math.min(from + rangeBytes, length) - 1;
    let refused: HttpRefusal | undefined;
    const handle: HttpHandle = http.request({
      ...connection,
      host,
      port,
      path,
      method: 'GET',
      headers: { Accept: 'application/octet-stream' },
      range: this.etag === undefined ? { from, to } : { from, to, ifRange: this.etag },
      // INS-09: a peer that serves no ranges sends the whole object; of a range, the range is the bound.
      maxBodyBytes: length - from,
      row: 'INS-09',
      minimumRate,
      onHeaders: (head) => {
        refused = this.checkObject(head);
        if (refused !== undefined) {
          handle.cancel();
          events.onDone(refused);
        } else if (this.etag === undefined && head.etag !== undefined) {
          this.etag = head.etag;
          events.onEntityTag?.(head.etag);
        }
      },
      onBody: (piece) => {
        const at = this.offset;
        this.offset += piece.length;
        events.onPiece(piece, at);
      },
      onDone: (result) => this.rangeEnded(result),
    });
    return handle;
  }

  /** INS-09: the object is as long as the Targets say. */
  private checkObject(head: ResponseHead): HttpRefusal | undefined {
    const total = head.contentRange?.total ?? head.length;
    const { length } = this.options;
    return total === length
      ? undefined
      : refuse('image-length', `object of ${total} bytes, listed with ${length}`, 'INS-09');
  }

  private rangeEnded(result: ResponseHead | HttpRefusal): void {
    if (isRefusal(result)) this.options.events.onDone(result);
    else if (this.offset === this.options.length) this.options.events.onDone(undefined);
    else if (this.paused) this.waiting = true;
    else this.current = this.next();
  }
}
