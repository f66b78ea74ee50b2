//! What conditions say together.

use serde_json::json;

use super::*;

fn conditions(n: usize) -> Vec<Condition> {
    (0..n)
        .map(|i| Condition::Selector(format!("#s{i}")))
        .collect()
}

fn concluded(done_when: &DoneWhen, answers: &[ConditionState]) -> Verdict {
    let answers = answers.iter().map(|a| (*a, String::new())).collect();
    done_when.conclude(answers).verdict
}

#[test]
fn any_and_all_are_three_valued() {
    use ConditionState::{Met, Unknown, Unmet};
    use Verdict::{Inconclusive, NotSignedIn, SignedIn};
    let any = DoneWhen::Any(conditions(2));
    let all = DoneWhen::All(conditions(2));
    let cases = [
        ([Met, Met], SignedIn, SignedIn),
        ([Met, Unmet], SignedIn, NotSignedIn),
        ([Met, Unknown], SignedIn, Inconclusive),
        ([Unmet, Unknown], Inconclusive, NotSignedIn),
        ([Unmet, Unmet], NotSignedIn, NotSignedIn),
        ([Unknown, Unknown], Inconclusive, Inconclusive),
    ];
    for (answers, of_any, of_all) in cases {
        assert_eq!(concluded(&any, &answers), of_any, "any {answers:?}");
        assert_eq!(concluded(&all, &answers), of_all, "all {answers:?}");
    }
}

#[test]
fn the_json_is_one_member_for_each_condition() {
    let text = json!({ "any": [
        { "url": "https://a.example/**" },
        { "cookie": { "name": "sid", "domain": "a.example" } },
        { "selector": "#out" },
        { "network": { "url": "**/me", "status": 200 } },
    ]});

    let parsed: DoneWhen = serde_json::from_value(text.clone()).unwrap();

    assert_eq!(parsed.check(), Ok(()));
    assert_eq!(serde_json::to_value(&parsed).unwrap(), text);
}

#[test]
fn bounds_are_kept() {
    assert_eq!(DoneWhen::Any(vec![]).check(), Err(ConditionError::Count));
    assert_eq!(
        DoneWhen::All(conditions(17)).check(),
        Err(ConditionError::Count)
    );
    let empty = DoneWhen::Any(vec![Condition::Selector(String::new())]);
    assert_eq!(empty.check(), Err(ConditionError::Text("the selector")));
    let status = DoneWhen::Any(vec![Condition::Network(NetworkCondition {
        url: Glob::parse("**").unwrap(),
        status: 99,
    })]);
    assert_eq!(status.check(), Err(ConditionError::Status));
}

#[test]
fn a_cookie_is_known_by_where_it_would_be_sent() {
    let on = |domain: Option<&str>| CookieCondition {
        name: "sid".to_owned(),
        domain: domain.map(str::to_owned),
    };

    assert!(on(None).matches("sid", "a.example"));
    assert!(!on(None).matches("other", "a.example"));
    assert!(on(Some("a.example")).matches("sid", ".a.example"));
    assert!(on(Some("login.A.example")).matches("sid", ".a.example"));
    assert!(!on(Some("login.a.example")).matches("sid", "a.example"));
    assert!(!on(Some("evila.example")).matches("sid", ".a.example"));
}
