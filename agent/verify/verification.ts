/**
 * What the verification machines share: their options, requests and results.
 *
 * A machine is driven by "ask / supply": `ask` names the file it needs, `supply` hands over its
 * bytes (or says that there are none). It does no I/O but to the trusted store, has no clock, and
 * ends in a decision or a refusal. Calling out of order is a bug of the caller and throws.
 */
import type { Crypto } from '../../hal/types.ts';
import type { Refusal } from '../codes.ts';
import type { ProfileName, RepositoryName } from '../metadata/common.ts';
import type { RepositoryMap } from '../metadata/repository-map.ts';
import type { BundlePolicy, ImageKindName, Target } from '../metadata/targets.ts';
import type { MetadataFormat } from './metadata-format.ts';
import type { MetadataStore } from './metadata-store.ts';

/** A metadata file to fetch: by name from one repository, `maxBytes` long at most. */
export interface FileRequest {
  readonly repository: RepositoryName;
  /** `2.root.cbor`, `timestamp.cbor`, `5.snapshot.cbor`, `3.targets.cbor`, `1.brakes.cbor` … */
  readonly name: string;
  readonly maxBytes: number;
}

/** What a verifier knows of one ECU for which it judges images. */
export interface VerifierEcu {
  readonly ecuId: string;
  readonly hardwareId: string;
  /** Image kinds that this ECU runs. */
  readonly kinds: readonly ImageKindName[];
  /** `sha256` is the plaintext's. */
  readonly installed:
    | { readonly filename: string; readonly sha256: Uint8Array; readonly releaseCounter: number }
    | undefined;
  /** Least release counter that may be installed: persistent, rises at confirmation (HRD-04). */
  readonly counter: number;
  /** Undefined for an ECU of another agent: that agent judges it. */
  readonly bytecodeVersion: number | undefined;
  readonly halVersion: number | undefined;
  /** Size of the slot, in bytes. */
  readonly maxPlaintextBytes: number;
  /** Filenames valid for this ECU (VIM-03), `*` matching any run; any filename when absent. */
  readonly filenamePattern?: string;
}

export interface VerificationOptions {
  readonly crypto: Crypto;
  /** How the repositories write their files. */
  readonly format: MetadataFormat;
  /** Fixed at provisioning; keys and signatures of other profiles never count. */
  readonly profile: ProfileName;
  readonly vehicleId: string;
  readonly ecus: readonly VerifierEcu[];
  /** Primary: every ECU of the vehicle is in `ecus`, and every listed image is judged. */
  readonly everyEcu: boolean;
  readonly store: MetadataStore;
  /** Which images need which repositories; every image needs both when absent (MAP-04). */
  readonly repositoryMap?: RepositoryMap | undefined;
  /** Attested unix seconds, taken once for the whole run; 0 when unknown (HRD-03). */
  readonly now: number;
  /** Bound of Director Targets in bytes; `maxDirectorTargetsBytes` when absent. */
  readonly maxDirectorTargets?: number;
}

export interface Decision {
  /** Verified Director entries for `ecus` that are not installed yet. */
  readonly assignments: readonly Target[];
  /** All verified Director entries for `ecus`, installed or not: the bundle they belong to. */
  readonly bundle: readonly Target[];
  readonly policy: BundlePolicy;
}

/** A verification in "ask / supply" form. */
export interface Verification {
  /** The file needed next; undefined when the verification has ended. Asking again is harmless. */
  ask(): FileRequest | undefined;
  /** Answers `ask`; undefined: not available. A refusal ends the verification. */
  supply(bytes: Uint8Array | undefined): Refusal | undefined;
  /** The outcome, after `ask` returned undefined. */
  decision(): Decision | Refusal;
}
