/**
 * Whether a downloaded bundle may be installed now (INS-13): inside the maintenance window that was
 * configured, and with the consent of whoever the platform asks. Images that wait stay staged.
 */
import { type Refusal, refuse } from '../codes.ts';
import type { Target } from '../metadata/targets.ts';
import { type BundleState, bundlePhases } from './bundle-state.ts';
import type { PrimaryContext } from './primary-context.ts';

const secondsPerDay = 86_400;

/** A span of the UTC day, in seconds from midnight; `to` before `from` goes over midnight. */
export interface MaintenanceWindow {
  readonly from: number;
  readonly to: number;
}

/**
 * True when `now` (unix seconds) lies in a window, or there are none. Without attested time
 * (0) no window is open: nobody knows what time it is.
 */
export function isInWindow(
  windows: readonly MaintenanceWindow[] | undefined,
  now: number,
): boolean {
  if (windows === undefined || windows.length === 0) return true;
  if (now === 0) return false;
  const second = now % secondsPerDay;
  return windows.some(({ from, to }) =>
    from <= to ? second >= from && second < to : second >= from || second < to,
  );
}

/**
 * `yes`, `later` (asked again in the next cycle), or the refusal `installation-declined`, which
 * ends the bundle; a later assignment is another one and asks again.
 */
export function mayInstall(
  primary: PrimaryContext,
  bundle: BundleState,
  targets: readonly Target[],
): 'yes' | 'later' | Refusal {
  const { hal, time } = primary.state;
  if (!isInWindow(primary.configuration.maintenance, time.now())) {
    hal.board.log('bundle-waits for=maintenance-window');
    return 'later';
  }
  const answer =
    hal.vehicle?.consent({
      images: targets.map(({ filename, assignment, mustMatch }) => ({
        ecuId: assignment!.ecuId,
        filename,
        releaseCounter: mustMatch.releaseCounter,
        length: mustMatch.plaintextLength,
      })),
    }) ?? 'yes';
  if (answer === 'yes') return 'yes';
  hal.board.log(`bundle-waits for=consent answer=${answer}`);
  if (answer === 'later') return 'later';
  bundle.change({ phase: bundlePhases.declined });
  return refuse('installation-declined', targets.map(({ filename }) => filename).join(', '));
}
