/**
 * The Primary's session with one Secondary: the programming session, and the proof of the Primary's
 * key in it (service 0x29; docs/POUF.md §4.1). Kept alive until it is closed.
 */
import type { Crypto, Random } from '../../hal/types.ts';
import { negative, service, session } from '../can/uds.ts';
import {
  decodeChallenge,
  encodeChallengeRequest,
  encodeOwnershipProof,
  isOwnershipVerified,
} from '../can/uds-authentication.ts';
import { negativeResponseOf, type UdsClient } from '../can/uds-client.ts';
import { isRefusal, type Refusal, refuse } from '../codes.ts';
import type { Signer } from '../crypto/sign-envelope.ts';
import { proveAccess } from '../ecu/access.ts';
import { authenticationChallengeBytes } from '../limits.ts';

/** What the Primary proves itself with. */
export interface AccessCredentials {
  readonly vehicleId: string;
  /** The Primary's own ECU key, which the Secondaries know. */
  readonly signer: Signer;
  readonly crypto: Crypto;
  readonly random: Random;
}

export class SecondarySession {
  private readonly client: UdsClient;
  private readonly ecuId: string;
  private readonly credentials: AccessCredentials;
  private isOpen = false;

  /** @param ecuId the Secondary's own ECU id */
  constructor(client: UdsClient, ecuId: string, credentials: AccessCredentials) {
    this.client = client;
    this.ecuId = ecuId;
    this.credentials = credentials;
  }

  /** Opens the session unless it is open. Codes `uds-…`, `iso-tp-…`, `secondary-silent`. */
  async open(): Promise<Refusal | undefined> {
    if (this.isOpen) return undefined;
    const refusal = await this.authenticate();
    // A proof whose answer was lost cannot be repeated: its challenge is spent.
    const lost = refusal !== undefined && negativeResponseOf(refusal) === undefined;
    return lost ? this.authenticate() : refusal;
  }

  private async authenticate(): Promise<Refusal | undefined> {
    const changed = await this.change(session.programming);
    if (isRefusal(changed)) return changed;
    const answer = await requestOf(this.client, encodeChallengeRequest());
    const serverChallenge = isRefusal(answer) ? answer : decodeChallenge(answer);
    if (isRefusal(serverChallenge)) return serverChallenge;
    const { crypto, random, signer, vehicleId } = this.credentials;
    const clientChallenge = random.bytes(authenticationChallengeBytes);
    const proof = proveAccess(crypto, signer, {
      vehicleId,
      ecuId: this.ecuId,
      session: session.programming,
      serverChallenge,
      clientChallenge,
    });
    const verified = await requestOf(this.client, encodeOwnershipProof(proof, clientChallenge));
    if (isRefusal(verified)) {
      // INV-03: an ECU of this vehicle knows the Primary's key; one that says no is another ECU.
      const denied = negativeResponseOf(verified) === negative.ownershipVerificationFailed;
      return denied ? { ...verified, ...refuse('secondary-replaced', verified.detail) } : verified;
    }
    if (!isOwnershipVerified(verified)) return refuse('uds-malformed', 'answer to Authentication');
    this.isOpen = true;
    this.client.keepSession(true);
    return undefined;
  }

  /** The Secondary restarts or has forgotten us: `open` begins anew. */
  lost(): void {
    this.isOpen = false;
    this.client.keepSession(false);
  }

  /** Ends the session; without an answer it ends by itself after S3. */
  async close(): Promise<void> {
    if (!this.isOpen) return;
    this.lost();
    await this.change(session.default);
  }

  private change(to: number): Promise<Uint8Array | Refusal> {
    return requestOf(this.client, new Uint8Array([service.diagnosticSessionControl, to]));
  }
}

/** One request as a promise of its positive answer. */
export function requestOf(client: UdsClient, payload: Uint8Array): Promise<Uint8Array | Refusal> {
  return new Promise((resolve) => client.request(payload, resolve));
}
