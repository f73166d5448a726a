/** An update of SWUpdate: a cpio archive (crc format) of description, CMS signature and image. */
import { execFileSync } from 'node:child_process';
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface PeerUpdate {
  readonly archive: string;
  readonly certificate: string;
  readonly keyFile: string;
}

/** Makes a self-signed certificate for e-mail, which is what SWUpdate takes for CMS. */
export function makeSigner(folder: string): void {
  const subject = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=bench', '-days', '2'];
  const use = [
    '-addext',
    'extendedKeyUsage=emailProtection',
    '-addext',
    'keyUsage=digitalSignature',
  ];
  const out = ['-keyout', join(folder, 'signer.key'), '-out', join(folder, 'signer.pem')];
  execFileSync('openssl', ['req', ...subject, ...use, ...out], { stdio: 'ignore' });
}

/** @param target file that the image is written to */
export function makePeerUpdate(folder: string, image: Uint8Array, target: string): PeerUpdate {
  const [key, vector] = [randomBytes(32), randomBytes(16)];
  const cipher = createCipheriv('aes-256-cbc', key, vector);
  const encrypted = Buffer.concat([cipher.update(image), cipher.final()]);
  const sha256 = createHash('sha256').update(encrypted).digest('hex');
  const description = `software = {
  version = "2.0.0";
  hardware-compatibility: [ "1.0" ];
  images: ( {
    filename = "image"; device = "${target}"; type = "raw"; sha256 = "${sha256}";
    encrypted = true; ivt = "${vector.toString('hex')}"; installed-directly = true;
  } );
}
`;
  const path = join(folder, 'sw-description');
  writeFileSync(path, description);
  const signer = ['-signer', join(folder, 'signer.pem'), '-inkey', join(folder, 'signer.key')];
  const form = ['-outform', 'DER', '-nosmimecap', '-binary'];
  const files = ['-in', path, '-out', `${path}.sig`];
  execFileSync('openssl', ['cms', '-sign', ...files, ...signer, ...form], { stdio: 'ignore' });
  const archive = join(folder, 'update.swu');
  writeFileSync(
    archive,
    Buffer.concat([
      entry('sw-description', Buffer.from(description)),
      entry('sw-description.sig', readFileSync(`${path}.sig`)),
      entry('image', encrypted),
      entry('TRAILER!!!', Buffer.alloc(0)),
    ]),
  );
  const keyFile = join(folder, 'aes.key');
  writeFileSync(keyFile, `${key.toString('hex')} ${vector.toString('hex')}\n`);
  return { archive, certificate: join(folder, 'signer.pem'), keyFile };
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

/** One file of the archive (cpio(5), `070702`): its checksum is the sum of its bytes. */
function entry(name: string, content: Buffer): Buffer {
  let sum = 0;
  for (const byte of content) sum = (sum + byte) >>> 0;
  const numbers = [1, 0o100644, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, sum];
  const fields = numbers.map((number) => number.toString(16).padStart(8, '0')).join('');
  const head = padded(Buffer.from(`070702${fields}${name}\0`));
  return Buffer.concat([head, padded(content)]);
}
