// What the page says of the room where the user signs in: on the invitation, in the bar, and in the
// sheets that ask before the session moves, before the room begins anew, and when the session did
// not move.

import { button, dialog, el, setIcon } from "./dom.js";
import { t } from "./i18n.js";
import { hostItems, isPunycode } from "./origin-panel.js";
import { PressGuard } from "./press-guard.js";
import { Room } from "./room.js";
import { closeAllSheets } from "./sheets.js";

/** @typedef {import("./events.js").InputEvent} InputEvent */
/** @typedef {import("./events.js").Output} Output */

const root = document.documentElement;

/**
 * On the invitation, before the claim.
 * @param {import("./invitation.js").PrivateRoom | null} invited
 */
export function showRoomOffer(invited) {
  const room = new Room(invited, true);
  const { kind } = room.words;
  el("room-offer").dataset.room = room.state;
  setIcon("room-offer-icon", room.isPrivate ? "i-private" : "i-window");
  el("room-offer-text").textContent = t(`room.${kind}`);
  fillSites("room-offer-sites", "room-offer-punycode", room.sites);
  el("room-offer-start").hidden = kind !== "as_is";
  el("point-session").textContent = t(
    room.isPrivate ? "invitation.point_private" : "invitation.point_session",
  );
}

export class RoomPanel {
  #over = false;
  #answered = false;
  #notMovedGuard = new PressGuard(dialog("sheet-not-moved"));

  /**
   * @param {Room} room
   * @param {object} on
   * @param {(event: InputEvent) => string} on.send
   * @param {() => void} on.finish the user gives the session
   * @param {() => void} on.changed by the user's choice, the room is another
   * @param {() => void} on.closed a sheet is gone: the keyboard may have the focus again
   */
  constructor(room, on) {
    this.room = room;
    this.on = on;
    this.#wire();
    this.#show();
  }

  /** The user says that they are done: what moves is listed first. */
  askDone() {
    this.#fillDone();
    dialog("sheet-done").returnValue = "";
    dialog("sheet-done").showModal();
    el("sheet-done-title").focus();
  }

  /**
   * @param {Output} output
   * @returns {boolean} whether it changed where the user is
   */
  output(output) {
    const changed = this.room.output(output);
    if (output.t === "page" && dialog("sheet-done").open) this.#fillDone();
    if (!changed) return false;
    closeAllSheets();
    this.#show();
    if (output.t === "not_moved") this.#fillNotMoved(output.in_place);
    if (this.room.state === "not_moved") this.#openNotMoved();
    return true;
  }

  /** @param {boolean} ready what the user says now reaches the host */
  setReady(ready) {
    button("not-moved-in-place").disabled = !ready;
    for (const id of ["start-over", "site-start-over"])
      button(id).disabled = !ready || !this.room.takesInput;
  }

  /** The handoff is over: nothing is asked any more. */
  end() {
    this.#over = true;
  }

  #show() {
    const { room } = this;
    const { short, kind } = room.words;
    root.dataset.room = room.state;
    el("room-short").textContent = t(short);
    el("room-short").dataset.room = room.isPrivate ? "private" : "in_place";
    el("site-room").textContent = t(`room.${kind}`);
    fillSites("site-grants", "site-grants-punycode", room.sites);
    for (const id of ["start-over", "site-start-over"]) button(id).hidden = !room.isPrivate;
  }

  #fillDone() {
    const { sites, otherHosts } = this.room;
    fillSites("done-sites", "done-punycode", sites);
    el("done-others-row").hidden = otherHosts.length === 0;
    el("done-others").replaceChildren(...hostItems(otherHosts));
    el("done-rest").hidden = otherHosts.length > 0;
  }

  /** @param {boolean} inPlace it may go on in the agent's own browser */
  #fillNotMoved(inPlace) {
    for (const id of ["not-moved-warning", "not-moved-in-place"]) el(id).hidden = !inPlace;
  }

  #openNotMoved() {
    const sheet = dialog("sheet-not-moved");
    this.#answered = false;
    if (!sheet.open) sheet.showModal();
    this.#notMovedGuard.appear(el("sheet-not-moved-title"));
  }

  #wire() {
    const done = dialog("sheet-done");
    const startOver = dialog("sheet-start-over");
    for (const sheet of [done, startOver]) {
      sheet.addEventListener("click", (e) => {
        if (e.target === sheet || (e.target instanceof Element && e.target.closest("[data-close]")))
          sheet.close();
      });
      // The browser gives the focus back to the button that opened it: not what they want now.
      sheet.addEventListener("close", () => sheet.returnValue === "" && this.on.closed());
    }
    button("done-finish").addEventListener("click", () => {
      done.close("finish");
      this.on.finish();
    });
    for (const id of ["start-over", "site-start-over"]) {
      button(id).addEventListener("click", () => {
        dialog("sheet-site").close();
        startOver.returnValue = "";
        startOver.showModal();
      });
    }
    button("start-over-go").addEventListener("click", () => {
      startOver.close("go");
      if (this.on.send({ t: "start_over" }) === "ok") this.room.startOver();
      this.on.closed();
    });
    this.#wireNotMoved();
  }

  #wireNotMoved() {
    const sheet = dialog("sheet-not-moved");
    // Declining is the page's usual way, which closes the sheet before this hears of the click.
    const declines = (/** @type {Event} */ e) => {
      if (e.target instanceof Element && e.target.closest("[data-reason]")) this.#answered = true;
    };
    sheet.addEventListener("click", declines, true);
    button("not-moved-in-place").addEventListener("click", () => {
      if (this.on.send({ t: "in_place" }) !== "ok") return;
      this.room.enter();
      sheet.close();
      this.#show();
      this.on.changed();
    });
    // There is nothing behind it to go back to.
    sheet.addEventListener("cancel", (e) => e.preventDefault());
    sheet.addEventListener("close", () => {
      if (!this.#answered && !this.#over && this.room.state === "not_moved") this.#openNotMoved();
    });
  }
}

/**
 * @param {string} list
 * @param {string} note said where a name is in its technical form
 * @param {readonly string[]} sites
 */
function fillSites(list, note, sites) {
  el(list).hidden = sites.length === 0;
  el(list).replaceChildren(...hostItems(sites, true));
  el(note).hidden = !sites.some(isPunycode);
}
