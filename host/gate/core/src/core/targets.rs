//! Which targets a client is told of and may attach to.

use serde_json::{Value, json, value::RawValue};

use super::{
    Core, Pending,
    agent_rules::is_web_target,
    client::{BrowserSessionId, ClientId, SessionScope, TargetStatus},
    message::{raw, text_of, value},
};

/// What Chromium says of a target that is not there.
pub(super) fn no_such_target() -> Box<RawValue> {
    raw(&json!({ "code": -32602, "message": "No target with given id found" }))
}

/// The answer to `Target.getTargets` without what agents may not see.
pub(super) fn only_web(result: Option<&RawValue>) -> Box<RawValue> {
    let mut result = value(result);
    if let Some(infos) = result["targetInfos"].as_array_mut() {
        infos.retain(is_web_target);
    }
    raw(&result)
}

impl Core {
    /// Ends a new session with a target that its client may not have; returns whether it is one.
    ///
    /// The target does not wait for its debugger any longer then.
    pub(super) fn refuses_target(
        &mut self,
        id: ClientId,
        parent: &SessionScope,
        params: &Value,
    ) -> bool {
        if !self.is_gated(id) || is_web_target(&params["targetInfo"]) {
            return false;
        }
        let session = BrowserSessionId::from(text_of(params, "sessionId"));
        let parent = self
            .session(id, parent)
            .and_then(|parent| parent.browser_session_id.clone());
        let detach = raw(&json!({ "sessionId": session.as_str() }));
        self.refused_sessions.insert(session);
        let method = "Target.detachFromTarget";
        self.send_command(parent.as_ref(), method, &detach, Pending::Ignored);
        true
    }

    /// Looks at what a client's own session, a page socket's, is attached to.
    pub(super) fn on_root_attached(&mut self, params: &Value) {
        if !is_web_target(&params["targetInfo"]) {
            let session = BrowserSessionId::from(text_of(params, "sessionId"));
            self.refused_sessions.insert(session.clone());
            self.detach(session);
        }
    }

    /// Tells of each target once, however often it is discovered, and of those alone that agents may
    /// see, from when they may.
    pub(super) fn on_target(
        &mut self,
        id: ClientId,
        scope: &SessionScope,
        method: &str,
        params: &Value,
    ) {
        let Some(session) = self.session(id, scope) else {
            return;
        };
        if method == "Target.targetDestroyed" {
            let target = text_of(params, "targetId");
            session.targets.remove(target);
            if !session.unseen_targets.remove(target) {
                self.send_event(id, scope, method, params);
            }
            return;
        }
        let target = text_of(&params["targetInfo"], "targetId").to_owned();
        if !is_web_target(&params["targetInfo"]) {
            if !session.targets.contains_key(&target) {
                session.unseen_targets.insert(target);
            }
            return;
        }
        let unseen = session.unseen_targets.remove(&target);
        // Changes are told of targets too that were attached to but not discovered.
        let mut method = method;
        if method == "Target.targetCreated" || unseen {
            let status = TargetStatus::Confirmed;
            let known = session.targets.insert(target, status).is_some();
            method = if known {
                "Target.targetInfoChanged"
            } else {
                "Target.targetCreated"
            };
        }
        let params = json!({ "targetInfo": params["targetInfo"] });
        self.send_event(id, scope, method, &params);
    }
}
