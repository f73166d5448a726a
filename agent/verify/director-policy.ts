/**
 * How Director Targets are judged for the ECUs of a verifier, before they are stored: a Targets
 * file that is refused must not become the baseline that its own second try is compared with.
 */
import { type Refusal, refuse } from '../codes.ts';
import { defaultBundlePolicy, type Target, type Targets } from '../metadata/targets.ts';
import { checkAssignment, isInstalled } from './agreement.ts';
import { byName } from './lookup.ts';
import { checkDirectorTargets } from './targets.ts';
import type { Decision, VerificationOptions, VerifierEcu } from './verification.ts';

type Ecus = Pick<VerificationOptions, 'ecus' | 'everyEcu'>;

function ecusById(ecus: readonly VerifierEcu[]): (ecuId: string) => VerifierEcu | undefined {
  return byName(ecus, ({ ecuId }) => ecuId);
}

function entriesByEcu(targets: Targets | undefined): (ecuId: string) => Target | undefined {
  return byName(targets?.targets ?? [], ({ assignment }) => assignment?.ecuId);
}

/**
 * Judges Director Targets for the verifier's ECUs.
 * @returns codes `targets-delegation`, `targets-ecu-repeated`, `targets-ecu-unknown`, and those of
 *   `checkAssignment`
 */
export function judgeDirectorTargets(
  { ecus, everyEcu }: Ecus,
  targets: Targets,
  previous: Targets | undefined,
): Refusal | undefined {
  const refused = checkDirectorTargets(targets);
  if (refused !== undefined) return refused;
  const ecuOf = ecusById(ecus);
  const before = entriesByEcu(previous);
  for (const target of targets.targets) {
    const ecuId = target.assignment!.ecuId;
    const ecu = ecuOf(ecuId);
    if (ecu === undefined) {
      // CTG-08: the Primary knows every ECU of the vehicle
      if (everyEcu) return refuse('targets-ecu-unknown', ecuId);
      continue;
    }
    const wrong = checkAssignment(target, ecu, before(ecuId));
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/**
 * INS-08, as it is understood here: Director Targets without an entry for any ECU of a Secondary
 * ask nothing of it. They are no failure, but the previous file, which says what this ECU was last
 * told to run, stays the stored one. A Primary keeps all: it serves them to others.
 */
export function keepsDirectorTargets({ ecus, everyEcu }: Ecus, targets: Targets): boolean {
  if (everyEcu) return true;
  const entryOf = entriesByEcu(targets);
  return ecus.some((ecu) => entryOf(ecu.ecuId) !== undefined);
}

/** An entry with the ECU that it is for. */
export interface Entry {
  readonly target: Target;
  readonly ecu: VerifierEcu;
}

/** The entries for the verifier's own ECUs. */
export function entriesFor(ecus: readonly VerifierEcu[], targets: Targets): readonly Entry[] {
  const ecuOf = ecusById(ecus);
  const entries: Entry[] = [];
  for (const target of targets.targets) {
    const ecu = ecuOf(target.assignment!.ecuId);
    if (ecu !== undefined) entries.push({ target, ecu });
  }
  return entries;
}

/** What verified Director Targets ask of the verifier's ECUs: installed already, or still to be. */
export function decide(entries: readonly Entry[], targets: Targets): Decision {
  return {
    // FV-06: newly assigned, or left from before
    assignments: entries.filter((one) => !isInstalled(one.target, one.ecu)).map(targetOf),
    bundle: entries.map(targetOf),
    policy: targets.bundlePolicy ?? defaultBundlePolicy,
  };
}

function targetOf({ target }: Entry): Target {
  return target;
}
