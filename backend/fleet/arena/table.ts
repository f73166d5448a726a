/** The fourteen attacks of the Standard (§4.3) and of docs/conformance.md, in the order of their rows. */
import { arbitrarySoftware } from './attacks/arbitrary-software.ts';
import { crossVehicleReplay } from './attacks/cross-vehicle-replay.ts';
import { denialOfService } from './attacks/denial-of-service.ts';
import { dropRequest } from './attacks/drop-request.ts';
import { eavesdrop } from './attacks/eavesdrop.ts';
import { endlessData } from './attacks/endless-data.ts';
import { fastForwardAttack } from './attacks/fast-forward.ts';
import { freeze } from './attacks/freeze.ts';
import { mixAndMatch } from './attacks/mix-and-match.ts';
import { partialBundle } from './attacks/partial-bundle.ts';
import { reportReplay } from './attacks/report-replay.ts';
import { rollback } from './attacks/rollback.ts';
import { slowRetrieval } from './attacks/slow-retrieval.ts';
import { wrongEcu } from './attacks/wrong-ecu.ts';
import type { StandardAttack } from './variant.ts';

export const standardAttacks: readonly StandardAttack[] = [
  eavesdrop,
  dropRequest,
  slowRetrieval,
  freeze,
  partialBundle,
  denialOfService,
  rollback,
  endlessData,
  mixAndMatch,
  arbitrarySoftware,
  fastForwardAttack,
  wrongEcu,
  crossVehicleReplay,
  reportReplay,
];
