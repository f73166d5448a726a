/**
 * One update cycle of the Primary: the seven steps of Uptane §5.4.2 (PRI-01), then installation.
 *
 * Any refusal ends the cycle and goes into the next version report (INS-04, INS-11).
 */
import { encode } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { signEnvelope } from '../crypto/sign-envelope.ts';
import { acceptTime } from '../ecu/start-up.ts';
import { maxManifestBytes, nonceBytes } from '../limits.ts';
import { profileName, type RepositoryName } from '../metadata/common.ts';
import { manifest } from '../metadata/report.ts';
import type { Target } from '../metadata/targets.ts';
import { cborMetadata } from '../verify/cbor-metadata.ts';
import { FullVerification } from '../verify/full-verification.ts';
import { BundleInstallation } from './bundle-installation.ts';
import { checkAccepted, handOverMetadata } from './metadata-handover.ts';
import { type PrimaryContext, recordRefusal } from './primary-context.ts';
import { openReports, type ReceivedReport, vehicleEcus } from './vehicle.ts';

const registrationKey = 'registration';

export class UpdateCycle {
  private readonly primary: PrimaryContext;
  private reports: readonly ReceivedReport[] = [];

  constructor(primary: PrimaryContext) {
    this.primary = primary;
  }

  /**
   * Runs the cycle; ends with a restart when the Primary itself was updated. Time comes first, so
   * that the reports say the latest (PRI-04 lets the manifest wait); neither a lost answer to the
   * manifest nor a Director that does not take it keeps the vehicle from being updated.
   */
  async run(): Promise<Refusal | undefined> {
    await this.register();
    const time = await this.loadTime();
    const unsent = await this.sendManifest();
    if (unsent !== undefined) this.log(`manifest accepted=false detail=${unsent.detail}`);
    const refusal = isRefusal(time) ? time : await this.update(time);
    if (refusal === undefined) return unsent;
    recordRefusal(this.primary.state, refusal);
    await this.sendManifest();
    return refusal;
  }

  private async update(time: Uint8Array): Promise<Refusal | undefined> {
    const assignments = await this.verifyMetadata();
    if (isRefusal(assignments)) return assignments;
    const stale = await this.distribute(time, assignments);
    if (stale !== undefined || assignments.length === 0) return stale;
    return new BundleInstallation(this.primary, this.primary.repositories).run(assignments);
  }

  /**
   * Enrols the vehicle. The request, with its one-time token, is kept until a manifest was
   * accepted: when the answer is lost, the vehicle is registered already and is refused here.
   */
  private async register(): Promise<void> {
    const { repositories, state } = this.primary;
    const request = state.hal.keyValue.read(registrationKey);
    if (request === undefined) return;
    const refusal = await repositories.register(request);
    if (refusal === undefined) this.log(`registered vehicle=${state.configuration.vehicleId}`);
    else this.log(`not-registered code=${refusal.refused} detail=${refusal.detail}`);
  }

  /** Step 1: the vehicle version manifest (PRI-04), with a report of every ECU (VVM-04, VVM-05). */
  private async sendManifest(): Promise<Refusal | undefined> {
    const { state, repositories, secondaries } = this.primary;
    const [own, ...hosted] = state.ecus;
    const time = state.time.lowerBound();
    const envelopes = [state.reports.make(own!, time, undefined)];
    for (const ecu of hosted) envelopes.push(state.reports.make(ecu, time, own!.ecuId));
    for (const secondary of secondaries) {
      const answered = await secondary.reports();
      if (isRefusal(answered)) return refuse('secondary-silent', answered.detail);
      envelopes.push(...answered.map((bytes) => bytes.slice()));
    }
    const reports = openReports(envelopes);
    if (isRefusal(reports)) return reports;
    this.reports = reports;
    const payload = encode(manifest, {
      vehicleId: state.configuration.vehicleId,
      primaryEcuId: own!.ecuId,
      reports: envelopes,
    });
    const signed = signEnvelope(state.hal.crypto, [own!.signer], 'manifest', payload, {
      payloadHash: true,
    });
    if (signed.length > maxManifestBytes) return refuse('body-too-large', 'manifest');
    const answer = await repositories.postManifest(signed);
    if (isRefusal(answer)) return answer;
    state.hal.keyValue.delete(registrationKey);
    this.log(`manifest accepted=true update=${answer.updateAvailable}`);
    return this.acknowledge(reports);
  }

  /** Tells every ECU that the Director has its report, so that it need not repeat its detections. */
  private async acknowledge(reports: readonly ReceivedReport[]): Promise<Refusal | undefined> {
    const { state, secondaries } = this.primary;
    for (const { report } of reports) state.reports.acknowledge(report.ecuId, report.counter);
    for (const secondary of secondaries) {
      const accepted = reports
        .filter(({ report }) => secondary.ecuIds.indexOf(report.ecuId) >= 0)
        .map(({ report }) => [report.ecuId, report.counter] as const);
      const refusal = await secondary.acknowledge(accepted);
      if (refusal !== undefined) return refusal;
    }
    return undefined;
  }

  /** Step 2: attested time, for every ECU's nonce at once (PRI-06, FV-01). */
  private async loadTime(): Promise<Uint8Array | Refusal> {
    const { state, repositories, secondaries } = this.primary;
    const nonces = [state.hal.random.bytes(nonceBytes)];
    for (const secondary of secondaries) {
      const nonce = await secondary.nonce();
      if (isRefusal(nonce)) return nonce;
      nonces.push(nonce.slice());
    }
    const attestation = await repositories.postTime(nonces);
    if (isRefusal(attestation)) return attestation;
    const refusal = acceptTime(state, attestation, nonces[0]!);
    if (refusal !== undefined) return refusal;
    return attestation;
  }

  /** Step 3: metadata for all targets, fetched and verified fully (PRI-07, FV-00 … FV-15). */
  private async verifyMetadata(): Promise<readonly Target[] | Refusal> {
    const { state, configuration, repositories } = this.primary;
    const verification = new FullVerification({
      crypto: state.hal.crypto,
      format: cborMetadata,
      profile: profileName(state.configuration.profile),
      vehicleId: state.configuration.vehicleId,
      ecus: vehicleEcus(state, configuration, this.reports),
      everyEcu: true,
      store: state.store,
      now: state.time.now(),
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
    this.log(`verified ecu=${own} images=${decision.assignments.length}`);
    return decision.assignments;
  }

  /** Steps 5 and 6: time and metadata to every Secondary (PRI-11, PRI-12). */
  private async distribute(
    attestation: Uint8Array,
    assignments: readonly Target[],
  ): Promise<Refusal | undefined> {
    const { store } = this.primary.state;
    // ECU-05: only what this Primary has verified itself
    const stored = (repository: RepositoryName, name: string) => store.read(repository, name);
    for (const secondary of this.primary.secondaries) {
      const late = await secondary.checkTime(attestation);
      if (late !== undefined) return late;
      const accepted = await handOverMetadata(secondary, secondary.startVerification(), stored);
      if (isRefusal(accepted)) return accepted;
      const disagrees = checkAccepted(secondary, assignments, accepted);
      if (disagrees !== undefined) return disagrees;
    }
    return undefined;
  }

  private log(line: string): void {
    this.primary.state.hal.board.log(line);
  }
}
