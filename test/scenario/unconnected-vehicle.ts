/** A vehicle as the factory makes it, under simulated Roots, that never reaches a repository. */
import { join } from 'node:path';
import { type ManufacturedVehicle, manufactureVehicle } from '../../backend/fleet/provision.ts';
import { vehicleId } from '../../backend/fleet/vehicle-layout.ts';
import { RepositorySimulator } from '../simulator/repository-simulator.ts';

export function manufactureUnconnected(
  folder: string,
  busAddress: string,
): Promise<ManufacturedVehicle> {
  const sim = new RepositorySimulator('composite');
  const nowhere = { host: '127.0.0.1', port: 1 };
  return manufactureVehicle({
    folder: join(folder, 'vehicle'),
    vehicleId,
    buildFolder: join(folder, 'build'),
    director: nowhere,
    images: nowhere,
    directorRoot: sim.director.publishedRoots[0]!,
    imagesRoot: sim.images.publishedRoots[0]!,
    busAddress,
    downloadBytes: 65_536,
    pollMilliseconds: 1_000,
  });
}
