/** One attack of `make dos`: what it did to the peer, and how it is replayed against the backend. */
import type { TestBackend, TestVehicle } from '../scenario/backend-fixture.ts';

/** What attacks meet: a real backend over TCP, with a vehicle that is registered and honest. */
export interface Target {
  readonly backend: TestBackend;
  readonly victim: TestVehicle;
  /** A manifest of the victim that was never sent; each call gives the next one. */
  readonly manifest: () => Uint8Array;
}

/** What an attack came to. */
export interface Outcome {
  /** True when the attacker got nothing of what the attack is for. */
  readonly refused: boolean;
  /** What happened, with counts. */
  readonly detail: string;
}

export interface Attack {
  readonly name: string;
  /** How the peer fared. */
  readonly peer: string;
  readonly replay: (target: Target) => Promise<Outcome>;
}

/** The address from which attackers connect; the victim has 127.0.0.1. */
export const attackersAddress = '127.0.0.2';

/** Requests of one address in a window, in the backend that attacks meet. */
export const addressQuota = 300;
