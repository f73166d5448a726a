/**
 * Attested time (Uptane Deployment Best Practices, "Secure source of time"): verification of an
 * attestation, and the keeper of what it says.
 */
import type { Clock, Crypto, KeyValue } from '../../hal/types.ts';
import { decodeEnvelope } from '../codec/cose-sign.ts';
import { sameBytes } from '../codec/reader.ts';
import { bytes, decode, encode, tuple } from '../codec/schema.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import { type Authority, verifyEnvelope } from '../crypto/verify-envelope.ts';
import { maxTimeBytes, maxTimeSilentSeconds, minimumPersistedTimeStepSeconds } from '../limits.ts';
import { unixSeconds } from '../metadata/common.ts';
import { timeAttestation } from '../metadata/time.ts';
import { authorityDigest, type RoleAuthority } from './authority.ts';

/**
 * Verifies a time attestation (TIM-07).
 * @param nonce what this ECU asked with: 16 bytes, new for each request; undefined when it has not
 *   asked since its start: then nothing is accepted, and only a time of the past is called an attack
 * @param lastSeconds the latest time attested by the same authority; 0 when there is none
 * @returns unix seconds; codes `cbor-…`, `signature-…`, `time-nonce`, `time-backwards`,
 *   `time-unasked`
 */
export function verifyTime(
  crypto: Crypto,
  attestation: Uint8Array,
  nonce: Uint8Array | undefined,
  authority: Authority,
  lastSeconds: number,
): number | Refusal {
  const envelope = decodeEnvelope(attestation, maxTimeBytes);
  if (isRefusal(envelope)) return envelope;
  const refused = verifyEnvelope(crypto, envelope, authority, {
    domain: 'time',
    payloadHash: 'forbidden',
  });
  if (refused !== undefined) return refused;
  const payload = decode(timeAttestation, envelope.payload, maxTimeBytes);
  if (isRefusal(payload)) return payload;
  const [nonces, seconds] = payload;
  // HRD-03: bound to this ECU's question, so none can be kept back and replayed
  if (nonce !== undefined && !nonces.some((one) => sameBytes(one, nonce))) {
    return refuse('time-nonce');
  }
  // TIM-04: never earlier than what was seen under the same key
  if (seconds < lastSeconds) return refuse('time-backwards', `${seconds} after ${lastSeconds}`);
  // HRD-03: whatever it says, this ECU has not asked
  if (nonce === undefined) return refuse('time-unasked', 'no nonce since the start');
  return seconds;
}

const storedTime = tuple(bytes(32), unixSeconds);
const timeKey = 'time';

/** How one ECU keeps its time. */
export interface TimeKeeperOptions {
  readonly keyValue: KeyValue;
  readonly clock: Clock;
  readonly crypto: Crypto;
  /** How long an attestation serves without a newer one; `maxTimeSilentSeconds` when absent. */
  readonly maxSilentSeconds?: number | undefined;
  /**
   * KEY-04: the time of provisioning in Unix seconds, the least that is assumed while nothing is
   * attested under the present key (the safe value of TIM-08); 0 when absent. Nobody signs it, so
   * an attested time may be before it: a factory with a wrong clock stops no vehicle.
   */
  readonly provisionedSeconds?: number | undefined;
}

/**
 * The time of one ECU: attested seconds, carried on by the monotonic clock. After a start it is
 * unknown until attested again, and again when the source has been silent for too long (HRD-03);
 * the stored value is only a lower bound.
 */
export class TimeKeeper {
  private readonly keyValue: KeyValue;
  private readonly clock: Clock;
  private readonly crypto: Crypto;
  private readonly maxSilentSeconds: number;
  private readonly provisionedSeconds: number;
  private authority: RoleAuthority | undefined;
  private digest: Uint8Array | undefined;
  private storedSeconds = 0;
  private stored: Uint8Array | undefined;
  private lastSeconds = 0;
  private attestedAt: number | undefined;

  constructor(options: TimeKeeperOptions) {
    this.keyValue = options.keyValue;
    this.clock = options.clock;
    this.crypto = options.crypto;
    this.maxSilentSeconds = options.maxSilentSeconds ?? maxTimeSilentSeconds;
    this.provisionedSeconds = options.provisionedSeconds ?? 0;
    const value = this.keyValue.read(timeKey);
    const time = value === undefined ? undefined : decode(storedTime, value, 64);
    if (time !== undefined && !isRefusal(time)) {
      this.stored = time[0];
      this.storedSeconds = time[1];
      this.lastSeconds = time[1];
    }
  }

  /**
   * Sets who attests time, from `readTimeAuthority`; call it after each verification. TIM-08: other
   * keys than before forget the time, which is unknown until the new keys attest one.
   */
  setAuthority(authority: RoleAuthority): void {
    this.authority = authority;
    const digest = authorityDigest(this.crypto, [authority]);
    const before = this.digest ?? this.stored;
    this.digest = digest;
    if (before !== undefined && !sameBytes(before, digest)) {
      this.lastSeconds = 0;
      this.attestedAt = undefined;
    }
  }

  /** Takes an attestation. Codes of `verifyTime`, `time-unknown` when nobody may attest. */
  accept(attestation: Uint8Array, nonce: Uint8Array | undefined): number | Refusal {
    const { authority, digest } = this;
    if (authority === undefined || digest === undefined) {
      return refuse('time-unknown', 'no time key is known', 'TIM-05');
    }
    // TIM-07: a bad attestation changes nothing
    const seconds = verifyTime(this.crypto, attestation, nonce, authority, this.lastSeconds);
    if (isRefusal(seconds)) return seconds;
    this.lastSeconds = seconds;
    this.attestedAt = this.clock.monotonic();
    const rotated = this.stored === undefined || !sameBytes(this.stored, digest);
    // TIM-10: flash wears; under the same key a minute more or less is no matter
    if (rotated || seconds - this.storedSeconds >= minimumPersistedTimeStepSeconds) {
      this.keyValue.write(timeKey, encode(storedTime, [digest, seconds]));
      this.stored = digest;
      this.storedSeconds = seconds;
    }
    return seconds;
  }

  /**
   * Unix seconds now; 0 when nothing was attested since the start or the last key rotation, or when
   * the last attestation is older than the bound of silence (HRD-03).
   */
  now(): number {
    if (this.attestedAt === undefined) return 0;
    const elapsed = this.secondsSince(this.attestedAt);
    // HRD-03: an ECU's own clock is trusted for so long and no longer
    return elapsed > this.maxSilentSeconds ? 0 : this.lastSeconds + elapsed;
  }

  /** The latest attested time, also of earlier starts: now is not before it. 0 when unknown. */
  lowerBound(): number {
    if (this.attestedAt === undefined) return this.lastSeconds;
    return this.lastSeconds + this.secondsSince(this.attestedAt);
  }

  /**
   * The latest time that is known, for an offline update without a source of time (docs/POUF.md):
   * now is not before it, but may be long after it. 0 when neither attested nor provisioned.
   */
  latest(): number {
    if (this.attestedAt !== undefined) return this.lowerBound();
    const least = Math.max(this.lastSeconds, this.provisionedSeconds);
    return least === 0 ? 0 : least + this.secondsSince(0);
  }

  private secondsSince(milliseconds: number): number {
    return Math.floor((this.clock.monotonic() - milliseconds) / 1000);
  }
}
