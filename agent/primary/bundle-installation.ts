/**
 * From verified assignments to running images: ciphertext into the staging partition, then into the
 * inactive slot of each ECU, then activation (Uptane §5.4.2.4, §5.4.2.7, §5.4.3). The same for
 * images from the Image repository and from a medium; nothing is activated anywhere before every
 * ECU of the bundle holds a checked image, and the Primary itself restarts last.
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { sha256Of } from '../ecu/managed-ecu.ts';
import { rebootWaitMilliseconds } from '../limits.ts';
import type { Target } from '../metadata/targets.ts';
import type { PrimaryContext } from './primary-context.ts';
import type { SecondaryClient } from './secondary-client.ts';
import { secondaryOf } from './vehicle.ts';

/** Interval between two looks at a Secondary that restarts. */
const statusPollMilliseconds = 100;

/** Where images and key objects come from; what comes is checked here. */
export interface ImageSource {
  /** The key object with this SHA-256. */
  keyObject(sha256: Uint8Array): Promise<Uint8Array | Refusal>;
  /** Ciphertext from byte `from` on; a refusal of `onPiece` ends it. */
  image(
    target: Target,
    from: number,
    onPiece: (piece: Uint8Array) => Refusal | undefined,
  ): Promise<Refusal | undefined>;
}

export class BundleInstallation {
  private readonly primary: PrimaryContext;
  private readonly source: ImageSource;

  constructor(primary: PrimaryContext, source: ImageSource) {
    this.primary = primary;
    this.source = source;
  }

  /** Installs and activates; restarts the Primary when it was updated itself. Codes `image-…`. */
  async run(assignments: readonly Target[]): Promise<Refusal | undefined> {
    const downloaded = await this.download(assignments);
    if (downloaded !== undefined) return downloaded;
    for (const target of assignments) {
      const installed = await this.install(target);
      if (installed !== undefined) return installed;
    }
    return this.activate(assignments);
  }

  /** Step 4: every image, as ciphertext, checked against every listed hash (PRI-08 … PRI-10). */
  private async download(assignments: readonly Target[]): Promise<Refusal | undefined> {
    const { staging } = this.primary;
    const full = staging.reserve(assignments);
    if (full !== undefined) return full;
    for (const target of assignments) {
      const image = staging.find(sha256Of(target)!);
      if (image.received < image.length) {
        const writer = staging.writer(image);
        const { ecuId } = target.assignment!;
        const failed = await this.source.image(target, image.received, (piece) => {
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
    const { secondaries, staging } = this.primary;
    const { ecuId, keyObjectSha256 } = target.assignment!;
    const keyObject = await this.source.keyObject(keyObjectSha256);
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

  private progress(stage: string, ecuId: string, bytes: number, of: number): void {
    this.log(`progress ecu=${ecuId} stage=${stage} bytes=${bytes} of=${of}`);
  }

  private log(line: string): void {
    this.primary.state.hal.board.log(line);
  }
}
