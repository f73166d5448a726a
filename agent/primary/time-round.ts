/**
 * Time for every ECU of the vehicle in one request (Uptane §5.4.2.2, §5.4.2.5): the Primary has no
 * secure clock (TIM-01), its Secondaries have the Primary's messages (TIM-02). One nonce each, one
 * attestation over all. Each ECU judges it by its own trusted keys.
 *
 * An ECU that does not know the source's key yet, because it was off while the key was replaced, is
 * led to it by the Roots, which need no time, and judges the same attestation again.
 */
import { isRefusal, isTransient, type Refusal } from '../codes.ts';
import { acceptTime, isUnknownKey, verificationContext } from '../ecu/ecu-time.ts';
import type { EcuState } from '../ecu/start-up.ts';
import { nonceBytes } from '../limits.ts';
import type { RepositoryName } from '../metadata/common.ts';
import { RootWalk } from '../verify/root-walk.ts';
import type { Attendance } from './attendance.ts';
import { renewAfter } from './enrolment.ts';
import { handOverMetadata } from './metadata-handover.ts';
import type { PrimaryContext } from './primary-context.ts';
import type { Secondary } from './secondary-client.ts';

/**
 * PRI-06, FV-01: asks for the time and takes it on the Primary.
 * @returns the attestation, for the Secondaries; codes of the client, `time-…`, `signature-…`, and
 *   `tls-…` when the server itself is not of this time
 */
export async function loadTime(
  primary: PrimaryContext,
  attendance: Attendance,
): Promise<Uint8Array | Refusal> {
  const { state, repositories, tls } = primary;
  const own = state.hal.random.bytes(nonceBytes);
  const nonces = [own];
  for (const secondary of attendance.present()) {
    const nonce = await secondary.nonce();
    if (isRefusal(nonce)) attendance.miss(secondary, nonce);
    else nonces.push(nonce.slice());
  }
  let attestation = await repositories.postTime(nonces);
  if (isRefusal(attestation) && (await renewAfter(primary, attestation))) {
    attestation = await repositories.postTime(nonces);
  }
  if (isRefusal(attestation)) return attestation;
  let refusal = acceptTime(state, attestation, own);
  if (refusal !== undefined && isUnknownKey(refusal)) {
    refusal = (await walkRoots(state, repositories)) ?? acceptTime(state, attestation, own);
  }
  // The servers that an unknown time let in are judged by the time that they told.
  return refusal ?? tls?.judge() ?? attestation;
}

/**
 * PRI-11: hands the attestation to a Secondary; one that does not know its key is first led through
 * the Roots. Code: the Secondary's refusal.
 * @param fileOf only files that the Primary has verified itself (ECU-05)
 */
export async function handOverTime(
  secondary: Secondary,
  attestation: Uint8Array,
  fileOf: (repository: RepositoryName, name: string) => Uint8Array | undefined,
): Promise<Refusal | undefined> {
  const refusal = await secondary.checkTime(attestation);
  if (refusal === undefined || !isUnknownKey(refusal)) return refusal;
  // It takes the Roots and then stops, having no time; what it says of that is of no interest here.
  await handOverMetadata(secondary, secondary.startVerification(), fileOf);
  return secondary.checkTime(attestation);
}

/**
 * HRD-03: the source did not answer, as opposed to an answer that was refused. While it is silent,
 * each ECU goes on with the time it has, within its bound.
 */
export function isSilent(refusal: Refusal): boolean {
  return isTransient(refusal.refused);
}

async function walkRoots(
  state: EcuState,
  repositories: PrimaryContext['repositories'],
): Promise<Refusal | undefined> {
  const walk = new RootWalk(verificationContext(state));
  for (let ask = walk.ask(); ask !== undefined; ask = walk.ask()) {
    const file = await repositories.metadata(ask);
    if (isRefusal(file)) return file;
    const refusal = walk.supply(file);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}
