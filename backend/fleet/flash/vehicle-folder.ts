/**
 * Vehicles between their making and the boards: `<folder>/<vehicle>/<ecu>` holds an ECU's flash part
 * and key-values until its board has them, and is removed then: an ECU's private keys stay in one
 * place.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from '../../../boards/load.ts';
import { enrolVehicle } from '../enrol-vehicle.ts';
import { Operator } from '../operator.ts';
import { manufactureVehicle, readDeviceRoot, readRoot } from '../provision.ts';
import { boardUpdatesRuntime } from '../vehicle-layout.ts';
import type { FlashOptions } from './flash-options.ts';
import { FlashError } from './remote-host.ts';

/** A board asks the Director this often, whether a doorbell rings or not. */
const pollMilliseconds = 10_000;

/** The ECU's folder, made with its whole vehicle when that is new. Throws `FlashError`. */
export async function provisionedEcu(
  options: FlashOptions,
  architecture: Architecture,
): Promise<string> {
  const { ecu, vehicleId, vehiclesFolder } = options;
  const vehicle = join(vehiclesFolder, vehicleId);
  if (!existsSync(vehicle)) await makeVehicle(options, architecture, vehicle);
  const folder = join(vehicle, ecu);
  if (existsSync(folder)) return folder;
  throw new FlashError(
    `${ecu} of ${vehicleId} was given to a board already, with its keys (new ones: boards/raspberrypi)`,
  );
}

/** The board has what the folder held. */
export function handedOver(folder: string): void {
  rmSync(folder, { recursive: true });
}

async function makeVehicle(
  options: FlashOptions,
  architecture: Architecture,
  vehicle: string,
): Promise<void> {
  const { vehicleId, director, images, doorbell, keysFolder, operatorToken, operatorUrl } = options;
  if (operatorToken === '') {
    throw new FlashError(`OTA_OPERATOR_TOKEN= is needed to enrol ${vehicleId} at the Director`);
  }
  const roots = {
    directorRoot: root(keysFolder, 'director'),
    imagesRoot: root(keysFolder, 'images'),
  };
  const deviceRoot = options.tls ? deviceRootOf(keysFolder) : undefined;
  const making = `${vehicle}.new`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true, mode: 0o700 });
  const operator = new Operator({ OTA_URL: operatorUrl, OTA_OPERATOR_TOKEN: operatorToken });
  const answer = await operator.ota('vehicle', 'token', '--vehicle', vehicleId, '--json');
  const made = await manufactureVehicle({
    folder: making,
    vehicleId,
    buildFolder: join(options.vehiclesFolder, '../build/flash'),
    director,
    images,
    doorbell,
    deviceRoot,
    ...roots,
    busAddress: `can:${options.canInterface}`,
    ...(boardUpdatesRuntime && { runtimeFor: runtimeOf(options, architecture) }),
    downloadBytes: 0,
    pollMilliseconds,
  });
  const { token } = JSON.parse(answer) as { token: string };
  await enrolVehicle(made, { vehicleId, enrolmentToken: token, director, images, deviceRoot });
  renameSync(making, vehicle);
}

function runtimeOf({ runtimeRelease: release, runtimeImage }: FlashOptions, to: Architecture) {
  return { architecture: to, release, ...(runtimeImage !== undefined && { image: runtimeImage }) };
}

function deviceRootOf(keysFolder: string): Uint8Array {
  try {
    return readDeviceRoot(keysFolder);
  } catch {
    throw new FlashError(`${keysFolder} has no device root: ota enrolment-ca, OTA_KEYS=`);
  }
}

function root(keysFolder: string, repository: 'director' | 'images'): Uint8Array {
  try {
    return readRoot(keysFolder, repository);
  } catch {
    throw new FlashError(`${keysFolder} has no Root of the ${repository}: ota ceremony, OTA_KEYS=`);
  }
}
