/**
 * The vehicle around an emulated Primary: progress goes to a file that others may read at any time,
 * and consent is asked of a program of the user's.
 */
import { spawnSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import type { EcuProgress, VehicleInterface } from '../types.ts';

/** Between two writes while only bytes move; a new stage is written at once. */
const writeMilliseconds = 50;
/** Exit status of the consent program; any other, and none in time, means `later`. */
const answers = { 0: 'yes', 1: 'no' } as const;
const consentMilliseconds = 60_000;

export interface VehicleInterfaceOptions {
  /** Where progress goes: JSON, an array of `EcuProgress`, replaced as a whole. */
  readonly progressFile: string | undefined;
  /** Asked with the `ConsentQuestion` as JSON on its standard input; consent is given without it. */
  readonly consent: string | undefined;
}

export function createVehicleInterface(options: VehicleInterfaceOptions): VehicleInterface {
  const { progressFile, consent } = options;
  let shown: readonly EcuProgress[] = [];
  let latest: readonly EcuProgress[] = [];
  let timer: NodeJS.Timeout | undefined;

  const write = (path: string): void => {
    clearTimeout(timer);
    timer = undefined;
    shown = latest;
    // A reader finds the old file or the new one, never a part. Not durable: it is only looked at.
    writeFileSync(`${path}.new`, `${JSON.stringify(latest)}\n`);
    renameSync(`${path}.new`, path);
  };
  return {
    progress(ecus) {
      latest = ecus;
      if (progressFile === undefined) return;
      if (isOtherStage(shown, latest)) write(progressFile);
      else timer ??= setTimeout(() => write(progressFile), writeMilliseconds).unref();
    },
    consent(question) {
      if (consent === undefined) return 'yes';
      const input = JSON.stringify(question);
      const { status } = spawnSync(consent, [], {
        input,
        stdio: ['pipe', 'ignore', 'ignore'],
        timeout: consentMilliseconds,
      });
      return status === 0 || status === 1 ? answers[status] : 'later';
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
