/** One ECU of a vehicle that a demonstration left, with a native program, for tests of bad input. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRefusal } from '../../agent/codes.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import type { EcuDescription } from '../../hal/ecu-description.ts';
import { createEmulatedFlash } from '../../hal/emulated/flash.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';

export interface NativeRun {
  /** Exit status; `running` when it was ended after the line that was waited for. */
  readonly status: number | string;
  readonly output: string;
}

export interface RunOptions {
  /** Bytes; 2 MiB when absent. */
  readonly heap?: number;
  /** Changes of its description. */
  readonly description?: Partial<EcuDescription>;
  /** Program that starts it. */
  readonly wrapper?: string;
  /** It is ended once it has printed this. */
  readonly until?: RegExp;
}

export class NativeEcu {
  readonly folder: string;
  readonly flashFile: string;
  private readonly program: string;
  private readonly given: EcuDescription;

  /** Copies the ECU's folder: the vehicle stays as it is. */
  constructor(vehicle: string, name: 'primary' | 'full' | 'partial', program: string) {
    this.folder = mkdtempSync(join(tmpdir(), 'ota-native-ecu-'));
    cpSync(join(vehicle, name), this.folder, { recursive: true });
    this.flashFile = join(this.folder, 'flash.bin');
    this.program = program;
    const text = readFileSync(join(this.folder, 'ecu.json'), 'utf8');
    this.given = {
      ...(JSON.parse(text) as EcuDescription),
      flashFile: this.flashFile,
      keyValueFolder: join(this.folder, 'key-value'),
    };
  }

  /** Its flash part, changed by the test while the program does not run. */
  changeFlash(
    change: (bytes: Buffer, map: EcuDescription['flashMap']) => Buffer | undefined,
  ): void {
    const bytes = readFileSync(this.flashFile);
    writeFileSync(this.flashFile, change(bytes, this.given.flashMap) ?? bytes);
  }

  /** Its boot control, as the installer uses it. */
  boot(): BootBlock {
    const { flashMap, flashGeometry, state } = this.given;
    const flash = createEmulatedFlash(this.flashFile, flashMap, flashGeometry);
    const boot = BootBlock.open(flash.open({ path: state }), createNodeCrypto());
    if (isRefusal(boot)) throw new Error(boot.detail);
    return boot;
  }

  async run(options: RunOptions = {}): Promise<NativeRun> {
    const { heap = 2_097_152, wrapper, until } = options;
    const path = join(this.folder, 'run.json');
    writeFileSync(path, JSON.stringify({ ...this.given, ...options.description }));
    const words = [...(wrapper ? [wrapper] : []), this.program, '--heap', String(heap), path];
    const child: ChildProcess = spawn(words[0]!, words.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let ended = false;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        if (ended || until?.test(output) !== true) return;
        ended = true;
        child.kill('SIGKILL');
      });
    }
    const status = await new Promise<number | string>((resolve) =>
      child.on('close', (code) => resolve(ended ? 'running' : (code ?? 'killed'))),
    );
    return { status, output };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
