//! Which page the user should see: pure, from the browser's target events.

use super::TargetInfo;
use super::ids::TargetId;

/// The pages that belong to the handoff: the first one and what it opened, in order of opening.
#[derive(Debug)]
pub(super) struct Tabs {
    active: Option<TargetId>,
    family: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    id: TargetId,
    opener: Option<TargetId>,
}

impl Tabs {
    pub(super) fn new(first: TargetId) -> Self {
        Self {
            active: Some(first.clone()),
            family: vec![Member {
                id: first,
                opener: None,
            }],
        }
    }

    pub(super) fn active(&self) -> Option<&TargetId> {
        self.active.as_ref()
    }

    /// A page appeared; returns whether it is now the active one.
    pub(super) fn opened(&mut self, page: &TargetInfo) -> bool {
        let known = |id: &TargetId| self.family.iter().any(|m| m.id == *id);
        let ours = page.opener.as_ref().is_some_and(known);
        if !ours || known(&page.id) {
            return false;
        }
        self.family.push(Member {
            id: page.id.clone(),
            opener: page.opener.clone(),
        });
        self.active = Some(page.id.clone());
        true
    }

    /// A page closed; returns whether the active one changed (perhaps to none).
    pub(super) fn closed(&mut self, id: &TargetId) -> bool {
        let Some(at) = self.family.iter().position(|m| m.id == *id) else {
            return false;
        };
        let gone = self.family.remove(at);
        // Its children now go back to where it would have gone back.
        for member in &mut self.family {
            if member.opener.as_ref() == Some(id) {
                member.opener.clone_from(&gone.opener);
            }
        }
        if self.active.as_ref() != Some(id) {
            return false;
        }
        let opener = gone
            .opener
            .filter(|o| self.family.iter().any(|m| m.id == *o));
        self.active = opener.or_else(|| self.family.last().map(|m| m.id.clone()));
        true
    }

    pub(super) fn contains(&self, id: &TargetId) -> bool {
        self.family.iter().any(|m| m.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(id: &str, opener: Option<&str>) -> TargetInfo {
        TargetInfo {
            id: id.into(),
            url: String::new(),
            title: String::new(),
            opener: opener.map(TargetId::from),
            context: None,
        }
    }

    #[test]
    fn a_popup_is_followed_and_left_again() {
        let mut tabs = Tabs::new("a".into());

        assert!(tabs.opened(&page("b", Some("a"))));
        assert_eq!(tabs.active(), Some(&"b".into()));
        assert!(tabs.closed(&"b".into()));

        assert_eq!(tabs.active(), Some(&"a".into()));
    }

    #[test]
    fn strangers_are_left_alone() {
        let mut tabs = Tabs::new("a".into());

        assert!(!tabs.opened(&page("x", None)));
        assert!(!tabs.opened(&page("y", Some("x"))));

        assert!(!tabs.closed(&"x".into()));
        assert_eq!(tabs.active(), Some(&"a".into()));
    }

    #[test]
    fn when_the_middle_closes_first_the_end_goes_back_to_the_start() {
        let mut tabs = Tabs::new("a".into());
        tabs.opened(&page("b", Some("a")));
        tabs.opened(&page("c", Some("b")));

        assert!(!tabs.closed(&"b".into()));
        assert!(tabs.closed(&"c".into()));

        assert_eq!(tabs.active(), Some(&"a".into()));
    }

    #[test]
    fn after_the_last_page_nothing_is_active() {
        let mut tabs = Tabs::new("a".into());

        assert!(tabs.closed(&"a".into()));

        assert_eq!(tabs.active(), None);
    }
}
