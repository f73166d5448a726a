/** `ota vehicle …` and `ota metadata refresh`: enrolment, inventory, fresh metadata. */
import { isRefusal, type Refusal } from '../../../agent/codes.ts';
import { identifier } from '../../../agent/metadata/common.ts';
import { ecuRoles, emptyAnswer, verifications } from '../../../agent/metadata/device-messages.ts';
import type { Detection } from '../../../agent/metadata/report.ts';
import { toJson } from '../../http/json-view.ts';
import {
  deviceRequest,
  type EcuView,
  enrolmentTokenAnswer,
  enrolmentTokenRequest,
  refreshAnswer,
  type VehicleSummary,
  vehicleList,
  vehiclesPerPage,
  vehicleView,
} from '../../http/messages.ts';
import type { Arguments } from '../arguments.ts';
import type { Command, Context, Outcome } from '../command.ts';
import { table, time } from '../format.ts';
import type { OperatorClient } from '../operator-client.ts';
import { clientOf, serverOptions } from '../settings.ts';

export const vehicleCommands: readonly Command[] = [
  {
    name: 'vehicle token',
    summary: 'Make a one-time enrolment token',
    positionals: [],
    options: {
      vehicle: { value: 'ID', help: 'the only vehicle that may use it (default: any)' },
      ...serverOptions,
    },
    run: token,
  },
  {
    name: 'vehicle list',
    summary: 'List the registered vehicles',
    positionals: [],
    options: serverOptions,
    run: list,
  },
  {
    name: 'vehicle show',
    summary: 'Show the ECUs of a vehicle: what is installed, assigned and was detected',
    positionals: ['ID'],
    options: serverOptions,
    run: show,
  },
  {
    name: 'vehicle revoke',
    summary: "Refuse the vehicle's device certificates from now on (stolen key, scrapped vehicle)",
    positionals: ['ID'],
    options: serverOptions,
    run: (given, context) => setRevoked(given, context, true),
  },
  {
    name: 'vehicle accept',
    summary: 'Accept the device certificates of a revoked vehicle again',
    positionals: ['ID'],
    options: serverOptions,
    run: (given, context) => setRevoked(given, context, false),
  },
  {
    name: 'metadata refresh',
    summary: "Re-issue a vehicle's Timestamp, and what else is about to expire",
    positionals: [],
    options: { vehicle: { value: 'ID', help: 'which vehicle', required: true }, ...serverOptions },
    run: refresh,
  },
];

async function token(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const named = given.optional('vehicle') !== undefined;
  const vehicleId = named ? given.text('vehicle', identifier) : undefined;
  if (given.refusal) return given.refusal;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const request = vehicleId === undefined ? {} : { vehicleId };
  const path = '/enrolment-tokens';
  const answer = await client.post(path, enrolmentTokenRequest, request, enrolmentTokenAnswer);
  if (isRefusal(answer)) return answer;
  return { lines: [answer.token], json: { token: answer.token, vehicleId: vehicleId ?? null } };
}

async function list(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const vehicles = await allVehicles(client);
  if (isRefusal(vehicles)) return vehicles;
  const rows = vehicles.map((vehicle) => [
    vehicle.vehicleId,
    String(vehicle.ecus),
    vehicle.updateAvailable ? 'update available' : 'up to date',
    vehicle.lastManifest === undefined ? 'never' : time(vehicle.lastManifest),
  ]);
  return {
    lines:
      rows.length === 0
        ? ['no vehicle is registered']
        : table([['vehicle', 'ECUs', 'state', 'last manifest'], ...rows]),
    json: vehicles.map((vehicle) => ({ ...vehicle })),
  };
}

/** Every vehicle, page by page. */
async function allVehicles(client: OperatorClient): Promise<readonly VehicleSummary[] | Refusal> {
  const vehicles: VehicleSummary[] = [];
  for (;;) {
    const last = vehicles.at(-1);
    const query = last === undefined ? '' : `?after=${encodeURIComponent(last.vehicleId)}`;
    const page = await client.get(`/vehicles${query}`, vehicleList);
    if (isRefusal(page)) return page;
    vehicles.push(...page);
    if (page.length < vehiclesPerPage) return vehicles;
  }
}

async function show(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const vehicleId = given.checked('ID', given.positionals[0]!, identifier);
  if (given.refusal) return given.refusal;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const view = await client.get(`/vehicles/${encodeURIComponent(vehicleId)}`, vehicleView);
  if (isRefusal(view)) return view;
  const last = view.lastManifest === undefined ? 'never' : time(view.lastManifest);
  const rows = view.ecus.map((ecu) => [
    ecu.ecuId,
    ecu.hostedBy === undefined ? roleOf(ecu) : `hosted by ${ecu.hostedBy}`,
    ecu.hardwareId,
    ecu.installed === undefined
      ? 'unknown'
      : `${ecu.installed.filename} (release ${ecu.installed.releaseCounter})`,
    ecu.assigned === undefined
      ? 'nothing'
      : `${ecu.assigned.filename} (release ${ecu.assigned.releaseCounter})`,
  ]);
  const absences = view.ecus.flatMap(({ ecuId, absent }) =>
    absent === undefined
      ? []
      : `${ecuId} without report since ${time(absent.since)}: ${absent.code}`,
  );
  const detections = view.ecus.flatMap(({ ecuId, detections: found }) =>
    found.map((detection) => `${ecuId} detected ${describe(detection)}`),
  );
  return {
    lines: [
      `${view.vehicleId}: last manifest ${last}, Timestamp ${view.timestampVersion}, ` +
        (view.updateAvailable ? 'update available' : 'up to date'),
      ...table([['ECU', 'role', 'hardware', 'installed', 'assigned'], ...rows]),
      ...absences,
      ...detections,
    ],
    json: toJson(vehicleView, view),
  };
}

function roleOf(ecu: EcuView): string {
  return `${ecu.role === ecuRoles.primary ? 'primary' : 'secondary'}, ${
    ecu.verification === verifications.full ? 'full' : 'partial'
  }`;
}

function describe({ code, row, attack }: Detection): string {
  return attack === undefined ? `${code} (${row})` : `${code} (${row}): attack ${attack}`;
}

async function setRevoked(
  given: Arguments,
  context: Context,
  revoked: boolean,
): Promise<Outcome | Refusal> {
  const vehicleId = given.checked('ID', given.positionals[0]!, identifier);
  if (given.refusal) return given.refusal;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const path = `/vehicles/${encodeURIComponent(vehicleId)}/device`;
  const answer = await client.post(path, deviceRequest, { revoked }, emptyAnswer);
  if (isRefusal(answer)) return answer;
  const state = revoked ? 'refused' : 'accepted';
  return {
    lines: [`device certificates of ${vehicleId} are ${state}`],
    json: { vehicleId, revoked },
  };
}

async function refresh(given: Arguments, context: Context): Promise<Outcome | Refusal> {
  const vehicleId = given.text('vehicle', identifier);
  if (given.refusal) return given.refusal;
  const client = clientOf(given, context);
  if (isRefusal(client)) return client;
  const path = `/vehicles/${encodeURIComponent(vehicleId)}/refresh`;
  const answer = await client.postEmpty(path, refreshAnswer);
  if (isRefusal(answer)) return answer;
  const { timestampVersion } = answer;
  return {
    lines: [`${vehicleId} has Timestamp ${timestampVersion}`],
    json: { vehicleId, timestampVersion },
  };
}
