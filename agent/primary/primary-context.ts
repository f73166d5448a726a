/** What the parts of the Primary's program work on together, and how they note what happens. */
import { attackOf, type Refusal } from '../codes.ts';
import type { EcuState } from '../ecu/start-up.ts';
import type { PrimaryConfiguration } from '../metadata/configuration.ts';
import type { Target } from '../metadata/targets.ts';
import type { DeviceTls } from '../net/device-tls.ts';
import type { BundleState } from './bundle-state.ts';
import type { ImageStaging } from './image-staging.ts';
import type { Progress } from './progress.ts';
import type { Repositories } from './repositories.ts';
import type { Secondary } from './secondary-client.ts';

export interface PrimaryContext {
  readonly state: EcuState;
  readonly configuration: PrimaryConfiguration;
  readonly repositories: Pick<Repositories, keyof Repositories>;
  /** Absent where the repositories are reached by plain HTTP. */
  readonly tls?: DeviceTls | undefined;
  readonly secondaries: readonly Secondary[];
  readonly staging: ImageStaging;
  readonly bundle: BundleState;
  readonly progress: Progress;
  /** Waits, in milliseconds. */
  readonly wait: (milliseconds: number) => Promise<void>;
}

/** Where images and key objects come from; what comes is checked where it arrives. */
export interface ImageSource {
  /** The key object with this SHA-256. */
  keyObject(sha256: Uint8Array): Promise<Uint8Array | Refusal>;
  /** Ciphertext from byte `from` on; a refusal of the sink's `onPiece` ends it. */
  image(target: Target, from: number, sink: ImageSink): Promise<Refusal | undefined>;
}

/** Where a ciphertext goes. All but `onPiece` matter to sources that may fail on the way. */
export interface ImageSink {
  onPiece(piece: Uint8Array): Refusal | undefined;
  /** Entity tag of the object from which the bytes before `from` came. */
  readonly etag?: string;
  /** The object's entity tag, before its first piece. */
  onEntityTag?(etag: string): void;
  /** What came so far is void: the next piece is the image's first. */
  onRestart?(): void;
  /** The source failed and tries again in so many milliseconds. */
  onRetry?(refusal: Refusal, milliseconds: number): void;
}

/** Logs a refusal of the Primary and keeps it for its next version report (INS-04, INS-11). */
export function recordRefusal({ detections, ecus, hal }: EcuState, refusal: Refusal): void {
  const { ecuId } = ecus[0]!;
  detections.add(ecuId, refusal);
  const attack = attackOf(refusal) ?? 'none';
  hal.board.log(
    `refused ecu=${ecuId} code=${refusal.refused} row=${refusal.row} attack=${attack} detail=${refusal.detail}`,
  );
}
