/** Quotas: whose count a request spends, and that no number of identities makes the table grow. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { networkOf, Quotas, type Sender } from '../../../backend/admission/quotas.ts';
import {
  maxOverloadSeconds,
  secondsAfterOverload,
  secondsAfterQuota,
} from '../../../backend/admission/retry-after.ts';

const test = suite('quotas');
const wide = {
  vehicle: 1_000_000,
  fleet: 1_000_000,
  address: 1_000_000,
  anonymous: 1_000_000,
  global: 1_000_000,
  connections: 1_000_000,
};

const vehicle = (vehicleId: string, fleet = 'north'): Sender => ({
  urgent: false,
  vehicleId,
  fleet,
});

async function scopesOf(quotas: Quotas, senders: readonly Sender[]): Promise<string[]> {
  const scopes: string[] = [];
  for (const sender of senders) scopes.push((await quotas.spend(sender))?.scope ?? 'ok');
  return scopes;
}

test('a vehicle has its own count, to the last request and not one more', async () => {
  const quotas = new Quotas({ ...wide, vehicle: 2 });
  const a = vehicle('a');
  assert.equal(await scopesOf(quotas, [a, a, a, vehicle('b')]), ['ok', 'ok', 'vehicle', 'ok']);
  const refused = await quotas.spend(a);
  assert.ok(refused !== undefined && refused.milliseconds > 0 && refused.milliseconds <= 10_000);
});

test('a fleet shares a count that another fleet does not touch', async () => {
  const quotas = new Quotas({ ...wide, fleet: 2 });
  const senders = [vehicle('a'), vehicle('b'), vehicle('c'), vehicle('d', 'south')];
  assert.equal(await scopesOf(quotas, senders), ['ok', 'ok', 'fleet', 'ok']);
});

test('all have one count together, and a batch spends as many as it holds', async () => {
  const quotas = new Quotas({ ...wide, global: 10 });
  assert.is(await quotas.spend(vehicle('a'), 9), undefined);
  assert.equal(await scopesOf(quotas, [vehicle('b'), vehicle('c', 'south')]), ['ok', 'global']);
});

test('what one sender has too much counts neither for its fleet nor for all', async () => {
  const quotas = new Quotas({ ...wide, vehicle: 1, fleet: 3, global: 3 });
  const a = vehicle('a');
  assert.equal(await scopesOf(quotas, [a, a, a, a]), ['ok', 'vehicle', 'vehicle', 'vehicle']);
  assert.equal(await scopesOf(quotas, [vehicle('b'), vehicle('c')]), ['ok', 'ok']);
});

test('senders without a certificate spend by address, and only the part that is theirs', async () => {
  const quotas = new Quotas({ ...wide, address: 2, anonymous: 3, global: 4 });
  const one = { address: '192.0.2.1' };
  const two = { address: '192.0.2.2' };
  assert.equal(await scopesOf(quotas, [one, one, one]), ['ok', 'ok', 'address']);
  assert.equal(await scopesOf(quotas, [two, two]), ['ok', 'anonymous']);
  assert.equal(await scopesOf(quotas, [vehicle('a')]), ['ok'], 'the vehicles have the rest');
});

test('a subscriber of IPv6 is one sender, whichever of its addresses it takes', () => {
  assert.is(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
  assert.is(networkOf('2001:db8:1:2::6'), '2001:db8:1:2');
  assert.is(networkOf('2001:db8::1'), '2001:db8:0:0');
  assert.is(networkOf('::1'), '0:0:0:0');
  assert.is(networkOf('fe80::1%eth0'), 'fe80:0:0:0');
  assert.is(networkOf('::ffff:192.0.2.7'), '192.0.2.7');
  assert.is(networkOf('192.0.2.7'), '192.0.2.7');
});

test('10,000 identities fill no table, and those counted before keep their place', async () => {
  const quotas = new Quotas({ ...wide, vehicle: 3 }, 100);
  const first = vehicle('first');
  assert.is(await quotas.spend(first), undefined);
  const fakes = Array.from({ length: 10_000 }, (_, i) => vehicle(`fake-${i}`, `fleet-${i}`));
  const scopes = await scopesOf(quotas, fakes);
  assert.ok(quotas.size <= 200, `${quotas.size} places`);
  // 99 have a place of their own; the others share one of 3 requests.
  assert.is(scopes.filter((scope) => scope === 'ok').length, 99 + 3);
  assert.equal(await scopesOf(quotas, [first, first, first]), ['ok', 'ok', 'vehicle']);
});

test('those who are turned away together come back at different times (Retry-After)', () => {
  const overload = Array.from({ length: 2_000 }, secondsAfterOverload);
  assert.is(new Set(overload).size, maxOverloadSeconds, 'every second from 1 to 30');
  assert.ok(overload.every((seconds) => seconds >= 1 && seconds <= maxOverloadSeconds));
  const quota = Array.from({ length: 200 }, () => secondsAfterQuota(2_001));
  assert.equal([...new Set(quota)].sort(), [3, 4, 5, 6, 7, 8], 'never before the window ends');
});

test.run();
