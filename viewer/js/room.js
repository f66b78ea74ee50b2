// Where the user signs in: a private room or the agent's own browser, how far it has come, and which
// words hold of it. Pure.

/** @typedef {import("./invitation.js").PrivateRoom} PrivateRoom */
/** @typedef {import("./events.js").Outcome} Outcome */
/** @typedef {import("./events.js").Output} Output */

const MAX_HOSTS = 32;

export class Room {
  /** @type {PrivateRoom | null} as the invitation has it */
  #invited;
  /** @type {"open" | "moving" | "not_moved" | "entering"} */
  #phase = "open";
  #inPlace;
  /** Whether anything may have gone to the agent's browser. @type {"no" | "maybe" | "yes"} */
  #carried;
  #agentAway = false;
  #leftBehind = false;
  /** Of the pages shown, oldest first. @type {Set<string>} */
  #hosts = new Set();

  /**
   * @param {PrivateRoom | null} invited null: the agent's own browser
   * @param {boolean} fromStart this page has seen all of the session
   */
  constructor(invited, fromStart) {
    this.#invited = invited;
    this.#inPlace = invited === null;
    this.#carried = fromStart ? "no" : "maybe";
  }

  get isPrivate() {
    return !this.#inPlace;
  }

  /** Whether what the user does acts on a page at all. */
  get takesInput() {
    return this.#phase === "open";
  }

  /** A name for the page's own attributes. */
  get state() {
    if (!this.takesInput) return this.#phase;
    return this.isPrivate ? "private" : "in_place";
  }

  /** The sites whose session the agent gets. */
  get sites() {
    return (this.isPrivate && this.#invited?.sites) || [];
  }

  /** What is said of it, as keys of the catalog. */
  get words() {
    const kind = !this.isPrivate
      ? "in_place"
      : this.#invited?.start === "as_is"
        ? "as_is"
        : "private";
    return { short: this.isPrivate ? "room.short_private" : "room.short_in_place", kind };
  }

  /** What stands over the picture while nothing is taken, as keys of the catalog. */
  get waiting() {
    switch (this.#phase) {
      case "moving":
        return {
          title: "room.moving",
          text: this.#agentAway ? "notice.agent_browser_away" : "room.moving_text",
        };
      case "not_moved":
        return { title: "not_moved.title", text: "" };
      case "entering":
        return { title: "room.entering", text: "" };
      default:
        return null;
    }
  }

  /** Hosts that the user was at and whose session the agent does not get, oldest first. */
  get otherHosts() {
    return [...this.#hosts].filter((host) => !isGranted(host, this.sites));
  }

  /**
   * @param {Output} output
   * @returns {boolean} whether it changed where the user is
   */
  output(output) {
    switch (output.t) {
      case "page":
        this.#noteHost(hostOf(output.origin));
        return false;
      case "notice":
        if (output.code === "agent_browser_away") this.#agentAway = true;
        if (output.code === "left_behind") this.#leftBehind = true;
        return false;
      case "refused":
        if (this.#phase !== "entering") return false;
        this.#phase = "not_moved";
        return true;
      case "moving":
        this.#phase = "moving";
        this.#carried = "yes";
        this.#agentAway = false;
        return true;
      case "not_moved":
        this.#phase = "not_moved";
        this.#carried = "yes";
        return true;
      case "in_place":
        this.#phase = "open";
        this.#inPlace = true;
        return true;
      default:
        return false;
    }
  }

  /** The session may be moving: the user said that they are done, or nobody here saw what they did. */
  mayHaveMoved() {
    if (this.#carried === "no") this.#carried = "maybe";
  }

  /** The user chose the agent's own browser. */
  enter() {
    this.#phase = "entering";
  }

  /** The room begins anew: what was in it is gone. */
  startOver() {
    this.#hosts.clear();
  }

  /**
   * What is true of this end.
   * @param {Outcome} outcome
   * @returns {{title: string, texts: string[]}} keys of the catalog
   */
  ending(outcome) {
    const usual = { title: `ended.${outcome}`, texts: [`ended.${outcome}_text`] };
    if (!this.#invited) return usual;
    switch (outcome) {
      case "resolved":
        if (this.#inPlace) return usual;
        if (this.#phase === "not_moved" || this.#phase === "entering")
          return { title: "ended.not_moved", texts: ["ended.not_moved_text"] };
        if (this.#carried !== "yes") return { ...usual, texts: ["ended.room_closed_text"] };
        return {
          ...usual,
          texts: ["ended.moved_text", ...(this.#leftBehind ? ["notice.left_behind"] : [])],
        };
      case "declined":
        return {
          ...usual,
          texts: [
            this.#carried === "no" ? "ended.room_declined_text" : "ended.room_declined_late_text",
          ],
        };
      case "failed":
        return usual; // nobody knows what became of the room
      default:
        return { ...usual, texts: [...usual.texts, "ended.room_gone"] };
    }
  }

  /** @param {string} host */
  #noteHost(host) {
    if (host === "" || this.#hosts.has(host)) return;
    this.#hosts.add(host);
    const [oldest] = this.#hosts;
    if (this.#hosts.size > MAX_HOSTS && oldest !== undefined) this.#hosts.delete(oldest);
  }
}

/**
 * The host of a site's origin, in ASCII; nothing of what is no site, as the browser's own error page.
 * @param {string} origin
 */
export function hostOf(origin) {
  try {
    return /^https?:/.test(origin) ? new URL(origin).hostname : "";
  } catch {
    return "";
  }
}

/**
 * Whether a host belongs to one of the sites: equal, or below it at a dot.
 * @param {string} host
 * @param {readonly string[]} sites
 */
export const isGranted = (host, sites) =>
  sites.some((site) => host === site || host.endsWith(`.${site}`));
