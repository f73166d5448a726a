/**
 * Faults of the part other than cuts: rotten bits, a boot block that is lost as a whole, reads that
 * fail, blocks that do not erase. What runs is whole all the same; where the part works again or has
 * another block, the goal is reached.
 */
import { type Fault, FaultyFlash, seededRandom } from '../../hal/emulated/faulty-flash.ts';
import { EcuUnderTest } from './ecu.ts';
import { updatedEcuOf } from './factory.ts';
import { layoutOf } from './geometries.ts';
import type { Scenario } from './scenario.ts';
import type { TracedOperation } from './trace.ts';
import { Broken, DirectorView, HalfImage } from './world.ts';

export interface DeviceFault {
  readonly name: string;
  /** True when the fault has happened; throws `Broken`. */
  run(): Promise<boolean>;
}

const perKind = 12;
const maxCrashes = 4;

/** Faults of one scenario, by seed. */
export function deviceFaults(
  scenario: Scenario,
  traced: readonly TracedOperation[],
): DeviceFault[] {
  const { setup } = scenario;
  const { map } = layoutOf(setup.part, setup.role);
  const random = seededRandom(traced.length);
  const prefix = updatedEcuOf(setup.role) === 'ecu-1' ? '' : 'hosted-';
  const slot = prefix === '' ? 'slot-b' : 'hosted-b';
  // A failure that only the lost record told of cannot be reported any more (docs/SPEC.md §4).
  const { bad, held } = scenario.stage;
  const withoutBoot = bad || held === 'withdraw' ? 'runs' : 'reaches';
  const faults: [string, Fault, 'reaches' | 'runs'][] = [];
  for (let n = 0; n < perKind; n++) {
    for (const name of [slot, `${prefix}state`, `${prefix}journal`]) {
      const { offset, size } = map[name]!;
      const operation = random(traced.length);
      const rot = {
        kind: 'bit-rot',
        operation,
        offset: offset + random(size),
        bit: random(8),
      } as const;
      const promise = name.endsWith('state') ? withoutBoot : 'reaches';
      faults.push([`rot in ${name}`, rot, name === slot ? 'runs' : promise]);
    }
    const { offset, size } = map[`${prefix}state`]!;
    const operation = random(traced.length);
    const lost = { kind: 'lost-region', operation, offset, length: size } as const;
    faults.push(['lost boot block', lost, withoutBoot]);
    faults.push(['read error', { kind: 'read-error', read: n * 3, times: 1 + (n % 2) }, 'reaches']);
  }
  const { blockLength } = setup.part;
  for (const name of [slot, `${prefix}state`, `${prefix}journal`]) {
    const block = map[name]!.offset / blockLength;
    const isUsed = traced.some(
      ({ operation }) =>
        operation.kind === 'erase' &&
        operation.offset <= block * blockLength &&
        operation.offset + operation.after.length > block * blockLength,
    );
    if (isUsed)
      faults.push([
        `stuck ${name}`,
        { kind: 'stuck-block', block },
        name === slot ? 'runs' : 'reaches',
      ]);
  }
  return faults.map(([name, fault, promise]) => ({
    name,
    run: () => live(scenario, fault, promise),
  }));
}

async function live(
  { setup, stage, bytes, director }: Scenario,
  fault: Fault,
  promise: string,
): Promise<boolean> {
  const part = new FaultyFlash(bytes.slice(), setup.part);
  part.powerOn([fault]);
  const view = new DirectorView(director.told);
  view.damaged = true;
  const ecu = new EcuUnderTest(setup, part, view);
  for (let crashes = 0; crashes < maxCrashes; crashes++) {
    try {
      await ecu.liveUntilDone(stage);
      return part.fired === 1;
    } catch (error) {
      // A half image never runs, whatever the part does.
      if (error instanceof HalfImage) throw error;
      // What cannot be read or written ends the program; it is started again.
    }
  }
  if (promise === 'reaches') throw new Broken('lost', 'the goal is not reached');
  return part.fired === 1;
}
