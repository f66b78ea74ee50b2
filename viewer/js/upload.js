// Files for the remote page: chosen here, sent in sealed pieces, a few at a time.

import { decodeUtf8, encodeUtf8, toBase64Url } from "./bytes.js";
import { button, byId, el, input } from "./dom.js";
import { bytes, t } from "./i18n.js";
import { isolate } from "./origin-panel.js";
import { PromptSheet } from "./prompt-sheet.js";

/** @typedef {import("./events.js").FileChooser} FileChooser */
/** @typedef {import("./events.js").InputEvent} InputEvent */

/** What one message carries, in bytes. */
export const CHUNK_BYTES = 24 * 1024;
/** What may be on its way before the host has said that it came, in bytes. */
const WINDOW_BYTES = 4 * CHUNK_BYTES;
const MAX_NAME_BYTES = 255;

/**
 * A name that the host takes: no path, no control characters, at most 255 bytes. Pure.
 * @param {string} name
 */
export function safeName(name) {
  const plain =
    decodeUtf8(encodeUtf8(name))
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not stay.
      .replace(/[\\/\u0000-\u001f\u007f-\u009f]/g, "_")
      .replace(/^\.{1,2}$/, "_") || "_";
  if (encodeUtf8(plain).length <= MAX_NAME_BYTES) return plain;
  // The end says what kind of file it is.
  const dot = plain.lastIndexOf(".");
  const end = dot > 0 && plain.length - dot <= 16 ? plain.slice(dot) : "";
  const room = MAX_NAME_BYTES - encodeUtf8(end).length;
  return decodeUtf8(encodeUtf8(plain).slice(0, room)).replace(/\ufffd+$/, "") + end;
}

/**
 * Why these files cannot go, or null. Pure.
 * @param {{size: number}[]} files
 * @param {{max_files: number, max_bytes: number}} limits
 * @returns {"none" | "too_many" | "too_big" | null}
 */
export function selectionProblem(files, limits) {
  if (files.length === 0) return "none";
  if (files.length > limits.max_files) return "too_many";
  return files.reduce((sum, f) => sum + f.size, 0) > limits.max_bytes ? "too_big" : null;
}

export class Upload {
  /** @type {FileChooser | null} */
  #chooser = null;
  #sending = false;
  /** @type {(() => void) | null} wakes the sender */
  #onProgress = null;

  /**
   * @param {object} on
   * @param {(event: InputEvent) => string} on.send
   * @param {() => void} on.closed
   */
  constructor(on) {
    this.on = on;
    this.prompt = new PromptSheet("sheet-files", () => this.#cancel(), on.closed);
    button("files-send").addEventListener("click", () => void this.#startUpload());
    input("files-input").addEventListener("change", () => this.#checkSelection());
  }

  /** @param {FileChooser} chooser opened, or more of its files has come */
  show(chooser) {
    const same = this.#chooser?.id === chooser.id;
    this.#chooser = chooser;
    if (same) {
      this.#progress();
      return this.#onProgress?.();
    }
    this.#sending = false;
    const { multiple, origin, max_files, max_bytes } = chooser;
    el("files-title").textContent = t(multiple ? "files.title_many" : "files.title", {
      origin: isolate(origin),
    });
    el("files-limit").textContent = t(multiple ? "files.limit_many" : "files.limit", {
      count: String(max_files),
      size: bytes(max_bytes),
    });
    const field = input("files-input");
    field.value = "";
    field.multiple = multiple;
    field.accept = chooser.accept;
    field.disabled = false;
    this.#showProblem("");
    el("files-progress").hidden = true;
    button("files-send").disabled = true;
    this.prompt.show(field);
  }

  /** @param {number} id */
  close(id) {
    if (id !== this.#chooser?.id) return;
    this.#forget();
    this.prompt.end();
  }

  /** The host does not take them. */
  onRefused() {
    if (!this.#sending) return;
    this.#stop("failed");
  }

  get #files() {
    return [...(input("files-input").files ?? [])];
  }

  #checkSelection() {
    if (!this.#chooser) return;
    const wrong = selectionProblem(this.#files, this.#chooser);
    button("files-send").disabled = wrong !== null;
    const { max_files, max_bytes } = this.#chooser;
    this.#showProblem(
      wrong && wrong !== "none"
        ? t(`files.${wrong}`, { count: String(max_files), size: bytes(max_bytes) })
        : "",
    );
  }

  /** @param {string} words */
  #showProblem(words) {
    el("files-problem").textContent = words;
    el("files-problem").hidden = words === "";
  }

  async #startUpload() {
    const chooser = this.#chooser;
    const files = this.#files;
    if (!chooser || this.#sending || selectionProblem(files, chooser) !== null) return;
    const named = files.map((f) => ({ name: safeName(f.name), size: f.size }));
    if (this.on.send({ t: "files", id: chooser.id, files: named }) !== "ok")
      return this.#stop("failed");
    this.#sending = true;
    input("files-input").disabled = button("files-send").disabled = true;
    this.#progress();
    try {
      await this.#sendChunks(new Blob(files), chooser.id);
    } catch {
      // A file that was moved or changed meanwhile cannot be read.
      if (this.#chooser?.id === chooser.id) this.#stop("failed");
    }
  }

  /**
   * @param {Blob} whole
   * @param {number} id
   */
  async #sendChunks(whole, id) {
    for (let at = 0; at < whole.size; ) {
      const data = new Uint8Array(await whole.slice(at, at + CHUNK_BYTES).arrayBuffer());
      while (
        this.#chooser?.id === id &&
        this.#sending &&
        at + data.length - this.#chooser.received > WINDOW_BYTES
      ) {
        await new Promise((resolve) => (this.#onProgress = () => resolve(null)));
      }
      if (this.#chooser?.id !== id || !this.#sending) return;
      if (this.on.send({ t: "file_chunk", id, data: toBase64Url(data) }) !== "ok")
        throw new Error("not sent");
      at += data.length;
    }
  }

  #progress() {
    if (!this.#sending || !this.#chooser) return;
    const total = this.#files.reduce((sum, f) => sum + f.size, 0);
    const bar = byId("files-bar", HTMLProgressElement);
    bar.max = Math.max(1, total);
    bar.value = this.#chooser.received;
    el("files-done").textContent = t("files.progress", {
      done: bytes(this.#chooser.received),
      total: bytes(total),
    });
    el("files-progress").hidden = false;
  }

  /** @param {"failed"} why */
  #stop(why) {
    const id = this.#chooser?.id;
    this.#forget();
    this.#showProblem(t(`files.${why}`));
    el("files-progress").hidden = true;
    if (id !== undefined) this.on.send({ t: "files", id, files: [] });
  }

  #cancel() {
    const id = this.#chooser?.id;
    this.#forget();
    if (id !== undefined) this.on.send({ t: "files", id, files: [] });
  }

  #forget() {
    this.#chooser = null;
    this.#sending = false;
    this.#onProgress?.();
    button("files-send").disabled = true;
  }
}
