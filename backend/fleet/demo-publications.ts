/** Release 2: what the operator of the demonstration builds, publishes, and assigns or puts on a medium. */
import { join } from 'node:path';
import { buildAgent } from '../../boards/build.ts';
import type { DemoOptions } from './demo-options.ts';
import type { Operator } from './operator.ts';
import { powerCutPolicy } from './power-cuts.ts';
import {
  agentLayouts,
  agentNames,
  board,
  hostedEcuId,
  hostedHardwareId,
  vehicleId,
} from './vehicle-layout.ts';

export const newRelease = 2;

/** One image, and the ECU that shall run it. */
export interface Publication {
  readonly ecuId: string;
  readonly filename: string;
  readonly path: string;
  readonly hardwareId: string;
  readonly kind: 'agent' | 'opaque';
}

/** Builds release 2 of every agent below `buildFolder`, and names the user's firmware. */
export async function buildPublications(
  { firmware }: Pick<DemoOptions, 'firmware'>,
  buildFolder: string,
): Promise<readonly Publication[]> {
  const publications: Publication[] = [];
  for (const name of agentNames) {
    const { ecuId, hardwareId, program } = agentLayouts[name];
    const filename = `${name}-agent-${newRelease}.bin`;
    const outfile = join(buildFolder, `${name}-agent-${newRelease}`);
    const { path } = await buildAgent({
      program,
      release: newRelease,
      outfile,
      runtime: board.engine.runtime,
    });
    publications.push({ ecuId, hardwareId, kind: 'agent', filename, path });
  }
  if (firmware !== undefined) {
    publications.push({
      ecuId: hostedEcuId(firmware.on),
      hardwareId: hostedHardwareId,
      kind: 'opaque',
      filename: `${hostedEcuId(firmware.on)}-${newRelease}.bin`,
      path: firmware.path,
    });
  }
  return publications;
}

/** Publishes them, encrypted, by the offline keys. */
export async function publish(
  operator: Operator,
  publications: readonly Publication[],
  tell: (text: string) => void,
): Promise<void> {
  for (const { path, filename, hardwareId, kind, ecuId } of publications) {
    const { bytecodeVersion, halVersion } = board.engine;
    const agentOnly = [
      '--bytecode-version',
      String(bytecodeVersion),
      '--hal-version',
      String(halVersion),
    ];
    await operator.ota(
      ...['image', 'publish', path, '--filename', filename, '--hardware', hardwareId],
      ...['--release', String(newRelease), '--kind', kind],
      ...(kind === 'agent' ? agentOnly : []),
    );
    tell(`Published ${filename} (encrypted) for ${ecuId}`);
  }
}

/** Assigns them to their ECUs; `withPowerCuts`: the vehicle may try again and again. */
export async function assignPublications(
  operator: Operator,
  publications: readonly Publication[],
  withPowerCuts: boolean,
): Promise<void> {
  const pairs = publications.flatMap(({ ecuId, filename }) => [
    ...['--ecu', ecuId],
    ...['--image', filename],
  ]);
  const policy = withPowerCuts ? powerCutPolicy : [];
  await operator.ota('assign', '--vehicle', vehicleId, ...pairs, ...policy);
}

/** Writes the operator's medium with all of them into `folder`. */
export async function writeMedium(
  operator: Operator,
  publications: readonly Publication[],
  folder: string,
): Promise<void> {
  const images = publications.flatMap(({ filename }) => ['--image', filename]);
  const campaign = ['--campaign', 'demo', '--vehicle', vehicleId];
  await operator.ota('offline', 'bundle', '--out', folder, ...campaign, ...images);
}
