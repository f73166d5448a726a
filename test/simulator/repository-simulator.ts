/**
 * A Director and an Image repository in memory, for one vehicle, with everything that a test needs
 * to drive a verification against them: metadata are plain objects, signed when they are fetched,
 * through the verification's own requests or the interface of the production client.
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
import type { HttpHandle } from '../../agent/net/http.ts';
import type { RepositoryClient } from '../../agent/net/repository-client.ts';
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
import type { Clock, KeyValue } from '../../hal/types.ts';
import type { Mutable } from './simulated-repository.ts';
import { crypto, SimulatedRepository } from './simulated-repository.ts';

export const vehicleId = 'vehicle-1';
/** The time of every test. */
export const now = 1_800_000_000;
const day = 86_400;

/** Time that passes only when a test says so: unix seconds, and the clock of a HAL. */
export class VirtualClock implements Pick<Clock, 'monotonic'> {
  seconds: number;
  private elapsed = 0;

  constructor(seconds: number) {
    this.seconds = seconds;
  }

  advance(seconds: number): void {
    this.seconds += seconds;
    this.elapsed += seconds * 1_000;
  }

  monotonic(): number {
    return this.elapsed;
  }
}

/** What a release is made of; ciphertexts are stand-ins of the right size, with their true hash. */
export interface SimulatedImage {
  readonly filename: string;
  readonly releaseCounter: number;
  readonly hardwareIds?: readonly string[];
  readonly plaintextLength?: number;
  readonly requires?: MustMatch['requires'];
  readonly conflicts?: MustMatch['conflicts'];
}

export class RepositorySimulator implements Pick<RepositoryClient, 'fetchMetadata'> {
  /** The time of verifiers that are given no other. */
  readonly clock = new VirtualClock(now);
  readonly director: SimulatedRepository;
  readonly images: SimulatedRepository;
  /** Every request so far, as `director/timestamp.cbor`. */
  requests: string[] = [];
  /** Ciphertexts by `HASH.filename`, as the Image repository serves them. */
  private readonly ciphertexts = new Map<string, Uint8Array>();

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

  /** The interface by which a Primary fetches metadata over HTTP. */
  fetchMetadata(
    file: FileRequest,
    onDone: (result: Uint8Array | undefined | Refusal) => void,
  ): HttpHandle {
    let cancelled = false;
    queueMicrotask(() => {
      if (!cancelled) onDone(this.fetch(file));
    });
    const cancel = () => {
      cancelled = true;
    };
    return { pause: () => undefined, resume: () => undefined, cancel };
  }

  /** An image entry as the Image repository lists it. */
  target(image: SimulatedImage): Mutable<Target> {
    const { filename, releaseCounter, hardwareIds = ['hw-a', 'hw-b'], requires, conflicts } = image;
    const plaintextLength = image.plaintextLength ?? 100_000;
    const length = 56 + plaintextLength + 16 * (Math.floor(plaintextLength / 16_384) + 1);
    const ciphertext = new Uint8Array(length);
    ciphertext.set(Buffer.from(`ciphertext ${filename} ${releaseCounter}`).subarray(0, length));
    const sha256 = crypto.digest('SHA-256', ciphertext);
    this.ciphertexts.set(`${Buffer.from(sha256).toString('hex')}.${filename}`, ciphertext);
    return {
      filename,
      length,
      hashes: [{ key: hashAlgorithms['SHA-256'], value: sha256 }],
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

  /** Writes what is served now below a folder, as `ota verify-repo` reads it. */
  dump(folder: string): void {
    for (const repository of [this.director, this.images]) {
      const base = join(folder, repository.name);
      mkdirSync(base, { recursive: true });
      const { publishedRoots, snapshot, targets, delegated, overrides } = repository;
      const names = [
        ...publishedRoots.map((_, i) => `${i + 1}.root.cbor`),
        'timestamp.cbor',
        `${snapshot.version}.snapshot.cbor`,
        `${targets.version}.targets.cbor`,
        ...Object.keys(delegated).map((role) => `${delegated[role]!.targets.version}.${role}.cbor`),
        ...Object.keys(overrides),
      ];
      for (const name of names) {
        const file = repository.fetch(name);
        if (file !== undefined) writeFileSync(join(base, name), file);
      }
    }
    for (const [name, bytes] of this.ciphertexts) {
      writeFileSync(join(folder, 'images', name), bytes);
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
      get now() {
        return sim.clock.seconds;
      },
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
