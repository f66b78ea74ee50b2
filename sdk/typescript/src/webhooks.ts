/** Webhooks, by the Standard Webhooks library. */

import { Webhook } from "standardwebhooks";
import { AuthloopError } from "./errors.js";
import { object, Session, text, time } from "./models.js";

/** A webhook was not signed by the secret, or is too old. */
export class WebhookError extends AuthloopError {}

/** What a webhook says; `id` is the same each time it is tried again. */
export interface WebhookEvent {
  readonly id: string;
  readonly type: string;
  readonly timestamp: Date;
  readonly session: Session;
}

/**
 * Checks a webhook's signature and age, and reads it.
 * @param secret the `whsec_` secret that the handoff was created with
 * @param body the request's body, byte for byte
 */
export function verifyWebhook(
  secret: string,
  headers: Headers | Record<string, string>,
  body: string,
): WebhookEvent {
  const pairs = headers instanceof Headers ? [...headers] : Object.entries(headers);
  const lower = Object.fromEntries(pairs.map(([name, value]) => [name.toLowerCase(), value]));
  let verified: unknown;
  try {
    verified = new Webhook(secret).verify(body, lower);
  } catch (cause) {
    throw new WebhookError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  const raw = object(verified, "a handoff's webhook");
  return {
    id: lower["webhook-id"] ?? "",
    type: text(raw, "type"),
    timestamp: time(raw, "timestamp"),
    session: new Session(raw["data"]),
  };
}
