/**
 * How a verifier uses its repository mapping (Uptane §5.2.6, §5.4.4.2): it is judged once, when the
 * program starts, and asked for every image that the Director lists (FV-00).
 *
 * This verifier knows two repositories, of which each image needs both. A map may narrow that to
 * fewer images, never to one repository: an image of the Director alone would be one compromise away.
 */
import { type Refusal, refuse } from '../codes.ts';
import { type RepositoryName, repositories } from '../metadata/common.ts';
import type { Endpoint, RepositoryMap } from '../metadata/repository-map.ts';
import { matchesPattern } from './path-pattern.ts';

const needed = Object.keys(repositories) as readonly RepositoryName[];

/** Judges a map. Code `configuration-invalid`. */
export function checkRepositoryMap(map: RepositoryMap): Refusal | undefined {
  for (const name of needed) {
    // MAP-02: Director and Image repository, each with its address, once
    if (map.repositories.filter((one) => one.repository === repositories[name]).length !== 1) {
      return refuse('configuration-invalid', `the map has to name ${name} once`, 'MAP-02');
    }
    for (const mapping of map.mappings) {
      // MAP-03, MAP-04: both have to sign for every image
      if (mapping.repositories.indexOf(repositories[name]) < 0) {
        const paths = mapping.paths.join(' ');
        return refuse('configuration-invalid', `images ${paths} need not ${name}`, 'MAP-03');
      }
    }
  }
  return undefined;
}

/** True when a mapping of the map covers this image. A verifier without a map maps everything. */
export function isMapped(map: RepositoryMap | undefined, filename: string): boolean {
  if (map === undefined) return true;
  return map.mappings.some(({ paths }) => paths.some((path) => matchesPattern(path, filename)));
}

/** Base address of a repository in a map that passed `checkRepositoryMap`. */
export function endpointOf(map: RepositoryMap, name: RepositoryName): Endpoint {
  return map.repositories.filter((one) => one.repository === repositories[name])[0]!.endpoint;
}
