/**
 * The factory: makes one emulated vehicle's flash files, key-value stores, keys and factory images
 * (Uptane §5.4.1). ECU keys are made here, once, and only their public halves leave the vehicle.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from '../../agent/codec/schema.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { configuration, storedKeyPair } from '../../agent/metadata/configuration.ts';
import {
  ecuRoles,
  type Registration,
  verifications,
} from '../../agent/metadata/device-messages.ts';
import type { Endpoint } from '../../agent/metadata/repository-map.ts';
import type { ImageKindName } from '../../agent/metadata/targets.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { buildAgent } from '../../boards/build.ts';
import type { Architecture } from '../../boards/load.ts';
import { programPath } from '../../boards/programs.ts';
import type { EcuDescription } from '../../hal/ecu-description.ts';
import { createEmulatedFlash } from '../../hal/emulated/flash.ts';
import { createFileKeyValue } from '../../hal/emulated/key-value.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { generateKeyPair, type KeyPair } from '../../hal/node/signing.ts';
import type { Crypto, Flash, KeyValue } from '../../hal/types.ts';
import { defaultServerName } from '../settings.ts';
import { deviceRootPath } from '../signer/device-authorities.ts';
import { configureAgent } from './agent-configuration.ts';
import {
  type AgentLayout,
  type AgentName,
  agentLayouts,
  agentNames,
  board,
  describeEcu,
  downloadPartition,
  flashMap,
  hostedEcuId,
  hostedHardwareId,
  hostedPartitions,
  ownPartitions,
  roomFor,
  runtimeEcuId,
  runtimeHardwareId,
  runtimePartitions,
} from './vehicle-layout.ts';

export interface ManufactureOptions {
  readonly folder: string;
  readonly vehicleId: string;
  /** Where agent bundles are built; outside the vehicle, as at a real factory. */
  readonly buildFolder: string;
  /** The repositories as the vehicle will reach them. */
  readonly director: Endpoint;
  readonly images: Endpoint;
  /** The device root's certificate in DER: mutual TLS; plain HTTP when absent. */
  readonly deviceRoot?: Uint8Array | undefined;
  /** Version-1 Roots of both repositories, as the key ceremony signed them. */
  readonly directorRoot: Uint8Array;
  readonly imagesRoot: Uint8Array;
  readonly busAddress: string;
  /** A hosted ECU beside one agent, with room for images of `imageBytes`. */
  readonly hosted?: { readonly on: AgentName; readonly imageBytes: number };
  /** The native programs are ECUs too and updated over the air; what is on the board at first. */
  readonly runtimeFor?: {
    readonly architecture: Architecture;
    readonly release: number;
    /** File with the image of slot A, where the machine's loader starts it; else the program. */
    readonly image?: string;
  };
  /** Sum of the encrypted images that one update carries, in bytes. */
  readonly downloadBytes: number;
  /** Where a medium for offline updates is plugged in (PURE-2). */
  readonly mediumFolder?: string;
  readonly pollMilliseconds: number;
  /** The broker that rings when there is something new; polling alone when absent. */
  readonly doorbell?: Endpoint | undefined;
}

/** One Uptane ECU as it left the factory. */
export interface ProvisionedEcu {
  readonly ecuId: string;
  readonly hardwareId: string;
  readonly layout: AgentLayout;
  readonly hostedBy?: string;
  readonly flashFile: string;
  readonly flashMap: EcuDescription['flashMap'];
  readonly kind: ImageKindName;
  readonly partitions: typeof ownPartitions | typeof hostedPartitions | typeof runtimePartitions;
}

export interface ProvisionedAgent {
  readonly layout: AgentLayout;
  /** Path of the description that hal/emulated/ecu.ts runs. */
  readonly description: string;
  readonly keyValueFolder: string;
  readonly ecus: readonly ProvisionedEcu[];
}

const factoryRelease = 1;
/** In the Primary's folder; see hal/emulated/vehicle-interface.ts. */
export const progressFileName = 'progress.json';

/** A vehicle that no repository knows yet. */
export interface ManufacturedVehicle {
  readonly agents: readonly ProvisionedAgent[];
  /** What its registration will say of its ECUs. */
  readonly ecus: Registration['ecus'];
  /** With TLS: the vehicle's device key, which stays in the Primary's store. */
  readonly deviceKey: KeyPair | undefined;
}

/** Makes the vehicle in `folder`; `enrolVehicle` then makes it known and gives it its metadata. */
export async function manufactureVehicle(
  options: ManufactureOptions,
): Promise<ManufacturedVehicle> {
  const crypto = createNodeCrypto();
  const agents: ProvisionedAgent[] = [];
  const described: Registration['ecus'][number][] = [];
  for (const name of agentNames) {
    const { agent, ecus } = await provisionAgent(options, agentLayouts[name], crypto);
    agents.push(agent);
    described.push(...ecus);
  }
  // The Primary knows the keys of its Secondaries, and they know the Primary's.
  const keys = new Map(described.map(({ ecuId, signingKey }) => [ecuId, signingKey]));
  for (const { layout, ecus, keyValueFolder } of agents) {
    const value = encode(configuration, configureAgent(options, layout, ecus, keys));
    createFileKeyValue(keyValueFolder).write('configuration', value);
  }
  const deviceKey = options.deviceRoot && generateKeyPair('ESP256');
  if (deviceKey !== undefined) {
    const value = encode(storedKeyPair, deviceKey);
    createFileKeyValue(agents[0]!.keyValueFolder).write('device-key', value);
  }
  return { agents, ecus: described, deviceKey };
}

async function provisionAgent(options: ManufactureOptions, layout: AgentLayout, digests: Crypto) {
  const folder = join(options.folder, layout.name);
  const keyValueFolder = join(folder, 'key-value');
  mkdirSync(folder, { recursive: true });
  const hosts = options.hosted?.on === layout.name;
  const [hostedSlot] = hostedPartitions.slots;
  const hostedBytes = hosts ? roomFor(hostedSlot, options.hosted!.imageBytes) : 0;
  const isPrimary = layout.program === 'primary';
  const map = flashMap(
    isPrimary ? roomFor(downloadPartition, options.downloadBytes) : 0,
    hostedBytes,
    options.runtimeFor !== undefined,
  );
  const flashFile = join(folder, 'flash.bin');
  const flash = createEmulatedFlash(flashFile, map, board.flash);
  const keyValue = createFileKeyValue(keyValueFolder);

  const own = { layout, flashFile, flashMap: map };
  const ecus: ProvisionedEcu[] = [
    {
      ...own,
      ecuId: layout.ecuId,
      hardwareId: layout.hardwareId,
      kind: 'agent',
      partitions: ownPartitions,
    },
  ];
  if (hosts) {
    const ecuId = hostedEcuId(layout.name);
    const hosted = { ecuId, hardwareId: hostedHardwareId, hostedBy: layout.ecuId };
    ecus.push({ ...own, ...hosted, kind: 'opaque', partitions: hostedPartitions });
  }
  const program = await buildAgent({
    program: layout.program,
    release: factoryRelease,
    outfile: join(options.buildFolder, `${layout.name}-agent-${factoryRelease}`),
    runtime: board.engine.runtime,
  });
  installFactoryImage(flash, digests, ecus[0]!, `${layout.name}-agent-1.bin`, program.bytes);
  if (options.runtimeFor !== undefined) {
    const { architecture, release, image } = options.runtimeFor;
    const ecu = runtimeEcu(own, architecture);
    const program = image ?? programPath(board, architecture, layout.program, release);
    // The program on the board is the factory image: its slot stays empty.
    const filename = `${ecu.ecuId}-${release}.bin`;
    confirmFactoryImage(flash, digests, ecu, filename, readFileSync(program), release);
    ecus.push(ecu);
  }
  for (const hosted of ecus.filter(({ kind }) => kind === 'opaque')) {
    const firmware = new TextEncoder().encode(`factory firmware of ${hosted.ecuId}\n`);
    installFactoryImage(flash, digests, hosted, `${hosted.ecuId}-1.bin`, firmware);
  }

  const store = new MetadataStore(keyValue);
  store.writeRoot('director', 1, options.directorRoot);
  // KEY-02, KEY-03: a partial verifier never looks at the Image repository
  if (layout.verification === 'full') store.writeRoot('images', 1, options.imagesRoot);
  const described = ecus.map((ecu) => provisionKeys(keyValue, ecu));

  const description = join(folder, 'ecu.json');
  const { busAddress } = options;
  const runtime = options.runtimeFor && { runtimeFolder: join(folder, 'program') };
  const emulated: EcuDescription = {
    ...describeEcu({ flashFile, flashMap: map, keyValueFolder, busAddress, ...runtime }),
    ...(options.mediumFolder !== undefined &&
      layout.program === 'primary' && { mediumFolder: options.mediumFolder }),
    ...(layout.program === 'primary' && {
      progressFile: join(folder, progressFileName),
      ...(process.env['CONSENT'] && { consent: process.env['CONSENT'] }),
    }),
    ...(process.env['HOSTED_SELF_TEST'] && { hostedSelfTest: process.env['HOSTED_SELF_TEST'] }),
  };
  writeFileSync(description, `${JSON.stringify(emulated, undefined, 2)}\n`);
  return { agent: { layout, description, keyValueFolder, ecus }, ecus: described };
}

/** Makes the ECU's signing and wrapping keys (KEY-05, KEY-06); returns their public halves. */
function provisionKeys(keyValue: KeyValue, ecu: ProvisionedEcu): Registration['ecus'][number] {
  const keep = (name: string, pair: KeyPair) => {
    keyValue.write(`${name}/${ecu.ecuId}`, encode(storedKeyPair, pair));
    return pair.key;
  };
  const { layout } = ecu;
  const role = layout.program === 'primary' && ecu.hostedBy === undefined ? 'primary' : 'secondary';
  return {
    ecuId: ecu.ecuId,
    hardwareId: ecu.hardwareId,
    role: ecuRoles[role],
    verification: verifications[layout.verification],
    signingKey: keep('signing-key', generateKeyPair('ESP256')),
    wrappingKey: keep('wrapping-key', generateKeyPair('MLKEM768-P256')),
    ...(ecu.hostedBy === undefined ? {} : { hostedBy: ecu.hostedBy }),
  };
}

function installFactoryImage(
  flash: Flash,
  crypto: Crypto,
  ecu: ProvisionedEcu,
  filename: string,
  image: Uint8Array,
): void {
  const slot = flash.open({ path: ecu.partitions.slots[0] });
  const { size, blockLength, writeAlign, eraseValue } = slot.status();
  if (image.length > size) throw new Error(`${filename} does not fit its slot of ${size} bytes`);
  slot.eraseBlock(0, Math.ceil(image.length / blockLength));
  const padded = new Uint8Array(Math.ceil(image.length / writeAlign) * writeAlign);
  padded.fill(eraseValue);
  padded.set(image);
  slot.write(padded, 0);
  slot.sync();
  confirmFactoryImage(flash, crypto, ecu, filename, image, factoryRelease);
}

function confirmFactoryImage(
  flash: Flash,
  crypto: Crypto,
  ecu: ProvisionedEcu,
  filename: string,
  image: Uint8Array,
  releaseCounter: number,
): void {
  BootBlock.initialise(flash.open({ path: ecu.partitions.state }), crypto, {
    filename,
    releaseCounter,
    length: image.length,
    sha256: crypto.digest('SHA-256', image),
  });
}

/** The ECU of the program that runs an agent. */
function runtimeEcu(
  own: Pick<ProvisionedEcu, 'layout' | 'flashFile' | 'flashMap'>,
  architecture: Architecture,
): ProvisionedEcu {
  const { layout } = own;
  return {
    ...own,
    ecuId: runtimeEcuId(layout.name),
    hardwareId: runtimeHardwareId(layout.program, architecture),
    hostedBy: layout.ecuId,
    kind: 'runtime',
    partitions: runtimePartitions,
  };
}

/** The device plane at one host; with TLS by the name that the server's certificate bears. */
export function repositoriesAt(
  at: {
    readonly host: string;
    readonly director: number;
    readonly images: number;
    readonly doorbell?: number | undefined;
  },
  deviceRoot: Uint8Array | undefined,
  serverName: string = defaultServerName,
): Pick<ManufactureOptions, 'director' | 'images' | 'deviceRoot' | 'doorbell'> {
  const { host } = at;
  const named = deviceRoot && { serverName };
  return {
    director: { host, port: at.director, ...named },
    images: { host, port: at.images, ...named },
    deviceRoot,
    ...(at.doorbell && { doorbell: { host, port: at.doorbell, ...named } }),
  };
}

/** Reads the device root's certificate that the ceremony left in its keys folder. */
export function readDeviceRoot(keysFolder: string): Uint8Array {
  return readFileSync(deviceRootPath(keysFolder));
}

/** Reads a Root that the ceremony left in its keys folder. */
export function readRoot(keysFolder: string, repository: 'director' | 'images'): Uint8Array {
  return readFileSync(join(keysFolder, repository, '1.root.cbor'));
}
