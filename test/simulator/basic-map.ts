/** The basic repository map (MAP-04), of addresses that nobody listens at. */
import { repositories } from '../../agent/metadata/common.ts';
import type { RepositoryMap } from '../../agent/metadata/repository-map.ts';

export const basicMap: RepositoryMap = {
  repositories: [
    { repository: repositories.director, endpoint: { host: 'director.test', port: 8000 } },
    { repository: repositories.images, endpoint: { host: 'images.test', port: 8001 } },
  ],
  mappings: [{ paths: ['*'], repositories: [repositories.director, repositories.images] }],
};
