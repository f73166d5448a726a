/**
 * In the place of bootloader and agent in a Secondary's program, for `make bench`: whole verification
 * cycles over files that were given, each with a store that has only the Roots of the provisioning.
 */
import { isRefusal } from '../../agent/codes.ts';
import { cborMetadata } from '../../agent/verify/cbor-metadata.ts';
import { FullVerification } from '../../agent/verify/full-verification.ts';
import { MetadataStore } from '../../agent/verify/metadata-store.ts';
import { PartialVerification } from '../../agent/verify/partial-verification.ts';
import type { Verification, VerifierEcu } from '../../agent/verify/verification.ts';
import { createNativeCrypto } from '../../hal/quickjs/crypto.ts';
import type { Native } from '../../hal/quickjs/native.ts';
import type { KeyValue } from '../../hal/types.ts';
import { fromHex } from '../simulator/hexadecimal.ts';

declare const native: Native;

export interface VerificationBench {
  /** `REPOSITORY/NAME` → the file in hexadecimal; `1.root.cbor` are those of the provisioning. */
  readonly files: Readonly<Record<string, string>>;
  readonly vehicleId: string;
  readonly ecus: readonly VerifierEcu[];
  readonly now: number;
  readonly runs: number;
}

function inMemory(): KeyValue {
  const values: Record<string, Uint8Array> = {};
  return {
    read: (key) => values[key],
    write(key, value) {
      values[key] = new Uint8Array(value);
    },
    delete(key) {
      delete values[key];
    },
  };
}

function measure(given: VerificationBench): void {
  const crypto = createNativeCrypto(native);
  const files: Record<string, Uint8Array> = {};
  for (const name of Object.keys(given.files)) files[name] = fromHex(given.files[name]!);
  const { vehicleId, ecus, now } = given;
  for (const [name, Kind] of [
    ['full', FullVerification],
    ['partial', PartialVerification],
  ] as const) {
    const times: number[] = [];
    for (let run = 0; run < given.runs; run++) {
      const store = new MetadataStore(inMemory());
      for (const repository of ['director', 'images'] as const) {
        store.writeRoot(repository, 1, files[`${repository}/1.root.cbor`]!);
      }
      const options = { crypto, format: cborMetadata, profile: 'composite', store } as const;
      const start = native.monotonic();
      const machine: Verification = new Kind({ ...options, vehicleId, ecus, now, everyEcu: true });
      for (let file = machine.ask(); file !== undefined; file = machine.ask()) {
        machine.supply(files[`${file.repository}/${file.name}`]);
      }
      const decision = machine.decision();
      times.push(native.monotonic() - start);
      if (isRefusal(decision)) throw new Error(`${decision.refused}: ${decision.detail}`);
      if (decision.assignments.length !== ecus.length) throw new Error('nothing was assigned');
    }
    native.log(`measured ${name} ${times.join(' ')}`);
  }
}

measure(JSON.parse(native.description) as VerificationBench);
