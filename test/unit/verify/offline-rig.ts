/** A vehicle of two ECUs and a medium with a campaign for it, to run offline verifications. */
import type { Refusal } from '../../../agent/codes.ts';
import type { MetadataStore } from '../../../agent/verify/metadata-store.ts';
import { OfflineFullVerification } from '../../../agent/verify/offline-full-verification.ts';
import { OfflinePartialVerification } from '../../../agent/verify/offline-partial-verification.ts';
import type { Decision, VerificationOptions } from '../../../agent/verify/verification.ts';
import { OfflineMedium } from '../../simulator/offline-medium.ts';
import {
  RepositorySimulator,
  runVerification,
  SimulatedVerifier,
} from '../../simulator/repository-simulator.ts';

export const image = { filename: 'app-2.bin', releaseCounter: 2 };

export class OfflineRig {
  readonly sim = new RepositorySimulator();
  readonly medium = new OfflineMedium(this.sim);
  readonly verifier: SimulatedVerifier;

  /** With a campaign that gives `image` to ecu-1. */
  constructor(options: Partial<VerificationOptions> = {}) {
    this.verifier = new SimulatedVerifier(this.sim, options);
    this.medium.assign('ecu-1', image);
  }

  get store(): MetadataStore {
    return this.verifier.store;
  }

  full(options: Partial<VerificationOptions> = {}): Decision | Refusal {
    this.medium.requests = [];
    const machine = new OfflineFullVerification({ ...this.verifier.options, ...options });
    return runVerification(machine, this.medium);
  }

  partial(options: Partial<VerificationOptions> = {}): Decision | Refusal {
    this.medium.requests = [];
    const machine = new OfflinePartialVerification({ ...this.verifier.options, ...options });
    return runVerification(machine, this.medium);
  }
}
