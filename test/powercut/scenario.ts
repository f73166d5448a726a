/**
 * One stretch of an ECU's life, from a flash snapshot to its goal: which stage the repositories are
 * in, and which stage comes next, to show that the ECU can still be updated.
 */
import { FlashKeyValue } from '../../agent/install/flash-key-value.ts';
import { FaultyFlash } from '../../hal/emulated/faulty-flash.ts';
import { EcuUnderTest, type Step, steps } from './ecu.ts';
import { type EcuSetup, manufacture, openFlash, updatedEcuOf } from './factory.ts';
import { layoutOf, type PartKind, type Role } from './geometries.ts';
import { crypto } from './memo-crypto.ts';
import { DirectorView, type Stage, World } from './world.ts';

/**
 * Update to confirmation; failing trial to its end; Root rotation; interrupted transfer; and what a
 * Secondary does in a two-phase bundle that is committed, or withdrawn.
 */
export const lives = ['update', 'rollback', 'rotation', 'resume', 'commit', 'withdraw'] as const;
export type Life = (typeof lives)[number];

/** The lives of one kind of ECU. */
export function livesOf(role: Role): readonly Life[] {
  return role === 'primary' ? lives.slice(0, 4) : lives;
}

export interface Scenario {
  readonly setup: EcuSetup;
  readonly stage: Stage;
  readonly next: Stage;
  /** Content of the part at the beginning, and what the Director knew then. */
  readonly bytes: Uint8Array;
  readonly director: DirectorView;
  /** Where the power is cut first: the steps in which this life differs from the others. */
  readonly cutSteps: readonly Step[];
}

const cutSteps: Readonly<Record<Life, readonly Step[]>> = {
  update: steps,
  rollback: steps,
  rotation: ['time', 'report', 'metadata'],
  resume: ['download', 'prepare', 'transfer', 'finish'],
  commit: ['boot', 'settle', 'decide', 'activate'],
  withdraw: ['boot', 'settle', 'decide', 'activate'],
};

export async function createScenario(role: Role, part: PartKind, life: Life): Promise<Scenario> {
  const world = new World(updatedEcuOf(role));
  const setup = { role, part, world };
  const bytes = new Uint8Array(layoutOf(part, role).size).fill(part.eraseValue);
  const director = new DirectorView();
  const flash = new FaultyFlash(bytes, part);
  manufacture(setup, openFlash(setup, flash));
  const ecu = new EcuUnderTest(setup, flash, director);
  await ecu.liveUntilDone(world.stage({ goal: 1 }));
  fillKeyValue(setup, bytes);
  const stage = stageOf(world, life);
  if (life === 'rollback') {
    // Two trials have failed, the third is about to start; a Primary's bundle stops with the first.
    const starts = role === 'primary' ? 1 : 5;
    for (let start = 0; start < starts; start++) await ecu.live(stage);
    for (const ecuId of Object.keys(director.told)) {
      director.told[ecuId] = { ...director.told[ecuId]!, failures: [] };
    }
  }
  const next = world.stage({ release: 3, goal: 3 });
  return { setup, stage, next, bytes, director, cutSteps: cutSteps[life] };
}

/** Bytes left in the active bank of the key-value store, so that it is copied in mid-life. */
const roomLeft: Readonly<Record<Role, number>> = {
  primary: 1_300,
  full: 1_300,
  partial: 500,
  hosted: 1_300,
};

const largeFiller = 4_096;
const smallFiller = 64;
/** Left to small ones. */
const spareFiller = 600;

function fillKeyValue(setup: EcuSetup, bytes: Uint8Array): void {
  const { offset, size } = layoutOf(setup.part, setup.role).map['key-value']!;
  const flash = new FaultyFlash(bytes, setup.part);
  let end = 0;
  flash.onOperation = (operation) => {
    end = operation.offset + operation.after.length - offset;
  };
  const partition = openFlash(setup, flash).open({ path: 'key-value' });
  const store = new FlashKeyValue(partition, crypto);
  const bank = size / 2;
  // Where units are large, a value more may take more than is to be left.
  const left = Math.max(roomLeft[setup.role], 4 * setup.part.writeAlign);
  const room = () => bank - (end % bank);
  do {
    // Few values fill most of it, since each is read at every start; the last one is small.
    const rest = room() - left - spareFiller;
    store.write(
      'filler',
      new Uint8Array(rest > smallFiller ? Math.min(rest, largeFiller) : smallFiller),
    );
  } while (room() > left || end % bank === 0);
}

function stageOf(world: World, life: Life): Stage {
  if (life === 'rollback') return world.stage({ release: 2, goal: 1, bad: true });
  if (life === 'commit') return world.stage({ release: 2, goal: 2, held: life });
  if (life === 'withdraw') return world.stage({ release: 2, goal: 1, held: life });
  if (life !== 'rotation') {
    return world.stage({ release: 2, goal: 2, interrupted: life === 'resume' });
  }
  const { director, images } = world.sim;
  director.rotate('timestamp');
  director.rotate('root');
  images.rotate('snapshot');
  images.rotate('root');
  return world.stage({ release: 2, goal: 2 });
}
