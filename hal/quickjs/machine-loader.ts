/**
 * The machine's own loader as the one that chooses between the files of slot A and B: U-Boot by its
 * environment, the Raspberry Pi's firmware by `autoboot.txt`. Both try a slot once and come back by
 * themselves; what was confirmed is said to them last (docs/boot-control.md).
 */
import { readAutoboot, writeAutoboot } from '../boot/autoboot.ts';
import {
  type Environment,
  nextEnvironment,
  readEnvironment,
  type StoredEnvironment,
} from '../boot/u-boot-environment.ts';
import type {
  LoaderDescription,
  TrybootDescription,
  UBootDescription,
} from '../ecu-description.ts';
import type { Boot, BootStatus, RollbackReason, SlotImage } from '../types.ts';
import type { Native } from './native.ts';

export interface MachineLoader {
  /** The slot that the machine was started from; undefined when that cannot be told. */
  running(): number | undefined;
  /** The next start takes `slot`, once: the one after that takes the slot that is kept. */
  tryOnce(slot: number): void;
  /** From now on every start takes `slot`. Nothing is written when it is so. */
  keep(slot: number): void;
  /** What the restart of the machine has to say for the slot to be tried. */
  readonly restartArgument: string | undefined;
}

export function createLoader(native: Native, loader: LoaderDescription): MachineLoader {
  return loader.control === 'u-boot' ? createUBoot(native, loader) : createTryboot(native, loader);
}

const slotNames = ['a', 'b'];

function createUBoot(native: Native, loader: UBootDescription): MachineLoader {
  const { environment, size, startedFrom } = loader;
  const read = (): StoredEnvironment => {
    const [first, second] = environment.map(({ path, offset }) =>
      native.readRange(path, offset, size),
    );
    const none = new Uint8Array(0);
    const stored = readEnvironment([first ?? none, second ?? none]);
    if (stored === undefined) throw new Error('no copy of the environment is whole');
    return stored;
  };
  const write = (before: StoredEnvironment, changes: Environment) => {
    const bytes = nextEnvironment(before, changes, size);
    const { path, offset } = environment[1 - before.copy]!;
    native.writeRange(path, offset, bytes);
  };
  return {
    running() {
      // What U-Boot told the kernel: its environment may say what the next start takes already.
      const line = native.readRange(startedFrom, 0, 4_096) ?? new Uint8Array(0);
      for (const word of String.fromCharCode(...line)
        .trim()
        .split(' ')) {
        if (word === 'ota_slot=a') return 0;
        if (word === 'ota_slot=b') return 1;
      }
      return undefined;
    },
    tryOnce(slot) {
      // U-Boot counts the starts while `upgrade_available` is 1; above `bootlimit` it goes back.
      write(read(), { ota_slot: slotNames[slot]!, upgrade_available: '1', bootcount: '0' });
    },
    keep(slot) {
      const before = read();
      const { ota_slot: kept = 'a', upgrade_available: trial = '0' } = before.variables;
      if (kept === slotNames[slot] && trial === '0') return;
      write(before, { ota_slot: slotNames[slot]!, upgrade_available: '0', bootcount: '0' });
    },
    restartArgument: undefined,
  };
}

function createTryboot(native: Native, loader: TrybootDescription): MachineLoader {
  const { autoboot, partitions, startedFrom } = loader;
  const read = (): string => {
    const bytes = native.readRange(autoboot, 0, 512) ?? new Uint8Array(0);
    return String.fromCharCode(...bytes);
  };
  const write = (normal: number, trial: number) => {
    const before = read();
    const found = readAutoboot(before);
    const wanted = { normal: partitions[normal]!, trial: partitions[trial]! };
    if (found.normal === wanted.normal && found.trial === wanted.trial) return;
    const text = writeAutoboot(before, wanted);
    native.replaceDurably(
      autoboot,
      Uint8Array.from(text, (letter) => letter.charCodeAt(0)),
    );
  };
  return {
    running() {
      // A cell of the device tree: four bytes, the highest first.
      const cell = native.readRange(startedFrom, 0, 4);
      if (cell === undefined || cell.length !== 4) return undefined;
      const slot = partitions.indexOf(cell[3]!);
      return slot < 0 || cell[0] !== 0 || cell[1] !== 0 || cell[2] !== 0 ? undefined : slot;
    },
    tryOnce: (slot) => write(1 - slot, slot),
    keep: (slot) => write(slot, 1 - slot),
    restartArgument: '0 tryboot',
  };
}

/** Boot control whose ends are said to the loader, too; after the record, which a start repairs by. */
export class LoaderBoot implements Boot {
  private readonly boot: Boot;
  private readonly loader: MachineLoader;

  constructor(boot: Boot, loader: MachineLoader) {
    this.boot = boot;
    this.loader = loader;
  }

  status(): BootStatus {
    return this.boot.status();
  }

  activate(slot: number, image: SlotImage, attempts: number): void {
    this.boot.activate(slot, image, attempts);
  }

  confirm(): void {
    this.boot.confirm();
    this.loader.keep(this.status().confirmed);
  }

  extendTrial(attempts: number): void {
    this.boot.extendTrial(attempts);
  }

  rollback(reason: RollbackReason): void {
    this.boot.rollback(reason);
    this.loader.keep(this.status().confirmed);
  }

  acknowledge(): void {
    this.boot.acknowledge();
  }
}
