/** Runs a scenario without a cut and notes every flash operation with all that a cut there leaves. */

import { stagingProgressBlocks } from '../../agent/primary/image-staging.ts';
import type { FlashMap } from '../../hal/ecu-description.ts';
import { FaultyFlash, type FlashOperation } from '../../hal/emulated/faulty-flash.ts';
import { EcuUnderTest, type Step, steps } from './ecu.ts';
import { layoutOf, type PartKind } from './geometries.ts';
import type { Floors } from './invariants.ts';
import type { Scenario } from './scenario.ts';
import type { DirectorView, Told } from './world.ts';

export interface TracedOperation {
  readonly operation: FlashOperation;
  readonly partition: string;
  readonly step: Step;
  /** What the Director knew, and what the store trusted, when the operation began. */
  readonly told: Readonly<Record<string, Told>>;
  readonly floors: Floors;
  /** Offset in the ciphertext from which a download or transfer has to go on, at least. */
  readonly resumable: number;
}

const noFloors: Floors = { rootVersions: { director: 0, images: 0 }, versions: {} };

/** Where an operation is; the records at the end of the download partition are no image data. */
function partitionAt(map: FlashMap, offset: number, { blockLength }: PartKind): string {
  const [name, region] = Object.entries(map).find(
    ([, one]) => offset >= one.offset && offset < one.offset + one.size,
  )!;
  const records = region.offset + region.size - stagingProgressBlocks * blockLength;
  return name === 'download' && offset >= records ? 'download-progress' : name;
}

/**
 * Notes the operations of an ECU that is about to live.
 * @param until of the first life only, up to the end of this step; all without
 */
export function record(
  { setup }: Scenario,
  part: FaultyFlash,
  ecu: EcuUnderTest,
  director: DirectorView,
  until?: Step,
): TracedOperation[] {
  const { map } = layoutOf(setup.part, setup.role);
  const traced: TracedOperation[] = [];
  ecu.floors ??= noFloors;
  part.onOperation = (operation) => {
    const { step } = ecu;
    if (until !== undefined && (ecu.lives > 1 || steps.indexOf(step) > steps.indexOf(until))) {
      part.onOperation = undefined;
      ecu.floors = undefined;
      return;
    }
    traced.push({
      operation,
      partition: partitionAt(map, operation.offset, setup.part),
      step,
      told: { ...director.told },
      floors: ecu.floors!,
      resumable: ecu.resumable,
    });
  };
  return traced;
}

/** Every operation from the scenario's beginning to its goal. */
export async function trace(scenario: Scenario): Promise<TracedOperation[]> {
  const { setup, bytes, stage } = scenario;
  const part = new FaultyFlash(bytes.slice(), setup.part);
  const director = scenario.director.copy();
  const ecu = new EcuUnderTest(setup, part, director);
  const traced = record(scenario, part, ecu, director);
  await ecu.liveUntilDone(stage);
  return traced;
}
