/**
 * In which order the ECUs of a bundle install: an ECU comes in a later step than every ECU that has
 * to be changed before it. ECUs that need each other (a cycle) share one step.
 */

/** ECU ids that have to be done before the one they are listed under. */
export type Predecessors = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * The step of each ECU of `least`, never below the one given there, and as low as the order allows.
 * @param least ECU id → least step
 */
export function installSteps(
  least: ReadonlyMap<string, number>,
  before: Predecessors,
): ReadonlyMap<string, number> {
  const steps = new Map<string, number>();
  // Components come with those first that others wait for.
  for (const component of components([...least.keys()], before)) {
    let step = 0;
    for (const ecuId of component) {
      step = Math.max(step, least.get(ecuId) ?? 0);
      for (const earlier of before.get(ecuId) ?? []) {
        if (!component.includes(earlier)) step = Math.max(step, (steps.get(earlier) ?? 0) + 1);
      }
    }
    for (const ecuId of component) steps.set(ecuId, step);
  }
  return steps;
}

/** Strongly connected components in topological order (Tarjan 1972), predecessors first. */
export function components(
  ecuIds: readonly string[],
  before: Predecessors,
): readonly (readonly string[])[] {
  const found: string[][] = [];
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  // Depth is at most the number of ECUs of one vehicle.
  const visit = (ecuId: string): number => {
    const order = index.size;
    index.set(ecuId, order);
    low.set(ecuId, order);
    stack.push(ecuId);
    for (const earlier of before.get(ecuId) ?? []) {
      const reached = index.has(earlier)
        ? stack.includes(earlier)
          ? index.get(earlier)!
          : order
        : visit(earlier);
      low.set(ecuId, Math.min(low.get(ecuId)!, reached));
    }
    if (low.get(ecuId) === order) found.push(stack.splice(stack.indexOf(ecuId)));
    return low.get(ecuId)!;
  };
  for (const ecuId of ecuIds) if (!index.has(ecuId)) visit(ecuId);
  return found;
}
