/** What goes in and what comes out, as `docs/AGENT_API.md` has it. */

import { isObject, NotSignedInError, ProtocolError } from "./errors.js";

const STATUSES = ["PENDING", "ACTIVE", "RESOLVED", "CANCELLED", "TIMEOUT", "ERROR"] as const;
const VERDICTS = ["signed_in", "not_signed_in", "inconclusive"] as const;
const ROOMS = ["private", "in_place"] as const;
const STARTS = ["fresh", "as_is"] as const;
const ISOLATIONS = ["own_user", "same_user"] as const;

export type Status = (typeof STATUSES)[number];
export type Verdict = (typeof VERDICTS)[number];
export type Gate = "hold" | "reject";
/** In which browser the user signs in: a private one of the host's, or the agent's. */
export type Room = (typeof ROOMS)[number];
/** With what a private room begins: the site's address alone, or the agent's page as it is. */
export type RoomStart = (typeof STARTS)[number];
/** Whether a private room is out of reach of the programs of the host's own user. */
export type Isolation = (typeof ISOLATIONS)[number];

export type Condition =
  /** The top page's address; `*` and `**` match any text, `?` one character. */
  | { url: string }
  /** The browser holds this cookie. */
  | { cookie: { name: string; domain?: string } }
  /** A CSS selector matches in the top page's document. */
  | { selector: string }
  /** A request of the page was answered with this status. */
  | { network: { url: string; status?: number } };

export type DoneWhen = { any: readonly Condition[] } | { all: readonly Condition[] };

/** What `create` takes; all but the first two may be left out. */
export interface CreateOptions {
  /** The browser: `http(s)://host:port` or `ws(s)://…/devtools/…`. */
  cdpUrl: string;
  /** Shown to the user. */
  service: string;
  /** How long the link lives, in seconds. */
  ttl?: number;
  /** Where the wall stands; its origin is expected unless `expectedOrigins` says otherwise. */
  url?: string;
  /** What kind of wall, for example `password` or `sms_otp`. */
  wallType?: string;
  /** Shown to the user. */
  hint?: string;
  /** Who asks; shown to the user. */
  requester?: string;
  /** Why; shown to the user. */
  reason?: string;
  /** Where the user is expected to sign in. */
  expectedOrigins?: readonly string[];
  /** How the host tells that the user is signed in. */
  doneWhen?: DoneWhen;
  /** End as soon as `doneWhen` holds, without waiting for the user's Done. */
  autoFinish?: boolean;
  /** Ask for the signed-in state: of these origins, or of all that the browser shows. */
  storageState?: boolean | readonly string[];
  /** Where the host reports to as well, and the `whsec_` secret it signs with. */
  webhook?: { url: string; secret: string };
  /** What the browser's gate does to the agent's tools meanwhile, if the user signs in in place. */
  gate?: Gate;
  /** In which browser the user signs in; by default the wall decides. */
  room?: Room;
  /** With what a private room begins; by default the wall decides. */
  start?: RoomStart;
  /**
   * The sites whose session the agent gets from a private room, such as `bank.example`; by default
   * the expected origins'.
   */
  grants?: readonly string[];
  /** Makes the same call in another process the same handoff; by default each call has its own. */
  idempotencyKey?: string;
}

/** One condition of `doneWhen`, and whether it held. */
export interface Evidence {
  readonly condition: unknown;
  readonly met: boolean;
  readonly detail: string | null;
}

/** How a handoff ended, and what the browser showed then. */
export interface Outcome {
  readonly verdict: Verdict;
  readonly reason: string;
  readonly message: string;
  readonly evidence: readonly Evidence[];
}

/** Playwright's storage state: give it to `browser.newContext({storageState})`. */
export interface StorageState {
  cookies: {
    name: string;
    value: string;
    domain: string;
    path: string;
    expires: number;
    httpOnly: boolean;
    secure: boolean;
    sameSite: "Strict" | "Lax" | "None";
  }[];
  origins: { origin: string; localStorage: { name: string; value: string }[] }[];
}

/** A handoff as the host saw it at one time. */
export class Session {
  readonly id: string;
  readonly status: Status;
  readonly phase: string;
  readonly service: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly version: number;
  readonly context: unknown;
  readonly outcome: Outcome | null;
  /** How many cookies the browser holds, once RESOLVED. */
  readonly cookies: number | null;
  /** In which browser the user signs in; null from a host that is older than rooms. */
  readonly room: Room | null;
  /** With what a private room begins. */
  readonly start: RoomStart | null;
  /** The sites whose session the agent gets from a private room. */
  readonly grants: readonly string[] | null;
  /** Whether a private room is out of reach of the programs of the host's own user. */
  readonly isolation: Isolation | null;

  /**
   * @throws ProtocolError when `raw` is not the object of `GET /session/{id}`; what it does not
   *   know, it passes over
   */
  constructor(raw: unknown) {
    const of = object(raw, "a session");
    this.id = text(of, "session_id");
    this.status = oneOf(STATUSES, of["status"]);
    this.phase = typeof of["phase"] === "string" ? of["phase"] : "";
    this.service = text(of, "service");
    this.createdAt = time(of, "created_at");
    this.expiresAt = time(of, "expires_at");
    this.version = typeof of["version"] === "number" ? of["version"] : 0;
    this.context = of["context"] ?? null;
    this.outcome = isObject(of["outcome"]) ? outcome(of["outcome"]) : null;
    this.cookies = typeof of["cookies"] === "number" ? of["cookies"] : null;
    this.room = roomOf(of);
    this.start = oneOfOrNull(STARTS, of["start"]);
    this.grants = grantsOf(of);
    this.isolation = oneOfOrNull(ISOLATIONS, of["isolation"]);
  }

  /** Whether nothing will change any more. */
  get ended(): boolean {
    return this.status !== "PENDING" && this.status !== "ACTIVE";
  }

  /** What the browser showed; null while it is open, and when it could not be told. */
  get signedIn(): boolean | null {
    if (!this.outcome || this.outcome.verdict === "inconclusive") return null;
    return this.outcome.verdict === "signed_in";
  }

  /**
   * Itself, if the user finished, and the browser did not show the contrary or miss the session.
   * @throws NotSignedInError
   */
  requireResolved(): this {
    const reason = this.outcome?.reason ?? "unfinished";
    const moved = reason !== "session_did_not_move";
    if (this.status === "RESOLVED" && this.signedIn !== false && moved) return this;
    throw new NotSignedInError(this.status, reason, this.outcome?.message ?? "");
  }
}

/** One change of a session. */
export interface HandoffEvent {
  readonly name: string;
  readonly session: Session;
}

function outcome(raw: Record<string, unknown>): Outcome {
  const evidence = Array.isArray(raw["evidence"]) ? raw["evidence"] : [];
  return {
    verdict: oneOf(VERDICTS, raw["verdict"]),
    reason: text(raw, "reason"),
    message: typeof raw["message"] === "string" ? raw["message"] : "",
    evidence: evidence.filter(isObject).map((item) => ({
      condition: item["condition"],
      met: item["met"] === true,
      detail: typeof item["detail"] === "string" ? item["detail"] : null,
    })),
  };
}

/** The room, where the host tells one. */
export const roomOf = (of: Record<string, unknown>): Room | null => oneOfOrNull(ROOMS, of["room"]);

/** The granted sites, where the host tells them. */
export function grantsOf(of: Record<string, unknown>): readonly string[] | null {
  const grants = of["grants"] ?? null;
  if (grants === null) return null;
  if (!Array.isArray(grants) || !grants.every((site) => typeof site === "string"))
    throw new ProtocolError("grants are no list of sites");
  return grants;
}

export function object(value: unknown, what: string): Record<string, unknown> {
  if (!isObject(value)) throw new ProtocolError(`not ${what}`);
  return value;
}

// What is wrong is named, but never repeated: it may be a secret.
export function text(of: Record<string, unknown>, member: string): string {
  const value = of[member];
  if (typeof value !== "string")
    throw new ProtocolError(`${member} is missing in the host's answer`);
  return value;
}

export function time(of: Record<string, unknown>, member: string): Date {
  const date = new Date(text(of, member));
  if (Number.isNaN(date.getTime())) throw new ProtocolError(`${member} is no time`);
  return date;
}

function oneOf<T extends string>(known: readonly T[], value: unknown): T {
  const found = known.find((item) => item === value);
  if (found === undefined)
    throw new ProtocolError(`${JSON.stringify(value)} is none of ${known.join(", ")}`);
  return found;
}

function oneOfOrNull<T extends string>(known: readonly T[], value: unknown): T | null {
  return value === undefined || value === null ? null : oneOf(known, value);
}
