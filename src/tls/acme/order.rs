//! One order (RFC 8555 §7.4), from the account to the chain.

use anyhow::{Context as _, bail};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};

use super::{cache::AcmeCache, challenge};
use crate::{config::AcmeSettings, tls::resolver::CertificateResolver};

/// RFC 8555 §6.7.
const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
/// How long to wait for validation: authorities validate from several places, one after the other.
const VALIDATION_RETRY_POLICY: RetryPolicy =
    RetryPolicy::new().timeout(std::time::Duration::from_secs(90));

/// A chain and its new key, both in PEM.
pub(super) struct IssuedCertificate {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Has a certificate issued; `resolver` answers the authority's challenge meanwhile.
///
/// # Errors
/// Whatever the directory, the network or the cache refuses, by name.
pub(super) async fn certificate(
    acme: &AcmeSettings,
    cache: &AcmeCache,
    resolver: &CertificateResolver,
) -> anyhow::Result<IssuedCertificate> {
    let names = [Identifier::Dns(acme.domain.clone())];
    let order = NewOrder::new(&names);
    let (account, is_new) = account(acme, cache).await?;
    let mut order = match account.new_order(&order).await {
        Err(Error::Api(problem))
            if !is_new && problem.r#type.as_deref() == Some(UNKNOWN_ACCOUNT) =>
        {
            cache.forget_account();
            let (account, _) = self::account(acme, cache).await?;
            account.new_order(&order).await
        }
        order => order,
    }
    .context("the directory took no order")?;
    authorize(&mut order, acme, resolver).await?;
    let key = order
        .finalize()
        .await
        .context("the directory did not take the certificate request")?;
    let chain = order
        .poll_certificate(&VALIDATION_RETRY_POLICY)
        .await
        .context("the directory gave no certificate")?;
    Ok(IssuedCertificate { chain, key })
}

/// The cached account or a new one, and whether it is new.
async fn account(acme: &AcmeSettings, cache: &AcmeCache) -> anyhow::Result<(Account, bool)> {
    let unreachable = || format!("cannot reach the directory {}", acme.directory);
    let builder = match &acme.ca_file {
        Some(root) => Account::builder_with_root(root),
        None => Account::builder(),
    }
    .context("cannot make a TLS client for the directory")?;
    if let Some(credentials) = cache.account() {
        let account = builder.from_credentials(credentials).await;
        return Ok((account.with_context(unreachable)?, false));
    }
    let contact: Vec<&str> = acme.contact.iter().map(String::as_str).collect();
    let wanted = NewAccount {
        contact: &contact,
        // Not without `acme_agree_tos`: the configuration sees to it.
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let created = builder.create(&wanted, acme.directory.clone(), None).await;
    let (account, credentials) = created.map_err(|error| match error {
        Error::Api(problem) => anyhow::Error::new(problem).context("the directory took no account"),
        error => anyhow::Error::new(error).context(unreachable()),
    })?;
    cache
        .store_account(&credentials)
        .context("cannot keep the ACME account in the cache")?;
    Ok((account, true))
}

/// Proves that this server answers for the domain (RFC 8737).
async fn authorize(
    order: &mut Order,
    acme: &AcmeSettings,
    resolver: &CertificateResolver,
) -> anyhow::Result<()> {
    let mut answered = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.context("the directory hides the challenges")?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => bail!("the authorization is {status:?} already"),
        }
        let mut challenge = authorization
            .challenge(ChallengeType::TlsAlpn01)
            .context("the directory offers no tls-alpn-01")?;
        let digest = challenge.key_authorization().digest();
        let answer = challenge::certificate(&acme.domain, digest.as_ref())?;
        answered.push(resolver.answer(&acme.domain, answer));
        let ready = challenge.set_ready().await;
        ready.context("the directory did not take up the challenge")?;
    }
    let unproven = format!("the authority could not validate {}", acme.domain);
    let outcome = order.poll_ready(&VALIDATION_RETRY_POLICY).await;
    if let Ok(OrderStatus::Ready | OrderStatus::Valid) = outcome {
        return Ok(());
    }
    // The order's own error says no more than that a challenge failed.
    let reason = match (refusal(order).await, outcome) {
        (Some(problem), _) => anyhow::Error::new(problem),
        (None, Err(error)) => anyhow::Error::new(error),
        (None, Ok(status)) => anyhow::anyhow!("the order is {status:?}"),
    };
    Err(reason.context(unproven))
}

/// Why the authority was not content (RFC 8555 §8: a challenge's `error`).
async fn refusal(order: &mut Order) -> Option<Problem> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let state = authorization.refresh().await.ok()?;
        let mut challenges = state.challenges.iter();
        if let Some(problem) = challenges.find_map(|challenge| challenge.error.clone()) {
            return Some(problem);
        }
    }
    None
}
