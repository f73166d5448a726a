/** The vehicles of the fleet, as operators see them and what they change of one. */
import type { FastifyRequest } from 'fastify';
import { isRefusal, type Refusal } from '../../agent/codes.ts';
import { identifier } from '../../agent/metadata/common.ts';
import { emptyAnswer } from '../../agent/metadata/device-messages.ts';
import { setRevoked } from '../director/devices.ts';
import { findVehicle } from '../director/inventory.ts';
import { issueMetadata, latestMetadata, staleRole } from '../director/metadata.ts';
import { listVehicles, viewManifests, viewVehicle } from '../director/views.ts';
import type { Services } from '../services.ts';
import { changeVehicle } from '../transactions.ts';
import { sendAnswer, sendRefusal, sendResult } from './answers.ts';
import { fromJson } from './json-view.ts';
import { parameterOf, type Route, readBody } from './listener.ts';
import {
  deviceRequest,
  manifestHistory,
  refreshAnswer,
  vehicleList,
  vehicleView,
} from './messages.ts';

export function vehicleRoutes(services: Services): readonly Route[] {
  return [
    {
      method: 'GET',
      path: '/vehicles',
      says: { summary: 'A page of vehicles', gives: vehicleList, query: { after: identifier } },
      handle: async (request, reply) => {
        const { after } = request.query as { readonly after?: unknown };
        const from = after === undefined ? '' : fromJson(identifier, after);
        if (isRefusal(from)) return sendRefusal(reply, from);
        return sendAnswer(reply, vehicleList, await listVehicles(services, from));
      },
    },
    {
      method: 'GET',
      path: '/vehicles/:vehicleId',
      says: { summary: 'A vehicle with all its ECUs', gives: vehicleView },
      handle: async (request, reply) => {
        const vehicleId = vehicleIdOf(request);
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        const view = await viewVehicle(services, vehicleId);
        return sendResult(reply, vehicleView, view);
      },
    },
    {
      method: 'GET',
      path: '/vehicles/:vehicleId/manifests',
      says: { summary: 'The last manifests of a vehicle', gives: manifestHistory },
      handle: async (request, reply) => {
        const vehicleId = vehicleIdOf(request);
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        const manifests = await viewManifests(services, vehicleId);
        return sendResult(reply, manifestHistory, manifests);
      },
    },
    {
      method: 'POST',
      path: '/vehicles/:vehicleId/device',
      says: {
        summary: 'Revokes the device certificates of a vehicle, or takes that back',
        takes: deviceRequest,
        gives: emptyAnswer,
      },
      handle: async (request, reply) => {
        const vehicleId = vehicleIdOf(request);
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        const body = readBody(request, deviceRequest);
        if (isRefusal(body)) return sendRefusal(reply, body);
        const refused = await setRevoked(services, vehicleId, body.revoked);
        if (refused !== undefined) return sendRefusal(reply, refused);
        if (body.revoked) services.doorbell.silence(vehicleId);
        return sendAnswer(reply, emptyAnswer, {});
      },
    },
    {
      method: 'POST',
      path: '/vehicles/:vehicleId/refresh',
      says: { summary: 'Signs a new Timestamp of a vehicle', gives: refreshAnswer },
      handle: async (request, reply) => {
        const vehicleId = vehicleIdOf(request);
        if (isRefusal(vehicleId)) return sendRefusal(reply, vehicleId);
        const vehicle = await findVehicle(services, vehicleId);
        if (isRefusal(vehicle)) return sendRefusal(reply, vehicle);
        const timestampVersion = await refresh(services, vehicleId);
        return sendAnswer(reply, refreshAnswer, { timestampVersion });
      },
    },
  ];
}

/** A new Timestamp always, at once; what else is old comes with it. */
async function refresh(services: Services, vehicleId: string): Promise<number> {
  const version = await changeVehicle(services, vehicleId, async (within) => {
    const from = (await staleRole(within, vehicleId)) ?? 'timestamp';
    await issueMetadata(within, vehicleId, from);
    return (await latestMetadata(within, vehicleId, 'timestamp')).version;
  });
  services.doorbell.ring(vehicleId, version);
  return version;
}

/** The vehicle that the path names. */
function vehicleIdOf(request: FastifyRequest): string | Refusal {
  return fromJson(identifier, parameterOf(request, 'vehicleId'));
}
