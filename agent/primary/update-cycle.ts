/**
 * One update cycle of the Primary: the seven steps of Uptane §5.4.2 (PRI-01), then installation.
 *
 * Any refusal ends the cycle and goes into the next version report (INS-04, INS-11). Nothing is
 * activated anywhere before every ECU of the bundle holds a checked image; the Primary itself
 * restarts last.
 */
import { encode } from '../codec/schema.ts';
import { attackOf, isRefusal, type Refusal, refuse } from '../codes.ts';
import { signEnvelope } from '../crypto/sign-envelope.ts';
import { sha256Of } from '../ecu/managed-ecu.ts';
import { acceptTime, type EcuState } from '../ecu/start-up.ts';
import { maxManifestBytes, maxRootBytes, nonceBytes, rebootWaitMilliseconds } from '../limits.ts';
import { profileName, repositoryName } from '../metadata/common.ts';
import type { PrimaryConfiguration } from '../metadata/configuration.ts';
import { manifest } from '../metadata/report.ts';
import type { Target } from '../metadata/targets.ts';
import { cborMetadata } from '../verify/cbor-metadata.ts';
import { FullVerification } from '../verify/full-verification.ts';
import type { ImageStaging } from './image-staging.ts';
import type { Repositories } from './repositories.ts';
import { refusalFrom, type SecondaryClient } from './secondary-client.ts';
import { openReports, type ReceivedReport, secondaryOf, vehicleEcus } from './vehicle.ts';

const registrationKey = 'registration';
/** Interval between two looks at a Secondary that restarts. */
const statusPollMilliseconds = 100;

export interface PrimaryContext {
  readonly state: EcuState;
  readonly configuration: PrimaryConfiguration;
  readonly repositories: Repositories;
  readonly secondaries: readonly SecondaryClient[];
  readonly staging: ImageStaging;
  /** Waits, in milliseconds. */
  readonly wait: (milliseconds: number) => Promise<void>;
}

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
    this.record(refusal);
    await this.sendManifest();
    return refusal;
  }

  private async update(time: Uint8Array): Promise<Refusal | undefined> {
    const assignments = await this.verifyMetadata();
    if (isRefusal(assignments)) return assignments;
    const stale = await this.distribute(time, assignments);
    if (stale !== undefined || assignments.length === 0) return stale;
    const downloaded = await this.download(assignments);
    if (downloaded !== undefined) return downloaded;
    for (const target of assignments) {
      const installed = await this.install(target);
      if (installed !== undefined) return installed;
    }
    return this.activate(assignments);
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
    for (const secondary of this.primary.secondaries) {
      const late = await secondary.checkTime(attestation);
      if (late !== undefined) return late;
      const accepted = await this.handOverMetadata(secondary);
      if (isRefusal(accepted)) return accepted;
      const expected = assignments
        .map((target) => target.assignment!.ecuId)
        .filter((ecuId) => secondary.ecuIds.indexOf(ecuId) >= 0);
      const missing = expected.filter((ecuId) => accepted.indexOf(ecuId) < 0)[0];
      if (missing !== undefined) {
        return refuse('secondary-disagrees', `${missing} finds no image for itself`);
      }
    }
    return undefined;
  }

  /**
   * The Secondary asks for the files it needs; the Primary serves only what it has verified itself
   * (ECU-05, PRI-13). Returns the ECU ids for which the Secondary accepted an image.
   */
  private async handOverMetadata(secondary: SecondaryClient): Promise<readonly string[] | Refusal> {
    const { store } = this.primary.state;
    let step = await secondary.startVerification();
    while (!isRefusal(step) && step.ask !== undefined) {
      const { repository, name, maxBytes } = step.ask;
      const file = store.read(repositoryName(repository), name);
      // HRD-13: what the Secondary has no room for is not sent; its refusal would be the same.
      if (file !== undefined && file.length > Math.min(maxBytes, maxRootBytes)) {
        const size = `${name} of ${file.length} bytes`;
        return refuse('body-too-large', `${size} is too large for ${secondary.ecuIds[0]}`);
      }
      step = await secondary.supplyFile(file);
    }
    if (isRefusal(step)) return step;
    if (step.refusal !== undefined) return refusalFrom(step.refusal, secondary.ecuIds[0]!);
    return (step.assignments ?? []).map(([ecuId]) => ecuId);
  }

  /** Step 4: every image, as ciphertext, checked against every listed hash (PRI-08 … PRI-10). */
  private async download(assignments: readonly Target[]): Promise<Refusal | undefined> {
    const { repositories, staging } = this.primary;
    const full = staging.reserve(assignments);
    if (full !== undefined) return full;
    for (const target of assignments) {
      const image = staging.find(sha256Of(target)!);
      if (image.received < image.length) {
        const writer = staging.writer(image);
        const { ecuId } = target.assignment!;
        const failed = await repositories.image(target, image.received, (piece) => {
          const refusal = writer.write(piece);
          this.progress('download', ecuId, writer.received, target.length);
          return refusal;
        });
        const unfinished = writer.finish();
        if (failed !== undefined || unfinished !== undefined) return failed ?? unfinished;
      }
      const wrong = staging.check(image);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  }

  /** Step 7 and §5.4.3: brings one image into the inactive slot of its ECU, checked, not active. */
  private async install(target: Target): Promise<Refusal | undefined> {
    const { repositories, secondaries, staging } = this.primary;
    const { ecuId, keyObjectSha256 } = target.assignment!;
    const keyObject = await repositories.keyObject(keyObjectSha256);
    if (isRefusal(keyObject)) return keyObject;
    const image = staging.find(sha256Of(target)!);
    const secondary = secondaryOf(secondaries, ecuId);
    if (secondary === undefined) return this.installOwn(target, keyObject);
    const offset = await secondary.prepare(ecuId, keyObject);
    if (isRefusal(offset) || offset === image.length) return isRefusal(offset) ? offset : undefined;
    return secondary.download(
      ecuId,
      offset,
      image.length,
      (buffer, at) => staging.read(image, buffer, at),
      (sent) => this.progress('transfer', ecuId, sent, image.length),
    );
  }

  private installOwn(target: Target, keyObject: Uint8Array): Refusal | undefined {
    const { state, staging } = this.primary;
    const ecu = state.ecus.filter((one) => one.ecuId === target.assignment!.ecuId)[0]!;
    const image = staging.find(sha256Of(target)!);
    const offset = ecu.prepare(target, keyObject);
    if (isRefusal(offset)) return offset;
    const buffer = new Uint8Array(16_384);
    for (let at = offset; at < image.length; at += buffer.length) {
      const piece = buffer.subarray(0, Math.min(buffer.length, image.length - at));
      staging.read(image, piece, at);
      const refusal = ecu.write(piece);
      if (refusal !== undefined) return refusal;
      this.progress('install', ecu.ecuId, at + piece.length, image.length);
    }
    return ecu.finish();
  }

  /** INS-12: all images are in place; Secondaries start theirs, then the Primary its own. */
  private async activate(assignments: readonly Target[]): Promise<Refusal | undefined> {
    const { state, secondaries, staging } = this.primary;
    const ecuIds = assignments.map((target) => target.assignment!.ecuId);
    for (const secondary of secondaries) {
      const updated = ecuIds.filter((ecuId) => secondary.ecuIds.indexOf(ecuId) >= 0);
      for (const ecuId of updated) {
        const refusal = await secondary.activate(ecuId);
        if (refusal !== undefined) return refusal;
      }
      if (updated.length === 0) continue;
      const wanted = assignments.filter((one) => updated.indexOf(one.assignment!.ecuId) >= 0);
      const refusal = (await secondary.reset()) ?? (await this.waitForRestart(secondary, wanted));
      if (refusal !== undefined) return refusal;
    }
    const own = state.ecus.filter((ecu) => ecuIds.indexOf(ecu.ecuId) >= 0);
    for (const ecu of own) {
      const refusal = ecu.activate(state.configuration.trialBoots);
      if (refusal !== undefined) return refusal;
      this.log(`activated ecu=${ecu.ecuId}`);
    }
    staging.clear();
    if (own.length > 0) state.hal.board.reboot();
    return undefined;
  }

  /** Waits until a restarted Secondary answers and has settled its trials, well or badly. */
  private async waitForRestart(
    secondary: SecondaryClient,
    wanted: readonly Target[],
  ): Promise<Refusal | undefined> {
    const { clock } = this.primary.state.hal;
    const end = clock.monotonic() + rebootWaitMilliseconds;
    while (clock.monotonic() < end) {
      await this.primary.wait(statusPollMilliseconds);
      const status = await secondary.status();
      if (isRefusal(status) || status.ecus.some((ecu) => ecu.pending)) continue;
      const failed = wanted.filter(({ assignment, mustMatch }) =>
        status.ecus.some(
          (ecu) =>
            ecu.ecuId === assignment!.ecuId && ecu.releaseCounter !== mustMatch.releaseCounter,
        ),
      )[0];
      return (
        failed && refuse('trial-rolled-back', `${failed.assignment!.ecuId}: ${failed.filename}`)
      );
    }
    return refuse('secondary-silent', `${secondary.ecuIds[0]} did not come back`);
  }

  private record(refusal: Refusal): void {
    const { state } = this.primary;
    const { ecuId } = state.ecus[0]!;
    state.detections.add(ecuId, refusal);
    const attack = attackOf(refusal) ?? 'none';
    this.log(
      `refused ecu=${ecuId} code=${refusal.refused} row=${refusal.row} attack=${attack} detail=${refusal.detail}`,
    );
  }

  private progress(stage: string, ecuId: string, bytes: number, of: number): void {
    this.log(`progress ecu=${ecuId} stage=${stage} bytes=${bytes} of=${of}`);
  }

  private log(line: string): void {
    this.primary.state.hal.board.log(line);
  }
}
