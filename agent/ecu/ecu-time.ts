/** The time of this ECU: taken by the time keys of its trusted metadata (ECU-02, FV-01, PV-01). */
import { isRefusal, type Refusal } from '../codes.ts';
import { profileName } from '../metadata/common.ts';
import { verifications } from '../metadata/device-messages.ts';
import { cborMetadata } from '../verify/cbor-metadata.ts';
import type { VerificationContext } from '../verify/signed-file.ts';
import { readTimeAuthority } from '../verify/time-authority.ts';
import type { EcuState } from './start-up.ts';

/** What every verification of this ECU holds fixed, at its present time. */
export function verificationContext(state: EcuState): VerificationContext {
  const { configuration, hal, store, time } = state;
  return {
    crypto: hal.crypto,
    format: cborMetadata,
    profile: profileName(configuration.profile),
    vehicleId: configuration.vehicleId,
    store,
    now: time.now(),
  };
}

/**
 * Takes a time attestation that answers `nonce` (undefined: nothing was asked since the start).
 * TIM-07: a bad one leaves the time as it is.
 * Codes `time-…`, `signature-…`, `metadata-not-stored`.
 */
export function acceptTime(
  state: EcuState,
  attestation: Uint8Array,
  nonce: Uint8Array | undefined,
): Refusal | undefined {
  const refusal = loadAuthority(state);
  if (refusal !== undefined) return refusal;
  const seconds = state.time.accept(attestation, nonce);
  return isRefusal(seconds) ? seconds : undefined;
}

/** True for an attestation that the time key of a newer Root may have signed (TIM-08). */
export function isUnknownKey({ refused }: Refusal): boolean {
  return refused.slice(0, 'signature-'.length) === 'signature-';
}

/**
 * The time by which an offline update is judged (PURE-2): attested since the start, else the latest
 * that this ECU knows; FV-01 and PV-01 speak of "the current or latest attested time". 0: none.
 */
export function offlineTime(state: EcuState): number {
  // TIM-08: a Root may have replaced the key of the stored time since
  if (loadAuthority(state) !== undefined) return 0;
  const { time } = state;
  return time.now() || time.latest();
}

function loadAuthority(state: EcuState): Refusal | undefined {
  const partial = state.configuration.verification === verifications.partial;
  const authority = readTimeAuthority({ ...verificationContext(state), partial });
  if (isRefusal(authority)) return authority;
  state.time.setAuthority(authority);
  return undefined;
}
