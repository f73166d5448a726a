/**
 * An offline update from a medium (PURE-2, OFF-04): verified by the Primary, verified again by each
 * Secondary, installed by the same code as an online one. It needs neither the Director nor the
 * Image repository; what it did is told in the next manifest.
 */

import { sameBytes } from '../codec/reader.ts';
import { isRefusal, isTransient, type Refusal, refuse } from '../codes.ts';
import { offlineTime, verificationContext } from '../ecu/ecu-time.ts';
import { maxOfflineTargetsBytes } from '../limits.ts';
import type { RepositoryName } from '../metadata/common.ts';
import { OfflineFullVerification } from '../verify/offline-full-verification.ts';
import type { Decision } from '../verify/verification.ts';
import { Attendance, isLinkFailure } from './attendance.ts';
import { BundleInstallation, type Unfinished } from './bundle-installation.ts';
import { ownGivenUp } from './ecu-installation.ts';
import { campaignFile, MediumSource } from './medium-source.ts';
import { checkAccepted, type GivenUp, handOverMetadata } from './metadata-handover.ts';
import { type PrimaryContext, recordRefusal } from './primary-context.ts';
import { vehicleEcus } from './vehicle.ts';
import { gatherReports, recordAbsence } from './vehicle-manifest.ts';

export class OfflineCycle {
  private readonly primary: PrimaryContext;
  /** SHA-256 of the campaign that was dealt with: a medium that stays plugged in is read once. */
  private settled: Uint8Array | undefined;

  constructor(primary: PrimaryContext) {
    this.primary = primary;
  }

  /**
   * Looks for a medium and takes what it brings; ends with a restart when the Primary itself was
   * updated. A failure of the moment (a medium pulled out, a Secondary that is silent) is tried
   * again at the next look; a refusal is reported, and stands until another medium comes.
   */
  async run(): Promise<Refusal | undefined> {
    const campaign = this.campaign();
    if (campaign === undefined) {
      this.settled = undefined;
      return undefined;
    }
    if (this.settled !== undefined && sameBytes(this.settled, campaign)) return undefined;
    this.primary.state.hal.board.log('medium found=true');
    const attendance = new Attendance(this.primary.secondaries, (secondary, refusal) =>
      recordAbsence(this.primary, secondary, refusal),
    );
    let outcome: Refusal | Unfinished | undefined;
    do {
      outcome = await this.take(attendance);
    } while (outcome === 'again');
    for (const secondary of this.primary.secondaries) await secondary.release();
    if (outcome === 'waits') return undefined;
    const refusal = outcome;
    const again = refusal !== undefined && isTransient(refusal.refused);
    if (!again) this.settled = campaign;
    if (refusal !== undefined) recordRefusal(this.primary.state, refusal);
    return refusal;
  }

  private campaign(): Uint8Array | undefined {
    const { crypto, medium } = this.primary.state.hal;
    const length = medium?.length(campaignFile);
    if (medium === undefined || length === undefined) return undefined;
    const file = new Uint8Array(Math.min(length, maxOfflineTargetsBytes + 1));
    return medium.read(campaignFile, file, 0) ? crypto.digest('SHA-256', file) : undefined;
  }

  private async take(attendance: Attendance): Promise<Refusal | Unfinished | undefined> {
    const { primary } = this;
    const { crypto, medium } = primary.state.hal;
    const source = new MediumSource(medium!, crypto);
    const decision = await this.verify(source, attendance);
    if (isRefusal(decision)) return decision;
    if (decision.assignments.length === 0) return undefined;
    const givenUp = ownGivenUp(primary, decision.assignments);
    const refused = await this.distribute(source, attendance, decision, givenUp);
    if (refused !== undefined) return refused;
    // HRD-03: told in the next manifest: expiry was judged by an older time than now
    if (primary.state.time.now() === 0) {
      recordRefusal(primary.state, refuse('time-silent', 'an offline update by the latest time'));
    }
    return new BundleInstallation(primary, source, attendance, givenUp).run(decision);
  }

  private async verify(source: MediumSource, attendance: Attendance): Promise<Decision | Refusal> {
    const { primary } = this;
    const { configuration, state } = primary;
    const reports = await gatherReports(primary, attendance);
    const verification = new OfflineFullVerification({
      ...verificationContext(state),
      now: offlineTime(state),
      ecus: vehicleEcus(state, configuration, reports),
      everyEcu: true,
      repositoryMap: state.configuration.repositoryMap,
    });
    for (let ask = verification.ask(); ask !== undefined; ask = verification.ask()) {
      const file = source.metadata(ask);
      if (isRefusal(file)) return file;
      const refusal = verification.supply(file);
      if (refusal !== undefined) return refusal;
    }
    const decision = verification.decision();
    if (isRefusal(decision)) return decision;
    const { ecuId } = state.ecus[0]!;
    state.hal.board.log(`verified ecu=${ecuId} images=${decision.assignments.length} medium=true`);
    return decision;
  }

  /** ECU-05: Secondaries get what this Primary has verified: from its store, or again from the medium. */
  private async distribute(
    source: MediumSource,
    attendance: Attendance,
    { assignments }: Decision,
    givenUp: GivenUp,
  ): Promise<Refusal | undefined> {
    const { store } = this.primary.state;
    const fileOf = (repository: RepositoryName, name: string) =>
      store.read(repository, name) ?? source.verified(repository, name);
    for (const secondary of attendance.present()) {
      const begun = secondary.startOfflineVerification();
      const accepted = await handOverMetadata(secondary, begun, fileOf);
      if (isRefusal(accepted)) {
        // The medium's failure is not the Secondary's.
        const ofMedium = accepted.refused === 'medium-removed';
        if (ofMedium || !isLinkFailure(accepted)) return accepted;
        attendance.miss(secondary, accepted);
        continue;
      }
      const disagrees = checkAccepted(secondary, assignments, accepted, givenUp);
      if (disagrees !== undefined) return disagrees;
    }
    return undefined;
  }
}
