/**
 * The vehicle's way to the two repositories (device plane, docs/POUF.md §2).
 *
 * Base addresses are those of the repository map (MAP-02), which nothing received can change.
 *
 * What comes back is bytes: verified by agent/verify, or decoded strictly where it is an answer.
 * Images are fetched by ranges, so that a download goes on where it stopped.
 */

import type { Clock, Random, Timer } from '../../hal/types.ts';
import { decode, encode, type Schema } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import {
  maxCertificateAnswerBytes,
  maxHttpRangeBytes,
  maxKeyObjectBytes,
  maxRetryMilliseconds,
  maxTimeBytes,
  minimumBytesPerSecond,
  retryBaseMilliseconds,
} from '../limits.ts';
import { hashAlgorithms } from '../metadata/common.ts';
import {
  type DeviceCertificate,
  deviceCertificate,
  emptyAnswer,
  type ManifestAnswer,
  manifestAnswer,
  type RegistrationAnswer,
  refusalAnswer,
  registrationAnswer,
  type UpdateAnswer,
  updateAnswer,
  updateQuery,
} from '../metadata/device-messages.ts';
import type { Endpoint } from '../metadata/repository-map.ts';
import type { Target } from '../metadata/targets.ts';
import { timeRequest } from '../metadata/time.ts';
import type { FileRequest } from '../verify/verification.ts';
import { Backoff } from './backoff.ts';
import { collectBody } from './collect-body.ts';
import type { DeviceTls, Peer } from './device-tls.ts';
import type { HttpClient, HttpHandle, HttpRefusal, HttpRequest } from './http.ts';
import { ImageDownload } from './image-download.ts';
import { ResumedDownload, type ResumedDownloadEvents } from './resumed-download.ts';

const mediaType = 'application/cbor';
/** Answers of the Director that are no metadata. */
const maxAnswerBytes = 256;

export interface RepositoryClientOptions {
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly vehicleId: string;
  readonly director: Endpoint;
  readonly images: Endpoint;
  /** Mutual TLS; plain HTTP when absent. */
  readonly tls?: DeviceTls | undefined;
  /** Bytes per second (ECU-03); `minimumBytesPerSecond` when absent. */
  readonly minimumRate?: number;
}

export class RepositoryClient {
  private readonly options: RepositoryClientOptions;
  /** Monotonic milliseconds until which a peer that asked for it is left alone (Retry-After). */
  private readonly quietUntil = { director: 0, images: 0 };

  constructor(options: RepositoryClientOptions) {
    this.options = options;
  }

  /**
   * Fetches a metadata file (FNM-01); undefined when the repository has none of that name.
   * Codes as in `HttpClient.request`; `net-endless` under the row of the file's bound.
   */
  fetchMetadata(
    file: FileRequest,
    onDone: (result: Uint8Array | undefined | Refusal) => void,
  ): HttpHandle {
    const { vehicleId } = this.options;
    const ofDirector = file.repository === 'director';
    return this.exchange(
      {
        peer: file.repository,
        path: ofDirector ? `/metadata/${vehicleId}/${file.name}` : `/metadata/${file.name}`,
        maxBodyBytes: file.maxBytes,
        row: boundRow(file.name),
      },
      (result) => {
        const absent =
          isRefusal(result) && result.refused === 'http-status' && result.status === 404;
        onDone(absent ? undefined : result);
      },
    );
  }

  /** Fetches the key object with this SHA-256; the caller checks it (CUS-05). */
  fetchKeyObject(sha256: Uint8Array, onDone: (result: Uint8Array | Refusal) => void): HttpHandle {
    const path = `/keys/${this.options.vehicleId}/${hexadecimal(sha256)}`;
    return this.exchange({ peer: 'director', path, maxBodyBytes: maxKeyObjectBytes }, onDone);
  }

  /** Sends a signed vehicle version manifest (PRI-01 step 1). */
  postManifest(
    manifest: Uint8Array,
    onDone: (result: ManifestAnswer | Refusal) => void,
  ): HttpHandle {
    return this.post(`/manifest/${this.options.vehicleId}`, manifest, manifestAnswer, onDone);
  }

  /** Asks whether something newer than Timestamp `timestampVersion` is there (0: has none). */
  checkUpdates(
    timestampVersion: number,
    onDone: (result: UpdateAnswer | Refusal) => void,
  ): HttpHandle {
    const query = encode(updateQuery, { vehicleId: this.options.vehicleId, timestampVersion });
    return this.post('/check_updates', query, updateAnswer, onDone);
  }

  /** Fetches a time attestation over `nonces`, 16 bytes each; the caller verifies it (HRD-03). */
  postTime(
    nonces: readonly Uint8Array[],
    onDone: (result: Uint8Array | HttpRefusal) => void,
  ): HttpHandle {
    const body = encode(timeRequest, nonces);
    return this.exchange(
      { peer: 'director', path: '/time', body, maxBodyBytes: maxTimeBytes },
      onDone,
    );
  }

  /** Sends an encoded `registration`; the answer has the device's certificate, where one is needed. */
  register(
    registration: Uint8Array,
    onDone: (result: RegistrationAnswer | Refusal) => void,
  ): HttpHandle {
    return this.post(
      '/register',
      registration,
      registrationAnswer,
      onDone,
      maxCertificateAnswerBytes,
    );
  }

  /** Asks for a new certificate over the device's own key; the present one may have expired. */
  renew(onDone: (result: DeviceCertificate | Refusal) => void): HttpHandle {
    const body = encode(emptyAnswer, {});
    return this.post('/renew', body, deviceCertificate, onDone, maxCertificateAnswerBytes);
  }

  /**
   * Downloads an image's ciphertext from byte `from` on, range by range and attempt after attempt
   * (FNM-02, INS-09). Codes as in `HttpClient.request`, and `image-length` when the object is not
   * as long as listed.
   * @param etag of the object from which the bytes before `from` came, where it is known
   */
  downloadImage(
    target: Target,
    from: number,
    events: ResumedDownloadEvents,
    etag?: string,
  ): HttpHandle {
    const { http, images, clock, random, minimumRate = minimumBytesPerSecond } = this.options;
    const quiet = this.refuseQuiet('images', (refusal) => events.onDone(refusal));
    if (quiet !== undefined) return quiet;
    const digest =
      target.hashes.filter(({ key }) => key === hashAlgorithms['SHA-256'])[0] ?? target.hashes[0]!;
    const path = `/targets/${hexadecimal(digest.value)}.${target.filename}`;
    const { length } = target;
    const rangeBytes = maxHttpRangeBytes;
    return new ResumedDownload({
      start: (at, tag, attempt) =>
        new ImageDownload({
          ...{ http, ...images, path, length, rangeBytes, minimumRate },
          ...{ from: at, etag: tag, events: attempt },
          connection: () => this.connection('images'),
        }),
      from,
      etag,
      clock,
      backoff: new Backoff({
        random,
        baseMilliseconds: retryBaseMilliseconds,
        maxMilliseconds: maxRetryMilliseconds,
      }),
      events: {
        ...events,
        onDone: (refusal) => {
          if (refusal !== undefined) this.noteQuiet('images', refusal);
          events.onDone(refusal);
        },
      },
    });
  }

  /** A refusal without a request, while `peer` wants to be left alone; undefined otherwise. */
  private refuseQuiet(peer: Peer, onDone: (refusal: HttpRefusal) => void): HttpHandle | undefined {
    const { clock } = this.options;
    const left = this.quietUntil[peer] - clock.monotonic();
    if (left <= 0) return undefined;
    const retryAfterSeconds = Math.ceil(left / 1_000);
    const detail = `the ${peer} server asked not to be asked for ${retryAfterSeconds} s`;
    const timer = clock.after(0, () =>
      onDone({ ...refuse('http-status', detail), retryAfterSeconds }),
    );
    return new Cancellable(timer);
  }

  private noteQuiet(peer: Peer, { retryAfterSeconds }: HttpRefusal): void {
    if (retryAfterSeconds === undefined) return;
    this.quietUntil[peer] = this.options.clock.monotonic() + retryAfterSeconds * 1_000;
  }

  private post<T>(
    path: string,
    body: Uint8Array,
    answer: Schema<T>,
    onDone: (result: T | Refusal) => void,
    maxBodyBytes = maxAnswerBytes,
  ): HttpHandle {
    return this.exchange({ peer: 'director', path, body, maxBodyBytes }, (bytes) => {
      onDone(isRefusal(bytes) ? bytes : decode(answer, bytes, maxBodyBytes));
    });
  }

  /** TLS of the next request to `peer`. */
  private connection(peer: Peer): Pick<HttpRequest, 'tls' | 'onTls'> {
    const { tls } = this.options;
    if (tls === undefined) return {};
    return {
      tls: tls.connect(peer, this.options[peer]),
      onTls: (status) => tls.connected(peer, status),
    };
  }

  private exchange(
    request: {
      readonly peer: Peer;
      readonly path: string;
      readonly body?: Uint8Array;
      readonly maxBodyBytes: number;
      readonly row?: string;
    },
    onDone: (result: Uint8Array | HttpRefusal) => void,
  ): HttpHandle {
    const { peer, path, body, maxBodyBytes, row } = request;
    const quiet = this.refuseQuiet(peer, onDone);
    if (quiet !== undefined) return quiet;
    const accept = { Accept: mediaType };
    return collectBody(
      this.options.http,
      {
        ...this.options[peer],
        ...this.connection(peer),
        method: body === undefined ? 'GET' : 'POST',
        path,
        headers: body === undefined ? accept : { ...accept, 'Content-Type': mediaType },
        ...(body === undefined ? {} : { body }),
        ...(row === undefined ? {} : { row }),
        maxBodyBytes,
        minimumRate: this.options.minimumRate ?? minimumBytesPerSecond,
      },
      (result) => {
        if (!isRefusal(result)) return onDone(result);
        this.noteQuiet(peer, result);
        onDone(explain(result));
      },
    );
  }
}

/** What stands for a request that is not made. */
class Cancellable implements HttpHandle {
  private readonly timer: Timer;

  constructor(timer: Timer) {
    this.timer = timer;
  }

  pause(): void {}

  resume(): void {}

  cancel(): void {
    this.timer.cancel();
  }
}

/** Puts what the peer answered into the detail; its code is text here, not believed. */
function explain(refusal: HttpRefusal): HttpRefusal {
  if (refusal.answer === undefined) return refusal;
  const answer = decode(refusalAnswer, refusal.answer, refusal.answer.length);
  if (isRefusal(answer)) return refusal;
  const detail = `${refusal.detail} ${answer.code}: ${answer.detail ?? ''}`;
  const answeredCode = answer.code;
  return { ...refusal, ...refuse(refusal.refused, detail, refusal.row), answeredCode };
}

/** The row that bounds a metadata file, by its role (`7.root.cbor`, `timestamp.cbor`). */
function boundRow(name: string): string {
  const parts = name.split('.');
  const role = parts.length > 2 ? parts[1] : parts[0];
  if (role === 'root') return 'CRT-02';
  if (role === 'timestamp') return 'CTS-01';
  if (role === 'snapshot') return 'CSN-01';
  return 'CTG-01';
}

function hexadecimal(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += (byte < 16 ? '0' : '') + byte.toString(16);
  return text;
}
