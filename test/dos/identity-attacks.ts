/** Attacks with names and addresses that are not the attacker's, or that nobody has. */
import { encode } from '../../agent/codec/schema.ts';
import { updateQuery } from '../../agent/metadata/device-messages.ts';
import { codeOf, TestVehicle } from '../scenario/backend-fixture.ts';
import { type Attack, addressQuota, attackersAddress, type Target } from './attack.ts';
import { describeStatuses, flood } from './flood.ts';

/** What the victim is answered, from its own address. */
async function victimFares({ backend, victim, manifest }: Target): Promise<string> {
  const { vehicleId } = victim;
  return [
    codeOf(await backend.director(`/metadata/${vehicleId}/timestamp.cbor`)),
    codeOf(await backend.manifest(vehicleId, manifest())),
  ].join(' ');
}

const lockout: Attack = {
  name: "lockout in another's name",
  peer: 'one anonymous caller locks a victim out with 550 requests',
  async replay(target) {
    const { vehicleId } = target.victim;
    const { statuses, retryAfter, windows } = await flood({
      port: target.backend.backend.ports.director,
      count: 550,
      from: () => attackersAddress,
      path: () => `/manifest/${vehicleId}`,
      method: 'POST',
      body: () => Uint8Array.of(0xf6),
    });
    const victim = await victimFares(target);
    const turnedAway = (statuses['429'] ?? 0) + (statuses['503'] ?? 0);
    const held = turnedAway >= 550 - windows * addressQuota && retryAfter === turnedAway;
    return {
      refused: held && victim === '200 200',
      detail: `${describeStatuses(statuses)}; victim: ${victim}`,
    };
  },
};

const fakeIds: Attack = {
  name: '10,000 fake ids',
  peer: 'every new vehicle is denied afterwards',
  async replay({ backend }) {
    const { statuses } = await flood({
      port: backend.backend.ports.director,
      count: 10_000,
      // 50 addresses, so that most of it gets past the quota of an address.
      from: (i) => `127.0.1.${1 + (i % 50)}`,
      path: () => '/check_updates',
      method: 'POST',
      body: (i) => encode(updateQuery, { vehicleId: `fake-${i}`, timestampVersion: 0 }),
    });
    await backend.register(new TestVehicle('new-vehicle'));
    const answer = codeOf(await backend.director('/metadata/new-vehicle/timestamp.cbor'));
    // Unknown, over a quota, or too many at once.
    const refusals = ['404', '429', '503'].reduce((sum, code) => sum + (statuses[code] ?? 0), 0);
    const none = refusals === 10_000;
    return {
      refused: none && answer === '200',
      detail: `${describeStatuses(statuses)}; a new vehicle: ${answer}`,
    };
  },
};

const bucketDrain: Attack = {
  name: 'bucket drain',
  peer: 'one caller spends the tokens of all',
  async replay(target) {
    const { statuses, windows } = await flood({
      port: target.backend.backend.ports.director,
      count: 3_000,
      from: () => '127.0.0.3',
      path: () => '/',
    });
    const victim = await victimFares(target);
    const held = (statuses['200'] ?? 0) <= windows * addressQuota;
    return {
      refused: held && victim === '200 200',
      detail: `${describeStatuses(statuses)}; victim: ${victim}`,
    };
  },
};

export const identityAttacks: readonly Attack[] = [lockout, fakeIds, bucketDrain];
