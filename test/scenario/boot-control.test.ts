/**
 * The loaders of machines as boot control: the real program beside a loader that the test plays, by
 * the files that the two share. U-Boot: environment and kernel command line; Raspberry Pi:
 * autoboot.txt and the cell of the device tree. The agent is a few lines that confirm, or do not.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isRefusal } from '../../agent/codes.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { machineArchitecture } from '../../boards/programs.ts';
import { readAutoboot, writeAutoboot } from '../../hal/boot/autoboot.ts';
import { nextEnvironment, readEnvironment } from '../../hal/boot/u-boot-environment.ts';
import type { EcuDescription, LoaderDescription } from '../../hal/ecu-description.ts';
import { createEmulatedFlash } from '../../hal/emulated/flash.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import type { SlotImage } from '../../hal/types.ts';

const test = suite('Boot control by the loader of the machine');

const program = `out/bin/${machineArchitecture}/ecu-secondary`;
const crypto = createNodeCrypto();
const restart = 75;

/** Confirms what is on trial, where the file beside it says so. */
const agentSource = `var agent = (() => {
  BOOT
  return { BootBlock, isRefusal, start(hal) {
    const { boot } = hal.runtime;
    const { active, pending } = boot.status();
    hal.board.log('agent slot=' + active + ' replaced=' + hal.runtime.replaced);
    if (pending !== active) return;
    if (hal.keyValue.read('verdict')[0] === 1) boot.confirm();
    else if (hal.keyValue.read('verdict')[0] === 2) { boot.rollback('self-test'); hal.board.reboot(); }
  } };
})();`;

/** What the machine's loader does between two runs of the program. */
interface Loader {
  readonly description: LoaderDescription;
  /** Starts the machine; false: the slot that would be started cannot be, and the loader goes on. */
  start(broken: number | undefined, argument: string | undefined): void;
}

function uBoot(folder: string): Loader {
  const size = 4_096;
  const path = join(folder, 'environment');
  const startedFrom = join(folder, 'cmdline');
  const environment = [
    { path, offset: 8_192 },
    { path, offset: 8_192 + size },
  ];
  const file = Buffer.alloc(8_192 + 2 * size + 100, 0xee);
  const first = nextEnvironment(
    { variables: {}, copy: 1, flags: 41 },
    {
      ota_slot: 'a',
      bootlimit: '1',
      bootcount: '0',
      upgrade_available: '0',
      ethaddr: '2:0:0:0:0:1',
    },
    size,
  );
  file.set(first, environment[0]!.offset);
  writeFileSync(path, file);
  const read = () => {
    const bytes = new Uint8Array(readFileSync(path));
    assert.ok(
      bytes.subarray(0, 8_192).every((byte) => byte === 0xee),
      'nothing before it',
    );
    assert.ok(
      bytes.subarray(8_192 + 2 * size).every((byte) => byte === 0xee),
      'nothing behind it',
    );
    const copyAt = ({ offset }: { offset: number }) => bytes.subarray(offset, offset + size);
    return readEnvironment([copyAt(environment[0]!), copyAt(environment[1]!)])!;
  };
  const save = (changes: Readonly<Record<string, string>>) => {
    const before = read();
    const bytes = readFileSync(path);
    bytes.set(nextEnvironment(before, changes, size), environment[1 - before.copy]!.offset);
    writeFileSync(path, bytes);
  };
  return {
    description: { control: 'u-boot', environment, size, startedFrom },
    start(broken) {
      for (;;) {
        const { variables } = read();
        assert.is(variables['ethaddr'], '2:0:0:0:0:1', 'what else it holds stays');
        if (variables['upgrade_available'] === '1') {
          const count = Number(variables['bootcount']) + 1;
          save({ bootcount: String(count) });
          if (count > Number(variables['bootlimit'])) {
            // altbootcmd (docs/boot-control.md)
            const other = variables['ota_slot'] === 'a' ? 'b' : 'a';
            save({ ota_slot: other, upgrade_available: '0', bootcount: '0' });
            continue;
          }
        }
        const slot = variables['ota_slot'] === 'b' ? 1 : 0;
        if (slot === broken) continue;
        writeFileSync(
          startedFrom,
          `console=ttyS0 root=/dev/mmcblk0p2 ota_slot=${variables['ota_slot']}\n`,
        );
        return;
      }
    },
  };
}

function raspberryPi(folder: string): Loader {
  const autoboot = join(folder, 'autoboot.txt');
  const startedFrom = join(folder, 'partition');
  const partitions = [2, 3] as const;
  writeFileSync(autoboot, writeAutoboot('', { normal: 2, trial: 3 }));
  return {
    description: { control: 'tryboot', autoboot, partitions, startedFrom },
    start(broken, argument) {
      const { normal, trial } = readAutoboot(readFileSync(autoboot, 'latin1'));
      // A start that fails ends in another one, which is no trial any more.
      const tried = argument === '0 tryboot' ? trial : normal;
      const number = partitions.indexOf(tried as 2) === broken ? normal : tried;
      writeFileSync(startedFrom, Buffer.from([0, 0, 0, number!]));
    },
  };
}

/** A machine with two slots, whose power is on when the program runs. */
class Machine {
  readonly folder = mkdtempSync(join(tmpdir(), 'ota-boot-control-'));
  readonly loader: Loader;
  private readonly description: EcuDescription;
  private argument: string | undefined;

  constructor(makeLoader: (folder: string) => Loader) {
    const { folder } = this;
    this.loader = makeLoader(folder);
    const names = ['state', 'journal', 'runtime-state', 'runtime-journal', 'slot-a', 'slot-b'];
    const small = [...names, 'runtime-a', 'runtime-b'];
    const map = Object.fromEntries(
      small.map((name, i) => [name, { offset: i * 131_072, size: 131_072 }]),
    );
    this.description = {
      flashFile: join(folder, 'flash.bin'),
      flashMap: map,
      keyValueFolder: join(folder, 'key-value'),
      buses: {},
      slots: ['slot-a', 'slot-b'],
      state: 'state',
      journal: 'journal',
      runtime: {
        slots: ['runtime-a', 'runtime-b'],
        state: 'runtime-state',
        journal: 'runtime-journal',
        files: [join(folder, 'system-a'), join(folder, 'system-b')],
        loader: this.loader.description,
      },
    };
    const agent = compileAgent(folder);
    BootBlock.initialise(this.partition('state'), crypto, this.put('slot-a', 'agent', agent));
    const system = Buffer.from('the system of release 1');
    writeFileSync(join(folder, 'system-a'), system);
    const image = imageOf('system-1.img', system, 1);
    BootBlock.initialise(this.partition('runtime-state'), crypto, image);
    this.verdict(0);
    this.loader.start(undefined, undefined);
  }

  private partition(path: string) {
    const flash = createEmulatedFlash(this.description.flashFile, this.description.flashMap);
    return flash.open({ path });
  }

  /** Writes an image into a slot, as the installer does. */
  private put(name: string, filename: string, content: Uint8Array, release = 1): SlotImage {
    const slot = this.partition(name);
    const padded = new Uint8Array(Math.ceil(content.length / 4) * 4).fill(0xff);
    padded.set(content);
    slot.eraseBlock(0, slot.status().blocks);
    slot.write(padded, 0);
    slot.sync();
    return imageOf(filename, content, release);
  }

  /** Boot control of the system, as opened by the program in `active`. */
  boot(active?: number): BootBlock {
    const boot = BootBlock.open(this.partition('runtime-state'), crypto, active);
    if (isRefusal(boot)) throw new Error(boot.detail);
    return boot;
  }

  /** Installs a release of the system, as an update does: it waits for its trial. */
  install(release: number): void {
    const boot = this.boot();
    const slot = 1 - boot.status().confirmed;
    const content = Buffer.from(`the system of release ${release}`);
    const name = `system-${release}.img`;
    const image = this.put(slot === 0 ? 'runtime-a' : 'runtime-b', name, content, release);
    boot.activate(slot, image, 1);
  }

  /** 0: the agent does nothing, 1: confirms, 2: gives up. */
  verdict(value: number): void {
    execFileSync('mkdir', ['-p', join(this.folder, 'key-value')]);
    writeFileSync(join(this.folder, 'key-value', 'verdict.value'), Buffer.from([value]));
  }

  /** One run of the program; the loader has started the machine. */
  run(): { readonly status: number | null; readonly output: string } {
    const path = join(this.folder, 'ecu.json');
    writeFileSync(path, JSON.stringify(this.description));
    const environment = { ...process.env };
    delete environment['OTA_REBOOT_MACHINE'];
    const { status, stdout, stderr } = spawnSync(program, ['--heap', '2097152', path], {
      encoding: 'utf8',
      env: environment,
    });
    this.argument = /^restart argument=(.*)$/m.exec(stdout)?.[1];
    return { status, output: stdout + stderr };
  }

  /** The machine restarts; `broken` is a slot that its loader cannot start. */
  restart(broken?: number): void {
    this.loader.start(broken, this.argument);
    this.argument = undefined;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

function imageOf(filename: string, content: Uint8Array, releaseCounter: number): SlotImage {
  const sha256 = crypto.digest('SHA-256', content);
  return { filename, releaseCounter, length: content.length, sha256 };
}

function compileAgent(folder: string): Uint8Array {
  const source = join(folder, 'agent.ts');
  const bundle = join(folder, 'agent.js');
  const root = process.cwd();
  writeFileSync(
    source,
    `export { BootBlock } from '${root}/agent/install/boot-block.ts';
export { isRefusal } from '${root}/agent/codes.ts';`,
  );
  const words = ['--bundle', '--format=iife', '--global-name=known', '--target=es2020', '--minify'];
  execFileSync('node_modules/.bin/esbuild', [source, ...words, `--outfile=${bundle}`], {
    stdio: 'ignore',
  });
  const known = `${readFileSync(bundle, 'utf8')}\nconst { BootBlock, isRefusal } = known;`;
  writeFileSync(
    bundle,
    agentSource.replace('BOOT', () => known),
  );
  execFileSync('out/bin/bytecode-compiler', [bundle, join(folder, 'agent.bytecode')]);
  return readFileSync(join(folder, 'agent.bytecode'));
}

for (const [name, makeLoader] of [
  ['U-Boot', uBoot],
  ['tryboot', raspberryPi],
] as const) {
  const onMachine = (act: (machine: Machine) => void) => {
    const machine = new Machine(makeLoader);
    try {
      act(machine);
    } finally {
      machine.remove();
    }
  };
  const runs = (machine: Machine, slot: number) => {
    const { status, output } = machine.run();
    assert.is(status, 0, output);
    assert.match(output, new RegExp(`^agent slot=${slot} replaced=false$`, 'm'));
  };
  const triesOther = (machine: Machine, release: number) => {
    const { status, output } = machine.run();
    assert.is(status, restart, output);
    assert.match(output, new RegExp(`^program slot=[AB] image=system-${release}\\.img$`, 'm'));
  };

  test(`${name}: a new system is tried once and kept when its agent confirms; then the next one`, () => {
    onMachine((machine) => {
      runs(machine, 0);
      for (const [release, slot] of [
        [2, 1],
        [3, 0],
      ] as const) {
        machine.install(release);
        machine.verdict(1);
        triesOther(machine, release);
        const file = join(machine.folder, slot === 0 ? 'system-a' : 'system-b');
        assert.is(readFileSync(file, 'utf8'), `the system of release ${release}`);
        machine.restart();
        runs(machine, slot);
        assert.is(machine.boot().status().confirmed, slot);
        assert.is(machine.boot().status().counter, release);
        for (let starts = 0; starts < 3; starts++) {
          machine.restart();
          runs(machine, slot);
        }
      }
    });
  });

  test(`${name}: INS-13: a system that does not start, does not confirm or gives up makes way`, () => {
    onMachine((machine) => {
      const isBack = (reason: string) => {
        machine.restart();
        runs(machine, 0);
        const { rolledBack, rollbackReason, confirmed } = machine.boot().status();
        assert.is(rollbackReason, reason);
        assert.match(rolledBack!.filename, /^system-/);
        assert.is(confirmed, 0);
        machine.boot().acknowledge();
      };
      // Its loader cannot start it.
      machine.install(2);
      triesOther(machine, 2);
      machine.restart(1);
      const { status, output } = machine.run();
      assert.is(status, 0, output);
      isBack('unconfirmed');
      // It runs, the agent crashes before it confirms, and only the program is started again.
      machine.install(3);
      machine.verdict(0);
      triesOther(machine, 3);
      machine.restart();
      runs(machine, 1);
      assert.is(machine.run().status, restart);
      isBack('unconfirmed');
      // Its agent gives it up.
      machine.install(4);
      machine.verdict(2);
      triesOther(machine, 4);
      machine.restart();
      assert.is(machine.run().status, restart);
      isBack('self-test');
    });
  });

  test(`${name}: a cut between the confirmation and its word to the loader`, () => {
    onMachine((machine) => {
      machine.install(2);
      triesOther(machine, 2);
      machine.restart();
      machine.boot(1).confirm();
      machine.restart();
      // The loader has gone back: the start in the old system sets it right, and the next one is.
      const { status, output } = machine.run();
      assert.is(status, 0, output);
      assert.match(output, /^agent slot=1 replaced=true$/m);
      machine.restart();
      runs(machine, 1);
    });
  });
}

if (existsSync(program)) test.run();
else console.log('skipped: 6 make runtime was not run: it needs packages');
