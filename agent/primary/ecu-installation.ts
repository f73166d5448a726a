/**
 * One ECU's installation as the Primary drives it, whoever the ECU is: its own, hosted, or behind
 * a Secondary (PRI-01 step 7, PRI-15; Uptane §5.4.3).
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { sha256Of } from '../ecu/managed-ecu.ts';
import {
  chunksPerLocalRecord,
  cobblestoneChunkBytes,
  cobblestoneHeaderBytes,
  cobblestoneTagBytes,
  rebootWaitMilliseconds,
} from '../limits.ts';
import type { Target } from '../metadata/targets.ts';
import { trials } from '../metadata/vehicle-messages.ts';
import type { GivenUp } from './metadata-handover.ts';
import type { PrimaryContext } from './primary-context.ts';
import type { Secondary } from './secondary-client.ts';
import { secondaryOf } from './vehicle.ts';

/** Interval between two looks at a Secondary that restarts. */
const statusPollMilliseconds = 100;
const sealedChunkBytes = cobblestoneChunkBytes + cobblestoneTagBytes;
/** What a record counts, and who watches hears of. */
const bytesPerRecord = chunksPerLocalRecord * sealedChunkBytes;

/** A verified target with the key object that opens its image. */
export interface KeyedTarget {
  readonly target: Target;
  readonly keyObject: Uint8Array;
}

/** Which ECU's activation failed, and how. */
export interface ActivationFailure {
  readonly target: Target;
  readonly refusal: Refusal;
}

/** INS-12: the Primary's own ECUs that take no more what is listed for them. */
export function ownGivenUp({ state }: PrimaryContext, assignments: readonly Target[]): GivenUp {
  const givenUp: GivenUp = new Map();
  for (const ecu of state.ecus) {
    for (const target of assignments) {
      const refusal = ecu.refuseGivenUp(target);
      if (refusal !== undefined) givenUp.set(ecu.ecuId, refusal);
    }
  }
  return givenUp;
}

/** Brings one staged image into the inactive slot of its ECU: checked there, not active. */
export async function installImage(
  primary: PrimaryContext,
  keyed: KeyedTarget,
): Promise<Refusal | undefined> {
  const { ecuId } = keyed.target.assignment!;
  const secondary = secondaryOf(primary.secondaries, ecuId);
  const refusal =
    secondary === undefined
      ? installOwn(primary, keyed)
      : await transfer(primary, secondary, keyed);
  if (refusal === undefined) primary.progress.stage(ecuId, 'checked');
  return refusal;
}

async function transfer(
  { staging, progress }: PrimaryContext,
  secondary: Secondary,
  { target, keyObject }: KeyedTarget,
): Promise<Refusal | undefined> {
  const { ecuId } = target.assignment!;
  const image = staging.find(sha256Of(target)!);
  const offset = await secondary.prepare(ecuId, keyObject);
  if (isRefusal(offset)) return offset;
  if (offset === image.length) return undefined;
  return secondary.download(
    ecuId,
    offset,
    image.length,
    (buffer, at) => staging.read(image, buffer, at),
    (sent) => progress.bytes(ecuId, 'transfer', sent, image.length),
  );
}

function installOwn(
  primary: PrimaryContext,
  { target, keyObject }: KeyedTarget,
): Refusal | undefined {
  const { state, staging, progress } = primary;
  const ecu = state.ecus.filter((one) => one.ecuId === target.assignment!.ecuId)[0]!;
  const image = staging.find(sha256Of(target)!);
  const offset = ecu.prepare(target, keyObject, chunksPerLocalRecord);
  if (isRefusal(offset)) return offset;
  const buffer = new Uint8Array(sealedChunkBytes);
  for (let at = offset; at < image.length; ) {
    // The header alone, then whole chunks, which are opened without being put together first.
    const whole = at === 0 ? cobblestoneHeaderBytes : buffer.length;
    const length = Math.min(whole, image.length - at);
    const piece = length < buffer.length ? buffer.subarray(0, length) : buffer;
    staging.read(image, piece, at);
    const refusal = ecu.write(piece);
    if (refusal !== undefined) return refusal;
    at += piece.length;
    const recorded = (at - cobblestoneHeaderBytes) % bytesPerRecord === 0;
    if (recorded || at === image.length) progress.bytes(ecu.ecuId, 'install', at, image.length);
  }
  return ecu.finish();
}

/**
 * Starts the held images of one Secondary's ECUs, and waits until their trials have ended: with
 * `hold` (two-phase) that they passed, else that they confirmed.
 */
export async function activateSecondary(
  primary: PrimaryContext,
  secondary: Secondary,
  targets: readonly Target[],
  hold: boolean,
): Promise<ActivationFailure | undefined> {
  for (const target of targets) {
    const { ecuId } = target.assignment!;
    const refusal = await secondary.activate(ecuId, hold);
    if (refusal !== undefined) return { target, refusal };
    primary.progress.stage(ecuId, 'trial');
  }
  const first = targets[0]!;
  const silent = (await secondary.reset()) ?? (await waitForTrials(primary, secondary));
  if (silent !== undefined) return { target: first, refusal: silent };
  const status = await secondary.status();
  if (isRefusal(status)) return { target: first, refusal: status };
  for (const target of targets) {
    const { ecuId } = target.assignment!;
    const ecu = status.ecus.filter((one) => one.ecuId === ecuId)[0];
    const ended = hold ? trials.passed : trials.none;
    if (ecu?.trial !== ended || ecu.releaseCounter !== target.mustMatch.releaseCounter) {
      const refusal = refuse('trial-rolled-back', `${ecuId}: ${target.filename}`);
      return { target, refusal };
    }
    primary.progress.stage(ecuId, hold ? 'passed' : 'confirmed');
  }
  return undefined;
}

/** Waits until a restarted Secondary answers and none of its trials is pending any more. */
export async function waitForTrials(
  primary: PrimaryContext,
  secondary: Secondary,
): Promise<Refusal | undefined> {
  const { clock } = primary.state.hal;
  const end = clock.monotonic() + rebootWaitMilliseconds;
  while (clock.monotonic() < end) {
    await primary.wait(statusPollMilliseconds);
    const status = await secondary.status();
    if (isRefusal(status)) continue;
    if (status.ecus.every((ecu) => ecu.trial !== trials.pending)) return undefined;
  }
  return refuse('secondary-silent', `${secondary.ecuIds[0]} did not come back`);
}

/** Has the Primary's own held images tried at the next restart, which is the caller's to cause. */
export function activateOwn(
  { state, progress }: PrimaryContext,
  targets: readonly Target[],
  hold: boolean,
): ActivationFailure | undefined {
  for (const target of targets) {
    const ecu = state.ecus.filter((one) => one.ecuId === target.assignment!.ecuId)[0]!;
    const refusal = ecu.activate(state.configuration.trialBoots, hold);
    if (refusal !== undefined) return { target, refusal };
    state.hal.board.log(`activated ecu=${ecu.ecuId}`);
    progress.stage(ecu.ecuId, 'trial');
  }
  return undefined;
}
