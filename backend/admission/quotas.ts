/**
 * Quotas per authenticated vehicle, per fleet, per anonymous sender and for all (docs/dos.md, layer
 * 4). Whoever asks in another's name spends only their own: the identity is that of the connection
 * (its certificate, or its address), never one that a path or a body states.
 */
import { isIPv6 } from 'node:net';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';

/** Who sends: an authenticated vehicle with its fleet, or an address. */
export type Sender =
  | {
      readonly vehicleId: string;
      readonly fleet: string;
      /** It is told to leave an image for safety's sake and has not reported that it did. */
      readonly urgent: boolean;
    }
  | { readonly address: string };

export type Scope = 'vehicle' | 'fleet' | 'address' | 'anonymous' | 'global';

/** Requests in a window of `windowSeconds`. */
export interface QuotaLimits {
  readonly vehicle: number;
  readonly fleet: number;
  /** One address, or one IPv6 network of 64 bits, without a vehicle's certificate. */
  readonly address: number;
  /** All senders together that no certificate names. */
  readonly anonymous: number;
  readonly global: number;
  /** Connections to one plane that one address, or such a network, has open at once. */
  readonly connections: number;
}

export const windowSeconds = 10;
/** Senders that are counted apart within one window; those beyond share one count. */
export const maxCountedSenders = 65_536;

export interface QuotaRefusal {
  readonly scope: Scope;
  readonly milliseconds: number;
}

/** Counts of many keys, in a table of bounded size. */
class CountedKeys {
  private readonly limiter: RateLimiterMemory;
  private readonly maxKeys: number;
  /** Keys in the order in which their windows end, with that time. */
  private readonly windows = new Map<string, number>();

  constructor(points: number, maxKeys: number) {
    this.limiter = new RateLimiterMemory({ points, duration: windowSeconds });
    this.maxKeys = maxKeys;
  }

  get size(): number {
    return this.windows.size;
  }

  /** Spends from a key's count; milliseconds to wait when it is spent. */
  async spend(key: string, points: number): Promise<number | undefined> {
    try {
      await this.limiter.consume(this.placeOf(key), points);
      return undefined;
    } catch (refused) {
      if (refused instanceof RateLimiterRes) return Math.max(refused.msBeforeNext, 1);
      throw refused;
    }
  }

  private placeOf(key: string): string {
    const now = Date.now();
    const end = this.windows.get(key);
    if (end !== undefined && end > now) return key;
    this.windows.delete(key);
    for (const [other, otherEnd] of this.windows) {
      if (otherEnd > now) break;
      this.windows.delete(other);
    }
    // No number of identities makes the table larger: the last ones share a place.
    if (this.windows.size >= this.maxKeys) return '';
    this.windows.set(key, now + windowSeconds * 1_000);
    return key;
  }
}

export class Quotas {
  private readonly vehicles: CountedKeys;
  private readonly fleets: CountedKeys;
  private readonly addresses: CountedKeys;
  private readonly anonymous: CountedKeys;
  private readonly all: CountedKeys;

  constructor(limits: QuotaLimits, maxSenders = maxCountedSenders) {
    this.vehicles = new CountedKeys(limits.vehicle, maxSenders);
    this.fleets = new CountedKeys(limits.fleet, maxSenders);
    this.addresses = new CountedKeys(limits.address, maxSenders);
    this.anonymous = new CountedKeys(limits.anonymous, 1);
    this.all = new CountedKeys(limits.global, 1);
  }

  /**
   * Spends one request, or `points` of them, of everyone whose quota it is: the narrowest first,
   * so that what one sender has too much never counts against the others.
   */
  async spend(sender: Sender, points = 1): Promise<QuotaRefusal | undefined> {
    const counts: readonly (readonly [Scope, CountedKeys, string])[] =
      'vehicleId' in sender
        ? [
            ['vehicle', this.vehicles, sender.vehicleId],
            ['fleet', this.fleets, sender.fleet],
            ['global', this.all, 'all'],
          ]
        : [
            ['address', this.addresses, networkOf(sender.address)],
            // A part of the whole, so that senders without a name never spend the vehicles' share.
            ['anonymous', this.anonymous, 'all'],
            ['global', this.all, 'all'],
          ];
    for (const [scope, count, key] of counts) {
      const milliseconds = await count.spend(key, points);
      if (milliseconds !== undefined) return { scope, milliseconds };
    }
    return undefined;
  }

  /** Senders that are counted apart at the moment. */
  get size(): number {
    return this.vehicles.size + this.fleets.size + this.addresses.size;
  }
}

/** An IPv4 address, or the first 64 bits of an IPv6 one: one subscriber has all of the rest. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1]!;
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  const groups = [...front, ...Array<string>(zeros).fill('0'), ...back];
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
