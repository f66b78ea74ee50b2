// Session descriptions: only the relay's path may be put in, only the invited certificate may
// stand there (PROTOCOL section 7). Pure.

/**
 * The relay's leg for this side.
 * @typedef {object} Ice
 * @property {number} generation
 * @property {string} ufrag
 * @property {string} pwd
 * @property {string[]} candidates the relay's UDP addresses, `ip:port` or `[ip6]:port`
 * @property {string[]} tcp its passive ICE-TCP addresses (RFC 6544), likewise
 * @property {Turn | null} turn
 *
 * @typedef {object} Turn a TURN server that reaches the leg over TCP or TLS, as `iceServers` takes
 *   it
 * @property {string[]} urls
 * @property {string} username
 * @property {string} credential
 */

export class SdpError extends Error {}

// ice-char (RFC 8839 section 5.4); lengths from the same section.
const UFRAG = /^[A-Za-z0-9+/]{4,256}$/;
const PWD = /^[A-Za-z0-9+/]{22,256}$/;
const ICE_CHARS = /^[A-Za-z0-9+/]{1,256}$/;
const MAX_CANDIDATES = 8;
// RFC 7065 narrowed: a port and TCP must be named.
const TURN_URL = /^turns?:(?:\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9.-]+):([0-9]{1,5})\?transport=tcp$/;
const MAX_URLS = 4;
const MAX_URL_LENGTH = 300;
// RFC 6544 section 4.2: below every UDP candidate; 4 is a passive host candidate's direction
// preference.
const TCP_PRIORITY = 90 * 2 ** 24 + (4 * 2 ** 13 + 2 ** 13 - 1) * 2 ** 8 + 255;

/**
 * Checks what signaling sent, so that nothing can inject a line. Throws {@link SdpError}.
 * @param {any} m
 * @returns {Ice}
 */
export function parseIce(m) {
  const tcp = m?.tcp ?? [];
  const turn = m?.turn ?? null;
  const good =
    Number.isSafeInteger(m?.generation) &&
    matches(UFRAG, m.ufrag) &&
    matches(PWD, m.pwd) &&
    areAddresses(m.candidates) &&
    m.candidates.length > 0 &&
    areAddresses(tcp) &&
    (turn === null || isTurn(turn));
  if (!good) throw new SdpError("the relay's ICE parameters are malformed");
  return {
    generation: m.generation,
    ufrag: m.ufrag,
    pwd: m.pwd,
    candidates: m.candidates,
    tcp,
    turn,
  };
}

/**
 * Whether two sets of parameters name one leg of the relay.
 * @param {Ice} a
 * @param {Ice} b
 */
export const sameLeg = (a, b) =>
  JSON.stringify({ ...a, generation: 0 }) === JSON.stringify({ ...b, generation: 0 });

/**
 * @param {RegExp} pattern
 * @param {unknown} value
 */
const matches = (pattern, value) => typeof value === "string" && pattern.test(value);

/** @param {unknown} list */
const areAddresses = (list) =>
  Array.isArray(list) &&
  list.length <= MAX_CANDIDATES &&
  list.every((address) => parseAddress(address) !== null);

/** @param {any} turn */
function isTurn(turn) {
  return (
    typeof turn === "object" &&
    Object.keys(turn).every((key) => ["urls", "username", "credential"].includes(key)) &&
    Array.isArray(turn.urls) &&
    turn.urls.length > 0 &&
    turn.urls.length <= MAX_URLS &&
    turn.urls.every(isTurnUrl) &&
    matches(ICE_CHARS, turn.username) &&
    matches(ICE_CHARS, turn.credential)
  );
}

/** @param {unknown} url */
function isTurnUrl(url) {
  if (typeof url !== "string" || url.length > MAX_URL_LENGTH) return false;
  const [, v6, port] = TURN_URL.exec(url) ?? [];
  return (
    Number(port) >= 1 &&
    Number(port) <= 65535 &&
    (v6 === undefined || URL.canParse(`http://[${v6}]/`))
  );
}

/**
 * A literal address; names are refused.
 * @param {unknown} value
 * @returns {{ip: string, port: number} | null}
 */
export function parseAddress(value) {
  if (typeof value !== "string" || value.length > 64) return null;
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535) return null;
  const [, v6, v4] = match;
  if (v4) {
    const parts = v4.split(".");
    return parts.length === 4 && parts.every((p) => /^\d{1,3}$/.test(p) && Number(p) <= 255)
      ? { ip: v4, port }
      : null;
  }
  return v6 && URL.canParse(`http://[${v6}]/`) ? { ip: v6, port } : null;
}

/** @param {string} sdp */
const lines = (sdp) => sdp.split(/\r\n|\n/).filter((l) => l !== "");

/**
 * The peer's description with the relay's leg as the only path.
 * @param {string} sdp
 * @param {Ice} ice as {@link parseIce} returned it
 */
export function munge(sdp, ice) {
  const DROP = /^a=(?:candidate:|end-of-candidates|ice-options:|ice-ufrag:|ice-pwd:|ice-lite)/;
  /** @type {string[]} */
  const out = [];
  let media = 0;
  let pending = false;
  const leg = () => {
    if (!pending) return;
    pending = false;
    out.push(`a=ice-ufrag:${ice.ufrag}`, `a=ice-pwd:${ice.pwd}`);
    if (media === 1) out.push(...candidateLines(ice));
  };
  for (const line of lines(sdp)) {
    if (DROP.test(line)) continue;
    if (line.startsWith("m=")) {
      leg();
      if (media === 0) out.push("a=ice-lite");
      media += 1;
      pending = true;
    } else if (line.startsWith("a=")) {
      leg(); // attributes follow i=, c= and b= (RFC 8866 section 5)
    }
    out.push(line);
  }
  leg();
  if (media === 0) throw new SdpError("the description has no media");
  return `${out.join("\r\n")}\r\n`;
}

/** @param {Ice} ice */
function candidateLines(ice) {
  const udp = ice.candidates.map((address, i) => candidateLine(i, "udp", 2130706431 - i, address));
  // Other-pref must differ from candidate to candidate (RFC 6544 section 4.2).
  const tcp = ice.tcp.map(
    (address, i) =>
      `${candidateLine(udp.length + i, "tcp", TCP_PRIORITY - i * 2 ** 8, address)} tcptype passive`,
  );
  return [...udp, ...tcp];
}

/**
 * @param {number} index
 * @param {"udp" | "tcp"} transport
 * @param {number} priority
 * @param {string} address
 */
function candidateLine(index, transport, priority, address) {
  const { ip, port } = /** @type {{ip: string, port: number}} */ (parseAddress(address));
  return `a=candidate:${index + 1} 1 ${transport} ${priority} ${ip} ${port} typ host`;
}

/**
 * The ways to the relay where no UDP is let out, as a peer connection takes them.
 * @param {Ice} ice
 * @returns {RTCIceServer[]}
 */
export const iceServers = ({ turn }) => (turn ? [turn] : []);

/**
 * The certificate that every m-line of the description names; throws unless there is exactly one.
 * @param {string} sdp
 * @returns {string} `sha-256 AA:…`
 */
export function fingerprintOf(sdp) {
  /** @type {string | null} */
  let session = null;
  /** @type {(string | null)[]} */
  const media = [];
  for (const line of lines(sdp)) {
    if (line.startsWith("m=")) media.push(null);
    const match = /^a=fingerprint:(\S+) ([0-9A-Fa-f:]+)\s*$/.exec(line);
    if (!match) {
      if (/^a=fingerprint/i.test(line)) throw new SdpError("a fingerprint is malformed");
      continue;
    }
    const value = `${match[1]?.toLowerCase()} ${match[2]?.toUpperCase()}`;
    const held = media.length === 0 ? session : (media.at(-1) ?? null);
    if (held !== null) throw new SdpError("a section has several fingerprints");
    if (media.length === 0) session = value;
    else media[media.length - 1] = value;
  }
  const all = new Set(media.map((m) => m ?? session));
  if (session !== null) all.add(session);
  const [only] = all;
  if (media.length === 0 || all.size !== 1 || !only)
    throw new SdpError("the description needs exactly one fingerprint");
  return only;
}

/**
 * @param {string} sdp
 * @param {string} expected `sha-256 AA:…`
 */
export function checkFingerprint(sdp, expected) {
  if (fingerprintOf(sdp) !== expected)
    throw new SdpError("the description names another certificate");
}

/**
 * The host's last description as the answer to this side's own restart offer: ICE restarts on a
 * leg are local to it, so the host never sees that offer. The DTLS role stays: this page is the
 * client.
 * @param {string} sdp the host's, unmunged
 * @param {Ice} ice
 */
export function restartAnswer(sdp, ice) {
  return munge(sdp, ice).replace(/^a=setup:actpass(?=\r?$)/gm, "a=setup:passive");
}

/**
 * This page's own ICE credentials, for the relay.
 * @param {string} sdp
 * @returns {{ufrag: string, pwd: string}}
 */
export function localIce(sdp) {
  const ufrag = /^a=ice-ufrag:(\S+)\s*$/m.exec(sdp)?.[1];
  const pwd = /^a=ice-pwd:(\S+)\s*$/m.exec(sdp)?.[1];
  if (!ufrag || !pwd) throw new SdpError("the local description has no ICE credentials");
  return { ufrag, pwd };
}

/**
 * A certificate's fingerprint as SDP writes it (RFC 8122 section 5).
 * @param {Uint8Array} digest SHA-256 of the DER form
 */
export function formatFingerprint(digest) {
  return `sha-256 ${[...digest].map((b) => b.toString(16).padStart(2, "0").toUpperCase()).join(":")}`;
}
