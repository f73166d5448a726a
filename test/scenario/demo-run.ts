/** Runs `make demo`'s program as a child process in a folder of its own, on free ports. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DemoReport } from '../../backend/fleet/demo-report.ts';

export interface DemoRun {
  readonly status: number | null;
  readonly output: string;
  /** Undefined when the run wrote none. */
  readonly report: DemoReport | undefined;
  readonly folder: string;
  remove(): void;
}

export async function runDemo(environment: Readonly<Record<string, string>>): Promise<DemoRun> {
  const parent = mkdtempSync(join(tmpdir(), 'ota-demo-'));
  const folder = join(parent, 'demo');
  const child = spawn(process.execPath, ['backend/fleet/demo.ts'], {
    env: {
      ...process.env,
      DIRECTOR_PORT: '0',
      IMAGES_PORT: '0',
      OPERATOR_PORT: '0',
      DOORBELL_PORT: '0',
      FIRMWARE: '',
      ECU: '',
      ATTACK: '',
      OFFLINE: '',
      KILLS: '',
      SEED: '',
      CAN_LOG: '',
      CAN_SOCKETCAND: '',
      CAN_SLCAN: '',
      CAN_FAULTS: '',
      DEMO_FOLDER: folder,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += bytes;
  });
  child.stderr.on('data', (bytes) => {
    output += bytes;
  });
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return {
    status,
    output,
    report: readReport(join(folder, 'report.json')),
    folder,
    remove: () => rmSync(parent, { recursive: true, force: true }),
  };
}

function readReport(path: string): DemoReport | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as DemoReport;
  } catch {
    return undefined;
  }
}
