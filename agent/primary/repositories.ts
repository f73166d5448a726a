/** The repositories with Promises, for the Primary's program; all policy is in agent/net. */
import type { Refusal } from '../codes.ts';
import type {
  DeviceCertificate,
  ManifestAnswer,
  RegistrationAnswer,
} from '../metadata/device-messages.ts';
import type { Target } from '../metadata/targets.ts';
import type { HttpRefusal } from '../net/http.ts';
import type { RepositoryClient } from '../net/repository-client.ts';
import type { FileRequest } from '../verify/verification.ts';
import type { ImageSink } from './primary-context.ts';

export class Repositories {
  private readonly client: RepositoryClient;

  constructor(client: RepositoryClient) {
    this.client = client;
  }

  register(registration: Uint8Array): Promise<RegistrationAnswer | Refusal> {
    return new Promise((resolve) => this.client.register(registration, resolve));
  }

  renew(): Promise<DeviceCertificate | Refusal> {
    return new Promise((resolve) => this.client.renew(resolve));
  }

  postManifest(manifest: Uint8Array): Promise<ManifestAnswer | Refusal> {
    return new Promise((resolve) => this.client.postManifest(manifest, resolve));
  }

  postTime(nonces: readonly Uint8Array[]): Promise<Uint8Array | HttpRefusal> {
    return new Promise((resolve) => this.client.postTime(nonces, resolve));
  }

  /** A metadata file; undefined when the repository has none of that name. */
  metadata(file: FileRequest): Promise<Uint8Array | undefined | Refusal> {
    return new Promise((resolve) => this.client.fetchMetadata(file, resolve));
  }

  keyObject(sha256: Uint8Array): Promise<Uint8Array | Refusal> {
    return new Promise((resolve) => this.client.fetchKeyObject(sha256, resolve));
  }

  /** Ciphertext from byte `from` on, through whatever the network does; see `ImageSource`. */
  image(target: Target, from: number, sink: ImageSink): Promise<Refusal | undefined> {
    return new Promise((resolve) => {
      const download = this.client.downloadImage(
        target,
        from,
        {
          onPiece: (piece) => {
            const refusal = sink.onPiece(piece);
            if (refusal === undefined) return;
            download.cancel();
            resolve(refusal);
          },
          onEntityTag: (etag) => sink.onEntityTag?.(etag),
          onRestart: () => sink.onRestart?.(),
          onRetry: (refusal, milliseconds) => sink.onRetry?.(refusal, milliseconds),
          onDone: resolve,
        },
        sink.etag,
      );
    });
  }
}
