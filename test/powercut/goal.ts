/** When a stage of the ECU's life has come to its end. */
import type { EcuState } from '../../agent/ecu/start-up.ts';
import { updatedEcuOf } from './factory.ts';
import type { Role } from './geometries.ts';
import { floorsOf } from './invariants.ts';
import type { DirectorView, Stage } from './world.ts';

/** True when the stage's image runs confirmed (or has failed for good), and the Director knows it. */
export function isDone(state: EcuState, stage: Stage, role: Role, director: DirectorView): boolean {
  const ecuId = updatedEcuOf(role);
  const ecu = state.ecus.find((one) => one.ecuId === ecuId)!;
  const status = ecu.boot.status();
  const told = director.told[ecuId];
  if (told === undefined) return false;
  // Power lost in the trial is a failed trial, with which a Primary's bundle stops, reported.
  const stopped = role === 'primary' && told.failures.length > 0;
  const goal = stopped && status.active === status.confirmed ? told.release : stage.goal;
  const reported = told.release === goal && (!stage.bad || stopped || told.givenUp);
  const roots = Object.entries(floorsOf(state.hal.keyValue).rootVersions);
  return (
    reported &&
    ((!stage.bad && stage.held !== 'withdraw') || told.failures.length > 0) &&
    status.confirmed === status.active &&
    status.pending === undefined &&
    status.rolledBack === undefined &&
    status.slots[status.confirmed]!.releaseCounter === goal &&
    status.counter === goal &&
    roots.every(([name, version]) => version === 0 || version === stage.roots[name as 'director'])
  );
}

/** The image's self-test fails. */
export function isBad(stage: Stage, release: number): boolean {
  return stage.bad && stage.image?.request.releaseCounter === release;
}
