/**
 * One update cycle of the Primary: the seven steps of Uptane §5.4.2 in their order (PRI-01), then
 * installation.
 *
 * Any refusal ends the cycle and goes into the next version report (INS-04, INS-11). A Secondary
 * that does not answer is left out and named in the manifest; the cycle goes on with the others.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { verificationContext } from '../ecu/ecu-time.ts';
import type { RepositoryName } from '../metadata/common.ts';
import type { Target } from '../metadata/targets.ts';
import { FullVerification } from '../verify/full-verification.ts';
import type { Decision } from '../verify/verification.ts';
import { Attendance, isLinkFailure, tellsOfRestart } from './attendance.ts';
import { BundleInstallation, type Unfinished } from './bundle-installation.ts';
import { ownGivenUp } from './ecu-installation.ts';
import { enrol, renewWhenDue } from './enrolment.ts';
import { checkAccepted, type GivenUp, handOverMetadata } from './metadata-handover.ts';
import { checkOfflineSnapshot } from './offline-snapshot-check.ts';
import { type PrimaryContext, recordRefusal } from './primary-context.ts';
import { handOverTime, isSilent, loadTime } from './time-round.ts';
import { TwoPhaseCommit } from './two-phase-commit.ts';
import { type ReceivedReport, vehicleEcus } from './vehicle.ts';
import { recordAbsence, sendManifest } from './vehicle-manifest.ts';

export class UpdateCycle {
  private readonly primary: PrimaryContext;
  private readonly attendance: Attendance;
  private reports: readonly ReceivedReport[] = [];

  constructor(primary: PrimaryContext) {
    this.primary = primary;
    this.attendance = new Attendance(primary.secondaries, (secondary, refusal) =>
      recordAbsence(primary, secondary, refusal),
    );
  }

  /**
   * Runs the cycle; ends with a restart when the Primary itself was updated. Time comes first, so
   * that the reports say the latest (PRI-04 lets the manifest wait); neither a lost answer to the
   * manifest nor a Director that does not take it keeps the vehicle from being updated.
   *
   * HRD-03: a silent time source does not either, while each ECU has a time within its bound. A bad
   * attestation does: it changes nothing, and only the version report follows (TIM-07).
   */
  async run(): Promise<Refusal | undefined> {
    const { primary, attendance } = this;
    BundleInstallation.settleOwn(primary);
    await new TwoPhaseCommit(primary, attendance).resume();
    const stranger = await enrol(primary);
    // With TLS nobody answers a vehicle without a certificate.
    if (stranger !== undefined && primary.tls !== undefined) return stranger;
    await renewWhenDue(primary);
    let outcome: Refusal | Unfinished | undefined;
    do {
      outcome = await this.cycle();
    } while (outcome === 'again');
    for (const secondary of primary.secondaries) await secondary.release();
    return outcome === 'waits' ? undefined : outcome;
  }

  private async cycle(): Promise<Refusal | Unfinished | undefined> {
    const time = await loadTime(this.primary, this.attendance);
    const unsent = await this.sendManifest();
    const outcome = isRefusal(time)
      ? await this.withoutTime(time, unsent === undefined)
      : await this.update(time);
    if (outcome === 'again') return outcome;
    if (outcome === undefined || outcome === 'waits') return unsent ?? outcome;
    recordRefusal(this.primary.state, outcome);
    await this.sendManifest();
    return outcome;
  }

  /** @param answering the Director took the manifest: then it is only the time that is kept back */
  private async withoutTime(
    refusal: Refusal,
    answering: boolean,
  ): Promise<Refusal | Unfinished | undefined> {
    if (!isSilent(refusal)) return refusal;
    // HRD-03: told in the next manifest
    if (answering) recordRefusal(this.primary.state, refuse('time-silent', refusal.detail));
    return this.update(undefined);
  }

  /** @param time the attestation for the Secondaries; undefined while the source is silent */
  private async update(time: Uint8Array | undefined): Promise<Refusal | Unfinished | undefined> {
    const { primary, attendance } = this;
    const decision = await this.verifyMetadata();
    if (isRefusal(decision)) return decision;
    const refused = await checkOfflineSnapshot(primary);
    if (refused !== undefined) return refused;
    const givenUp = ownGivenUp(primary, decision.assignments);
    const stale = await this.distribute(time, decision.assignments, givenUp);
    if (stale !== undefined || decision.assignments.length === 0) return stale;
    return new BundleInstallation(primary, primary.repositories, attendance, givenUp).run(decision);
  }

  private async sendManifest(): Promise<Refusal | undefined> {
    const { reports, refused } = await sendManifest(this.primary, this.attendance);
    this.reports = reports;
    return refused;
  }

  /** Step 3: metadata for all targets, fetched and verified fully (PRI-07, FV-00 … FV-15). */
  private async verifyMetadata(): Promise<Decision | Refusal> {
    const { state, configuration, repositories } = this.primary;
    const verification = new FullVerification({
      ...verificationContext(state),
      ecus: vehicleEcus(state, configuration, this.reports),
      everyEcu: true,
      repositoryMap: state.configuration.repositoryMap,
    });
    for (let ask = verification.ask(); ask !== undefined; ask = verification.ask()) {
      const file = await repositories.metadata(ask);
      if (isRefusal(file)) return file;
      const refusal = verification.supply(file);
      if (refusal !== undefined) return refusal;
    }
    const decision = verification.decision();
    if (isRefusal(decision)) return decision;
    const own = state.ecus[0]!.ecuId;
    state.hal.board.log(`verified ecu=${own} images=${decision.assignments.length}`);
    return decision;
  }

  /**
   * Steps 5 and 6: time and metadata to every Secondary that answers (PRI-11, PRI-12).
   * @param givenUp gets the ECUs that take no more what is listed for them
   */
  private async distribute(
    attestation: Uint8Array | undefined,
    assignments: readonly Target[],
    givenUp: GivenUp,
  ): Promise<Refusal | 'again' | undefined> {
    const { store } = this.primary.state;
    // ECU-05: only what this Primary has verified itself
    const stored = (repository: RepositoryName, name: string) => store.read(repository, name);
    for (const secondary of this.attendance.present()) {
      const accepted =
        (attestation && (await handOverTime(secondary, attestation, stored))) ??
        (await handOverMetadata(secondary, secondary.startVerification(), stored));
      if (isRefusal(accepted)) {
        // It had the time when it took the attestation: a start has made it forget.
        const forgot = attestation !== undefined && accepted.refused === 'time-unknown';
        if (!forgot && !isLinkFailure(accepted)) return accepted;
        const restarted = forgot || tellsOfRestart(accepted);
        if (this.attendance.beginsAgain(secondary, accepted, restarted)) return 'again';
        continue;
      }
      const disagrees = checkAccepted(secondary, assignments, accepted, givenUp);
      if (disagrees !== undefined) return disagrees;
    }
    return undefined;
  }
}
