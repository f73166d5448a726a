/**
 * What would make a refused bundle possible, by a SAT solver (DIR-14): first by giving other ECUs
 * other published images, as few as can be; else by leaving out as few of the wanted images as can
 * be. Advice only: whatever the solver says is judged again when it is requested.
 */
import Logic from 'logic-solver';
import type { Target } from '../../agent/metadata/targets.ts';
import { inRange, type PlacedImage, placedImageOf } from '../../agent/verify/compatibility.ts';
import type { Wanted } from './bundle.ts';
import type { EcuImages } from './vehicle-images.ts';

/** The solver has a fixed memory of 64 MiB, and a person reads the answer. */
const maxEcusSolved = 32;
const maxImagesPerEcu = 8;

/** One image that one ECU could have; a variable of the formula. */
interface Choice {
  readonly name: string;
  readonly ecuId: string;
  readonly hardwareId: string;
  readonly image: PlacedImage;
  /** It is what the ECU has without this bundle. */
  readonly kept: boolean;
  /** It is what the request asks for. */
  readonly asked: boolean;
}

/** A sentence for the operator. */
export function describeResolution(
  ecus: readonly EcuImages[],
  wanted: ReadonlyMap<string, Wanted>,
  published: readonly Target[],
): string {
  const involved = neighbourhood(ecus, wanted, published);
  if (involved.length > maxEcusSolved) {
    return `More than ${maxEcusSolved} ECUs depend on each other here: no advice`;
  }
  const choices = involved.flatMap((ecu) => choicesOf(ecu, wanted.get(ecu.ecuId), published));
  const more = solve(choices, (choice) => choice.asked || !wanted.has(choice.ecuId), changed);
  if (more !== undefined) {
    const added = more.filter((choice) => !choice.kept && !wanted.has(choice.ecuId));
    return `Resolved by also assigning ${listOf(added)}`;
  }
  const fewer = solve(choices, (choice) => choice.asked || choice.kept, notAsked(wanted));
  const dropped = (fewer ?? []).filter((choice) => wanted.has(choice.ecuId) && !choice.asked);
  const left = dropped.map(({ ecuId }) => `${wanted.get(ecuId)!.target.filename} for ${ecuId}`);
  return left.length === 0
    ? 'No published images resolve it'
    : `No published images resolve it; possible without ${left.join(', ')}`;
}

function changed(choice: Choice): boolean {
  return !choice.kept;
}

function notAsked(wanted: ReadonlyMap<string, Wanted>): (choice: Choice) => boolean {
  return (choice) => wanted.has(choice.ecuId) && !choice.asked;
}

function listOf(choices: readonly Choice[]): string {
  return choices.map(({ image, ecuId }) => `${image.filename} to ${ecuId}`).join(', ');
}

/** The wanted ECUs and, over and over, those of hardware that an image of them speaks of. */
function neighbourhood(
  ecus: readonly EcuImages[],
  wanted: ReadonlyMap<string, Wanted>,
  published: readonly Target[],
): readonly EcuImages[] {
  const hardware = new Set(ecus.filter((ecu) => wanted.has(ecu.ecuId)).map((e) => e.hardwareId));
  for (let size = 0; size < hardware.size; ) {
    size = hardware.size;
    for (const { mustMatch } of published) {
      if (!mustMatch.hardwareIds.some((id) => hardware.has(id))) continue;
      const ranges = [...(mustMatch.requires ?? []), ...(mustMatch.conflicts ?? [])];
      for (const { hardwareId } of ranges) hardware.add(hardwareId);
    }
  }
  return ecus.filter((ecu) => hardware.has(ecu.hardwareId));
}

/** What an ECU could have: what it has, what is asked for, newer published images. */
function choicesOf(
  ecu: EcuImages,
  wanted: Wanted | undefined,
  published: readonly Target[],
): readonly Choice[] {
  const { ecuId, hardwareId } = ecu;
  const kept = ecu.assigned ?? ecu.reported;
  const asked = wanted && placedImageOf(wanted.target);
  const least = Math.max(kept?.releaseCounter ?? 0, ecu.reported?.releaseCounter ?? 0);
  const others = published
    .filter(({ mustMatch }) => mustMatch.hardwareIds.includes(hardwareId))
    .map(placedImageOf)
    .filter(({ releaseCounter }) => releaseCounter >= least)
    .sort((a, b) => b.releaseCounter - a.releaseCounter)
    .slice(0, maxImagesPerEcu);
  const images = new Map(
    [...(kept ? [kept] : []), ...(asked ? [asked] : []), ...others].map((one) => [
      one.filename,
      one,
    ]),
  );
  return [...images.values()].map((image) => ({
    name: `${ecuId}=${image.filename}`,
    ecuId,
    hardwareId,
    image,
    kept: image.filename === kept?.filename,
    asked: image.filename === asked?.filename,
  }));
}

/** The choice of every ECU that satisfies all and costs least; undefined when none does. */
function solve(
  choices: readonly Choice[],
  allowed: (choice: Choice) => boolean,
  costs: (choice: Choice) => boolean,
): readonly Choice[] | undefined {
  const solver = new Logic.Solver();
  const open = choices.filter(allowed);
  for (const ecuId of new Set(choices.map((choice) => choice.ecuId))) {
    const own = open.filter((choice) => choice.ecuId === ecuId).map(({ name }) => name);
    solver.require(Logic.exactlyOne(...own));
  }
  for (const choice of open) for (const rule of rulesOf(choice, open)) solver.require(rule);
  const first = solver.solve();
  if (first === null) return undefined;
  const names = open.filter(costs).map(({ name }) => name);
  const best = names.length === 0 ? first : solver.minimizeWeightedSum(first, names, 1);
  const chosen = new Set((best ?? first).getTrueVars());
  return open.filter(({ name }) => chosen.has(name));
}

/** What choosing one image means for the others. */
function rulesOf(choice: Choice, open: readonly Choice[]): readonly Logic.Formula[] {
  const rules: Logic.Formula[] = [];
  const { requires = [], conflicts = [] } = choice.image;
  for (const range of requires) {
    const others = open.filter(
      (other) => other.hardwareId === range.hardwareId && other.ecuId !== choice.ecuId,
    );
    // On every such ECU an image of the range; on none of them, none can be had.
    for (const ecuId of new Set(others.map((other) => other.ecuId))) {
      const fit = others.filter(
        (other) => other.ecuId === ecuId && inRange(range, other.image.releaseCounter),
      );
      rules.push(Logic.implies(choice.name, Logic.or(...fit.map(({ name }) => name))));
    }
    if (others.length === 0) rules.push(Logic.not(choice.name));
  }
  for (const range of conflicts) {
    for (const other of open) {
      if (other.hardwareId !== range.hardwareId || other.ecuId === choice.ecuId) continue;
      if (inRange(range, other.image.releaseCounter)) {
        rules.push(Logic.implies(choice.name, Logic.not(other.name)));
      }
    }
  }
  return rules;
}
