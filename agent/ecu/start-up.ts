/**
 * What every program of the agent does first: open the ECU's state, test what a trial boot has
 * started, confirm it or give it up (Uptane §5.4.3.5).
 */
import type { Hal, RollbackReason, WatchdogTimer } from '../../hal/types.ts';
import { decode } from '../codec/schema.ts';
import { type Code, isRefusal, type Refusal, refuse } from '../codes.ts';
import { trialWatchdogMilliseconds } from '../limits.ts';
import {
  type Configuration,
  configuration as configurationSchema,
} from '../metadata/configuration.ts';
import { verifications } from '../metadata/device-messages.ts';
import { MetadataStore } from '../verify/metadata-store.ts';
import { checkRepositoryMap } from '../verify/repository-mapping.ts';
import { TimeKeeper } from '../verify/time.ts';
import { DetectionLog } from './detections.ts';
import { ManagedEcu } from './managed-ecu.ts';
import { testRuntime } from './runtime-test.ts';
import { VersionReports } from './version-reports.ts';

/** Release number of this program, set when it is built. */
declare const AGENT_RELEASE: number;
export const agentRelease = (): number => AGENT_RELEASE;

const maxConfigurationBytes = 65_536;

/** Everything a program works on after its start. */
export interface EcuState {
  readonly hal: Hal;
  readonly configuration: Configuration;
  /** The agent's own ECU first, then the hosted ones. */
  readonly ecus: readonly ManagedEcu[];
  readonly store: MetadataStore;
  readonly time: TimeKeeper;
  readonly detections: DetectionLog;
  readonly reports: VersionReports;
}

/** Opens the ECU's durable state. Code `configuration-invalid`. */
export function openState(hal: Hal): EcuState | Refusal {
  const bytes = hal.keyValue.read('configuration');
  if (bytes === undefined) return refuse('configuration-invalid', 'this ECU was never provisioned');
  const configuration = decode(configurationSchema, bytes, maxConfigurationBytes);
  if (isRefusal(configuration)) return refuse('configuration-invalid', configuration.detail);
  const unusable = checkProvisionedMap(configuration);
  if (unusable !== undefined) return unusable;
  const ecus: ManagedEcu[] = [];
  const lost: Refusal[] = [];
  for (const one of configuration.ecus) {
    const ecu = ManagedEcu.open(hal, configuration.vehicleId, one);
    if (isRefusal(ecu) && ecu.refused === 'boot-block-corrupt' && ecus.length > 0) {
      // VER-02: what nobody knows anything about any more must not stop what can still be updated
      lost.push(refuse(ecu.refused, `${one.ecuId}: ${ecu.detail}`));
      continue;
    }
    if (isRefusal(ecu)) return ecu;
    if (ecu.running === undefined) {
      return refuse('boot-nothing-to-run', `${ecu.ecuId} has no image in its running slot`);
    }
    ecus.push(ecu);
  }
  const detections = new DetectionLog(hal.keyValue);
  recordFailure(hal, detections, ecus[0]!.ecuId);
  for (const { ecuId, damage } of ecus) if (damage !== undefined) detections.add(ecuId, damage);
  for (const refusal of lost) {
    logRefusal(hal, refusal);
    detections.add(ecus[0]!.ecuId, refusal);
  }
  const { keyValue, clock, crypto } = hal;
  const store = new MetadataStore(keyValue);
  return {
    hal,
    configuration,
    ecus,
    store,
    time: new TimeKeeper({ keyValue, clock, crypto, ...configuration.time }),
    detections,
    reports: new VersionReports(hal, configuration.vehicleId, detections, store),
  };
}

/** A platform that ran out of memory ends the program, and keeps under this key why (EVR-04). */
const failureKey = 'failure';

function recordFailure(hal: Hal, detections: DetectionLog, ecuId: string): void {
  const { keyValue } = hal;
  if (keyValue.read(failureKey) === undefined) return;
  const refusal = refuse('heap-exhausted', 'the run before ended without memory');
  logRefusal(hal, refusal);
  // Recorded before it is forgotten: a power cut between repeats, never loses.
  detections.add(ecuId, refusal);
  keyValue.delete(failureKey);
}

/** Tells a person why the program does not start, or what it starts without. */
export function logRefusal({ board }: Hal, { refused, detail }: Refusal): void {
  board.log(`refused code=${refused} detail=${detail}`);
}

/** Full verifiers consult the repository map that they were provisioned with. */
function checkProvisionedMap({ repositoryMap, verification }: Configuration): Refusal | undefined {
  if (repositoryMap !== undefined) return checkRepositoryMap(repositoryMap);
  // MAP-01, KEY-03: full verification needs one; a partial verifier knows one repository only
  return verification === verifications.full
    ? refuse('configuration-invalid', 'no repository map', 'MAP-01')
    : undefined;
}

/** How the report names each way of losing a trial (EVR-04). */
const codeOfRollback: Readonly<Record<RollbackReason, Code>> = {
  unconfirmed: 'trial-rolled-back',
  watchdog: 'self-test-hung',
  'self-test': 'self-test-failed',
  'image-damaged': 'slot-corrupt',
  withdrawn: 'bundle-rolled-back',
};

/**
 * Ends the trial of every image that is on one: confirmed when its self-test passes (in a two-phase
 * bundle: held until the Primary has word of all ECUs), else given up
 * and restarted into the old image. A trial that ended before, without confirmation, is recorded
 * as a failure with its reason, so that the next report tells the truth (INS-12, INS-13).
 *
 * The watchdog runs meanwhile: a self-test that never answers ends the trial too.
 */
export function settleTrials(state: EcuState): void {
  const { watchdog } = state.hal;
  const timer = watchdog.open({ timeout: trialWatchdogMilliseconds });
  for (const ecu of state.ecus) {
    const { rolledBack, rollbackReason = 'unconfirmed', recovered } = ecu.boot.status();
    if (rolledBack !== undefined) {
      const code = codeOfRollback[rollbackReason];
      // The record is durable before the boot control forgets: a cut between repeats, never loses.
      state.detections.add(ecu.ecuId, refuse(code, rolledBack.filename));
      const image = rolledBack.filename;
      state.hal.board.log(`rolled-back ecu=${ecu.ecuId} image=${image} reason=${rollbackReason}`);
    }
    if (recovered) {
      // VER-02: what else the boot block said (a trial, a failure) is lost, and nobody may guess it
      state.detections.add(ecu.ecuId, refuse('boot-block-corrupt', 'made again from the journal'));
      state.hal.board.log(`boot-block-recovered ecu=${ecu.ecuId}`);
    }
    ecu.boot.acknowledge();
    settleTrial(state, ecu, timer);
  }
  timer.close();
}

/** Tells a person that the image which runs on `ecu` is the confirmed one. */
export function logConfirmed({ hal }: EcuState, ecu: ManagedEcu): void {
  hal.board.log(`confirmed ecu=${ecu.ecuId} release=${ecu.running?.releaseCounter}`);
}

function settleTrial(state: EcuState, ecu: ManagedEcu, timer: WatchdogTimer): void {
  const status = ecu.boot.status();
  if (status.pending === undefined || status.pending !== status.active) return;
  timer.feed();
  const passed = ecu.isRuntime
    ? testRuntime(state, ecu)
    : ecu === state.ecus[0]
      ? selfTest(state)
      : state.hal.hosted.selfTest(ecu.ecuId, status.active);
  if (passed && ecu.holdTrial(state.configuration.trialBoots)) {
    state.hal.board.log(`trial-passed ecu=${ecu.ecuId} release=${ecu.running?.releaseCounter}`);
    return;
  }
  if (passed) {
    ecu.confirm();
    logConfirmed(state, ecu);
    return;
  }
  ecu.boot.rollback('self-test');
  state.hal.board.reboot();
}

/**
 * The agent's own self-test: the running program is the release that the boot block names, and
 * crypto, key-value store and metadata answer. Failing here rolls the update back.
 */
function selfTest(state: EcuState): boolean {
  const { hal } = state;
  const abc = hal.crypto.digest('SHA-256', new Uint8Array([0x61, 0x62, 0x63]));
  // FIPS 180-4 example: SHA-256("abc") begins with ba7816bf.
  const digestWorks = abc[0] === 0xba && abc[1] === 0x78 && abc[2] === 0x16 && abc[3] === 0xbf;
  const own = state.ecus[0]!;
  const signs = own.signer.sign(abc).length === 64;
  return digestWorks && signs && own.running?.releaseCounter === agentRelease();
}
