/**
 * How the vehicle becomes known to the Director and stays so: enrolment with its one-time token, and
 * the renewal of its device certificate (docs/POUF.md, TLS). Nothing here stops the old software.
 */
import type { Board, KeyValue } from '../../hal/types.ts';
import { isRefusal, type Refusal } from '../codes.ts';
import type { HttpRefusal } from '../net/http.ts';
import type { PrimaryContext } from './primary-context.ts';

/** Key-value entry of the encoded `registration`, from the vehicle's provisioning. */
export const registrationKey = 'registration';

/** What enrolment needs of a Primary; the factory has no more. */
export interface Enrolling extends Pick<PrimaryContext, 'tls'> {
  readonly repositories: Pick<PrimaryContext['repositories'], 'register'>;
  readonly state: {
    readonly hal: { readonly keyValue: KeyValue; readonly board: Pick<Board, 'log'> };
  };
}

/**
 * Enrols the vehicle; undefined when it was enrolled or there is nothing to do. With TLS the request
 * is kept until the certificate that answers it is; without, until a manifest was accepted: when
 * the answer is lost, the vehicle is registered already and is refused here.
 * Codes of the client, `key-malformed`.
 */
export async function enrol({ repositories, state, tls }: Enrolling): Promise<Refusal | undefined> {
  const { board, keyValue } = state.hal;
  const request = keyValue.read(registrationKey);
  if (request === undefined) return undefined;
  if (tls?.enrolled) {
    // The power was cut between the certificate and this.
    keyValue.delete(registrationKey);
    return undefined;
  }
  const answer = await repositories.register(request);
  const refusal = isRefusal(answer)
    ? answer
    : answer.certificate && tls?.accept(answer.certificate);
  if (refusal !== undefined) {
    board.log(`not-registered code=${refusal.refused} detail=${refusal.detail}`);
    return refusal;
  }
  if (tls !== undefined) keyValue.delete(registrationKey);
  board.log('registered');
  return undefined;
}

/** Renews the certificate once its time has come; a failure is tried again in the next cycle. */
export async function renewWhenDue(primary: PrimaryContext): Promise<void> {
  if (primary.tls?.renewalDue) await renew(primary);
}

/**
 * After a request that was refused for an expired certificate, which a device without a clock cannot
 * know of: true when it has a new one now.
 */
export async function renewAfter(primary: PrimaryContext, refusal: HttpRefusal): Promise<boolean> {
  return refusal.answeredCode === 'certificate-expired' && renew(primary);
}

async function renew({ repositories, state, tls }: PrimaryContext): Promise<boolean> {
  if (tls === undefined) return false;
  const answer = await repositories.renew();
  const refusal = isRefusal(answer) ? answer : tls.accept(answer);
  const { board } = state.hal;
  if (refusal === undefined) board.log('certificate renewed=true');
  else board.log(`certificate renewed=false code=${refusal.refused} detail=${refusal.detail}`);
  return refusal === undefined;
}
