/**
 * From verified assignments to running images, the way signed metadata says (DBP-18): ciphertext
 * into the staging partition; consent; then step by step into the inactive slots and activation,
 * or in two phases (Uptane §5.4.2.4, §5.4.2.7, §5.4.3). The same for images from the Image
 * repository and from a medium.
 *
 * Within a step nothing is activated before every ECU that answers holds a checked image, and the
 * Primary itself restarts last. A step whose ECUs do not all answer keeps the later ones waiting.
 */
import { isRefusal, type Refusal } from '../codes.ts';
import {
  type BundlePolicy,
  bundleFailures,
  installStepOf,
  type Target,
} from '../metadata/targets.ts';
import type { Decision } from '../verify/verification.ts';
import { type Attendance, isLinkFailure } from './attendance.ts';
import { type BundleState, bundleId, bundlePhases, memberOf } from './bundle-state.ts';
import { mayInstall } from './consent.ts';
import {
  activateOwn,
  activateSecondary,
  installImage,
  type KeyedTarget,
} from './ecu-installation.ts';
import { downloadImages } from './image-downloads.ts';
import type { GivenUp } from './metadata-handover.ts';
import { type ImageSource, type PrimaryContext, recordRefusal } from './primary-context.ts';
import { TwoPhaseCommit } from './two-phase-commit.ts';
import { secondaryOf, targetsOf } from './vehicle.ts';

/**
 * `again`: the next step may begin, once all metadata has been verified anew (HRD-15). `waits`: for
 * an ECU, for consent or for the time of day; a later cycle goes on.
 */
export type Unfinished = 'again' | 'waits';

export class BundleInstallation {
  private readonly primary: PrimaryContext;
  private readonly source: ImageSource;
  private readonly attendance: Attendance;
  private readonly givenUp: GivenUp;
  private readonly state: BundleState;

  /** @param givenUp ECUs that take no more what is listed for them (INS-12) */
  constructor(
    primary: PrimaryContext,
    source: ImageSource,
    attendance: Attendance,
    givenUp: GivenUp,
  ) {
    this.primary = primary;
    this.source = source;
    this.attendance = attendance;
    this.givenUp = givenUp;
    this.state = primary.bundle;
  }

  /**
   * After a start: how the Primary's own images fared, that it restarted into outside of a
   * two-phase bundle. Their refusal is in the report already; it counts as any other ECU's.
   */
  static settleOwn({ bundle, state, progress }: PrimaryContext): void {
    const { record } = bundle;
    if (record?.phase !== bundlePhases.installing || record.members.length === 0) return;
    for (const { ecuId, releaseCounter } of record.members) {
      const ecu = state.ecus.filter((one) => one.ecuId === ecuId)[0];
      const passed = ecu?.running?.releaseCounter === releaseCounter;
      // VER-01: power lost before the activation was recorded is no failed trial; it goes on
      const failed = ecu?.boot.status().failedTrials?.releaseCounter === releaseCounter;
      if (!passed && !failed) continue;
      progress.stage(ecuId, passed ? 'confirmed' : 'failed');
      if (passed) continue;
      const count = bundle.countFailure(ecuId, 'trial-rolled-back');
      const log = `failed-on ecu=${ecuId} code=trial-rolled-back count=${count}`;
      state.hal.board.log(`${log} of=${record.attempts}`);
      if (count >= record.attempts) bundle.change({ phase: bundlePhases.stopped });
    }
    bundle.change({ members: [] });
  }

  /**
   * Brings the bundle as far as it goes now; the next cycle takes it on from there. Restarts the
   * Primary when it is updated itself.
   * @returns what kept it from going on, to be reported; undefined when there is nothing more to do
   */
  async run(decision: Decision): Promise<Refusal | Unfinished | undefined> {
    const { assignments, policy } = decision;
    const id = bundleId(this.primary.state.hal.crypto, decision);
    const { phase } = this.state.open(id, attemptsOf(policy));
    if (phase === bundlePhases.stopped || phase === bundlePhases.declined) {
      this.log(`bundle-${phase === bundlePhases.stopped ? 'stopped' : 'declined'}`);
      return undefined;
    }
    const refused = this.countGivenUp(policy);
    if (refused !== undefined) return refused;
    const reachable = assignments.filter((target) => !this.isLeftOut(target));
    if (reachable.length === 0) return assignments.length === 0 ? undefined : 'waits';
    const keyed = await downloadImages(this.primary, this.source, reachable);
    if (isRefusal(keyed)) return keyed;
    const consent = mayInstall(this.primary, this.state, reachable);
    if (consent !== 'yes') return consent === 'later' ? 'waits' : consent;
    if (policy.onFailure === bundleFailures['two-phase']) {
      return this.inTwoPhases(decision, keyed);
    }
    return this.inSteps(decision, keyed);
  }

  /**
   * INS-12, DBP-18: an ECU that has given its image up fails the bundle as any refusal of an image
   * does; with `retry` it is only not tried again, and the others go on.
   */
  private countGivenUp({ onFailure }: BundlePolicy): Refusal | undefined {
    for (const [ecuId, refusal] of this.givenUp) {
      const known = this.state.record!.failures.filter((one) => one.ecuId === ecuId)[0];
      if (known?.code === refusal.refused) continue;
      const count = this.state.countFailure(ecuId, refusal.refused);
      this.primary.progress.stage(ecuId, 'failed');
      this.log(`failed-on ecu=${ecuId} code=${refusal.refused} count=${count}`);
      if (onFailure === bundleFailures.retry) recordRefusal(this.primary.state, refusal);
    }
    const [first] = this.givenUp.values();
    if (first === undefined || onFailure === bundleFailures.retry) return undefined;
    this.state.change({ phase: bundlePhases.stopped });
    return first;
  }

  private async inSteps(
    { assignments, policy }: Decision,
    keyed: readonly KeyedTarget[],
  ): Promise<Refusal | Unfinished | undefined> {
    const [step, ...later] = stepsOf(assignments);
    const wanted = keyed.filter(({ target }) => installStepOf(target) === step);
    const ended = await this.installStep(wanted, attemptsOf(policy));
    if (ended !== undefined) return ended;
    // INS-12: a later step may need what an ECU of this one has not confirmed yet
    const waiting = assignments.filter(
      (target) => installStepOf(target) === step && this.isLeftOut(target),
    );
    if (waiting.length > 0) {
      this.log(`bundle-waits step=${step} ecus=${waiting.length}`);
      return 'waits';
    }
    if (later.length > 0) return 'again';
    this.primary.staging.clear();
    return undefined;
  }

  /** Installs and activates one step; an ECU that falls silent is left to the next cycle. */
  private async installStep(
    wanted: readonly KeyedTarget[],
    attempts: number,
  ): Promise<Refusal | 'again' | undefined> {
    for (const one of wanted) {
      if (this.isAbsent(one.target)) continue;
      const refusal = await installImage(this.primary, one);
      if (refusal === undefined) continue;
      const ended = this.judge(one.target, refusal, attempts);
      if (ended !== 'absent') return ended;
    }
    const held = wanted.map(({ target }) => target).filter((target) => !this.isAbsent(target));
    for (const secondary of this.attendance.present()) {
      const started = targetsOf(held, secondary.ecuIds);
      if (started.length === 0) continue;
      const failure = await activateSecondary(this.primary, secondary, started, false);
      if (failure === undefined) continue;
      const ended = this.judge(failure.target, failure.refusal, attempts);
      if (ended !== 'absent') return ended;
    }
    const own = targetsOf(
      held,
      this.primary.state.ecus.map(({ ecuId }) => ecuId),
    );
    if (own.length > 0) this.state.change({ members: own.map(memberOf) });
    const failure = activateOwn(this.primary, own, false);
    if (failure !== undefined) return this.failed(failure.target, failure.refusal, attempts);
    if (own.length > 0) this.primary.state.hal.board.reboot();
    return undefined;
  }

  /** DBP-18: counts a failure; `stop` and `retry` differ in how many there may be. */
  private failed(target: Target, refusal: Refusal, attempts: number): Refusal {
    const { ecuId } = target.assignment!;
    const count = this.state.countFailure(ecuId, refusal.refused);
    this.primary.progress.stage(ecuId, 'failed');
    this.log(`failed-on ecu=${ecuId} code=${refusal.refused} count=${count} of=${attempts}`);
    if (count >= attempts) this.state.change({ phase: bundlePhases.stopped });
    return refusal;
  }

  private async inTwoPhases(
    decision: Decision,
    keyed: readonly KeyedTarget[],
  ): Promise<Refusal | Unfinished | undefined> {
    const waiting = decision.assignments.filter((target) => this.isLeftOut(target));
    if (waiting.length > 0) {
      this.log(`bundle-waits step=0 ecus=${waiting.length}`);
      return 'waits';
    }
    const attempts = attemptsOf(decision.policy);
    // Phase 1: every ECU holds a checked image
    for (const one of keyed) {
      const refusal = await installImage(this.primary, one);
      if (refusal === undefined) continue;
      const ended = this.judge(one.target, refusal, attempts);
      return ended === 'absent' ? 'waits' : ended;
    }
    const ordered = stepsOf(decision.assignments).flatMap((step) =>
      decision.assignments.filter((target) => installStepOf(target) === step),
    );
    return new TwoPhaseCommit(this.primary, this.attendance).activate(ordered);
  }

  /**
   * A link that fails is no failure of the image: an ECU that has restarted goes on where it stands,
   * any other is absent, and tried again later. What an ECU refuses counts.
   */
  private judge(target: Target, refusal: Refusal, attempts: number): Refusal | 'again' | 'absent' {
    const secondary = secondaryOf(this.primary.secondaries, target.assignment!.ecuId);
    if (secondary === undefined || !isLinkFailure(refusal)) {
      return this.failed(target, refusal, attempts);
    }
    return this.attendance.beginsAgain(secondary, refusal) ? 'again' : 'absent';
  }

  /** An ECU that this cycle does not update: it does not answer, or has given its image up. */
  private isLeftOut(target: Target): boolean {
    return this.isAbsent(target) || this.givenUp.has(target.assignment!.ecuId);
  }

  private isAbsent(target: Target): boolean {
    return this.attendance.isAbsent(target.assignment!.ecuId);
  }

  private log(line: string): void {
    this.primary.state.hal.board.log(line);
  }
}

function attemptsOf({ onFailure, attempts }: BundlePolicy): number {
  return onFailure === bundleFailures.stop ? 1 : attempts;
}

/** The steps of these images, lowest first. */
function stepsOf(targets: readonly Target[]): readonly number[] {
  return [...new Set(targets.map(installStepOf))].sort((a, b) => a - b);
}
