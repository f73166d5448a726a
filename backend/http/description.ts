/** What `GET /` says of a service. */
import { readFileSync } from 'node:fs';
import type { ServiceDescription } from '../../agent/metadata/device-messages.ts';

const packageFile = new URL('../../package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { readonly version: string };

export function description(service: string): ServiceDescription {
  return { service, version, formatVersion: 1 };
}
