/**
 * Whether the images of one vehicle fit together, by what their must-match sections require and
 * refuse (DIR-13). The Image repository's offline keys sign these sections and both repositories
 * must agree on them, so neither the Director nor its online keys can invent or drop a dependency.
 *
 * The Director judges with it what it would assign; a Primary judges again what it was assigned.
 */
import type { MustMatch, ReleaseRange, Target } from '../metadata/targets.ts';

/** An image as far as its neighbours are concerned. */
export interface PlacedImage {
  readonly filename: string;
  readonly releaseCounter: number;
  readonly requires?: MustMatch['requires'];
  readonly conflicts?: MustMatch['conflicts'];
}

/** An entry of Targets as its neighbours see it. */
export function placedImageOf({ filename, mustMatch }: Target): PlacedImage {
  const { releaseCounter, requires, conflicts } = mustMatch;
  return {
    filename,
    releaseCounter,
    ...(requires && { requires }),
    ...(conflicts && { conflicts }),
  };
}

/** One ECU and the image that it runs or shall run. */
export interface Placement {
  readonly ecuId: string;
  readonly hardwareId: string;
  /** Undefined: nobody knows, and every range counts as missed. */
  readonly image: PlacedImage | undefined;
}

/** An image that does not bear its neighbour, or misses it. */
export interface Clash {
  readonly placement: Placement;
  readonly range: ReleaseRange;
  readonly kind: 'requires' | 'conflicts';
  /** The ECU that breaks the range; undefined when the vehicle has none of that hardware. */
  readonly neighbour: Placement | undefined;
}

export function inRange(range: ReleaseRange, release: number): boolean {
  return release >= range.min && (range.max === undefined || release <= range.max);
}

/** What speaks against `neighbour` beside `placement`, in this direction alone. */
export function clashBetween(placement: Placement, neighbour: Placement): Clash | undefined {
  const { image } = placement;
  if (image === undefined || placement.ecuId === neighbour.ecuId) return undefined;
  for (const range of image.requires ?? []) {
    if (range.hardwareId !== neighbour.hardwareId) continue;
    if (neighbour.image === undefined || !inRange(range, neighbour.image.releaseCounter)) {
      return { placement, range, kind: 'requires', neighbour };
    }
  }
  for (const range of image.conflicts ?? []) {
    if (range.hardwareId !== neighbour.hardwareId) continue;
    if (neighbour.image === undefined || inRange(range, neighbour.image.releaseCounter)) {
      return { placement, range, kind: 'conflicts', neighbour };
    }
  }
  return undefined;
}

/**
 * The first image of a vehicle that does not fit; undefined when all fit together. What an ECU that
 * did not report runs is taken to fit: its absence is no attack on the others.
 */
export function findClash(placements: readonly Placement[]): Clash | undefined {
  for (const placement of placements) {
    if (!isConstrained(placement)) continue;
    const missing = missingHardware(placement, placements);
    if (missing !== undefined) return missing;
    for (const neighbour of placements) {
      if (neighbour.image === undefined) continue;
      const clash = clashBetween(placement, neighbour);
      if (clash !== undefined) return clash;
    }
  }
  return undefined;
}

/** A requirement on hardware that no other ECU of the vehicle has. */
export function missingHardware(
  placement: Placement,
  placements: readonly Placement[],
): Clash | undefined {
  for (const range of placement.image?.requires ?? []) {
    const met = placements.some(
      (other) => other.hardwareId === range.hardwareId && other.ecuId !== placement.ecuId,
    );
    if (!met) return { placement, range, kind: 'requires', neighbour: undefined };
  }
  return undefined;
}

function isConstrained({ image }: Placement): boolean {
  return image?.requires !== undefined || image?.conflicts !== undefined;
}

/** A range for a person: `releases 2 to 5`, `release 3`, `release 2 or newer`. */
export function describeRange({ hardwareId, min, max }: ReleaseRange): string {
  if (max === undefined) return `${hardwareId} release ${min} or newer`;
  return max === min ? `${hardwareId} release ${min}` : `${hardwareId} releases ${min} to ${max}`;
}

/** A clash for a person: which image on which ECU, what it asks for, what it would find. */
export function describeClash({ placement, range, kind, neighbour }: Clash): string {
  const verb = kind === 'requires' ? 'requires' : 'conflicts with';
  const asked = `${placement.image?.filename} on ${placement.ecuId} ${verb} ${describeRange(range)}`;
  if (neighbour === undefined) return `${asked}, and the vehicle has no such ECU`;
  const { image, ecuId } = neighbour;
  return image === undefined
    ? `${asked}; what ${ecuId} runs is unknown`
    : `${asked}; ${ecuId} has ${image.filename} (release ${image.releaseCounter})`;
}
