/**
 * Phase 2 of a two-phase bundle (DBP-18). Every ECU holds a checked image. All begin a held trial:
 * Secondaries in the order of their steps, the Primary last, with a restart. When all have passed,
 * all are told to confirm; when one has not, all return to what they had confirmed.
 *
 * What is decided is durable before any ECU is told (docs/SPEC.md §6), and an ECU that passed
 * stays on held trial, across restarts, until it is told: so all end alike, whatever is cut. Cut
 * before the decision, the Primary decides to return.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import type { Target } from '../metadata/targets.ts';
import { trials } from '../metadata/vehicle-messages.ts';
import { type Attendance, tellsOfRestart } from './attendance.ts';
import {
  type BundleRecord,
  type BundleState,
  bundlePhases,
  memberOf,
  type OwedDecision,
} from './bundle-state.ts';
import { activateOwn, activateSecondary, waitForTrials } from './ecu-installation.ts';
import { type PrimaryContext, recordRefusal } from './primary-context.ts';
import { secondaryOf, targetsOf } from './vehicle.ts';

export class TwoPhaseCommit {
  private readonly primary: PrimaryContext;
  private readonly attendance: Attendance;
  private readonly state: BundleState;

  constructor(primary: PrimaryContext, attendance: Attendance) {
    this.primary = primary;
    this.attendance = attendance;
    this.state = primary.bundle;
  }

  /**
   * Starts every held trial and decides. Restarts the Primary when it takes part itself.
   * @param targets of all ECUs of the bundle, in the order of activation
   * @returns 'again' or 'waits' when an ECU has restarted before its trial: nothing was tried of it
   */
  async activate(targets: readonly Target[]): Promise<Refusal | 'again' | 'waits' | undefined> {
    const { primary } = this;
    this.state.change({ phase: bundlePhases.activating, members: targets.map(memberOf) });
    for (const secondary of inOrderOf(targets, primary)) {
      const started = targetsOf(targets, secondary.ecuIds);
      const failure = await activateSecondary(primary, secondary, started, true);
      if (failure === undefined) continue;
      if (tellsOfRestart(failure.refusal)) {
        // It forgot its checked image before its trial began: nobody's fault, so no round is counted.
        this.decide(this.state.record!, false, {});
        await this.deliver();
        return this.attendance.beginsAgain(secondary, failure.refusal) ? 'again' : 'waits';
      }
      this.withdraw(failure.target.assignment!.ecuId, failure.refusal);
      await this.deliver();
      return failure.refusal;
    }
    const own = targetsOf(
      targets,
      primary.state.ecus.map(({ ecuId }) => ecuId),
    );
    if (own.length === 0) {
      this.commit();
      await this.deliver();
      return undefined;
    }
    this.state.change({ phase: bundlePhases['own-trial'] });
    const failure = activateOwn(primary, own, true);
    if (failure !== undefined) {
      this.withdraw(failure.target.assignment!.ecuId, failure.refusal);
      await this.deliver();
      return failure.refusal;
    }
    primary.state.hal.board.reboot();
    return undefined;
  }

  /**
   * After a start, and before each cycle: decides what a restart has left undecided, and tells ECUs
   * what they have missed.
   */
  async resume(): Promise<void> {
    const { record } = this.state;
    if (record === undefined) return;
    if (record.phase === bundlePhases.activating) {
      // The power went before all had passed: nobody's fault, so no round is counted.
      this.decide(record, false, {});
    } else if (record.phase === bundlePhases['own-trial']) {
      const failed = this.failedOwn(record);
      if (failed === undefined) this.commit();
      else {
        const refusal = refuse('trial-rolled-back', failed);
        recordRefusal(this.primary.state, refusal);
        this.withdraw(failed, refusal);
      }
    }
    await this.deliver();
  }

  /** One of the Primary's own ECUs that is neither on its held trial nor confirmed. */
  private failedOwn({ members }: BundleRecord): string | undefined {
    const failed = this.primary.state.ecus.filter((ecu) => {
      const wanted = members.filter(({ ecuId }) => ecuId === ecu.ecuId)[0];
      return wanted !== undefined && ecu.running?.releaseCounter !== wanted.releaseCounter;
    })[0];
    return failed?.ecuId;
  }

  private commit(): void {
    this.decide(this.state.record!, true, {});
    this.primary.staging.clear();
  }

  private withdraw(ecuId: string, refusal: Refusal): void {
    const { attempts } = this.state.record!;
    const rounds = this.state.record!.rounds + 1;
    this.state.countFailure(ecuId, refusal.refused);
    this.primary.progress.stage(ecuId, 'failed');
    const log = `failed-on ecu=${ecuId} code=${refusal.refused} count=${rounds} of=${attempts}`;
    this.primary.state.hal.board.log(log);
    const phase = rounds >= attempts ? bundlePhases.stopped : bundlePhases.installing;
    this.decide(this.state.record!, false, { rounds, phase });
  }

  /** The one instant at which the bundle's end is decided. */
  private decide(
    { members, owed }: BundleRecord,
    commit: boolean,
    changes: Partial<Omit<BundleRecord, 'id'>>,
  ): void {
    const decided: OwedDecision[] = members.map((member) => ({ ...member, commit }));
    const others = owed.filter((one) => members.every(({ ecuId }) => ecuId !== one.ecuId));
    this.primary.state.hal.board.log(`bundle-decided commit=${commit}`);
    this.state.change({
      phase: bundlePhases.installing,
      ...changes,
      members: [],
      owed: [...others, ...decided],
    });
  }

  /** Tells every ECU that answers how its trial ends; the Primary's own come last. */
  private async deliver(): Promise<void> {
    for (const secondary of this.attendance.present()) {
      const owed = this.owedTo(secondary.ecuIds);
      if (owed.length === 0) continue;
      const silent = await this.tell(secondary.ecuIds[0]!, owed);
      if (silent === undefined) this.settled(owed);
      else this.attendance.miss(secondary, silent);
    }
    this.endOwn();
  }

  private owedTo(ecuIds: readonly string[]): readonly OwedDecision[] {
    const { owed } = this.state.record!;
    return owed.filter(({ ecuId }) => ecuIds.indexOf(ecuId) >= 0);
  }

  private settled(done: readonly OwedDecision[]): void {
    const { owed } = this.state.record!;
    this.state.change({ owed: owed.filter((one) => done.indexOf(one) < 0) });
  }

  private async tell(
    agentEcuId: string,
    owed: readonly OwedDecision[],
  ): Promise<Refusal | undefined> {
    const secondary = secondaryOf(this.primary.secondaries, agentEcuId)!;
    // It may be about to restart into the trial that is to end.
    const status = await secondary.status();
    if (isRefusal(status)) return status;
    let restart = false;
    for (const { ecuId, commit } of owed) {
      const trial = status.ecus.filter((ecu) => ecu.ecuId === ecuId)[0]?.trial;
      if (trial === undefined || trial === trials.none) continue;
      const refusal = commit
        ? await secondary.commitTrial(ecuId)
        : await secondary.withdrawTrial(ecuId);
      if (refusal !== undefined) return refusal;
      if (!commit) restart = true;
    }
    if (!restart) return undefined;
    return (await secondary.reset()) ?? (await waitForTrials(this.primary, secondary));
  }

  private endOwn(): void {
    const { state } = this.primary;
    const owed = this.owedTo(state.ecus.map(({ ecuId }) => ecuId));
    if (owed.length === 0) return;
    let restart = false;
    for (const { ecuId, commit } of owed) {
      const ecu = state.ecus.filter((one) => one.ecuId === ecuId)[0]!;
      if (ecu.trial() === 'none') continue;
      if (commit) {
        ecu.commitTrial();
        state.hal.board.log(`confirmed ecu=${ecuId} release=${ecu.running?.releaseCounter}`);
      } else {
        ecu.withdrawTrial();
        restart = true;
      }
    }
    this.settled(owed);
    if (restart) state.hal.board.reboot();
  }
}

/** Secondaries in the order in which their first ECU is to be activated. */
function inOrderOf(targets: readonly Target[], { secondaries }: PrimaryContext) {
  const named = targets.map((target) => secondaryOf(secondaries, target.assignment!.ecuId));
  return named.filter((one, i) => one !== undefined && named.indexOf(one) === i).map((one) => one!);
}
