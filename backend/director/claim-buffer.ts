/**
 * Many claims as one buffer, to be moved to another thread without a copy of each:
 * public key 65 B | signature 64 B | length of the message, 4 B little-endian | message
 */
import { publicKeyBytes, type SignatureClaim, signatureBytes } from './ecu-signatures.ts';

const headBytes = publicKeyBytes + signatureBytes + 4;

/** Only claims whose key and signature have their lengths; others are false without a look. */
export function packClaims(claims: readonly SignatureClaim[]): Uint8Array<ArrayBuffer> {
  const length = claims.reduce((sum, { message }) => sum + headBytes + message.length, 0);
  const buffer = new Uint8Array(length);
  const view = new DataView(buffer.buffer);
  let at = 0;
  for (const { publicKey, message, signature } of claims) {
    buffer.set(publicKey, at);
    buffer.set(signature, at + publicKeyBytes);
    view.setUint32(at + publicKeyBytes + signatureBytes, message.length, true);
    buffer.set(message, at + headBytes);
    at += headBytes + message.length;
  }
  return buffer;
}

/** The claims of a buffer, as views into it. */
export function* unpackClaims(buffer: Uint8Array): Generator<SignatureClaim> {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  for (let at = 0; at < buffer.length; ) {
    const length = view.getUint32(at + publicKeyBytes + signatureBytes, true);
    yield {
      publicKey: buffer.subarray(at, at + publicKeyBytes),
      signature: buffer.subarray(at + publicKeyBytes, at + publicKeyBytes + signatureBytes),
      message: buffer.subarray(at + headBytes, at + headBytes + length),
    };
    at += headBytes + length;
  }
}
