/**
 * Trials that are part of a two-phase bundle (DBP-18): an image that passes its self-test is not
 * confirmed but held, until the Primary says that every ECU of the bundle has passed, or that one
 * has not. Durable, and known before the trial begins: a restart in between changes nothing.
 */
import type { KeyValue } from '../../hal/types.ts';
import { sameBytes } from '../codec/reader.ts';
import { decode, encode } from '../codec/schema.ts';
import { isRefusal } from '../codes.ts';
import { sha256 } from '../metadata/common.ts';

const keyOf = (ecuId: string): string => `trial-hold/${ecuId}`;

/** From now on, the trial of the image with this plaintext digest ends with a word of the Primary. */
export function holdTrial(keyValue: KeyValue, ecuId: string, imageSha256: Uint8Array): void {
  keyValue.write(keyOf(ecuId), encode(sha256, imageSha256));
}

/** True when the trial of that very image is held; what was said of another one is void. */
export function isTrialHeld(keyValue: KeyValue, ecuId: string, imageSha256: Uint8Array): boolean {
  const bytes = keyValue.read(keyOf(ecuId));
  const held = bytes === undefined ? undefined : decode(sha256, bytes, bytes.length);
  return held !== undefined && !isRefusal(held) && sameBytes(held, imageSha256);
}

/** The trial has ended. */
export function releaseTrial(keyValue: KeyValue, ecuId: string): void {
  if (keyValue.read(keyOf(ecuId)) !== undefined) keyValue.delete(keyOf(ecuId));
}
