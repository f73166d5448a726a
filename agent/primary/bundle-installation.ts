/**
 * From verified assignments to running images: ciphertext into the staging partition, then into the
 * inactive slot of each ECU, then activation (Uptane §5.4.2.4, §5.4.2.7, §5.4.3). The same for
 * images from the Image repository and from a medium; nothing is activated anywhere before every
 * ECU of the bundle holds a checked image, and the Primary itself restarts last.
 */
import type { Refusal } from '../codes.ts';
import type { Target } from '../metadata/targets.ts';
import type { Decision } from '../verify/verification.ts';
import type { Attendance } from './attendance.ts';
import { activateOwn, activateSecondary, installImage } from './ecu-installation.ts';
import { downloadImages } from './image-downloads.ts';
import type { ImageSource, PrimaryContext } from './primary-context.ts';

export class BundleInstallation {
  private readonly primary: PrimaryContext;
  private readonly source: ImageSource;
  private readonly attendance: Attendance;

  constructor(primary: PrimaryContext, source: ImageSource, attendance: Attendance) {
    this.primary = primary;
    this.source = source;
    this.attendance = attendance;
  }

  /** Installs and activates; restarts the Primary when it was updated itself. Codes `image-…`. */
  async run({ assignments }: Decision): Promise<Refusal | undefined> {
    const reachable = assignments.filter(
      (target) => !this.attendance.isAbsent(target.assignment!.ecuId),
    );
    if (reachable.length === 0) return undefined;
    const downloaded = await downloadImages(this.primary, this.source, reachable);
    if (downloaded !== undefined) return downloaded;
    for (const target of reachable) {
      const installed = await installImage(this.primary, this.source, target);
      if (installed !== undefined) return installed;
    }
    return this.activate(reachable);
  }

  /** INS-12: all images are in place; Secondaries start theirs, then the Primary its own. */
  private async activate(assignments: readonly Target[]): Promise<Refusal | undefined> {
    const { state, secondaries, staging } = this.primary;
    const of = (ecuIds: readonly string[]) =>
      assignments.filter((target) => ecuIds.indexOf(target.assignment!.ecuId) >= 0);
    for (const secondary of secondaries) {
      const wanted = of(secondary.ecuIds);
      if (wanted.length === 0) continue;
      const refusal = await activateSecondary(this.primary, secondary, wanted);
      if (refusal !== undefined) return refusal;
    }
    const own = of(state.ecus.map((ecu) => ecu.ecuId));
    const refusal = activateOwn(this.primary, own);
    if (refusal !== undefined) return refusal;
    staging.clear();
    if (own.length > 0) state.hal.board.reboot();
    return undefined;
  }
}
