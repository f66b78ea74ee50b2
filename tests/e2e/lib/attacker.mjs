// A WebRTC peer that stands where the relay should: it has ICE credentials of its own, which lying
// signaling hands to the victim, and the victim's credentials, which signaling sees.

import { webcrypto } from "node:crypto";
import { usersBrowser, within } from "./harness.mjs";

/** Runs in the attacker's page. */
const page = {
  /**
   * A connection whose data channel is the victim's; `passive` waits for the victim's DTLS hello.
   */
  async prepare(passive) {
    globalThis.heard = [];
    const pc = new RTCPeerConnection();
    globalThis.pc = pc;
    const dc = pc.createDataChannel("authloop", { negotiated: true, id: 0 });
    dc.onmessage = (e) => globalThis.heard.push(e.data.byteLength ?? e.data.length);
    pc.addTransceiver("video");
    await pc.setLocalDescription();
    if (pc.iceGatheringState !== "complete")
      await new Promise(
        (done) =>
          (pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done()),
      );
    globalThis.passive = passive;
    const { sdp } = pc.localDescription;
    const of = (key) => new RegExp(`a=${key}:(\\S+)`).exec(sdp)[1];
    const candidates = [
      ...sdp.matchAll(/a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host/g),
    ].map((m) => `${m[1]}:${m[2]}`);
    return {
      type: "ice",
      generation: 1,
      ufrag: of("ice-ufrag"),
      pwd: of("ice-pwd"),
      candidates,
      fingerprint: /a=fingerprint:(.*)/.exec(sdp)[1].trim(),
    };
  },
  /** Makes the victim's answer up. */
  async attack({ ufrag, pwd, fingerprint }) {
    const { pc, passive } = globalThis;
    const answer = pc.localDescription.sdp
      .replaceAll(/a=ice-ufrag:.*/g, `a=ice-ufrag:${ufrag}`)
      .replaceAll(/a=ice-pwd:.*/g, `a=ice-pwd:${pwd}`)
      .replaceAll(/a=fingerprint:.*/g, `a=fingerprint:${fingerprint}`)
      .replaceAll(/a=setup:.*/g, `a=setup:${passive ? "active" : "passive"}`)
      .replaceAll(
        /a=candidate:.*\r\n|a=end-of-candidates\r\n|a=ice-options:.*\r\n|a=ssrc.*\r\n|a=msid:.*\r\n/g,
        "",
      )
      .replaceAll(/a=sendrecv/g, "a=inactive");
    await pc.setRemoteDescription({ type: "answer", sdp: answer });
  },
  /** How the DTLS handshake ended, once ICE has brought the two together. */
  async handshake() {
    const { pc } = globalThis;
    const over = () =>
      ["connected", "failed", "closed"].includes(pc.sctp?.transport.state)
        ? pc.sctp.transport.state
        : null;
    while (!over()) {
      await new Promise((news) => {
        pc.sctp.transport.addEventListener("statechange", news, { once: true });
        pc.addEventListener("connectionstatechange", news, { once: true });
      });
      if (pc.connectionState === "failed") return "failed";
    }
    return over() === "closed" ? "failed" : over();
  },
};

export class Attacker {
  static async start(world, side) {
    const attacker = new Attacker();
    attacker.side = side;
    const context = await (await usersBrowser()).newContext();
    attacker.page = await context.newPage();
    // WebRTC hides addresses from pages without a camera behind names; this origin may see them.
    await attacker.page.goto(`${world.site.url}/style.css`);
    world.keep({ stop: () => context.close() });
    attacker.ice = await attacker.page.evaluate(page.prepare, side === "viewer");
    delete attacker.ice.fingerprint;
    return attacker;
  }

  attack(victim) {
    return this.page.evaluate(page.attack, victim);
  }

  handshake() {
    return within(
      60_000,
      () => "the end of the attacker's handshake",
      this.page.evaluate(page.handshake),
    );
  }

  received() {
    return this.page.evaluate(() => globalThis.heard);
  }

  /** What the attacker must know so that its own side does not refuse. */
  async victimFingerprint(viewer, mitm) {
    if (this.side === "viewer")
      return viewer.page.evaluate(() =>
        /a=fingerprint:(.*)/.exec(globalThis.peers.at(-1).localDescription.sdp)[1].trim(),
      );
    const { session } = mitm.transcript[0];
    const { invitation } = await (await fetch(`${mitm.upstream}/v1/sessions/${session}`)).json();
    return JSON.parse(Buffer.from(invitation, "base64url")).fingerprint;
  }

  static async deviceKey() {
    const { publicKey } = await webcrypto.subtle.generateKey(
      { name: "ECDSA", namedCurve: "P-256" },
      true,
      ["sign", "verify"],
    );
    return Buffer.from(await webcrypto.subtle.exportKey("raw", publicKey)).toString("base64url");
  }

  /** The same attack on a page that believes what signaling says; how the handshake ended. */
  static async control() {
    const context = await (await usersBrowser()).newContext();
    try {
      const attacker = new Attacker();
      attacker.page = await context.newPage();
      const ice = await attacker.page.evaluate(page.prepare, true);
      const naive = await context.newPage();
      const victim = await naive.evaluate(
        async (sdp) => {
          const pc = new RTCPeerConnection();
          globalThis.pc = pc;
          pc.createDataChannel("authloop", { negotiated: true, id: 0 });
          await pc.setRemoteDescription({ type: "offer", sdp });
          await pc.setLocalDescription();
          const of = (key) => new RegExp(`a=${key}:(.*)`).exec(pc.localDescription.sdp)[1].trim();
          return { ufrag: of("ice-ufrag"), pwd: of("ice-pwd"), fingerprint: of("fingerprint") };
        },
        await attacker.page.evaluate(() => globalThis.pc.localDescription.sdp),
      );
      if (!ice.candidates.length) throw new Error("the attacker has no address");
      await attacker.attack(victim);
      return await attacker.handshake();
    } finally {
      await context.close();
    }
  }
}
