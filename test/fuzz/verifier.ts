/**
 * The verifier as a fuzz target. A valid pair of repositories is changed on the way (bytes of one
 * file), or at its source (a record, signed again by the keys of one repository, which is what a
 * thief of these keys can do).
 */
import { decodeEnvelope } from '../../agent/codec/cose-sign.ts';
import { compareBytes } from '../../agent/codec/reader.ts';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { type Target, type Targets, targets } from '../../agent/metadata/targets.ts';
import { sameFile, sameMustMatch } from '../../agent/verify/agreement.ts';
import { FullVerification } from '../../agent/verify/full-verification.ts';
import type { Decision, FileRequest } from '../../agent/verify/verification.ts';
import {
  ecu,
  RepositorySimulator,
  runVerification,
  SimulatedVerifier,
} from '../simulator/repository-simulator.ts';
import { Broken } from './decoders.ts';
import { mutateBytes, mutateValue } from './mutate.ts';
import type { Random } from './random.ts';

export class VerifierTarget {
  private readonly sim = new RepositorySimulator();
  private readonly files = new Map<string, Uint8Array | undefined>();
  private readonly names: readonly string[];
  private readonly honest: Targets;
  private readonly expected: readonly string[];

  constructor() {
    const { sim } = this;
    sim.assign('ecu-1', { filename: 'app-1.bin', releaseCounter: 5 });
    sim.assign('ecu-2', { filename: 'brakes-1.bin', releaseCounter: 2, hardwareIds: ['hw-b'] });
    // One image lies behind delegations: a plain one, and one of two roles.
    const [app, behind] = sim.images.targets.targets;
    sim.images.targets.targets = [app!];
    sim.images.delegate(['a'], { paths: ['app-*'] });
    sim.images.delegate(['b', 'c'], { hardwareIds: ['hw-b'] });
    for (const name of ['b', 'c']) sim.images.delegated[name]!.targets.targets = [behind!];
    sim.director.rotate('timestamp');
    sim.images.rotate('root');
    sim.images.release();
    this.expected = this.verify((request) => this.fetch(request));
    this.names = [...this.files.keys()].filter((name) => this.files.get(name) !== undefined);
    this.honest = { ...sim.director.targets };
  }

  /** The signed files of the repositories, for other targets to begin with. */
  envelopes(): readonly Uint8Array[] {
    return this.names.map((name) => this.files.get(name)!);
  }

  /** A later Timestamp by the right key: the verifier accepts it, so `checkChanged` has to tell. */
  laterTimestamp(): Uint8Array {
    this.sim.director.timestamp.version += 1;
    return this.sim.director.timestampFile();
  }

  private fetch(request: FileRequest): Uint8Array | undefined {
    const name = `${request.repository}/${request.name}`;
    if (!this.files.has(name)) this.files.set(name, this.sim.fetch(request));
    return this.files.get(name);
  }

  private run(fetch: (request: FileRequest) => Uint8Array | undefined): Decision | Refusal {
    const ecus = [ecu('ecu-1'), ecu('ecu-2', { hardwareId: 'hw-b' })];
    const { options } = new SimulatedVerifier(this.sim, { ecus });
    return runVerification(new FullVerification(options), { fetch });
  }

  private verify(fetch: (request: FileRequest) => Uint8Array | undefined): readonly string[] {
    const outcome = this.run(fetch);
    return isRefusal(outcome) ? [] : outcome.assignments.map(({ filename }) => filename);
  }

  /** Changed bytes of one file are accepted only if what was signed is unchanged. */
  changedOnTheWay(random: Random): void {
    const name = random.pick(this.names);
    const original = this.files.get(name)!;
    const changed = mutateBytes(random, original, this.files.get(random.pick(this.names))!);
    this.checkChanged(name, changed);
  }

  /** `name` as in the simulator's requests: `images/timestamp.cbor`. */
  checkChanged(name: string, changed: Uint8Array): void {
    const accepted = this.verify((request) =>
      `${request.repository}/${request.name}` === name ? changed : this.fetch(request),
    );
    if (accepted.length === 0) return;
    if (accepted.join() !== this.expected.join()) {
      throw new Broken(`${name}: accepted, with other images: ${accepted.join()}`);
    }
    const before = decodeEnvelope(this.files.get(name)!, 2_097_152);
    const after = decodeEnvelope(changed, 2_097_152);
    const equal =
      !isRefusal(before) && !isRefusal(after) && compareBytes(before.payload, after.payload) === 0;
    if (!equal) throw new Broken(`${name}: another payload was accepted`);
  }

  /** With the Director's keys alone, nothing is installed that the Image repository does not list. */
  changedByDirector(random: Random): void {
    const { sim } = this;
    try {
      const changed = mutateValue(random, targets.shape, this.honest);
      sim.director.targets = changed as Targets;
      const outcome = this.run((request) =>
        request.repository === 'director' ? sim.fetch(request) : this.fetch(request),
      );
      if (!isRefusal(outcome)) for (const one of outcome.assignments) this.checkListed(one);
    } catch (error) {
      // A value that is no record cannot be signed either.
      if (!(error instanceof RangeError)) throw error;
    } finally {
      sim.director.targets = { ...this.honest };
    }
  }

  private checkListed(assigned: Target): void {
    const { images } = this.sim;
    const lists = [images.targets, ...Object.values(images.delegated).map((role) => role.targets)];
    const encoded = (one: Target): Target => {
      const { encoded: _, ...mustMatch } = one.mustMatch;
      return {
        ...one,
        mustMatch: { ...mustMatch, encoded: Buffer.from(JSON.stringify(mustMatch)) },
      };
    };
    const listed = lists
      .flatMap((list) => list.targets)
      .some(
        (one) =>
          one.filename === assigned.filename &&
          sameFile(one, assigned) &&
          sameMustMatch(encoded(one), encoded(assigned)),
      );
    if (!listed) throw new Broken(`${assigned.filename} is assigned, but not listed`);
  }
}
