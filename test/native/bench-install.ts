/**
 * In the place of bootloader and agent in an ECU's program, for `make bench-peers`: one installation by
 * the agent's own code, from a download partition that holds the encrypted image into the other slot.
 * Either as the Primary does with its own images (installImage), or chunk by chunk as a Secondary takes
 * them from the bus, each durable before the next.
 */

import { decode } from '../../agent/codec/schema.ts';
import { isRefusal } from '../../agent/codes.ts';
import { ManagedEcu, sha256Of } from '../../agent/ecu/managed-ecu.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { cobblestoneChunkBytes, cobblestoneTagBytes } from '../../agent/limits.ts';
import { type EcuConfiguration, ecuConfiguration } from '../../agent/metadata/configuration.ts';
import { type Target, target } from '../../agent/metadata/targets.ts';
import { installImage } from '../../agent/primary/ecu-installation.ts';
import { ImageStaging } from '../../agent/primary/image-staging.ts';
import type { PrimaryContext } from '../../agent/primary/primary-context.ts';
import { Progress } from '../../agent/primary/progress.ts';
import type { EcuDescription } from '../../hal/ecu-description.ts';
import { createNativeCrypto } from '../../hal/quickjs/crypto.ts';
import { createNativeFlash, openPart } from '../../hal/quickjs/flash.ts';
import type { Native } from '../../hal/quickjs/native.ts';
import type { Hal, KeyValue } from '../../hal/types.ts';
import { fromHex } from '../simulator/hexadecimal.ts';

declare const native: Native;

/** Byte strings in hexadecimal. */
export interface InstallBench {
  readonly ecu: EcuDescription;
  readonly vehicleId: string;
  /** CBOR of the ECU's configuration, and of the entry of the Director's Targets for it. */
  readonly configuration: string;
  readonly target: string;
  readonly keyObject: string;
  /** What the key-value store holds: keys, and the directory of the download partition. */
  readonly values: Readonly<Record<string, string>>;
  readonly as: 'primary' | 'secondary';
}

function required<T>(value: T): Exclude<T, { readonly refused: unknown } | undefined> {
  if (value === undefined || isRefusal(value)) throw new Error(JSON.stringify(value));
  return value as Exclude<T, { readonly refused: unknown } | undefined>;
}

function provisioned(values: InstallBench['values']): KeyValue {
  const failing = () => {
    throw new Error('an installation writes no values');
  };
  return {
    read: (key) => (values[key] === undefined ? undefined : fromHex(values[key])),
    write: failing,
    delete: failing,
  };
}

function decoded(given: InstallBench): { configuration: EcuConfiguration; listed: Target } {
  const [first, second] = [fromHex(given.configuration), fromHex(given.target)];
  return {
    configuration: required(decode(ecuConfiguration, first, first.length)),
    listed: required(decode(target, second, second.length)),
  };
}

/** What the bus brings, a chunk at a time. */
function feed(ecu: ManagedEcu, listed: Target, keyObject: Uint8Array, staging: ImageStaging): void {
  const image = staging.find(sha256Of(listed)!);
  const buffer = new Uint8Array(cobblestoneChunkBytes + cobblestoneTagBytes);
  for (let at = required(ecu.prepare(listed, keyObject)); at < image.length; ) {
    const piece = buffer.subarray(0, Math.min(at === 0 ? 56 : buffer.length, image.length - at));
    staging.read(image, piece, at);
    const refused = ecu.write(piece);
    if (refused !== undefined) throw new Error(refused.detail);
    at += piece.length;
  }
  const refused = ecu.finish();
  if (refused !== undefined) throw new Error(refused.detail);
}

async function install(given: InstallBench): Promise<void> {
  const crypto = createNativeCrypto(native);
  const flash = createNativeFlash(openPart(native, given.ecu), given.ecu);
  const keyValue = provisioned(given.values);
  const boot = required(BootBlock.open(flash.open({ path: given.ecu.state }), crypto));
  const board = { log: native.log };
  // No more of the hardware is met on this way.
  const hal = { crypto, flash, keyValue, boot, board } as unknown as Hal;
  const { configuration, listed } = decoded(given);
  const ecu = required(ManagedEcu.open(hal, given.vehicleId, configuration));
  const staging = new ImageStaging(flash.open({ path: 'download' }), keyValue, crypto);
  const keyObject = fromHex(given.keyObject);
  if (given.as === 'secondary') feed(ecu, listed, keyObject, staging);
  else {
    const progress = new Progress(hal);
    const primary = { state: { ecus: [ecu] }, secondaries: [], staging, progress };
    const keyed = { target: listed, keyObject };
    const refused = await installImage(primary as unknown as PrimaryContext, keyed);
    if (refused !== undefined) throw new Error(refused.detail);
  }
  native.log('installed');
}

install(JSON.parse(native.description) as InstallBench).catch((error: unknown) => {
  native.log(String(error));
  native.exit(1);
});
