/** Names of metadata files: `timestamp.cbor` and `VERSION.ROLE.cbor` (FNM-01). */
import { type Refusal, refuse } from '../../agent/codes.ts';
import { roleName } from '../../agent/metadata/common.ts';
import { fromJson } from './json-view.ts';

export interface MetadataName {
  readonly role: string;
  /** Absent for `timestamp.cbor`, whose version nobody knows before fetching it. */
  readonly version?: number;
}

/** Takes a name apart. Code `request-malformed`. */
export function parseMetadataName(name: string): MetadataName | Refusal {
  if (name === 'timestamp.cbor') return { role: 'timestamp' };
  const match = /^([1-9]\d{0,14})\.(.+)\.cbor$/.exec(name);
  const role = fromJson(roleName, match?.[2]);
  if (match === null || typeof role !== 'string') {
    return refuse('request-malformed', 'expected timestamp.cbor or VERSION.ROLE.cbor');
  }
  return { role, version: Number(match[1]) };
}
