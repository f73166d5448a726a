/** Cobblestone-256 through the agent's streaming decryptor, beside OpenSSL's bare AES-256-GCM. */
import { execFileSync } from 'node:child_process';
import { isRefusal } from '../../agent/codes.ts';
import {
  CobblestoneDecryptor,
  CobblestoneEncryptor,
  ciphertextLength,
} from '../../agent/image/cobblestone.ts';
import { createNodeCrypto } from '../../hal/node/crypto.ts';
import { createNodeRandom } from '../../hal/node/random.ts';
import { median, type Result, timeRuns } from './measure.ts';

const plaintextBytes = 32 * 1_048_576;
const pieceBytes = 16_400;

export function benchDecryption(): Result[] {
  const crypto = createNodeCrypto();
  const random = createNodeRandom();
  const contentKey = random.bytes(32);
  const context = random.bytes(40);
  const encryptor = new CobblestoneEncryptor({
    crypto,
    contentKey,
    context,
    salt: random.bytes(24),
  });
  const ciphertext = Buffer.concat([
    encryptor.header(),
    ...encryptor.update(new Uint8Array(plaintextBytes)),
    encryptor.finish(),
  ]);
  const times = timeRuns(5, () => {
    let received = 0;
    const decryptor = new CobblestoneDecryptor({
      crypto,
      contentKey,
      context,
      ciphertextLength: ciphertextLength(plaintextBytes),
      onPlaintext: (bytes) => {
        received += bytes.length;
      },
    });
    decryptor.write(ciphertext.subarray(0, 56));
    for (let at = 56; at < ciphertext.length; at += pieceBytes) {
      const refusal = decryptor.write(ciphertext.subarray(at, at + pieceBytes));
      if (isRefusal(refusal)) throw new Error(refusal.detail);
    }
    if (isRefusal(decryptor.finish()) || received !== plaintextBytes) throw new Error('decryption');
  });
  const rate = plaintextBytes / 1_000 / median(times);
  const bare = opensslRate();
  const note =
    bare === undefined
      ? 'skipped: openssl is not installed'
      : `${(rate / bare).toFixed(2)} × openssl speed -evp aes-256-gcm (${Math.round(bare)} MB/s)`;
  return [{ name: 'chunk decryption', value: rate, unit: 'MB/s', note }];
}

/** MB/s of `openssl speed` on blocks of one chunk; undefined where there is no openssl. */
function opensslRate(): number | undefined {
  try {
    const given = ['speed', '-mr', '-evp', 'aes-256-gcm', '-bytes', '16384', '-seconds', '2'];
    const output = execFileSync('openssl', given, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const rate = /^\+F:.*:([\d.]+)$/m.exec(output);
    return rate === null ? undefined : Number(rate[1]) / 1e6;
  } catch {
    return undefined;
  }
}
