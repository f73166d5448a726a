/**
 * Whether a bundle may be given to a vehicle, and in which steps it installs (Uptane §5.3.2.1 (5)).
 *
 * A bundle is what one request assigns. It is judged against the state that it leads to (DIR-13) and
 * against every state that the vehicle may be in by now (DBP-12): what the last accepted manifest
 * reports, and all that was assigned since. On the way, an ECU waits for those whose present image
 * its new one does not bear.
 */
import { type Refusal, refuse } from '../../agent/codes.ts';
import type { Target } from '../../agent/metadata/targets.ts';
import {
  type Clash,
  clashBetween,
  describeClash,
  missingHardware,
  type PlacedImage,
  type Placement,
  placedImageOf,
} from '../../agent/verify/compatibility.ts';
import { components, installSteps } from './install-steps.ts';
import type { EcuImages } from './vehicle-images.ts';

/** One image of a request. */
export interface Wanted {
  readonly target: Target;
  /** Least step, by the operator. */
  readonly installStep: number;
}

/** A change of one ECU that has to come before another, and whether it is certain that it can. */
interface Order {
  readonly clash: Clash;
  readonly certain: boolean;
}

export interface JudgedBundle {
  readonly ecus: readonly EcuImages[];
  /** By ECU id. */
  readonly wanted: ReadonlyMap<string, Wanted>;
  /** All images that could be assigned instead. */
  readonly published: readonly Target[];
}

/** The refusal of images that clash, with what there is to find advice in. */
export interface ClashRefusal extends Refusal {
  readonly bundle: JudgedBundle;
}

/** True for the refusal of images that clash: other images may resolve it. */
export function isClashRefusal(refusal: Refusal): refusal is ClashRefusal {
  return 'bundle' in refusal;
}

/**
 * Judges a bundle.
 * @returns the install step of every assigned ECU of the vehicle; code `assignment-refused`
 */
export function planBundle(
  bundle: JudgedBundle,
): ReadonlyMap<string, number> | Refusal | ClashRefusal {
  const { ecus, wanted } = bundle;
  const after = ecus.map((ecu) => placementAfter(ecu, wanted));
  const clash = clashInTheEnd(after, wanted);
  // DIR-13: images that require or refuse each other are never directed together
  if (clash !== undefined) {
    return { ...refuse('assignment-refused', describeClash(clash), 'DIR-13'), bundle };
  }
  const orders = ordersOf(ecus, after);
  const uncertain = clashUnconfirmed(ecus, wanted, orders);
  // DBP-12: nor with anything that the vehicle may hold since its last manifest
  if (uncertain !== undefined) {
    const { ecuId } = uncertain.neighbour ?? uncertain.placement;
    const advice = `Wait for the manifest that confirms ${ecuId}, or assign to it in this request too`;
    return refuse('assignment-refused', `${describeClash(uncertain)}. ${advice}`, 'DBP-12');
  }
  const least = new Map<string, number>();
  for (const { ecuId, assigned, installStep } of ecus) {
    const step = wanted.get(ecuId)?.installStep ?? (assigned && installStep);
    if (step !== undefined) least.set(ecuId, step);
  }
  return installSteps(least, predecessorsOf(orders));
}

function placementAfter(ecu: EcuImages, wanted: ReadonlyMap<string, Wanted>): Placement {
  const { ecuId, hardwareId, assigned, reported } = ecu;
  const target = wanted.get(ecuId)?.target;
  const image = target === undefined ? (assigned ?? reported) : placedImageOf(target);
  return { ecuId, hardwareId, image };
}

/** A clash in the state that the bundle leads to; one that was there before is not its fault. */
function clashInTheEnd(
  after: readonly Placement[],
  wanted: ReadonlyMap<string, Wanted>,
): Clash | undefined {
  for (const placement of after) {
    const missing = wanted.has(placement.ecuId) && missingHardware(placement, after);
    if (missing) return missing;
    for (const neighbour of after) {
      if (!wanted.has(placement.ecuId) && !wanted.has(neighbour.ecuId)) continue;
      // What nobody knows yet is for the manifest to say.
      if (neighbour.image === undefined) continue;
      const clash = clashBetween(placement, neighbour);
      if (clash !== undefined) return clash;
    }
  }
  return undefined;
}

type Orders = ReadonlyMap<string, ReadonlyMap<string, Order>>;

/** For each ECU, those that may hold an image that its new one clashes with. */
function ordersOf(ecus: readonly EcuImages[], after: readonly Placement[]): Orders {
  const orders = new Map<string, Map<string, Order>>();
  for (const placement of after) {
    const found = new Map<string, Order>();
    for (const [i, neighbour] of ecus.entries()) {
      if (neighbour.ecuId === placement.ecuId) continue;
      const order = orderBetween(placement, neighbour, after[i]!);
      if (order !== undefined) found.set(neighbour.ecuId, order);
    }
    orders.set(placement.ecuId, found);
  }
  return orders;
}

function orderBetween(
  placement: Placement,
  neighbour: EcuImages,
  then: Placement,
): Order | undefined {
  let order: Order | undefined;
  for (const image of neighbour.possible) {
    if (image !== undefined && sameImage(image, then.image)) continue;
    const now: Placement = { ...then, image };
    const clash = clashBetween(placement, now) ?? clashBetween(now, placement);
    if (clash === undefined) continue;
    const certain = image !== undefined && sameImage(image, neighbour.reported);
    if (!certain) return { clash, certain };
    order ??= { clash, certain };
  }
  return order;
}

function sameImage(a: PlacedImage | undefined, b: PlacedImage | undefined): boolean {
  return a?.filename === b?.filename && a?.releaseCounter === b?.releaseCounter;
}

/**
 * A clash with what an ECU may hold that the bundle does not put right: because the bundle does not
 * change that ECU, or because it has to change at the same time, from a state that nobody knows.
 */
function clashUnconfirmed(
  ecus: readonly EcuImages[],
  wanted: ReadonlyMap<string, Wanted>,
  orders: Orders,
): Clash | undefined {
  const ids = ecus.map(({ ecuId }) => ecuId);
  const together = components(ids, predecessorsOf(orders));
  for (const [ecuId, earlier] of orders) {
    if (!wanted.has(ecuId)) continue;
    for (const [other, { clash, certain }] of earlier) {
      if (!wanted.has(other)) return clash;
      const atOnce = together.some((one) => one.includes(ecuId) && one.includes(other));
      if (atOnce && !certain) return clash;
    }
  }
  return undefined;
}

function predecessorsOf(orders: Orders): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map([...orders].map(([ecuId, earlier]) => [ecuId, new Set(earlier.keys())]));
}
