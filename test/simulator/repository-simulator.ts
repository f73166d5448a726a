/**
 * A Director and an Image repository in memory, for one vehicle, with everything that a test needs
 * to drive a verification against them. Speaks the verification's own file requests.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Refusal } from '../../agent/codes.ts';
import {
  hashAlgorithms,
  type ProfileName,
  type RepositoryName,
} from '../../agent/metadata/common.ts';
import {
  cobblestoneFormat,
  imageKinds,
  type MustMatch,
  type Target,
} from '../../agent/metadata/targets.ts';
import { cborMetadata } from '../../agent/verify/cbor-metadata.ts';
import { FullVerification } from '../../agent/verify/full-verification.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { PartialVerification } from '../../agent/verify/partial-verification.ts';
import type {
  Decision,
  FileRequest,
  Verification,
  VerificationOptions,
  VerifierEcu,
} from '../../agent/verify/verification.ts';
import type { KeyValue } from '../../hal/types.ts';
import type { Mutable } from './simulated-repository.ts';
import { crypto, SimulatedRepository } from './simulated-repository.ts';

export const vehicleId = 'vehicle-1';
/** The time of every test. */
export const now = 1_800_000_000;
const day = 86_400;

/** What a release is made of; ciphertext and key object are stand-ins of the right sizes. */
export interface SimulatedImage {
  readonly filename: string;
  readonly releaseCounter: number;
  readonly hardwareIds?: readonly string[];
  readonly plaintextLength?: number;
  readonly requires?: MustMatch['requires'];
  readonly conflicts?: MustMatch['conflicts'];
}

export class RepositorySimulator {
  readonly director: SimulatedRepository;
  readonly images: SimulatedRepository;
  /** Every request so far, as `director/timestamp.cbor`. */
  requests: string[] = [];

  constructor(profile: ProfileName = 'ecdsa') {
    this.director = new SimulatedRepository('director', profile, now + day, vehicleId);
    this.images = new SimulatedRepository('images', profile, now + day);
  }

  repository(name: RepositoryName): SimulatedRepository {
    return name === 'director' ? this.director : this.images;
  }

  fetch({ repository, name }: FileRequest): Uint8Array | undefined {
    this.requests.push(`${repository}/${name}`);
    return this.repository(repository).fetch(name);
  }

  /** An image entry as the Image repository lists it. */
  target(image: SimulatedImage): Mutable<Target> {
    const { filename, releaseCounter, hardwareIds = ['hw-a', 'hw-b'], requires, conflicts } = image;
    const plaintextLength = image.plaintextLength ?? 100_000;
    const text = `${filename} ${releaseCounter}`;
    const ciphertext = crypto.digest('SHA-256', Buffer.from(`ciphertext ${text}`));
    return {
      filename,
      length: 56 + plaintextLength + 16 * (Math.floor(plaintextLength / 16_384) + 1),
      hashes: [{ key: hashAlgorithms['SHA-256'], value: ciphertext }],
      mustMatch: {
        plaintextLength,
        plaintextSha256: plaintextHash(image),
        hardwareIds: hardwareIds.slice(),
        releaseCounter,
        kind: imageKinds.opaque,
        encryption: cobblestoneFormat,
        ...(requires && { requires }),
        ...(conflicts && { conflicts }),
      },
    };
  }

  /** The same entry as the Director assigns it to an ECU. */
  assigned(target: Target, ecuId: string): Mutable<Target> {
    const keyObjectSha256 = crypto.digest('SHA-256', Buffer.from(ecuId));
    return { ...target, assignment: { ecuId, keyObjectSha256, keyObjectLength: 1_200 } };
  }

  /** Lists an image in both repositories, assigned to one ECU (in place of its last), and releases. */
  assign(ecuId: string, image: SimulatedImage): void {
    const { director, images } = this;
    const target = this.target(image);
    images.targets.targets = images.targets.targets
      .filter((other) => other.filename !== image.filename)
      .concat(target);
    director.targets.targets = director.targets.targets
      .filter((other) => other.assignment?.ecuId !== ecuId)
      .concat(this.assigned(target, ecuId));
    director.release();
    images.release();
  }

  /** Writes every current file below a folder, to be looked at. */
  dump(folder: string): void {
    for (const repository of [this.director, this.images]) {
      const base = join(folder, repository.name);
      mkdirSync(base, { recursive: true });
      repository.publishedRoots.forEach((file, i) => {
        writeFileSync(join(base, `${i + 1}.root.cbor`), file);
      });
      writeFileSync(join(base, 'timestamp.cbor'), repository.timestampFile());
      writeFileSync(
        join(base, `${repository.snapshot.version}.snapshot.cbor`),
        repository.snapshotFile(),
      );
      writeFileSync(
        join(base, `${repository.targets.version}.targets.cbor`),
        repository.targetsFile(),
      );
      for (const role of Object.keys(repository.delegated)) {
        const name = `${repository.delegated[role]!.targets.version}.${role}.cbor`;
        writeFileSync(join(base, name), repository.fetch(name)!);
      }
    }
  }
}

/** SHA-256 of a simulated image's plaintext. */
export function plaintextHash({ filename, releaseCounter }: SimulatedImage): Uint8Array {
  return crypto.digest('SHA-256', Buffer.from(`plaintext ${filename} ${releaseCounter}`));
}

/** A key-value store in memory that fails from the n-th change on, as a power cut would. */
export class MemoryKeyValue implements KeyValue {
  readonly values = new Map<string, Uint8Array>();
  changes = 0;
  failAfter = Number.POSITIVE_INFINITY;

  read(key: string): Uint8Array | undefined {
    return this.values.get(key);
  }

  write(key: string, value: Uint8Array): void {
    this.change();
    this.values.set(key, value.slice());
  }

  delete(key: string): void {
    this.change();
    this.values.delete(key);
  }

  private change(): void {
    if (this.changes >= this.failAfter) throw new PowerCut();
    this.changes += 1;
  }
}

export class PowerCut extends Error {}

export function ecu(ecuId: string, more: Partial<VerifierEcu> = {}): VerifierEcu {
  return {
    ecuId,
    hardwareId: 'hw-a',
    kinds: ['agent', 'opaque'],
    installed: undefined,
    counter: 0,
    bytecodeVersion: 28,
    halVersion: 1,
    maxPlaintextBytes: 1_048_576,
    ...more,
  };
}

/** One verifier with its store, to run any number of cycles against a simulator. */
export class SimulatedVerifier {
  readonly sim: RepositorySimulator;
  readonly keyValue = new MemoryKeyValue();
  readonly store: MetadataStore;
  options: VerificationOptions;

  /** Provisioned with version 1 of both Roots. */
  constructor(sim: RepositorySimulator, options: Partial<VerificationOptions> = {}) {
    this.sim = sim;
    this.store = new MetadataStore(this.keyValue);
    this.store.writeRoot('director', 1, sim.director.publishedRoots[0]!);
    this.store.writeRoot('images', 1, sim.images.publishedRoots[0]!);
    this.options = {
      crypto,
      format: cborMetadata,
      profile: sim.director.profile,
      vehicleId,
      ecus: [ecu('ecu-1'), ecu('ecu-2', { hardwareId: 'hw-b' })],
      everyEcu: true,
      store: this.store,
      now,
      ...options,
    };
  }

  full(): Decision | Refusal {
    this.sim.requests = [];
    return runVerification(new FullVerification(this.options), this.sim);
  }

  partial(): Decision | Refusal {
    this.sim.requests = [];
    return runVerification(new PartialVerification(this.options), this.sim);
  }
}

/** Answers every request of a verification from a simulator, to its end. */
export function runVerification(
  machine: Verification,
  sim: { fetch(request: FileRequest): Uint8Array | undefined },
): Decision | Refusal {
  for (;;) {
    const request = machine.ask();
    if (request === undefined) return machine.decision();
    machine.supply(sim.fetch(request));
  }
}
