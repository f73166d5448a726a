/** Every command of `ota`, in the order in which help lists them. */
import type { Command } from './command.ts';
import { assignCommands } from './commands/assign.ts';
import { backupCommands } from './commands/backup.ts';
import { brokerCommands } from './commands/broker-files.ts';
import { ceremonyCommands } from './commands/ceremony.ts';
import { delegationCommands } from './commands/delegation.ts';
import { enrolmentCaCommands } from './commands/enrolment-ca.ts';
import { imageCommands } from './commands/image.ts';
import { inspectCommands } from './commands/inspect.ts';
import { logCommands } from './commands/log.ts';
import { offlineCommands } from './commands/offline.ts';
import { repositoryCommands } from './commands/repository.ts';
import { rootCommands } from './commands/root.ts';
import { statusCommands } from './commands/status.ts';
import { tokenCommands } from './commands/token.ts';
import { vehicleCommands } from './commands/vehicle.ts';

export const commands: readonly Command[] = [
  ...ceremonyCommands,
  ...enrolmentCaCommands,
  ...tokenCommands,
  ...brokerCommands,
  ...rootCommands,
  ...imageCommands,
  ...delegationCommands,
  ...vehicleCommands,
  ...assignCommands,
  ...offlineCommands,
  ...backupCommands,
  ...statusCommands,
  ...logCommands,
  ...inspectCommands,
  ...repositoryCommands,
];
