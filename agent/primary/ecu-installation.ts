/**
 * One ECU's installation as the Primary drives it, whoever the ECU is: its own, hosted, or behind
 * a Secondary (PRI-01 step 7, PRI-15; Uptane §5.4.3).
 */
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { sha256Of } from '../ecu/managed-ecu.ts';
import { rebootWaitMilliseconds } from '../limits.ts';
import type { Target } from '../metadata/targets.ts';
import { type ImageSource, logProgress, type PrimaryContext } from './primary-context.ts';
import type { SecondaryClient } from './secondary-client.ts';
import { secondaryOf } from './vehicle.ts';

/** Interval between two looks at a Secondary that restarts. */
const statusPollMilliseconds = 100;
const readBufferBytes = 16_384;

/** INS-12: an image that failed too often is not fetched again and again. Codes of `refuseGivenUp`. */
export function refuseGivenUp(
  { state }: PrimaryContext,
  assignments: readonly Target[],
): Refusal | undefined {
  for (const ecu of state.ecus) {
    for (const target of assignments) {
      const givenUp = ecu.refuseGivenUp(target);
      if (givenUp !== undefined) return givenUp;
    }
  }
  return undefined;
}

/** Brings one staged image into the inactive slot of its ECU: checked there, not active. */
export async function installImage(
  primary: PrimaryContext,
  source: ImageSource,
  target: Target,
): Promise<Refusal | undefined> {
  const { secondaries, staging } = primary;
  const { ecuId, keyObjectSha256 } = target.assignment!;
  const keyObject = await source.keyObject(keyObjectSha256);
  if (isRefusal(keyObject)) return keyObject;
  const secondary = secondaryOf(secondaries, ecuId);
  if (secondary === undefined) return installOwn(primary, target, keyObject);
  const image = staging.find(sha256Of(target)!);
  const offset = await secondary.prepare(ecuId, keyObject);
  if (isRefusal(offset) || offset === image.length) return isRefusal(offset) ? offset : undefined;
  return secondary.download(
    ecuId,
    offset,
    image.length,
    (buffer, at) => staging.read(image, buffer, at),
    (sent) => logProgress(primary, 'transfer', ecuId, sent, image.length),
  );
}

function installOwn(
  primary: PrimaryContext,
  target: Target,
  keyObject: Uint8Array,
): Refusal | undefined {
  const { state, staging } = primary;
  const ecu = state.ecus.filter((one) => one.ecuId === target.assignment!.ecuId)[0]!;
  const image = staging.find(sha256Of(target)!);
  const offset = ecu.prepare(target, keyObject);
  if (isRefusal(offset)) return offset;
  const buffer = new Uint8Array(readBufferBytes);
  for (let at = offset; at < image.length; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, image.length - at));
    staging.read(image, piece, at);
    const refusal = ecu.write(piece);
    if (refusal !== undefined) return refusal;
    logProgress(primary, 'install', ecu.ecuId, at + piece.length, image.length);
  }
  return ecu.finish();
}

/** Starts the held images of one Secondary's ECUs, and waits until their trials are settled. */
export async function activateSecondary(
  primary: PrimaryContext,
  secondary: SecondaryClient,
  targets: readonly Target[],
): Promise<Refusal | undefined> {
  for (const target of targets) {
    const refusal = await secondary.activate(target.assignment!.ecuId);
    if (refusal !== undefined) return refusal;
  }
  return (await secondary.reset()) ?? (await waitForRestart(primary, secondary, targets));
}

/** Waits until a restarted Secondary answers and has settled its trials, well or badly. */
async function waitForRestart(
  primary: PrimaryContext,
  secondary: SecondaryClient,
  wanted: readonly Target[],
): Promise<Refusal | undefined> {
  const { clock } = primary.state.hal;
  const end = clock.monotonic() + rebootWaitMilliseconds;
  while (clock.monotonic() < end) {
    await primary.wait(statusPollMilliseconds);
    const status = await secondary.status();
    if (isRefusal(status) || status.ecus.some((ecu) => ecu.pending)) continue;
    const failed = wanted.filter(({ assignment, mustMatch }) =>
      status.ecus.some(
        (ecu) => ecu.ecuId === assignment!.ecuId && ecu.releaseCounter !== mustMatch.releaseCounter,
      ),
    )[0];
    return failed && refuse('trial-rolled-back', `${failed.assignment!.ecuId}: ${failed.filename}`);
  }
  return refuse('secondary-silent', `${secondary.ecuIds[0]} did not come back`);
}

/** Starts the Primary's own held images; it restarts, and nothing after this call runs. */
export function activateOwn(
  primary: PrimaryContext,
  targets: readonly Target[],
): Refusal | undefined {
  const { state } = primary;
  for (const target of targets) {
    const ecu = state.ecus.filter((one) => one.ecuId === target.assignment!.ecuId)[0]!;
    const refusal = ecu.activate(state.configuration.trialBoots);
    if (refusal !== undefined) return refusal;
    state.hal.board.log(`activated ecu=${ecu.ecuId}`);
  }
  return undefined;
}
