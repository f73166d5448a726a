/**
 * In the place of bootloader and agent in a Secondary's program, for `make bench-peers`: installs one
 * encrypted image from a file into a slot of a flash file, as the agent does after its verification.
 */
import { isRefusal } from '../../agent/codes.ts';
import { BootBlock } from '../../agent/install/boot-block.ts';
import { SlotInstaller } from '../../agent/install/slot-installer.ts';
import { cobblestoneChunkBytes, cobblestoneTagBytes } from '../../agent/limits.ts';
import type { EcuDescription } from '../../hal/ecu-description.ts';
import { createNativeCrypto } from '../../hal/quickjs/crypto.ts';
import { createNativeFlash, openPart } from '../../hal/quickjs/flash.ts';
import type { Native } from '../../hal/quickjs/native.ts';
import { fromHex } from '../simulator/hexadecimal.ts';

declare const native: Native;

/** Byte strings in hexadecimal. */
export interface InstallBench {
  readonly ecu: EcuDescription;
  readonly ciphertext: string;
  readonly ciphertextLength: number;
  readonly ciphertextSha256: string;
  readonly plaintextLength: number;
  readonly plaintextSha256: string;
  readonly contentKey: string;
  readonly context: string;
}

function required<T>(value: T): Exclude<T, { readonly refused: unknown } | undefined> {
  if (value === undefined || isRefusal(value)) throw new Error(JSON.stringify(value));
  return value as Exclude<T, { readonly refused: unknown } | undefined>;
}

function install(given: InstallBench): void {
  const crypto = createNativeCrypto(native);
  const flash = createNativeFlash(openPart(native, given.ecu), given.ecu);
  const open = (path: string) => flash.open({ path });
  const installer = new SlotInstaller({
    crypto,
    slots: [open('slot-a'), open('slot-b')],
    journal: open('journal'),
    boot: required(BootBlock.open(open('state'), crypto)),
  });
  required(
    installer.begin({
      filename: 'bench-2.bin',
      releaseCounter: 2,
      ciphertextLength: given.ciphertextLength,
      ciphertextSha256: fromHex(given.ciphertextSha256),
      plaintextLength: given.plaintextLength,
      plaintextSha256: fromHex(given.plaintextSha256),
      contentKey: fromHex(given.contentKey),
      context: fromHex(given.context),
    }),
  );
  const pieceBytes = cobblestoneChunkBytes + cobblestoneTagBytes;
  for (let offset = 0; offset < given.ciphertextLength; ) {
    // The header comes as a piece of its own, as over the bus.
    const length = offset === 0 ? 56 : pieceBytes;
    const piece = required(native.readRange(given.ciphertext, offset, length));
    const refused = installer.write(piece);
    if (refused !== undefined) throw new Error(refused.detail);
    offset += piece.length;
  }
  required(installer.finish());
  native.log('installed');
}

install(JSON.parse(native.description) as InstallBench);
