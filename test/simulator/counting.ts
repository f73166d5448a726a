/** Counts what a verification costs, whatever the machine: signature checks, digests, decodings, bytes. */
import type { MetadataFormat } from '../../agent/verify/metadata-format.ts';
import type { FileRequest } from '../../agent/verify/verification.ts';
import type { Crypto } from '../../hal/types.ts';

export interface Cost {
  signatures: number;
  digests: number;
  decodings: number;
  files: number;
  bytes: number;
}

export function noCost(): Cost {
  return { signatures: 0, digests: 0, decodings: 0, files: 0, bytes: 0 };
}

/** A crypto that counts; a composite signature counts as its two halves. */
export function countingCrypto(crypto: Crypto, cost: Cost): Crypto {
  return {
    ...crypto,
    digest: (...given) => {
      cost.digests += 1;
      return crypto.digest(...given);
    },
    verify: (...given) => {
      cost.signatures += 1;
      return crypto.verify(...given);
    },
  };
}

export function countingFormat(format: MetadataFormat, cost: Cost): MetadataFormat {
  return {
    ...format,
    decode: (record, payload, maxBytes) => {
      cost.decodings += 1;
      return format.decode(record, payload, maxBytes);
    },
  };
}

type Fetch = (request: FileRequest) => Uint8Array | undefined;

export function countingFetch(fetch: Fetch, cost: Cost): Fetch {
  return (request) => {
    const file = fetch(request);
    if (file !== undefined) {
      cost.files += 1;
      cost.bytes += file.length;
    }
    return file;
  };
}
