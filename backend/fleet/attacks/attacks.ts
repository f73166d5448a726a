/** Every attack of `make demo ATTACK=…`, by name. */
import type { Attack } from './attack.ts';
import { crossVehicleReplay } from './cross-vehicle-replay.ts';
import { endlessData } from './endless-data.ts';
import { freeze } from './freeze.ts';
import { halfSignature } from './half-signature.ts';
import { mixAndMatch } from './mix-and-match.ts';
import { rollback } from './rollback.ts';
import { slowRetrieval } from './slow-retrieval.ts';
import { tamperedImage } from './tampered-image.ts';
import { unsigned } from './unsigned.ts';
import { wrongEcu } from './wrong-ecu.ts';

const factories: readonly (() => Attack)[] = [
  tamperedImage,
  rollback,
  freeze,
  mixAndMatch,
  wrongEcu,
  endlessData,
  slowRetrieval,
  unsigned,
  halfSignature,
  crossVehicleReplay,
];

/** The names that `ATTACK=` takes. */
export const attackNames: readonly string[] = factories.map((make) => make().name);

/** A fresh attacker; a name that is not in `attackNames` throws. */
export function createAttack(name: string): Attack {
  const attack = factories.map((make) => make()).find((one) => one.name === name);
  if (attack === undefined) throw new Error(`no attack named ${name}`);
  return attack;
}
