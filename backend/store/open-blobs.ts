/** The images' store that the configuration names. */
import { join } from 'node:path';
import type { BlobStore } from './blobs.ts';
import { FileBlobs } from './file-blobs.ts';
import type { S3Settings } from './s3-client.ts';

/** @param shared other processes use the same state folder */
export async function openBlobs(
  { stateFolder, s3 }: { readonly stateFolder: string; readonly s3?: S3Settings | undefined },
  shared: boolean,
): Promise<BlobStore> {
  const folder = join(stateFolder, 'blobs');
  if (s3 === undefined) return FileBlobs.open(folder, shared);
  // Only who uses it pays for loading it.
  const { S3Blobs } = await import('./s3-blobs.ts');
  return new S3Blobs(s3, join(folder, 'incoming'), shared);
}
