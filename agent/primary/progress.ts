/**
 * How far each ECU's update is, exactly, while it runs: a stage, and bytes of bytes in it. For the
 * vehicle around the Primary (hal/types.ts `VehicleInterface`) and for the log.
 */
import type { EcuProgress, Hal, UpdateStage } from '../../hal/types.ts';

export class Progress {
  private readonly hal: Hal;
  private ecus: readonly EcuProgress[] = [];

  constructor(hal: Hal) {
    this.hal = hal;
  }

  /** `bytes` of `of` in a stage that moves bytes. */
  bytes(ecuId: string, stage: UpdateStage, bytes: number, of: number): void {
    this.hal.board.log(`progress ecu=${ecuId} stage=${stage} bytes=${bytes} of=${of}`);
    this.put({ ecuId, stage, bytes, of });
  }

  /** A stage of which only its end is known; the bytes of the last one stay. */
  stage(ecuId: string, stage: UpdateStage): void {
    const last = this.ecus.filter((ecu) => ecu.ecuId === ecuId)[0];
    this.put({ ecuId, stage, bytes: last?.bytes ?? 0, of: last?.of ?? 0 });
  }

  private put(changed: EcuProgress): void {
    const known = this.ecus.some((ecu) => ecu.ecuId === changed.ecuId);
    this.ecus = known
      ? this.ecus.map((ecu) => (ecu.ecuId === changed.ecuId ? changed : ecu))
      : [...this.ecus, changed];
    this.hal.vehicle?.progress(this.ecus);
  }
}
