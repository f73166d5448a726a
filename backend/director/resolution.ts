/**
 * What would make a refused bundle possible, by an integer solver, HiGHS (DIR-14): first by giving other ECUs
 * other published images, as few as can be; else by leaving out as few of the wanted images as can
 * be. Advice only: whatever the solver says is judged again when it is requested.
 */
import type { Target } from '../../agent/metadata/targets.ts';
import { inRange, type PlacedImage, placedImageOf } from '../../agent/verify/compatibility.ts';
import type { JudgedBundle, Wanted } from './bundle.ts';
import type { EcuImages } from './vehicle-images.ts';

/** A person reads the answer, and waits for it. */
const maxEcusSolved = 32;
const maxImagesPerEcu = 8;
/** Above what all positions in the list of choices come to. */
const changeCost = 100_000;

/** One image that one ECU could have; a variable that is 0 or 1. */
interface Choice {
  readonly ecuId: string;
  readonly hardwareId: string;
  readonly image: PlacedImage;
  /** It is what the ECU has without this bundle. */
  readonly kept: boolean;
  /** It is what the request asks for. */
  readonly asked: boolean;
}

/** Loads 3.5 MB of WebAssembly, the first time that advice is needed. */
async function loadSolver() {
  const { default: highs } = await import('highs');
  // Its types describe the CommonJS file; what is imported here is the function itself.
  return (highs as unknown as typeof highs.default)();
}
type Solver = Awaited<ReturnType<typeof loadSolver>>;
let loading: Promise<Solver> | undefined;

/** A sentence for the operator. Takes its time: not to be awaited in a transaction. */
export async function describeResolution({
  ecus,
  wanted,
  published,
}: JudgedBundle): Promise<string> {
  const involved = neighbourhood(ecus, wanted, published);
  if (involved.length > maxEcusSolved) {
    return `More than ${maxEcusSolved} ECUs depend on each other here: no advice`;
  }
  loading ??= loadSolver();
  const solver = await loading;
  const choices = involved.flatMap((ecu) => choicesOf(ecu, wanted.get(ecu.ecuId), published));
  const more = solve(
    solver,
    choices,
    (choice) => choice.asked || !wanted.has(choice.ecuId),
    changed,
  );
  if (more !== undefined) {
    const added = more.filter((choice) => !choice.kept && !wanted.has(choice.ecuId));
    return `Resolved by also assigning ${listOf(added)}`;
  }
  const fewer = solve(solver, choices, (choice) => choice.asked || choice.kept, notAsked(wanted));
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
    ecuId,
    hardwareId,
    image,
    kept: image.filename === kept?.filename,
    asked: image.filename === asked?.filename,
  }));
}

/** A linear constraint over choices, each 0 or 1: terms, relation, right side. */
type Row = readonly [terms: readonly string[], relation: '=' | '>=', right: number];

/** The choice of every ECU that satisfies all and costs least; undefined when none does. */
function solve(
  solver: Solver,
  choices: readonly Choice[],
  allowed: (choice: Choice) => boolean,
  costs: (choice: Choice) => boolean,
): readonly Choice[] | undefined {
  const open = choices.filter(allowed);
  const rows: Row[] = [];
  for (const ecuId of new Set(choices.map((choice) => choice.ecuId))) {
    const own = open.filter((choice) => choice.ecuId === ecuId);
    if (own.length === 0) return undefined;
    rows.push([own.map((choice) => `+ ${nameOf(choice, open)}`), '=', 1]);
  }
  for (const choice of open) rows.push(...rowsOf(choice, open));
  // Among answers that change as little, the newest images: `open` lists each ECU's newest first.
  const cost = (choice: Choice, i: number) => (costs(choice) ? changeCost + i : 0);
  const goal = open.map((choice, i) => `+ ${cost(choice, i)} ${nameOf(choice, open)}`);
  const program = [
    'Minimize',
    ` cost: ${goal.join('\n  ')}`,
    'Subject To',
    ...rows.map(
      ([terms, relation, right], i) => ` r${i}: ${terms.join('\n  ')} ${relation} ${right}`,
    ),
    'Binary',
    ...open.map((choice) => ` ${nameOf(choice, open)}`),
    'End',
  ].join('\n');
  const { Status, Columns } = solver.solve(program, { output_flag: false });
  if (Status !== 'Optimal') return undefined;
  return open.filter((choice) => {
    const column = Columns[nameOf(choice, open)];
    return column !== undefined && 'Primal' in column && column.Primal > 0.5;
  });
}

/** Identifiers of ECUs and images could be read as something else by the solver. */
function nameOf(choice: Choice, open: readonly Choice[]): string {
  return `x${open.indexOf(choice)}`;
}

/** What choosing one image means for the others. */
function rowsOf(choice: Choice, open: readonly Choice[]): readonly Row[] {
  const rows: Row[] = [];
  const chosen = nameOf(choice, open);
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
      rows.push([[...fit.map((other) => `+ ${nameOf(other, open)}`), `- ${chosen}`], '>=', 0]);
    }
    if (others.length === 0) rows.push([[`+ ${chosen}`], '=', 0]);
  }
  for (const range of conflicts) {
    for (const other of open) {
      if (other.hardwareId !== range.hardwareId || other.ecuId === choice.ecuId) continue;
      if (inRange(range, other.image.releaseCounter)) {
        rows.push([[`- ${chosen}`, `- ${nameOf(other, open)}`], '>=', -1]);
      }
    }
  }
  return rows;
}
