/**
 * The vehicle around a Primary on a platform with files and programs: progress goes to a file that
 * others may read at any time, and consent is asked of a program of the user's.
 */
import type { EcuProgress, Timer, VehicleInterface } from './types.ts';

/** Between two writes while only bytes move; a new stage is written at once. */
const writeMilliseconds = 50;
const consentMilliseconds = 60_000;

export interface VehicleInterfaceOptions {
  /** Where progress goes: JSON, an array of `EcuProgress`, replaced as a whole. */
  readonly progressFile: string | undefined;
  /** Asked with the `ConsentQuestion` as JSON on its standard input; consent is given without it. */
  readonly consent: string | undefined;
}

export interface VehiclePlatform {
  /** Replaces a file: a reader finds the old text or the new one. It need not be durable. */
  replaceFile(path: string, text: string): void;
  /** Runs a program with this input; its exit status, undefined when it has none in time. */
  ask(program: string, input: string, milliseconds: number): number | undefined;
  after(milliseconds: number, callback: () => void): Timer;
}

export function createVehicleInterfaceOn(
  platform: VehiclePlatform,
  { progressFile, consent }: VehicleInterfaceOptions,
): VehicleInterface {
  let shown: readonly EcuProgress[] = [];
  let latest: readonly EcuProgress[] = [];
  let timer: Timer | undefined;

  const write = (path: string): void => {
    timer?.cancel();
    timer = undefined;
    shown = latest;
    platform.replaceFile(path, `${JSON.stringify(latest)}\n`);
  };
  return {
    progress(ecus) {
      latest = ecus;
      if (progressFile === undefined) return;
      if (isOtherStage(shown, latest)) write(progressFile);
      else timer ??= platform.after(writeMilliseconds, () => write(progressFile));
    },
    consent(question) {
      if (consent === undefined) return 'yes';
      const status = platform.ask(consent, JSON.stringify(question), consentMilliseconds);
      return status === 0 ? 'yes' : status === 1 ? 'no' : 'later';
    },
  };
}

/** Something else than a few more bytes: also the last of them. */
function isOtherStage(before: readonly EcuProgress[], after: readonly EcuProgress[]): boolean {
  return (
    before.length !== after.length ||
    after.some(({ stage, bytes, of }, i) => stage !== before[i]!.stage || bytes === of)
  );
}
