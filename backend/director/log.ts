/**
 * The Director's log (DBP-09): every decision on what a vehicle is told, everything that verified
 * reports detect, and every anomaly. Durable with the change that it speaks of, only ever appended
 * to, shown on the operator plane (`GET /log`, `ota log`).
 */
import { attackOf, type Refusal } from '../../agent/codes.ts';
import { maxRefusalDetailCharacters } from '../../agent/limits.ts';
import type { Services } from '../services.ts';
import {
  countCodeSince,
  countVehicleCodeSince,
  insertLogEntry,
  type LogKind,
  type LogRow,
  lastLogOfCode,
  logAfter,
  logOfVehicleAfter,
} from '../store/log.ts';

/**
 * Anybody can cause anomalies and one vehicle can report without end, and nothing is ever deleted:
 * so many entries of a code are taken from one vehicle in an hour. Decisions are never left out.
 */
export const loggedPerVehicleCodeAndHour = 100;
const loggedOfUnknownVehiclesPerHour = 1_000;
const hourSeconds = 3_600;

/** Decisions, with the requirement that each serves. */
export const decisions = {
  'enrolment-token-made': 'INV-01',
  'vehicle-registered': 'INV-02',
  'image-assigned': 'DIR-13',
  'assignment-refused': 'DIR-13',
  'assignment-withdrawn': 'CUS-02',
  'versions-recovered': 'MET-07',
  'device-revoked': 'DIR-05',
  'device-accepted': 'DIR-05',
} as const;
export type Decision = keyof typeof decisions;

/** Records a decision; in the transaction that carries it out, where there is one. */
export function recordDecision(
  services: Services,
  code: Decision,
  about: { readonly vehicleId?: string; readonly ecuId?: string; readonly detail: string },
): Promise<void> {
  const { vehicleId = '', ecuId = '', detail } = about;
  return insert(services, 'decision', vehicleId, ecuId, { code, row: decisions[code], detail });
}

/** Records a refused request or what the Director noticed by itself. */
export function recordAnomaly(
  services: Services,
  vehicleId: string,
  refused: Refusal,
): Promise<void> {
  const { refused: code, row, detail } = refused;
  const attack = attackOf(refused);
  const entry = { code, row, detail, ...(attack && { attack }) };
  return record(services, 'anomaly', vehicleId, '', entry);
}

/** Records what an ECU detected, by its verified report or by its Primary's statement. */
export function recordDetection(
  services: Services,
  vehicleId: string,
  ecuId: string,
  found: { readonly code: string; readonly row: string; readonly attack?: string | undefined },
): Promise<void> {
  return record(services, 'detection', vehicleId, ecuId, { ...found, detail: '' });
}

/** Entries after an id, oldest first, of one vehicle or of all. */
export function readLog(
  services: Services,
  after: number,
  limit: number,
  vehicleId?: string,
): Promise<readonly LogRow[]> {
  return vehicleId === undefined
    ? services.database.all(logAfter, after, limit)
    : services.database.all(logOfVehicleAfter, vehicleId, after, limit);
}

interface Entry {
  readonly code: string;
  readonly row: string;
  readonly attack?: string | undefined;
  readonly detail: string;
}

async function record(
  services: Services,
  kind: LogKind,
  vehicleId: string,
  ecuId: string,
  entry: Entry,
): Promise<void> {
  const { database } = services;
  const since = services.now() - (services.now() % hourSeconds);
  const { code } = entry;
  // A vehicle that nobody registered has any name that a sender likes: these share one limit.
  const unknown = code === 'vehicle-unknown';
  const limit = unknown ? loggedOfUnknownVehiclesPerHour : loggedPerVehicleCodeAndHour;
  const { count } = (
    unknown
      ? await database.one(countCodeSince, code, since, limit)
      : await database.one(countVehicleCodeSince, vehicleId, code, since, limit)
  )!;
  if (count < limit) {
    await insert(services, kind, vehicleId, ecuId, entry);
    return;
  }
  const about = unknown ? '' : vehicleId;
  const detail = `${code}: more than ${limit} in one hour; further ones of it are not recorded`;
  const last = await database.one(lastLogOfCode, about, 'log-limit');
  if (last !== undefined && last.recorded >= since && last.detail === detail) return;
  await insert(services, 'anomaly', about, '', { code: 'log-limit', row: 'DBP-09', detail });
}

async function insert(
  services: Services,
  kind: LogKind,
  vehicleId: string,
  ecuId: string,
  { code, row, attack, detail }: Entry,
): Promise<void> {
  const shown = detail.slice(0, maxRefusalDetailCharacters);
  const time = services.now();
  await services.database.run(
    insertLogEntry,
    time,
    kind,
    vehicleId,
    ecuId,
    code,
    row,
    attack ?? null,
    shown,
  );
}
