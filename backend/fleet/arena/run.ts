/** Runs attacks one after the other in one arena, and judges each by what the Director's log says. */
import type { Arena } from './arena.ts';
import type { Position, StandardAttack, Variant } from './variant.ts';

/** One line of the table. */
export interface Outcome {
  readonly id: string;
  readonly attack: string;
  readonly position: Position;
  readonly does: string;
  /** What happened; begins with FAILED when the attacker won or nobody noticed. */
  readonly happened: string;
  /** The name under which it was told, and by whom. */
  readonly namedAs: string;
  readonly row: string;
  readonly passed: boolean;
}

/**
 * Lets every variant attack; after the last of an attack the vehicle has to take an honest update.
 * @param onOutcome called as soon as a variant has ended
 */
export async function runAttacks(
  arena: Arena,
  attacks: readonly StandardAttack[],
  onOutcome: (outcome: Outcome) => void,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const attack of attacks) {
    for (const [i, variant] of attack.variants.entries()) {
      const last = i === attack.variants.length - 1;
      const outcome = await runVariant(arena, attack, variant, last);
      outcomes.push(outcome);
      onOutcome(outcome);
    }
  }
  return outcomes;
}

/** The short run: of every attack the first variant that is not slow. */
export function shortened(attacks: readonly StandardAttack[]): readonly StandardAttack[] {
  return attacks.map((attack) => ({
    ...attack,
    variants: [attack.variants.find(({ slow }) => !slow) ?? attack.variants[0]!],
  }));
}

async function runVariant(
  arena: Arena,
  { id, name }: StandardAttack,
  variant: Variant,
  last: boolean,
): Promise<Outcome> {
  const { position, does, named } = variant;
  const about = { id, attack: name, position, does, row: named?.row ?? '' };
  try {
    const found = await expectNamed(arena, variant);
    const happened = variant.outcome ?? 'refused';
    if (!last) return { ...about, happened, namedAs: found, passed: true };
    const update = await arena.takeUpdate();
    return { ...about, happened: `${happened}; then ${update}`, namedAs: found, passed: true };
  } catch (error) {
    disarm(arena);
    const happened = `FAILED: ${(error as Error).message}`;
    return { ...about, happened, namedAs: '', passed: false };
  }
}

async function expectNamed(arena: Arena, variant: Variant): Promise<string> {
  const { named } = variant;
  await variant.prepare?.(arena);
  const before = await arena.director.installed();
  const mark = await arena.director.mark();
  await variant.attack(arena);
  if (variant.needsUpdate) await arena.updates.offerUpdate();
  const entry = named && (await arena.director.expect(named, mark));
  disarm(arena);
  await variant.recover?.(arena);
  await expectOnlyHonest(arena, before);
  if (entry === undefined) return 'leaves no trace';
  return `${entry.attack ?? entry.code} by ${entry.ecuId ?? 'the Director'}`;
}

function disarm(arena: Arena): void {
  arena.intercept = undefined;
  arena.tap.hook = undefined;
  arena.onLine = undefined;
}

/** Every ECU runs what it ran before, or what the honest Director has assigned to it. */
async function expectOnlyHonest(arena: Arena, before: ReadonlyMap<string, string>): Promise<void> {
  const { ecus } = await arena.director.vehicle();
  for (const { ecuId, installed, assigned } of ecus) {
    const runs = installed?.filename;
    if (runs !== before.get(ecuId) && runs !== assigned?.filename) {
      throw new Error(`${ecuId} runs ${runs}`);
    }
  }
}
