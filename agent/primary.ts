/**
 * The Primary's program: cycle after cycle it reports, asks for time and metadata, and brings what
 * was verified to every ECU of the vehicle (Uptane §5.4.2). Old software keeps running whatever
 * goes wrong here.
 */
import type { Hal } from '../hal/types.ts';
import { LinkDriver } from './can/link-driver.ts';
import { UdsClient } from './can/uds-client.ts';
import { isRefusal, isTransient, type Refusal, refuse } from './codes.ts';
import { agentRelease, logRefusal, openState, settleTrials } from './ecu/start-up.ts';
import { BootBlock } from './install/boot-block.ts';
import { isOutOfMemory } from './install/out-of-memory.ts';
import {
  failedCyclesReported,
  maxRetryMilliseconds,
  maxUdsMessageBytes,
  mediumPollMilliseconds,
  retryBaseMilliseconds,
} from './limits.ts';
import { Backoff } from './net/backoff.ts';
import { DeviceTls } from './net/device-tls.ts';
import { DoorbellClient } from './net/doorbell-client.ts';
import { HttpClient } from './net/http.ts';
import { RepositoryClient } from './net/repository-client.ts';
import { BundleState } from './primary/bundle-state.ts';
import { Doorbell } from './primary/doorbell.ts';
import { ImageStaging } from './primary/image-staging.ts';
import { OfflineCycle } from './primary/offline-cycle.ts';
import type { PrimaryContext } from './primary/primary-context.ts';
import { Progress } from './primary/progress.ts';
import { Repositories } from './primary/repositories.ts';
import { SecondaryClient } from './primary/secondary-client.ts';
import { UpdateCycle } from './primary/update-cycle.ts';
import { endpointOf } from './verify/repository-mapping.ts';

/** A platform opens its boot record by this program's own code: it lies in memory once. */
export { BootBlock, isRefusal };

/** Starts the program; it runs until the platform restarts it. */
export function start(hal: Hal): void {
  const state = openState(hal);
  if (isRefusal(state)) {
    logRefusal(hal, state);
    return;
  }
  settleTrials(state);
  const { can, primary, repositoryMap, vehicleId } = state.configuration;
  if (primary === undefined || repositoryMap === undefined) {
    const refusal = refuse('configuration-invalid', 'a Primary needs its vehicle');
    logRefusal(hal, refusal);
    return;
  }
  const tls = DeviceTls.open(hal.keyValue, state.time, state.configuration);
  if (isRefusal(tls)) {
    logRefusal(hal, tls);
    return;
  }
  const filters = primary.secondaries.map(({ address }) => address.responseId);
  const driver = new LinkDriver({ can: hal.can, clock: hal.clock, port: can.port, filters });
  const { clock, crypto, random } = hal;
  const credentials = { vehicleId, signer: state.ecus[0]!.signer, crypto, random };
  const secondaries = primary.secondaries.map(({ address, ecuIds }) => {
    const client = new UdsClient({
      transmitId: address.requestId,
      receiveId: address.responseId,
      extended: address.extended,
      flexibleData: can.flexibleData,
      maxMessageBytes: maxUdsMessageBytes,
    });
    driver.add(client);
    return new SecondaryClient(client, ecuIds, credentials);
  });
  // FV-00: where the repositories are
  const director = endpointOf(repositoryMap, 'director');
  const images = endpointOf(repositoryMap, 'images');
  const http = new HttpClient(hal);
  const context: PrimaryContext = {
    state,
    configuration: primary,
    repositories: new Repositories(
      new RepositoryClient({ http, clock, random, vehicleId, director, images, tls }),
    ),
    tls,
    secondaries,
    bundle: new BundleState(hal.keyValue),
    progress: new Progress(hal),
    staging: new ImageStaging(hal.flash.open({ path: primary.download }), hal.keyValue, hal.crypto),
    wait: (milliseconds) => new Promise((resolve) => hal.clock.after(milliseconds, resolve)),
  };
  hal.board.log(`ready ecu=${state.ecus[0]!.ecuId} release=${agentRelease()}`);
  run(context);
}

/**
 * Waits between two cycles: `pause` because of a failure, then until the next poll or until somebody
 * rings. Looks at the medium meanwhile: it needs no network (PURE-2). What an update from there has
 * opened is closed, so that others may ask the Secondaries.
 */
async function waitForNext(
  context: PrimaryContext,
  offline: OfflineCycle,
  doorbell: Doorbell,
  pause: number,
): Promise<void> {
  const { clock, medium } = context.state.hal;
  const earliest = clock.monotonic() + pause;
  const latest = earliest + context.configuration.pollMilliseconds;
  let left: number;
  do {
    await offline.run();
    for (const secondary of context.secondaries) await secondary.release();
    left = Math.max(0, doorbell.due(earliest, latest) - clock.monotonic());
    await doorbell.wait(medium === undefined ? left : Math.min(left, mediumPollMilliseconds));
  } while (doorbell.due(earliest, latest) > clock.monotonic());
}

/**
 * Listens to the broker, once the vehicle is enrolled: without a certificate nobody there knows it.
 * True when that is done, or there is none to listen to.
 */
function listen({ state, configuration, tls }: PrimaryContext, doorbell: Doorbell): boolean {
  const { doorbell: broker } = configuration;
  if (broker === undefined) return true;
  if (tls?.enrolled === false) return false;
  const { net, clock, random, board } = state.hal;
  const { vehicleId } = state.configuration;
  const onRing = (version: number) => {
    board.log(`doorbell rung=${version}`);
    doorbell.ring(version);
  };
  const onChange = (refusal: Refusal | undefined) => {
    const lost = refusal && `code=${refusal.refused} detail=${refusal.detail}`;
    board.log(`doorbell ${lost ?? 'state=on'}`);
  };
  new DoorbellClient({ net, clock, random, vehicleId, broker, tls, onRing, onChange });
  return true;
}

/**
 * Cycles for ever; while the network or a server fails, with growing pauses between them. A cycle
 * that fails with an exception is a bug: the ECU restarts.
 */
async function run(context: PrimaryContext): Promise<void> {
  const { board, random } = context.state.hal;
  const backoff = new Backoff({
    random,
    baseMilliseconds: retryBaseMilliseconds,
    maxMilliseconds: maxRetryMilliseconds,
  });
  let failures = 0;
  const offline = new OfflineCycle(context);
  const doorbell = new Doorbell(context.state.hal.clock, context.state.store);
  let listening = false;
  try {
    await offline.run();
    for (;;) {
      doorbell.answer();
      const refusal = await new UpdateCycle(context).run();
      if (!listening) listening = listen(context, doorbell);
      const failed = refusal !== undefined && isTransient(refusal.refused);
      failures = failed ? failures + 1 : 0;
      // EVR-04: what fails again and again is told as the attack that it looks like (§4.3.2)
      if (failed && failures === failedCyclesReported) {
        const { detections, ecus } = context.state;
        detections.addPersistent(ecus[0]!.ecuId, refusal);
      }
      if (refusal !== undefined) {
        board.log(`cycle-ended code=${refusal.refused} detail=${refusal.detail}`);
      }
      if (!failed) backoff.reset();
      await waitForNext(context, offline, doorbell, failed ? backoff.next() : 0);
    }
  } catch (error) {
    // Without memory nothing can be trusted to be said here: the platform ends the program, and its
    // next start tells why.
    if (isOutOfMemory(error)) throw error;
    board.log(`failed detail=${error instanceof Error ? error.stack : String(error)}`);
    board.reboot();
  }
}
