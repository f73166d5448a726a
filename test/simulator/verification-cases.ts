/**
 * What verification is measured over: repositories that grow by ECUs or by delegations, and a
 * verifier that begins each run from the same stored state.
 */
import { isRefusal } from '../../agent/codes.ts';
import type { ProfileName } from '../../agent/metadata/common.ts';
import { FullVerification } from '../../agent/verify/full-verification.ts';
import type { Decision, FileRequest, VerifierEcu } from '../../agent/verify/verification.ts';
import { type Cost, countingCrypto, countingFetch, countingFormat, noCost } from './counting.ts';
import {
  ecu,
  RepositorySimulator,
  runVerification,
  SimulatedVerifier,
} from './repository-simulator.ts';

/** So many images are shared by the ECUs of a large vehicle: Image Targets stay small. */
const imagesOfVehicle = 20;

/** A vehicle of `count` ECUs, all of which get an image. */
export function vehicleOf(count: number, profile: ProfileName = 'ecdsa'): MeasuredCase {
  const sim = new RepositorySimulator(profile);
  const targets = Array.from({ length: Math.min(count, imagesOfVehicle) }, (_, i) =>
    sim.target({ filename: `app-${i}.bin`, releaseCounter: 1 }),
  );
  const ecuIds = Array.from({ length: count }, (_, i) => `ecu-${i}`);
  sim.images.targets.targets = targets;
  sim.director.targets.targets = ecuIds.map((ecuId, i) =>
    sim.assigned(targets[i % targets.length]!, ecuId),
  );
  return new MeasuredCase(sim, ecuIds);
}

/** An image behind `count` delegations of one file, each to a role with a key of its own. */
export function delegationsOf(count: number, profile: ProfileName = 'ecdsa'): MeasuredCase {
  const sim = new RepositorySimulator(profile);
  sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 1 });
  if (count > 0) {
    const { images } = sim;
    for (let i = 0; i < count; i++) images.delegate([`role-${i}`]);
    images.delegated[`role-${count - 1}`]!.targets.targets = images.targets.targets;
    images.targets.targets = [];
  }
  return new MeasuredCase(sim, ['ecu-1']);
}

export class MeasuredCase {
  readonly sim: RepositorySimulator;
  private readonly ecuIds: readonly string[];
  private readonly files = new Map<string, Uint8Array | undefined>();
  private stored: ReadonlyMap<string, Uint8Array> = new Map();
  /** How often a verifier asked an ECU for its id, over all runs. */
  idReads = 0;

  constructor(sim: RepositorySimulator, ecuIds: readonly string[]) {
    this.sim = sim;
    this.ecuIds = ecuIds;
  }

  /** Runs once and takes what was stored as the beginning of every later run. */
  settle(): this {
    const { values } = this.run().verifier.keyValue;
    this.stored = new Map(values);
    return this;
  }

  /** One verification of everything, its outcome a decision. */
  run(onFetch?: () => void): {
    readonly cost: Cost;
    readonly verifier: SimulatedVerifier;
    readonly decision: Decision;
  } {
    const cost = noCost();
    const verifier = new SimulatedVerifier(this.sim, {
      ecus: this.ecuIds.map((id) => this.ecu(id)),
    });
    for (const [key, value] of this.stored) verifier.keyValue.values.set(key, value);
    const options = {
      ...verifier.options,
      crypto: countingCrypto(verifier.options.crypto, cost),
      format: countingFormat(verifier.options.format, cost),
    };
    const fetch = countingFetch((request) => {
      onFetch?.();
      return this.fetch(request);
    }, cost);
    const decision = runVerification(new FullVerification(options), { fetch });
    if (isRefusal(decision)) throw new Error(`${decision.refused}: ${decision.detail}`);
    return { cost, verifier, decision };
  }

  /** Each file is signed once, before it is measured how long it takes to verify. */
  private fetch(request: FileRequest): Uint8Array | undefined {
    const name = `${request.repository}/${request.name}`;
    if (!this.files.has(name)) this.files.set(name, this.sim.fetch(request));
    return this.files.get(name);
  }

  /** To be called after a change of the repositories. */
  publish(): void {
    this.files.clear();
  }

  private ecu(ecuId: string): VerifierEcu {
    const count = () => {
      this.idReads += 1;
      return ecuId;
    };
    return Object.defineProperty({ ...ecu(ecuId) }, 'ecuId', { get: count });
  }
}
