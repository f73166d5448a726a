/** Transactions of services, and what they lock against other processes. */
import type { Services } from './services.ts';
import type { Transaction } from './store/database.ts';
import { lockVehicle } from './store/inventory.ts';
import { type LockName, lockByName } from './store/locks.ts';

/** Services whose database is one transaction: what works on them is done whole or not at all. */
export interface WithinTransaction extends Services {
  readonly database: Transaction;
}

/** Runs `body` in one transaction, as `Database.transaction` says. */
export function inTransaction<T>(
  services: Services,
  body: (services: WithinTransaction) => Promise<T>,
): Promise<T> {
  return services.database.transaction((database) => body({ ...services, database }));
}

/** A transaction that changes what is kept of one vehicle, by what is kept of it now. */
export function changeVehicle<T>(
  services: Services,
  vehicleId: string,
  body: (services: WithinTransaction) => Promise<T>,
): Promise<T> {
  return changeVehicles(services, [vehicleId], body);
}

/** The same for several vehicles: locked in one order, or two processes would wait for each other. */
export function changeVehicles<T>(
  services: Services,
  vehicleIds: readonly string[],
  body: (services: WithinTransaction) => Promise<T>,
): Promise<T> {
  return inTransaction(services, async (within) => {
    for (const vehicleId of [...new Set(vehicleIds)].sort()) {
      await within.database.one(lockVehicle, vehicleId);
    }
    return body(within);
  });
}

/** A transaction that one process after the other goes through. */
export function inTurn<T>(
  services: Services,
  name: LockName,
  body: (services: WithinTransaction) => Promise<T>,
): Promise<T> {
  return inTransaction(services, async (within) => {
    await within.database.one(lockByName, name);
    return body(within);
  });
}
