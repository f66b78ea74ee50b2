//! Closes the gate: ends every session of every gated client.

use super::{
    ClientId, ClosedMode, Core, Output, Pending, Phase, PreservedSetting,
    client::{ClientSessionId, ResumeStep, SessionScope, State},
    message,
};

impl Core {
    /// Shuts every gated client out, in favour of the handoff so named. [`Output::Closed`] follows.
    ///
    /// Returns the settings to keep in force meanwhile.
    pub fn close(&mut self, handoff: &str) -> Vec<PreservedSetting> {
        if self.is_closed() {
            return Vec::new();
        }
        // Roots that are still being attached are detached as soon as they are.
        let roots = self
            .pending
            .iter()
            .filter_map(|(id, pending)| match pending {
                Pending::Root(client) if self.is_gated(*client) => Some(*id),
                _ => None,
            });
        self.phase = Phase::Closed {
            handoff: handoff.to_owned(),
            unanswered: roots.collect(),
            announced: false,
        };
        let gated: Vec<ClientId> = self
            .clients
            .keys()
            .copied()
            .filter(|id| self.is_gated(*id))
            .collect();
        let mut preserved = Vec::new();
        for id in gated {
            self.abandon_answers(id);
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            preserved.extend(client.preserved_settings());
            client.state = State::Suspended;
            let mut root = None;
            for (scope, session) in &mut client.sessions {
                let browser_session_id = session.browser_session_id.take();
                if scope.is_none() {
                    root = browser_session_id;
                }
                session.step = ResumeStep::Dormant;
                session.unseen_targets.clear();
            }
            self.owners.retain(|_, (owner, _)| *owner != id);
            if let Some(root) = root {
                let id = self.detach(root);
                self.delay_closed_until(id);
            }
        }
        // They end with the sessions that they were made in.
        self.refused_sessions.clear();
        self.check_closed();
        preserved
    }

    /// Fails the commands in flight: their answers would tell of the page as the user has it.
    fn abandon_answers(&mut self, id: ClientId) {
        let mut abandoned: Vec<(i64, SessionScope)> = Vec::new();
        self.pending.retain(|_, pending| match pending {
            Pending::Client {
                client,
                id: answer,
                scope,
                ..
            } if *client == id => {
                abandoned.push((*answer, scope.clone()));
                false
            }
            Pending::Root(_) => true,
            other => other.client() != Some(id),
        });
        abandoned.sort();
        let data = self.error_data();
        // Clients know the end of this sentence, and try again.
        let message = "authloop: the user took the browser. Inspected target navigated or closed";
        let answers = abandoned.into_iter().map(|(id, scope)| {
            let session = scope.as_ref().map(ClientSessionId::as_str);
            message::error(
                Some(id),
                session,
                message::SERVER_ERROR,
                message,
                Some(data.clone()),
            )
        });
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.in_flight = 0;
        match self.mode {
            ClosedMode::Hold => client.deferred_answers.extend(answers),
            ClosedMode::Reject => self
                .output
                .extend(answers.map(|text| Output::Client(id, text))),
        }
    }

    /// Has the closing wait for this answer too.
    pub(super) fn delay_closed_until(&mut self, id: i64) {
        if let Phase::Closed { unanswered, .. } = &mut self.phase {
            unanswered.insert(id);
        }
    }

    pub(super) fn check_closed(&mut self) {
        if let Phase::Closed {
            unanswered,
            announced,
            ..
        } = &mut self.phase
            && unanswered.is_empty()
            && !*announced
        {
            *announced = true;
            self.output.push_back(Output::Closed);
        }
    }
}
