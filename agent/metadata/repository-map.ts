/**
 * Repository mapping (Uptane §5.2.6): where the repositories are, and for which images which of them
 * have to sign Targets metadata. Part of what an ECU is told at its provisioning; nothing received
 * later changes it.
 */
import {
  array,
  field,
  type Infer,
  integer,
  named,
  optional,
  record,
  text,
} from '../codec/schema.ts';
import { maxFilenameCharacters, maxMappings, maxPathsPerDelegation } from '../limits.ts';
import { repositories } from './common.ts';

export const endpoint = record({
  host: field(1, text(128)),
  port: field(2, integer(1, 65_535)),
  /** The DNS name in the server's certificate, where it is another one than `host`. */
  serverName: optional(3, text(128)),
});

/** One repository and its base address (MAP-02). */
export const mappedRepository = record({
  repository: field(1, named(repositories)),
  endpoint: field(2, endpoint),
});

/** Filename patterns, and the repositories that all have to list what matches (MAP-03). */
export const mapping = record({
  /** `*` matches any run of characters. */
  paths: field(1, array(text(maxFilenameCharacters), 1, maxPathsPerDelegation)),
  repositories: field(2, array(named(repositories), 1, 2)),
});

export const repositoryMap = record({
  repositories: field(1, array(mappedRepository, 1, 2)),
  /** The first that matches counts. */
  mappings: field(2, array(mapping, 1, maxMappings)),
});

export type Endpoint = Infer<typeof endpoint>;
export type RepositoryMap = Infer<typeof repositoryMap>;
