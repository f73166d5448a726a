/** Assigns published images to ECUs of one vehicle. */
import type { Refusal } from '../../agent/codes.ts';
import { type AssignmentRequest, assignmentAnswer, assignmentRequest } from '../http/messages.ts';
import type { OperatorClient } from './operator-client.ts';

/**
 * Has the Director make fresh Targets that want these images on these ECUs; what other ECUs have
 * been assigned stays. Codes are the server's: `vehicle-unknown`, `ecu-unknown`, `image-unknown`,
 * `assignment-refused`.
 */
export async function assign(
  client: OperatorClient,
  request: AssignmentRequest,
): Promise<{ readonly version: number } | Refusal> {
  return client.post('/assignments', assignmentRequest, request, assignmentAnswer);
}
